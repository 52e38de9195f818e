"""Exponents that make a program what it should be: every solution, and one of them.

The region comes from the derivation, so a solution is one for every width. A canonical member is
chosen by asking for simple values one exponent after the other, in the order of the gauge; it is
judged by the evaluator of numbers before it is returned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import NamedTuple, Record
from abcparam.analysis.judge import verdict_of
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, exponents_by_key
from abcparam.program.vocabulary import GOALS
from abcparam.symbolic.constraints import AffineRow, All, LinearConstraint, Some, SymbolCondition
from abcparam.symbolic.derive.derivation import ImpossibleError, derive_laws
from abcparam.symbolic.regions import Region, region_of
from abcparam.symbolic.solve.canonical import canonical, pinned, preferences
from abcparam.symbolic.solver import Premises, UnprovedError
from abcparam.symbolic.symbols import (
    ExponentPlace,
    free_places,
    named_unknowns,
    substituted,
    unwritten_places,
    with_symbols,
)
from abcparam.symbolic.verdicts import Verdicts, verdicts_of


class GaugeDirection(Record):
    """A direction in which exponents may move together and nothing changes."""

    tensors: tuple[str, ...]  # their paths
    shifts: tuple[tuple[str, Fraction], ...]  # symbol -> by how much, for a shift of one


class Solution(Record):
    """Values of every unknown, the region of all solutions, and its free directions."""

    program: Program  # with a symbol for each unknown
    places: Mapping[str, ExponentPlace]  # by symbol
    values: Mapping[str, Affine]  # in the symbols that the spec itself has
    region: Region
    gauges: tuple[GaugeDirection, ...]
    free: tuple[str, ...]  # symbols that nothing constrains
    endless: tuple[str, ...]  # learning rates that can always be larger, short of some limit
    verdict: str
    unfinished: str = ""  # why the region is no more than these values

    @property
    def solved(self) -> Program:
        """The program with the values in place."""
        return substituted(self.program, self.values)


class UnsolvableError(Exception):
    """No values do it.

    `places` is a smallest set of written exponents that contradict each other; empty where no
    exponents at all would do. Where the search for it ended early, `unfinished` says why, and they
    are all that are written.
    """

    def __init__(
        self, places: tuple[ExponentPlace, ...], reasons: tuple[str, ...], unfinished: str = ""
    ) -> None:
        super().__init__("no solution")
        self.places = places
        self.reasons = reasons
        self.unfinished = unfinished


class DependentError(Exception):
    """No solution that is affine in the user's symbols holds for all their values."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        super().__init__("no solution for all values of the symbols")
        self.symbols = symbols


def solve(
    program: Program, goal: str = "maximal-update", order: Sequence[tuple[str, Fraction]] = ()
) -> Solution:
    """Values of every `?` that reach the goal.

    Learning rates are the largest where the goal is not maximal-update. `order` lists letters with
    the value that is preferred for them, the most important first. Where the program has symbols of
    its own, the values are affine in them. Raises `UnsolvableError`, `DependentError`,
    `UnprovedError`.
    """
    named, places = named_unknowns(program)
    own = tuple(symbol for symbol in named.symbols if symbol not in places)
    try:
        aim = _aim(named, places, (*places, *own), goal)
    except ImpossibleError as impossible:
        if own:
            raise DependentError(own) from None
        reasons = impossible.reasons if impossible.cases else ()
        raise _unsolvable(program, goal, reasons) from None
    if own:
        values = _for_all(program, own, goal, order)
        _prove(aim, values, own)
    else:
        values = _at_a_point(named, places, aim, goal, order)
    verdict = _verified(named, values, own, goal)
    unused = _unconstrained(Some(aim.wanted), aim.symbols)
    free = tuple(symbol for symbol in unused if symbol in places)
    found: dict[str, Any] = {"free": free, "endless": aim.endless, "verdict": verdict}
    try:
        region = _region(aim.wanted, aim.symbols)
    except UnprovedError as error:
        if not str(error):
            raise
        pins = tuple(((pin,),) for pin in _pins(aim, values))
        found |= {"region": Region(aim.symbols, pins), "gauges": (), "unfinished": str(error)}
    else:
        found |= {"region": region, "gauges": _gauges(named, places, region)}
    return Solution(named, places, values, **found)


class Aim(NamedTuple):
    """What is wanted of the symbols, in each case."""

    symbols: tuple[str, ...]
    wanted: tuple[SymbolCondition, ...]
    endless: tuple[str, ...]


def _aim(
    named: Program, places: Mapping[str, ExponentPlace], symbols: tuple[str, ...], goal: str
) -> Aim:
    """Raises `ImpossibleError`, without cases where the program can be stable."""
    cases = [
        verdicts_of(found, region_of(found.condition, symbols).condition)
        for found in derive_laws(named, symbols)
    ]
    if Premises(symbols).example(Some(_wanted(cases, goal, ()))) is None:
        raise ImpossibleError(())
    largest, endless = _largest(cases, goal, places)
    return Aim(symbols, _wanted(cases, goal, largest), endless)


