"""Symbols for exponents: those of the spec, one for each `?`, or one for every exponent."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

from abcparam.program import OWN, Affine, Program, Tensor
from abcparam.record import replace

LETTERS = "abc"


def owner_of(tensor: Tensor, letter: str) -> str:
    """Where an exponent is written: the tensor's path, or its role where it takes it from there."""
    return tensor.path if letter in tensor.spans else str(tensor.role)


def symbol_name(letter: str, owner: str) -> str:
    """`b_hidden`, `c_layers_attention_query`: a name that sympy can read."""
    return f"{letter}_{re.sub(r'[^A-Za-z0-9]+', '_', owner).strip('_')}"


def all_symbolic(program: Program) -> Program:
    """The program with a symbol for every a, b and c of its own width; zero initialization needs no
    b.
    """

    def symbolic(tensor: Tensor, letter: str, dim: str, value: Affine) -> Affine:
        if letter not in LETTERS or dim != OWN or tensor.own is None or _idle(tensor, letter):
            return value
        return Affine(Fraction(0), ((symbol_name(letter, owner_of(tensor, letter)), Fraction(1)),))

    return _mapped(program, symbolic)


def _idle(tensor: Tensor, letter: str) -> bool:
    return (letter == "c" and tensor.frozen) or (letter == "b" and tensor.init.is_zero)


def symbols_of(program: Program) -> tuple[str, ...]:
    """The symbols that its exponents hold, in the order of the tensors, letter by letter."""
    found: dict[str, None] = {}
    for tensor in program.tensors.values():
        for by_dim in tensor.exponents.values():
            for value in by_dim.values():
                found |= dict.fromkeys(symbol for symbol, _ in value.symbols)
    return tuple(found)


def _mapped(program: Program, change: Callable[[Tensor, str, str, Affine], Affine]) -> Program:
    tensors = {}
    for path, tensor in program.tensors.items():
        exponents = {
            letter: {dim: change(tensor, letter, dim, value) for dim, value in by_dim.items()}
            for letter, by_dim in tensor.exponents.items()
        }
        tensors[path] = replace(tensor, exponents=exponents)
    return replace(program, tensors=tensors)
