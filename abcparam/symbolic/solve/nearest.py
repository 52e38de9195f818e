"""The smallest changes of exponents and factors that make a program maximal-update.

They are the fewest. Proved: where it is `n` of them, no fewer of those that were tried do it. What
may change are the places that are given: of exponents as they are written, each tensor's apart from
the others of its place, powers in factors. Single changes are tried first, then pairs, those of
suspects before others: with a symbol or two laws are derived fast. Where none does it, all places
get symbols together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record
from abcparam.program.model import Program
from abcparam.program.tensors import exponents_by_key
from abcparam.symbolic.constraints import AffineRow, LinearConstraint, Some
from abcparam.symbolic.derive.derivation import Derivation, NeverStable, derive_cases
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import ExponentPlace, OpenPower, SymbolPlace, with_symbols
from abcparam.symbolic.verdicts import verdicts_of

MOST_NODES = 20_000  # of all derivations with one symbol or two together
MOST_TOGETHER = 500  # symbols of one derivation, times nodes
MOST_SUSPECTS = 4
EASIEST = "bcad"  # what to change, where moves are equal: anything before a multiplier


class Move(Record):
    """An exponent or a power in a factor that changes, and what it was and becomes."""

    place: SymbolPlace
    before: Fraction
    after: Fraction


Moves = tuple[Move, ...]


class Sought(Record):
    """What may change: places of several tensors, those of one apart from the others, powers.

    `suspects` are the tensors, by path, that something is wrong with, `nodes` the size of the
    program's graph.
    """

    program: Program
    wide: tuple[SymbolPlace, ...]
    apart: tuple[ExponentPlace, ...]
    suspects: tuple[str, ...]
    nodes: int


class Smallest(Record):
    """The smallest changes, the best first; whether all that are smaller were tried."""

    changes: tuple[Moves, ...]
    exhaustive: bool


def smallest(sought: Sought, most: int) -> Smallest:
    """The smallest changes of `most` moves at most. Raises `UnprovedError`."""
    return _Attempts(sought).run(most)


class _Attempts:
    """Single changes, then pairs, then all together."""

    def __init__(self, sought: Sought) -> None:
        self.sought = sought
        self.few = max(MOST_NODES // sought.nodes, 1)
        self.every: tuple[SymbolPlace, ...] = (*sought.wide, *sought.apart)
        self.exact = True  # whether all laws so far are the laws, and no bounds on them

    def run(self, most: int) -> Smallest:
        exhausted = 0  # so many moves do not do it
        for least, everything, attempt in self._in_turn():
            tried = attempt if least <= most else ()
            found = [moves for places in tried for moves in self._changes(places)]
            fewest = min(map(len, found), default=most + 1)
            if fewest <= most:
                kept = [moves for moves in found if len(moves) == fewest]
                kept.sort(key=lambda moves: _cost(moves, self.sought.suspects))
                return Smallest(tuple(kept), self.exact and exhausted == fewest - 1)
            if everything and self.exact and least <= most and exhausted == least - 1:
                exhausted = least
        return Smallest((), exhausted >= most)

    def _in_turn(self) -> Iterator[tuple[int, bool, Sequence[Sequence[SymbolPlace]]]]:
        """Places to change together: of how many moves at least, whether it is all, and which."""
        single = [(place,) for place in self.every]
        yield 1, len(single) <= self.few, single[: self.few]
        fits = [p for p in (self.every, self.sought.wide) if comb(len(p), 2) <= self.few]
        pairs = list(combinations(fits[0], 2)) if fits else []
        wrong = [pair for pair in pairs if all(_touches(p, self.sought.suspects) for p in pair)]
        yield 2, False, wrong
        yield 2, fits[:1] == [self.every], [pair for pair in pairs if pair not in wrong]
        suspects = self.sought.suspects[:MOST_SUSPECTS]
        worst = [place for place in self.sought.apart if _touches(place, suspects)]
        for places in (self.sought.wide, (*self.sought.wide, *worst)):
            if len(places) * self.sought.nodes <= MOST_TOGETHER:
                yield 3, False, [places]

    def _changes(self, places: Sequence[SymbolPlace]) -> Iterator[Moves]:
        """Every smallest set of places with which maximal updates are had, with its least moves."""
        program = self.sought.program
        symbolic, named = with_symbols(program, places)
        found = tuple(derive_cases(symbolic, tuple(named)))
        self.exact = self.exact and all(map(_is_exact, found))
        cases = [verdicts_of(case) for case in found if isinstance(case, Derivation)]
        premises = Premises(tuple(named))
        premises.assume(Some(tuple(case.condition("maximal-update") for case in cases)))
        moves = [_move(program, premises, named, symbol) for symbol in named]
        pins = [LinearConstraint(row, "=") for row in moves]
        for changed in filter(None, list(premises.fewest(pins)) if cases else ()):
            values = premises.nearest(moves, changed)
            yield tuple(
                Move(named[symbol], _value(program, named[symbol]), values[symbol])
                for symbol in (premises.symbols[index] for index in changed)
            )


def _is_exact(case: Derivation | NeverStable) -> bool:
    """Whether directions of changes were followed: else what is refused may be had."""
    return case.space.follows if isinstance(case, Derivation) else case.follows


def _touches(place: SymbolPlace, suspects: Sequence[str]) -> bool:
    return isinstance(place, OpenPower) or bool(set(place.paths) & set(suspects))


def _cost(moves: Moves, suspects: Sequence[str]) -> tuple[Fraction, int, list[int]]:
    total = sum((abs(move.after - move.before) for move in moves), Fraction(0))
    elsewhere = sum(1 for move in moves if not _touches(move.place, suspects))
    return total, elsewhere, sorted(map(_hardness, moves), reverse=True)


def _hardness(move: Move) -> int:
    if isinstance(move.place, OpenPower):
        return len(EASIEST)
    return EASIEST.index(move.place.letter)


def _move(
    program: Program, premises: Premises, named: dict[str, SymbolPlace], symbol: str
) -> AffineRow:
    """By how much a symbol differs from what is written, or from the symbol of a wider place."""
    place = named[symbol]
    row: list[Fraction | int] = [0] * (1 + len(premises.symbols))
    row[1 + premises.symbols.index(symbol)] = 1
    wider = [symbol for symbol, other in named.items() if _is_wider(other, place)]
    if wider:
        row[1 + premises.symbols.index(wider[0])] = -1
    else:
        row[0] = -_value(program, place)
    return tuple(row)


def _is_wider(place: SymbolPlace, than: SymbolPlace) -> bool:
    if isinstance(place, OpenPower) or isinstance(than, OpenPower):
        return False
    return place.key == than.key and set(than.paths) < set(place.paths)


def _value(program: Program, place: SymbolPlace) -> Fraction:
    if isinstance(place, OpenPower):
        return Fraction(0)
    tensor = program.tensors[place.paths[0]]
    return exponents_by_key(tensor).get(place.key, Affine(Fraction(0))).constant