def _at_a_point(
    named: Program,
    places: Mapping[str, ExponentPlace],
    aim: Aim,
    goal: str,
    order: Sequence[tuple[str, Fraction]],
) -> dict[str, Affine]:
    premises = Premises(aim.symbols)
    premises.assume(Some(aim.wanted))
    values = canonical(premises, places, preferences(named, places, order))
    return {symbol: Affine(value) for symbol, value in values.items()}


def _for_all(
    program: Program, own: tuple[str, ...], goal: str, order: Sequence[tuple[str, Fraction]]
) -> dict[str, Affine]:
    """The affine functions of the program's own symbols that agree with some of its solutions.

    They are those where all of these are 0, and where one of them is 1.
    """
    zeros = dict.fromkeys(own, Fraction(0))
    try:
        start = solve(bind(program, zeros), goal, order)
        steps = [solve(bind(program, {**zeros, s: Fraction(1)}), goal, order) for s in own]
    except UnsolvableError:
        raise DependentError(own) from None
    named = named_unknowns(program)[1]  # the same unknowns, in the same order
    found = {}
    for symbol, value, *others in zip(
        named, start.values.values(), *(step.values.values() for step in steps), strict=True
    ):
        slopes = [(s, o.constant - value.constant) for s, o in zip(own, others, strict=True)]
        found[symbol] = Affine(value.constant, tuple((s, k) for s, k in slopes if k))
    return found


def _prove(aim: Aim, values: Mapping[str, Affine], own: tuple[str, ...]) -> None:
    """Raises `DependentError` unless the values solve it whatever the program's own symbols."""
    premises = Premises(aim.symbols)
    for pin in _pins(aim, values):
        premises.assume(pin)
    premises.check()
    if not premises.proves(Some(aim.wanted)):
        raise DependentError(own)


def _pins(aim: Aim, values: Mapping[str, Affine]) -> Iterator[LinearConstraint]:
    """That each unknown has its value."""
    for symbol, value in values.items():
        row = [value.constant, *(dict(value.symbols).get(s, 0) for s in aim.symbols)]
        row[1 + aim.symbols.index(symbol)] = -1
        yield LinearConstraint(tuple(row), "=")


def words_of(program: Program, goal: str) -> tuple[str, ...]:
    """The goal, and `complete` where the spec expects both."""
    return (goal, "complete") if set(program.expected) == {goal, "complete"} else (goal,)


Rates = Sequence[ExponentPlace]  # of learning rates


def _wanted(cases: Sequence[Verdicts], goal: str, largest: Rates) -> tuple[SymbolCondition, ...]:
    """The goal with these learning rates as large as they may be, in each case."""
    words = words_of(cases[0].derivation.program, goal)
    return tuple(
        All(
            (
                *(case.condition(word) for word in words),
                *(case.largest(place.paths) for place in largest),
            )
        )
        for case in cases
    )


def _largest(
    cases: Sequence[Verdicts], goal: str, places: Mapping[str, ExponentPlace]
) -> tuple[Rates, tuple[str, ...]]:
    """The unknown learning rates that are to be the largest, and those without a largest value.

    The latter are by symbol: kernel regimes end short of where features move. Maximal updates are
    the largest.
    """
    largest: list[ExponentPlace] = []
    endless: list[str] = []
    premises = Premises(cases[0].derivation.symbols)
    for symbol, place in places.items() if goal != GOALS[0] else ():
        if place.letter == "c" and place.dim == OWN:
            more = Some(_wanted(cases, goal, (*largest, place)))
            if premises.example(more) is None:
                endless.append(symbol)
            else:
                largest.append(place)
    return largest, tuple(endless)


def _region(wanted: Sequence[SymbolCondition], symbols: Sequence[str]) -> Region:
    """All solutions, of every case."""
    found = [region_of(condition, symbols) for condition in wanted]
    several = [region for region in found if not region.empty]
    if len(several) == 1:
        return several[0]
    return region_of(Some(tuple(region.condition for region in several)), symbols)


def _verified(named: Program, values: Mapping[str, Affine], own: tuple[str, ...], goal: str) -> str:
    """The verdict of our own evaluation, which has to be the goal.

    Where the program has symbols of its own, it is the one at 0. Symbols take all of a change to
    point along what reads it: where that alone makes it a solution, none is proved.
    """
    solved = bind(substituted(named, values), dict.fromkeys(own, Fraction(0)))
    verdict = verdict_of(solved)
    reached = not verdict.startswith("unstable") if goal == "stable" else verdict == goal
    if not reached:
        raise UnprovedError
    return verdict


