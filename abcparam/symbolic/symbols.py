"""Symbols for exponents: those of the spec, one for each `?`, or one for every exponent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import TypeVar

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.source import START, Span
from abcparam.program.model import Program
from abcparam.program.tensors import (
    OWN,
    Tensor,
    exponents_by_key,
    key_of,
    letter_and_dim,
    with_exponent,
    with_exponents,
)

LETTERS = "abc"
OPEN = "?"  # the first character of an unknown's name


class ExponentPlace(Record):
    """Where an exponent comes from: a declaration or a role, for all tensors that take it there."""

    owner: str  # `query, key` or `hidden`
    key: str  # `b` or `c[depth]`
    paths: tuple[str, ...]

    @property
    def letter(self) -> str:
        return letter_and_dim(self.key)[0]

    @property
    def dim(self) -> str:
        return letter_and_dim(self.key)[1]


class OpenPower(Record):
    """A constant factor of the code that is open, and a growing dim whose power in it is sought."""

    name: str  # in `Program.open_powers`
    dim: str


SymbolPlace = ExponentPlace | OpenPower
SomePlace = TypeVar("SomePlace", ExponentPlace, OpenPower, SymbolPlace)


def places_of(program: Program, letters: str = LETTERS) -> tuple[ExponentPlace, ...]:
    """The places of all exponents that are written, tensor by tensor, letter by letter."""
    found: dict[tuple[object, str, str], list[Tensor]] = {}
    for tensor in program.tensors.values():
        for key in exponents_by_key(tensor):
            if key[0] in letters:
                where = tensor.spans.get(key)
                source = (where, key, "" if where else str(tensor.role))
                found.setdefault(source, []).append(tensor)
    return tuple(
        ExponentPlace(role or _names(tensors), key, tuple(t.path for t in tensors))
        for (_, key, role), tensors in found.items()
    )


def _names(tensors: Iterable[Tensor]) -> str:
    return ", ".join(dict.fromkeys(tensor.name for tensor in tensors))


def with_symbols(
    program: Program, places: Iterable[SomePlace]
) -> tuple[Program, dict[str, SomePlace]]:
    """The program with a symbol for the exponent of each place, and the places by their symbols."""
    taken = set(program.symbols)
    named: dict[str, SomePlace] = {}
    tensors, powers = dict(program.tensors), dict(program.open_powers)
    for place in places:
        symbol = _fresh(place, taken)
        taken.add(symbol)
        named[symbol] = place
        value = Affine(Fraction(0), ((symbol, Fraction(1)),))
        if isinstance(place, OpenPower):
            powers[place.name] = {**powers[place.name], place.dim: value}
            continue
        for path in place.paths:
            tensors[path] = with_exponent(tensors[path], place.key, value)
    return _declared(replace(program, tensors=tensors, open_powers=powers)), named


def _declared(program: Program) -> Program:
    """The program with exactly the symbols that its exponents hold."""
    return replace(program, symbols=symbols_of(program))


def all_symbolic(program: Program) -> Program:
    """The program with a symbol for every exponent that is written and matters."""
    return with_symbols(program, free_places(program))[0]


def free_places(program: Program) -> tuple[ExponentPlace, ...]:
    """The places of exponents that matter.

    The `d` of a tensor does only where a finite epsilon is to be taken strictly.
    """
    letters = LETTERS + ("d" if program.strict_epsilon else "")
    return tuple(
        place
        for place in places_of(program, letters)
        if not all(_idle(program.tensors[path], place) for path in place.paths)
    )


def unwritten_places(program: Program) -> tuple[ExponentPlace, ...]:
    """The places of learning rates that could say how they scale with another dim, and do not.

    That is a dim that is not the tensor's width.
    """
    dims = [dim.name for dim in program.growing]
    declared: dict[object, list[Tensor]] = {}
    for tensor in program.tensors.values():
        declared.setdefault(tensor.span, []).append(tensor)
    return tuple(
        ExponentPlace(tensors[0].name, key_of("c", dim), tuple(t.path for t in tensors))
        for tensors in declared.values()
        for dim in (dims if len(dims) > 1 else ())
        if all(_may_say(tensor, "c", dim) for tensor in tensors)
    )


def _may_say(tensor: Tensor, letter: str, dim: str) -> bool:
    """Whether it could have an exponent about a dim that is not its width, and has none."""
    return tensor.own is not None and dim not in {*tensor.own.names, *tensor.exponents[letter]}


def _idle(tensor: Tensor, place: ExponentPlace) -> bool:
    """Whether nothing depends on an exponent.

    Zero initialization needs no b, a frozen tensor no c.
    """
    own = place.dim == OWN
    return (
        (own and tensor.own is None)
        or (place.letter == "c" and tensor.frozen)
        or (place.letter == "b" and tensor.init.is_zero)
    )


def named_unknowns(program: Program) -> tuple[Program, dict[str, ExponentPlace]]:
    """The program with a readable symbol for each `?`, and the places by their symbols."""
    taken = set(program.symbols)
    named: dict[str, ExponentPlace] = {}
    renamed: dict[str, str] = {}
    for place in places_of(program, "abcd"):
        for symbol in _open_symbols(program, place):
            if symbol not in renamed:
                renamed[symbol] = _fresh(place, taken)
                taken.add(renamed[symbol])
                named[renamed[symbol]] = place

    names = {s: Affine(Fraction(0), ((name, Fraction(1)),)) for s, name in renamed.items()}
    return substituted(program, names), named


def substituted(program: Program, values: Mapping[str, Affine]) -> Program:
    """The program with exponents in the place of symbols."""
    tensors = {path: _with_values(tensor, values) for path, tensor in program.tensors.items()}
    powers = {
        name: {dim: _value(power, values) for dim, power in of_dims.items()}
        for name, of_dims in program.open_powers.items()
    }
    return _declared(replace(program, tensors=tensors, open_powers=powers))


def _with_values(tensor: Tensor, values: Mapping[str, Affine]) -> Tensor:
    exponents = exponents_by_key(tensor).items()
    return with_exponents(tensor, {key: _value(exponent, values) for key, exponent in exponents})


def _value(exponent: Affine, values: Mapping[str, Affine]) -> Affine:
    total = Affine(exponent.constant)
    for symbol, factor in exponent.symbols:
        one = Affine(Fraction(0), ((symbol, Fraction(1)),))
        total += values.get(symbol, one) * factor
    return total


def _open_symbols(program: Program, place: ExponentPlace) -> list[str]:
    value = exponents_by_key(program.tensors[place.paths[0]])[place.key]
    return [symbol for symbol, _ in value.symbols if symbol.startswith(OPEN)]


def _fresh(place: SymbolPlace, taken: set[str]) -> str:
    """`b_hidden`, `c_depth_hidden`, `b_query_key`: a name that sympy can read, and its own."""
    if isinstance(place, OpenPower):
        return f"{place.name}_{place.dim}"
    words = [place.letter, place.dim, *place.owner.split(", ")]
    name = "_".join(word for word in words if word)
    if name in taken:
        path = place.paths[0].replace(".", "_")
        name = "_".join(word for word in (place.letter, place.dim, path) if word)
    while name in taken:
        name += "_"
    return name


def symbols_of(program: Program) -> tuple[str, ...]:
    """The symbols that its exponents hold, in the order of the tensors, letter by letter."""
    found: dict[str, None] = {}
    for powers in program.open_powers.values():
        for value in powers.values():
            found |= dict.fromkeys(symbol for symbol, _ in value.symbols)
    for tensor in program.tensors.values():
        for value in exponents_by_key(tensor).values():
            found |= dict.fromkeys(symbol for symbol, _ in value.symbols)
    return tuple(found)


def first_symbol(program: Program) -> Span:
    """The place of the first exponent that holds a symbol of the spec's own."""
    for tensor in program.tensors.values():
        for key, value in exponents_by_key(tensor).items():
            own = any(not symbol.startswith(OPEN) for symbol, _ in value.symbols)
            if own and key in tensor.places:
                return tensor.places[key]
    return START
