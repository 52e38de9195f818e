"""The whole check of one spec: plan, runs, judgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from abcparam.algebra.record import Record, replace
from abcparam.coordinate_check.affording import afforded
from abcparam.coordinate_check.alignment import AlignmentRow, alignment_rows, parted
from abcparam.coordinate_check.judging import AGREES, DISAGREES, UNRESOLVED, CheckedRows, judge
from abcparam.coordinate_check.laws import GRADIENT, PredictedLaws, laws_of, relative
from abcparam.coordinate_check.measure.runs import RunProgress, Runs, silent
from abcparam.coordinate_check.multiplied import multiplied
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import (
    VariedDims,
    WidthPlan,
    given_widths,
    positions,
    shrunk,
    varied_dims,
)
from abcparam.coordinate_check.ranges import RangeRow, outside, range_rows
from abcparam.pipeline import emit_program, gauged
from abcparam.presentation.words import listed
from abcparam.program.binding import require_trained
from abcparam.program.model import Program
from abcparam.verdict.check import judged
from abcparam.verdict.report import Report
from abcparam.verdict.work import at_work


class CoordCheckResult(Record):
    """What was found. `notes`: what a reader has to know about how."""

    report: Report
    plan: WidthPlan
    laws: PredictedLaws
    verdict: CheckedRows
    notes: tuple[str, ...]
    vary: str = ""
    alignment: tuple[AlignmentRow, ...] = ()  # where it was asked for
    ranges: tuple[RangeRow, ...] = ()  # in a gauge that is to keep sizes in one

    @property
    def outcome(self) -> str:
        """That of the rows, unless a size is out of its range."""
        return DISAGREES if any(outside(self.ranges)) else self.verdict.outcome

    @property
    def agree(self) -> bool:
        return self.outcome == AGREES

    @property
    def varied(self) -> str:
        """The dim that is varied."""
        growing = [dim for dim in self.report.program.dims.values() if dim.growing]
        return self.vary or min(growing, key=lambda dim: dim.group).name

    @property
    def widths(self) -> list[int]:
        return list(self.plan.dims)

    @property
    def sizes(self) -> str:
        """What is varied, in words: `widths 64, 128, 256`, `depth 4, 8, 16`."""
        return f"{self.vary or 'widths'} {', '.join(map(str, self.widths))}"

    def to_dict(self) -> dict[str, Any]:
        """The JSON: `rows` are resolved; gradients and what is unresolved stand beside them."""
        resolved = [row for row in self.verdict.rows if row.outcome != UNRESOLVED]
        return {
            "schema": 1,
            "file": self.report.program.source.file,
            "model": self.report.program.name,
            "agree": self.agree,
            "outcome": self.outcome,
            "widths": self.widths,
            **({"vary": self.vary} if self.vary else {}),
            "rows": [row.to_dict() for row in resolved if row.quantity != "gradient"],
            "gradients": [row.to_dict() for row in resolved if row.quantity == "gradient"],
            "unresolved": [row.to_dict() for row in self.verdict.of(UNRESOLVED)],
            **({"alignment": [r.to_dict() for r in self.alignment]} if self.alignment else {}),
            **({"ranges": [r.to_dict() for r in self.ranges]} if self.ranges else {}),
            "notes": list(self.notes),
        }


def coordinate_check(
    program: Program,
    options: CheckOptions,
    progress: RunProgress | None = None,
    code: str | None = None,
) -> CoordCheckResult:
    """Trains the emitted model at several widths and judges every slope.

    `code`, or the module that is asked for, takes its place.
    """
    small, changed = shrunk(program, options.given)
    batch = max(2, options.tokens // positions(small))
    small = gauged(small, options.gauge, batch)
    require_trained(small)
    report = at_work()(judged)(small)
    varied = varied_dims(small, options.vary)
    laws = laws_of(report, options.steps, varied)
    if options.module is not None:
        laws = relative(laws, multiplied(small))
    if small.gradients is not None:
        kept = {key: law for key, law in laws.rows.items() if key[1] != GRADIENT}
        laws = replace(laws, rows=kept)
    options = replace(options, steps=max(1, laws.steps))
    runs = Runs(report, options, batch, emit_program(report) if code is None else code)
    plan = _plan(varied, options, runs, batch * positions(small))
    measured = runs.all(plan, progress or silent)
    verdict = judge(laws, measured)
    aligned = alignment_rows(laws, measured)
    ranges = tuple(range_rows(measured, laws, small)) if small.gradients else ()
    notes = (
        *_measurable(laws, verdict, options),
        *_notes(plan, changed, laws, verdict, options),
        *parted(aligned),
    )
    return CoordCheckResult(report, plan, laws, verdict, notes, options.vary, aligned, ranges)


def _plan(varied: VariedDims, options: CheckOptions, runs: Runs, tokens: int) -> WidthPlan:
    """Widths that are given, or that were chosen before, or that the budget pays for."""
    if options.widths:
        return given_widths(varied, options.widths)
    chosen = (options.budget, options.seeds, options.vary)
    widths = runs.store.widths(chosen)
    if widths is None:
        steps = options.seeds * (options.steps + 1)
        plan = afforded(varied, options.budget, steps, tokens, runs.seconds_a_step)
        runs.store.choose(chosen, list(plan.dims))
        return plan
    return given_widths(varied, widths)


def _measurable(laws: PredictedLaws, verdict: CheckedRows, options: CheckOptions) -> Iterator[str]:
    """Which laws could not be held against a module that was written by hand."""
    if options.module is None:
        return
    yield f"measured is {options.module.name} of {options.module.path}, not the emitted model"
    measured = {(row.name, row.quantity) for row in verdict.rows}
    if missing := [key for key in laws.rows if key not in measured]:
        names = ", ".join(dict.fromkeys(name for name, _ in missing))
        yield (
            f"{len(missing)} of {len(laws.rows)} derived rows cannot be seen in it and are "
            f"not judged, those of {names}"
        )


def _notes(
    plan: WidthPlan,
    changed: Mapping[str, int],
    laws: PredictedLaws,
    verdict: CheckedRows,
    options: CheckOptions,
) -> Iterator[str]:
    if changed:
        sizes = ", ".join(f"{name} = {size}" for name, size in changed.items())
        yield f"finite dims made small: {sizes} (--set keeps what it sets)"
    if others := plan.varied.fixed:
        sizes = ", ".join(f"{name} = {size}" for name, size in others.items())
        names = ", ".join(d.name for d in plan.varied.together)
        yield f"only {names} is varied, at {sizes}"
    batches = (
        f"batches are of {options.data.name}" if options.data else "batches and targets are random"
    )
    yield f"dropout and weight decay are off; {batches}"
    yield from laws.left_out
    if unresolved := verdict.of(UNRESOLVED):
        names = listed([f"{row.name} ({row.quantity})" for row in unresolved])
        yield f"{len(unresolved)} of {len(verdict.rows)} rows are not resolved: {names}"
