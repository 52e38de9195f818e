"""From a spec with unknown exponents to the same spec with every `?` filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import solving as rules
from abcparam.diagnostics.rules.exponents import MissingExponent
from abcparam.diagnostics.source import Source, Span
from abcparam.editing.exponents import edited, without_unknowns
from abcparam.editing.insertion import inserted
from abcparam.language import syntax
from abcparam.language.parser import parse
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, exponents_by_key
from abcparam.resolve.resolver import resolve
from abcparam.symbolic.regions import Region
from abcparam.symbolic.solve.corners import Corner, corners
from abcparam.symbolic.solve.solution import (
    DependentError,
    GaugeDirection,
    Solution,
    UnsolvableError,
    solve,
    words_of,
)
from abcparam.symbolic.solver import UnprovedError, gave_up
from abcparam.symbolic.symbols import ExponentPlace, first_symbol

MUP = "mup"
LETTERS = "abc"


class Completed(Record):
    """A spec whose every `?` is filled: its `text`, and the whole family that it is a member of."""

    source: Source  # with the `?`
    text: str
    goal: str
    solution: Solution
    corners: tuple[Corner, ...] | None = ()  # for stable ones; None where they are too many

    @property
    def verdict(self) -> str:
        return self.solution.verdict

    @property
    def region(self) -> Region:
        """All solutions, in symbols such as `b_hidden`."""
        return self.solution.region

    @property
    def gauges(self) -> tuple[GaugeDirection, ...]:
        return self.solution.gauges

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `abcparam solve --format json`."""
        solution = self.solution
        return {
            "schema": 1,
            "file": self.source.file,
            "model": solution.program.name,
            "goal": self.goal,
            "verdict": self.verdict,
            "unknowns": [_unknown(s, p, solution) for s, p in solution.places.items()],
            "family": {
                "all": self.region.constraints(),
                "gauges": [_gauge(gauge) for gauge in self.gauges],
                "unconstrained": list(solution.free),
                "no_largest": list(solution.endless),
                **({} if self.corners == () else {"corners": self._corners()}),
            },
            "spec": self.text,
            **({"unfinished": solution.unfinished} if solution.unfinished else {}),
        }

    def _corners(self) -> list[dict[str, Any]] | None:
        return None if self.corners is None else [corner.to_dict() for corner in self.corners]


def _unknown(symbol: str, place: ExponentPlace, solution: Solution) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "owner": place.owner,
        "exponent": place.key,
        "tensors": list(place.paths),
        "value": str(solution.values[symbol]),
    }


def _gauge(gauge: GaugeDirection) -> dict[str, Any]:
    shifts = {symbol: str(shift) for symbol, shift in gauge.shifts}
    return {"tensors": list(gauge.tensors), "shifts": shifts}


def complete(
    source: Source,
    goal: str = "maximal-update",
    order: Sequence[tuple[str, Fraction]] = (),
    values: Mapping[str, Fraction] | None = None,
) -> Completed:
    """Fills every `?`. A spec without any exponents gets a `parametrization` block.

    Raises `SpecError` for an invalid spec and where there is no solution (P0701), none for all
    values of its own symbols (P0705), or none could be proved (P0703).
    """
    spec = _with_unknowns(source)
    program = bind(resolve(parse(spec), spec), values or {})
    try:
        solution = solve(program, goal, order)
    except UnsolvableError as found:
        raise SpecError(spec, _contradiction(program, goal, found)) from None
    except DependentError as found:
        symbols = ", ".join(f"`{symbol}`" for symbol in found.symbols)
        fields = {"symbols": symbols, "first": found.symbols[0], "goal": goal}
        error = rules.DependsOnSymbols.at(first_symbol(program), **fields)
        raise SpecError(spec, [error]) from None
    except UnprovedError as error:
        raise gave_up(spec, error) from None
    others = _corners_of(solution) if goal == "stable" else ()
    return Completed(source, _filled(spec, program, solution), goal, solution, others)


def _corners_of(solution: Solution) -> tuple[Corner, ...] | None:
    """Those of the learning rates that are asked for, where the spec has no symbols of its own."""
    rates = [s for s, place in solution.places.items() if place.letter == "c" and place.dim == OWN]
    if not rates or any(value.symbols for value in solution.values.values()):
        return ()
    try:
        return corners(solution.program, solution.values, rates)
    except UnprovedError:
        return None


