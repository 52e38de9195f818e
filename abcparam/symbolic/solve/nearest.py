"""The smallest change of exponents that makes a program maximal-update.

It is the fewest exponents, then the least moves. Proved: where it is `n` exponents, no fewer of
those that were tried do it. What may change are the places where exponents are written, and each
tensor's exponents apart from the others of its place. Single changes are tried first, then pairs,
those of suspects before others: with a symbol or two laws are derived fast. Where none does it, all
places get symbols together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import comb

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, exponents_by_key
from abcparam.symbolic.constraints import AffineRow, LinearConstraint, Some
from abcparam.symbolic.derive.derivation import ImpossibleError, derive_laws
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import ExponentPlace, free_places, unwritten_places, with_symbols
from abcparam.symbolic.verdicts import verdicts_of

MOST_NODES = 4_000  # of all derivations with one symbol or two together
MOST_TOGETHER = 500  # symbols of one derivation, times nodes
MOST_SUSPECTS = 4
EASIEST = "bcad"  # what to change, where moves are equal: anything before a multiplier


class Move(Record):
    """An exponent that changes, and what it was and becomes."""

    place: ExponentPlace
    before: Fraction
    after: Fraction


Moves = tuple[Move, ...]


def smallest(program: Program, suspects: Sequence[str], nodes: int) -> Moves:
    """The smallest change, empty where none is found.

    `suspects` are the tensors, by path, that something is wrong with, `nodes` the size of the
    program's graph. Raises `UnprovedError`.
    """
    written = (*free_places(program), *unwritten_places(program))
    apart = tuple(_apart(program, written))
    few = max(MOST_NODES // nodes, 1)
    wrong = [place for place in written if set(place.paths) & set(suspects)]
    worst = [place for place in apart if set(place.paths) & set(suspects[:MOST_SUSPECTS])]
    pairs = list(combinations(written, 2)) if comb(len(written), 2) <= few else []
    wider = (written, (*written, *worst))
    attempts: tuple[Iterable[Sequence[ExponentPlace]], ...] = (
        zip(written[:few]),
        zip(apart[: max(few - len(written), 0)]),
        [pair for pair in pairs if set(pair) <= set(wrong)],
        [pair for pair in pairs if not set(pair) <= set(wrong)],
        *([places] for places in wider if len(places) * nodes <= MOST_TOGETHER),
    )
    for attempt in attempts:
        found = [moves for places in attempt for moves in _changes(program, places)]
        if found:
            return min(found, key=lambda moves: _cost(moves, suspects))
    return ()


def _apart(program: Program, written: Iterable[ExponentPlace]) -> Iterator[ExponentPlace]:
    """The exponents of each declared name that shares its place with others."""
    for place in written:
        declared: dict[object, list[Tensor]] = {}
        for path in place.paths:
            tensor = program.tensors[path]
            declared.setdefault(tensor.span, []).append(tensor)
        for tensors in declared.values() if len(declared) > 1 else ():
            yield ExponentPlace(tensors[0].name, place.key, tuple(t.path for t in tensors))


def _cost(moves: Moves, suspects: Sequence[str]) -> tuple[Fraction, int, list[int]]:
    total = sum((abs(move.after - move.before) for move in moves), Fraction(0))
    elsewhere = sum(1 for move in moves if not set(move.place.paths) & set(suspects))
    return total, elsewhere, sorted((EASIEST.index(m.place.letter) for m in moves), reverse=True)


def _changes(program: Program, places: Sequence[ExponentPlace]) -> Iterator[Moves]:
    """Every smallest set of places with which maximal updates are had, with its least moves.

    None where symbols find nothing wrong: they take all of a change to point along what reads it.
    """
    symbolic, named = with_symbols(program, places)
    try:
        cases = [verdicts_of(case) for case in derive_laws(symbolic, tuple(named))]
    except ImpossibleError:
        return
    premises = Premises(tuple(named))
    premises.assume(Some(tuple(case.condition("maximal-update") for case in cases)))
    moves = [_move(program, premises, named, symbol) for symbol in named]
    for changed in filter(
        None, list(premises.fewest([LinearConstraint(row, "=") for row in moves]))
    ):
        values = premises.nearest(moves, changed)
        yield tuple(
            Move(named[symbol], _value(program, named[symbol]), values[symbol])
            for symbol in (premises.symbols[index] for index in changed)
        )


def _move(
    program: Program, premises: Premises, named: dict[str, ExponentPlace], symbol: str
) -> AffineRow:
    """By how much a symbol differs from what is written, or from the symbol of a wider place."""
    place = named[symbol]
    row: list[Fraction | int] = [0] * (1 + len(premises.symbols))
    row[1 + premises.symbols.index(symbol)] = 1
    wider = [s for s, p in named.items() if p.key == place.key and set(place.paths) < set(p.paths)]
    if wider:
        row[1 + premises.symbols.index(wider[0])] = -1
    else:
        row[0] = -_value(program, place)
    return tuple(row)


def _value(program: Program, place: ExponentPlace) -> Fraction:
    tensor = program.tensors[place.paths[0]]
    return exponents_by_key(tensor).get(place.key, Affine(Fraction(0))).constant
