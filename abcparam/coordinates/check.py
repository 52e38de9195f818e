"""The whole check of one spec: plan, runs, judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcparam.coordinates.judging import UNRESOLVED, Verdict, judge
from abcparam.coordinates.laws import Key, Laws, laws_of
from abcparam.coordinates.plan import (
    Plan,
    fixed,
    given_widths,
    positions,
    shrunk,
    varied,
    widths_of,
)
from abcparam.coordinates.store import Store
from abcparam.driver import at_work, emit_program, judged
from abcparam.program import Program
from abcparam.record import Record, replace
from abcparam.report import Report

if TYPE_CHECKING:
    from abcparam.batches.base import Data
    from abcparam.coordinates.handwritten import Handwritten
    from abcparam.coordinates.measuring import Subject

TOKENS = 64  # positions in a batch
Progress = Callable[[list[tuple[int, int]]], Iterator[tuple[int, int]]]


class Wish(Record):
    """What is asked for. `widths` empty: as many as `budget` seconds allow."""

    widths: tuple[int, ...] = ()
    budget: float = 60.0
    seeds: int = 3
    steps: int = 4
    device: str = "cpu"
    compiled: bool = False
    first: int = 0  # the first seed
    given: tuple[str, ...] = ()  # dims that were given a value and keep it
    folder: Path | None = None
    data: Data | None = None  # random numbers if none is given
    module: Handwritten | None = None  # in place of the emitted model
    vary: str = ""  # the dim that is varied, if not the first that goes to infinity
    tokens: int = TOKENS


class Checked(Record):
    """What was found. `said`: what a reader has to know about how."""

    report: Report
    plan: Plan
    laws: Laws
    verdict: Verdict
    said: tuple[str, ...]
    vary: str = ""

    @property
    def agree(self) -> bool:
        return self.verdict.agree

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
            "widths": self.widths,
            **({"vary": self.vary} if self.vary else {}),
            "rows": [row.to_dict() for row in resolved if row.quantity != "gradient"],
            "gradients": [row.to_dict() for row in resolved if row.quantity == "gradient"],
            "unresolved": [row.to_dict() for row in self.verdict.of(UNRESOLVED)],
            "notes": list(self.said),
        }


def coordinate_check(
    program: Program, wish: Wish, progress: Progress | None = None, code: str | None = None
) -> Checked:
    """Trains the emitted model, or `code` or `wish.module` in its place, and judges every slope."""
    small, changed = shrunk(program, wish.given)
    report = at_work()(judged)(small)
    batch = max(2, wish.tokens // positions(small))
    plan = _plan(small, wish, batch * positions(small))
    laws = laws_of(report, wish.steps, wish.vary)
    wish = replace(wish, steps=max(1, laws.steps))
    measured = _measured(report, plan, wish, batch, progress, code)
    verdict = judge(laws, measured)
    said = (*_measurable(laws, verdict, wish), *_said(small, changed, laws, verdict, wish))
    return Checked(report, plan, laws, verdict, said, wish.vary)


def _plan(program: Program, wish: Wish, tokens: int) -> Plan:
    if wish.widths:
        return given_widths(program, wish.widths, wish.vary)
    return widths_of(program, wish.budget, wish.seeds * (wish.steps + 1), tokens, wish.vary)


def _measured(
    report: Report,
    plan: Plan,
    wish: Wish,
    batch: int,
    progress: Progress | None,
    code: str | None,
) -> dict[tuple[int, int], Mapping[Key, list[float]]]:
    """The sizes of every run, those already on disk read from there."""
    emitted = emit_program(report) if code is None else code
    identity = (emitted, *(x.identity if x else "" for x in (wish.data, wish.module)))
    store = Store(wish.folder, plan.dims.values(), wish.steps, batch, wish.device, *identity)
    runs = [
        (width, seed) for width in plan.dims for seed in range(wish.first, wish.first + wish.seeds)
    ]
    known = {run: store.read(*run) for run in runs}
    subject = None
    for width, seed in (progress or iter)([run for run in runs if known[run] is None]):
        from abcparam.coordinates.measuring import Setting

        subject = subject or _subject(report, emitted, wish.module)
        setting = Setting(wish.steps, batch, wish.device, wish.compiled, wish.data)
        known[width, seed] = subject.run(plan.dims[width], seed, setting)
        store.write(width, seed, known[width, seed] or {})
    return {run: {k: list(v) for k, v in (known[run] or {}).items()} for run in runs}


def _subject(report: Report, emitted: str, module: Handwritten | None) -> Subject:
    """What is trained: the emitted model, or one that was written by hand."""
    from abcparam.coordinates.measuring import Probe

    probe = Probe(report, emitted)
    if module is None:
        return probe
    from abcparam.coordinates.foreign import Foreign

    return Foreign(probe, module)


def _measurable(laws: Laws, verdict: Verdict, wish: Wish) -> Iterator[str]:
    """Which laws could not be held against a module that was written by hand."""
    if wish.module is None:
        return
    yield f"measured is {wish.module.name} of {wish.module.path}, not the emitted model"
    measured = {(row.name, row.quantity) for row in verdict.rows}
    if missing := [key for key in laws.rows if key not in measured]:
        names = ", ".join(dict.fromkeys(name for name, _ in missing))
        yield (
            f"{len(missing)} of {len(laws.rows)} derived rows cannot be seen in it and are "
            f"not judged, those of {names}"
        )


def _said(
    program: Program, changed: Mapping[str, int], laws: Laws, verdict: Verdict, wish: Wish
) -> Iterator[str]:
    if changed:
        sizes = ", ".join(f"{name} = {size}" for name, size in changed.items())
        yield f"finite dims made small: {sizes} (--set keeps what it sets)"
    if others := fixed(program, wish.vary):
        sizes = ", ".join(f"{name} = {size}" for name, size in others.items())
        yield f"only {', '.join(d.name for d in varied(program, wish.vary))} is varied, at {sizes}"
    batches = f"batches are of {wish.data.name}" if wish.data else "batches and targets are random"
    yield f"dropout and weight decay are off; {batches}"
    yield from laws.left_out
    if unresolved := verdict.of(UNRESOLVED):
        names = ", ".join(f"{row.name} ({row.quantity})" for row in unresolved[:6])
        more = f" and {len(unresolved) - 6} more" if len(unresolved) > 6 else ""
        yield f"{len(unresolved)} of {len(verdict.rows)} rows are not resolved: {names}{more}"