def _filled(spec: Source, program: Program, solution: Solution) -> str:
    solved = solution.solved.tensors
    values: dict[tuple[str, str], Affine] = {}
    for place in solution.places.values():
        for path in place.paths:
            values[path, place.key] = exponents_by_key(solved[path])[place.key]
    return without_unknowns(program, edited(program, values))


def _contradiction(program: Program, goal: str, found: UnsolvableError) -> list[Diagnostic]:
    """The exponents that contradict each other, each with its place."""
    goal = ", ".join(words_of(program, goal))
    if not found.places:
        why = "; ".join(found.reasons) or "whatever the exponents are"
        return [rules.NoExponents.at(program.output_span, goal=goal, why=why)]
    places = sorted(found.places, key=lambda place: not _is_own(program, place))
    rule, count = rules.NoSolution, len(places)
    label, help = rule.several if count > 1 else rule.one
    if found.unfinished:
        fields = {"label": label.format(count=count), "help": help, "written": rule.all_of_them}
        error = rule.at(_span(program, places[0]), goal=goal, **fields)
        return [replace(error, notes=(found.unfinished,))]
    texts = [_written(program, place) for place in places]
    spans = [_span(program, place) for place in places]
    written = f"{', '.join(texts[:-1])} and {texts[-1]}" if texts[1:] else texts[0]
    fields = {"label": label.format(count=count), "help": help, "written": written}
    notes = [f"line {s.line}: {text}" for s, text in zip(spans, texts, strict=True)][1:]
    return [replace(rule.at(spans[0], goal=goal, **fields), notes=tuple(notes))]


def _is_own(program: Program, place: ExponentPlace) -> bool:
    """Whether a tensor says it itself, and no parametrization that others share."""
    return place.key in program.tensors[place.paths[0]].spans


def _span(program: Program, place: ExponentPlace) -> Span:
    tensor = program.tensors[place.paths[0]]
    return tensor.places.get(place.key, tensor.span)


def _written(program: Program, place: ExponentPlace) -> str:
    """What a spec says of an exponent."""
    value = exponents_by_key(program.tensors[place.paths[0]]).get(place.key)
    form = rules.NoSolution.absent if value is None else rules.NoSolution.place
    return form.format(key=place.key, owner=place.owner, value=value)


def is_unsolvable(error: SpecError) -> bool:
    """Whether a spec is valid and has no solution."""
    codes = {rules.NoSolution.code, rules.NoExponents.code}
    return any(diagnostic.code in codes for diagnostic in error.diagnostics)


# A spec without exponents


def _with_unknowns(source: Source) -> Source:
    """The source; with a `parametrization` of unknowns where it has neither that nor exponents."""
    spec = parse(source)
    if any(isinstance(d, syntax.Parametrization) for d in spec.declarations):
        return source
    try:
        resolve(spec, source)
    except SpecError as error:
        if all(d.code == MissingExponent.code for d in error.diagnostics):
            return _filled_in(source)
        raise
    return source


def _filled_in(source: Source) -> Source:
    """The source with unknowns for those roles that tensors take exponents from."""
    roles = ("input", "hidden", "output")
    everything = inserted(source, _block(roles))
    tensors = resolve(parse(everything), everything).tensors.values()
    taken = {t.role for t in tensors for x in LETTERS if x in t.places and x not in t.spans}
    return inserted(source, _block([role for role in roles if role in taken]))


def _block(roles: Sequence[str]) -> list[str]:
    rows = [f"    {role:6} {{ a = ?, b = ?, c = ? }}" for role in roles]
    return ["parametrization {", *rows, "}"]


# The gauge


def gauge_order(words: Sequence[str]) -> list[tuple[str, Fraction]] | None:
    """Letters with the value to give them if that can be had: `c=0`, `b=1/2`, or `mup`.

    None for anything else.
    """
    found: list[tuple[str, Fraction]] = []
    for word in words:
        letter, equals, value = word.partition("=")
        if word == MUP:
            continue
        if letter.strip() not in LETTERS or not equals or not letter.strip():
            return None
        try:
            found.append((letter.strip(), Fraction(value.strip())))
        except (ValueError, ZeroDivisionError):
            return None
    return found
