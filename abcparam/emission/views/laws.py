"""What a tensor's comment says."""

from __future__ import annotations

from fractions import Fraction

from abcparam.emission.lowering.scope import known
from abcparam.program.tensors import OWN, Tensor


def comment(tensor: Tensor, law: str) -> str:
    """`hidden: a = 0, b = 1/2, c = 1; W·x ~ 1, ΔW·x ~ 1`."""
    letters = [
        *"abc",
        *(["d"] if any(known(e) for e in tensor.exponents.get("d", {}).values()) else []),
    ]
    exponents = ", ".join(part for letter in letters for part in _exponents(tensor, letter))
    role = "frozen " * tensor.frozen + (tensor.role or "tensor")
    return f"{role}: {exponents}" + (f"; {law}" if law else "")


def _exponents(tensor: Tensor, letter: str) -> list[str]:
    given = {key: known(exponent) for key, exponent in tensor.exponents.get(letter, {}).items()}
    own_ = [f"{letter} = {given.get(OWN, Fraction(0))}"]
    return own_ + [
        f"{letter}[{dim}] = {value}" for dim, value in given.items() if dim != OWN and value
    ]