# The family


def _gauges(
    program: Program, places: Mapping[str, ExponentPlace], region: Region
) -> tuple[GaugeDirection, ...]:
    """Shifts of tensors, (a + 1, b - 1, c - gauge), that leave the region's equalities alone."""
    groups: dict[tuple[str, ...], None] = {}
    for place in places.values():
        if place.letter == "a" and place.dim == OWN:
            groups[place.paths] = None
    found = []
    for paths in groups:
        shifts = _shifts(program, places, paths)
        if shifts is not None and _is_free(region, shifts):
            found.append(GaugeDirection(paths, tuple(shifts.items())))
    return tuple(found)


def _shifts(
    program: Program, places: Mapping[str, ExponentPlace], paths: tuple[str, ...]
) -> dict[str, Fraction] | None:
    """By how much symbols move in a gauge shift of these tensors; None where others share them."""
    shifts: dict[str, Fraction] = {}
    for symbol, place in places.items():
        if not set(place.paths) & set(paths) or place.dim != OWN:
            continue
        if not set(place.paths) <= set(paths):
            return None
        tensor = program.tensors[place.paths[0]]
        shifts[symbol] = Fraction(program.shift_of(tensor)[place.letter])
    return shifts


def _is_free(region: Region, shifts: Mapping[str, Fraction]) -> bool:
    moved = [shifts.get(symbol, Fraction(0)) for symbol in region.symbols]
    rows = [x.row for clause in region.clauses for alternative in clause for x in alternative]
    return all(_change(row, moved) == 0 for row in rows)


def _change(row: AffineRow, moved: Sequence[Fraction]) -> Fraction:
    return sum((Fraction(c) * m for c, m in zip(row[1:], moved, strict=True)), Fraction(0))


def _unconstrained(condition: SymbolCondition, symbols: Sequence[str]) -> tuple[str, ...]:
    """Symbols that the condition does not mention."""
    used = set(_mentioned(condition, symbols))
    return tuple(symbol for symbol in symbols if symbol not in used)


def _mentioned(condition: SymbolCondition, symbols: Sequence[str]) -> Iterator[str]:
    if isinstance(condition, LinearConstraint):
        yield from (s for s, c in zip(symbols, condition.row[1:], strict=True) if c)
    else:
        for part in condition.parts:
            yield from _mentioned(part, symbols)


# No solution


def _unsolvable(program: Program, goal: str, reasons: tuple[str, ...]) -> UnsolvableError:
    """The smallest set of written exponents that contradict each other, or all of them."""
    try:
        return _contradicting(program, goal, reasons)
    except UnprovedError as unproved:
        written = tuple(p for p in free_places(program) if _written(program, p) is not None)
        if not (written and str(unproved)):
            raise
        return UnsolvableError(written, reasons, str(unproved))


def _contradicting(program: Program, goal: str, reasons: tuple[str, ...]) -> UnsolvableError:
    everywhere, places = with_symbols(program, (*free_places(program), *unwritten_places(program)))
    idle = set(everywhere.symbols) - places.keys()
    fixed = {
        symbol: value
        for symbol, place in places.items()
        if (value := _written(program, place)) is not None
    }
    try:
        everywhere = bind(everywhere, dict.fromkeys(idle, Fraction(0)))
        cases = [verdicts_of(found) for found in derive_laws(everywhere, tuple(places))]
    except ImpossibleError as never:
        return UnsolvableError((), never.reasons)
    premises = Premises(tuple(places))
    premises.assume(Some(_wanted(cases, goal, ())))
    smallest = _smallest(
        premises, {symbol: pinned(premises, symbol, value) for symbol, value in fixed.items()}
    )
    stuck = {path for case in cases for path in case.stuck}
    reasons += tuple(f"no update of `{path}` reaches an output" for path in sorted(stuck))
    return UnsolvableError(tuple(places[symbol] for symbol in smallest), reasons)


def _written(program: Program, place: ExponentPlace) -> Fraction | None:
    """What is written at a place, 0 where nothing is, None for an unknown."""
    tensor = program.tensors[place.paths[0]]
    value = exponents_by_key(tensor).get(place.key, Affine(Fraction(0)))
    return None if value.symbols else value.constant


def _smallest(premises: Premises, pins: Mapping[str, LinearConstraint]) -> tuple[str, ...]:
    """A smallest set of pins that cannot hold.

    It is one or two where so few do, else one of which none can be left out.
    """
    for size in (0, 1, 2):
        for chosen in combinations(pins, size):
            if premises.example(All(tuple(pins[symbol] for symbol in chosen))) is None:
                return chosen
    labels = list(pins)
    numbered = [(index, pins[symbol]) for index, symbol in enumerate(labels)]
    core = premises.core([*premises.conditions, *numbered])
    return tuple(labels[index] for index in core if index >= 0)
