"""One of many solutions: simple values, one exponent after the other, as the gauge orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from abcparam.analysis.build import build_graph
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, exponents_by_key
from abcparam.symbolic.constraints import ALWAYS, LinearConstraint
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import ExponentPlace, symbols_of

SIMPLE = tuple(
    Fraction(sign * n, d)
    for d, most in ((1, 4), (2, 7), (4, 7), (3, 5))
    for n in range(most + 1)
    for sign in (1, -1)
    if (n or sign > 0) and (n % d or d == 1)
)


def pinned(premises: Premises, symbol: str, value: Fraction) -> LinearConstraint:
    """That the symbol has this value."""
    row: list[Fraction | int] = [-value, *[0] * len(premises.symbols)]
    row[1 + premises.symbols.index(symbol)] = 1
    return LinearConstraint(tuple(row), "=")


Preference = tuple[str, Fraction]  # a symbol and the value that it should have if it can


def preferences(
    program: Program, places: Mapping[str, ExponentPlace], order: Sequence[tuple[str, Fraction]]
) -> list[Preference]:
    """What to ask for, the most important first.

    First comes the gauge that the user chose, then the usual one (no multipliers, but readouts of
    unit initial weights; where a norm divides the scale of a map out, the one that would keep sizes
    without it; entries of Θ(1) where a tensor is looked up, as of a table that reads out too: a
    smaller one would vanish in the stream that it begins).
    """
    uses = _uses(program)
    reading = _readouts(uses)
    summing = (
        _paths(n for n in uses if _sums(n)) - _paths(n for n in uses if not _sums(n)) - reading
    )
    found = [
        (symbol, value)
        for letter, value in order
        for symbol, place in places.items()
        if place.letter == letter and place.dim == OWN
    ]
    for letter in "bac":
        for symbol, place in places.items():
            if place.letter == letter and set(place.paths) <= reading:
                value = _left_to_b(program, place) if letter == "b" else Fraction(letter == "a")
                found.append((symbol, value))
    for letter in "abd":
        for symbol, place in places.items():
            if place.letter == letter and place.dim == OWN:
                if letter == "b" and set(place.paths) <= summing:
                    found.append((symbol, Fraction(1, 2)))
                found.append((symbol, Fraction(0)))
    return found


def _left_to_b(program: Program, place: ExponentPlace) -> Fraction:
    """What a readout's multiplier leaves to its initial weights, of a + b = 1."""
    given = {exponents_by_key(program.tensors[path]).get("a") for path in place.paths}
    written = given.pop() if len(given) == 1 else None
    return Fraction(0) if written is None or written.symbols else 1 - written.constant


def _uses(program: Program) -> list[Node]:
    """Where tensors are used."""
    graph = build_graph(bind(program, dict.fromkeys(symbols_of(program), Fraction(0))))
    return [n for n in graph.nodes if n.parameter is not None]


def _paths(uses: Iterable[Node]) -> set[str]:
    return {n.parameter.tensor.path for n in uses if n.parameter is not None}


def _sums(use: Node) -> bool:
    """Whether a tensor sums over something infinite there."""
    return isinstance(use, LinearNode) and use.rho_in > use.context.one


def _readouts(uses: Iterable[Node]) -> set[str]:
    """Paths of tensors that map something infinite to something finite, and nothing else."""
    reading = [n for n in uses if _sums(n) and not _widens(n)]
    return _paths(reading) - _paths(n for n in uses if not _sums(n))


def _widens(use: Node) -> bool:
    return isinstance(use, LinearNode) and use.rho_out > use.context.one


def canonical(
    premises: Premises, places: Mapping[str, ExponentPlace], preferences: Sequence[Preference]
) -> dict[str, Fraction]:
    """A solution with the simplest values.

    Preferences that can be had come first, then initial weights as large as they may be, then the
    simplest value of each exponent in turn.
    """
    for symbol, value in preferences:
        choice = pinned(premises, symbol, value)
        if premises.example(choice) is not None:
            premises.assume(choice)
    for symbol in premises.symbols:
        if not _settled(premises, symbol):
            _choose(premises, symbol, places[symbol].letter)
    found = premises.example(ALWAYS)
    assert found is not None
    return found


def _settled(premises: Premises, symbol: str) -> bool:
    example = premises.example(ALWAYS)
    assert example is not None
    return premises.proves(pinned(premises, symbol, example[symbol]))


def _choose(premises: Premises, symbol: str, letter: str) -> None:
    for value in _choices(premises, symbol, letter):
        choice = pinned(premises, symbol, value)
        if premises.example(choice) is not None:
            premises.assume(choice)
            return


def _choices(premises: Premises, symbol: str, letter: str) -> Sequence[Fraction]:
    """The largest initial weights first, where there are such."""
    if letter != "b" or premises.example(pinned(premises, symbol, min(SIMPLE))) is not None:
        return SIMPLE
    return sorted(SIMPLE)
