"""A whole sweep of one spec: trials, those already on disk, those to train, what is best."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcparam.bind import require_no_unknowns, require_numbers
from abcparam.driver import emit_program, load
from abcparam.fingerprint import mark_of
from abcparam.kept import Kept, code_of
from abcparam.program import Program
from abcparam.record import Record
from abcparam.report import Report
from abcparam.source import Source
from abcparam.tuning.space import Axis, at_end, axes_of
from abcparam.tuning.trials import Result, Tick, Trial, Wish, alike, programs_of, split, trials_of

if TYPE_CHECKING:
    from abcparam.batches.base import Data

HERE = Path(__file__).parent
Progress = Callable[[int], AbstractContextManager[Tick]]  # from how many steps there are to train


class Cell(Record):
    """Trials that differ in their hypers and seed alone."""

    form: str
    sizes: tuple[tuple[str, Fraction], ...]
    steps: int
    batch: int


class Best(Record):
    """The best hypers of a cell, by the mean loss over its seeds."""

    cell: Cell
    hypers: tuple[tuple[str, Fraction], ...]
    loss: float
    ends: tuple[str, ...]  # hypers whose best value is at an end of what was searched


class Swept(Record):
    """What a sweep found. `said`: what a reader has to know about how."""

    program: Program
    verdicts: Mapping[str, str]
    axes: tuple[Axis, ...]
    results: tuple[Result, ...]
    said: tuple[str, ...]
    data: str

    @property
    def cells(self) -> dict[Cell, dict[tuple[tuple[str, Fraction], ...], float]]:
        """The mean loss over seeds by hypers, for each cell; inf where one of them diverged."""
        found: dict[Cell, dict[Any, list[float]]] = {}
        for result in self.results:
            trial = result.trial
            sizes = tuple((n, v) for n, v in trial.values if n in self.program.dims)
            hypers = tuple((n, v) for n, v in trial.values if n in self.program.hypers)
            cell = Cell(trial.form, sizes, trial.steps, trial.batch)
            found.setdefault(cell, {}).setdefault(hypers, []).append(result.loss)
        return {
            cell: {hypers: sum(losses) / len(losses) for hypers, losses in points.items()}
            for cell, points in found.items()
        }

    @property
    def best(self) -> list[Best]:
        """Of every cell in which a trial did not diverge."""
        axes = {axis.name: axis for axis in self.axes}
        found = []
        for cell, points in self.cells.items():
            hypers, loss = min(points.items(), key=lambda item: item[1])
            if math.isfinite(loss):
                ends = tuple(name for name, value in hypers if at_end(axes[name], value))
                found.append(Best(cell, hypers, loss, ends))
        return found

    def to_dict(self) -> dict[str, Any]:
        """The JSON; a loss is null where the trial diverged."""
        return {
            "schema": 1,
            "file": self.program.source.file,
            "model": self.program.name,
            "fingerprint": mark_of(self.program),
            "verdicts": {form or "as written": v for form, v in self.verdicts.items()},
            "data": self.data,
            "axes": [axis.name for axis in self.axes],
            "best": [
                {
                    "parametrization": best.cell.form or None,
                    **split(self.program, [*best.cell.sizes, *best.hypers]),
                    "steps": best.cell.steps,
                    "batch": best.cell.batch,
                    "loss": best.loss,
                    "at_end": list(best.ends),
                }
                for best in self.best
            ],
            "trials": [result.to_dict(self.program) for result in self.results],
            "notes": list(self.said),
        }


def sweep_source(
    source: Source,
    values: Mapping[str, Fraction],
    wish: Wish,
    progress: Progress | None = None,
) -> Swept:
    """Trains every trial that is not on disk yet. Raises `SpecError`."""
    program = load(source, values)
    require_no_unknowns(program)
    require_numbers(program)
    axes = axes_of(program, wish.over)
    trials = trials_of(program, axes, wish)
    reports = programs_of(source, values, wish.forms)
    alone: set[str] = set()
    results = list(_results(program, reports, trials, wish, progress, alone.add))
    verdicts = {form: report.verdict or "" for form, report in reports.items()}
    data = data_of(wish)
    said = (*_said(results, data, wish), *(f"trained one by one: {why}" for why in sorted(alone)))
    return Swept(program, verdicts, tuple(axes), tuple(results), said, data.name)


def data_of(wish: Wish) -> Data:
    from abcparam.batches.synthetic import Synthetic

    return wish.data or Synthetic()


def _results(
    program: Program,
    reports: Mapping[str, Report],
    trials: list[Trial],
    wish: Wish,
    progress: Progress | None,
    alone: Callable[[str], None],
) -> Iterator[Result]:
    """Of every trial, in order: from disk where it is finished."""
    codes = {form: emit_program(report) for form, report in reports.items()}
    stores = {form: _store(code, wish) for form, code in codes.items()}
    done: dict[Trial, list[float]] = {}
    for form, store in stores.items():
        known: dict[str, list[float]] = {}
        for name in store.names():
            known |= store.read(name) or {}
        done |= {t: known[t.key] for t in trials if t.form == form and t.key in known}
    left = [trial for trial in trials if trial not in done]
    steps = sum(trial.steps for trial in left)
    with progress(steps) if progress and left else nullcontext(_silent) as tick:
        for group in alike(program, left):
            form = group[0].form
            for part in _parts(group, wish.together):
                losses = _train(reports[form].program, codes[form], part, wish, tick, alone)
                found = dict(zip(part, losses, strict=True))
                _keep(stores[form], found)
                done |= found
    return (Result(trial, tuple(done[trial])) for trial in trials)


def _silent(steps: int) -> None:
    """Progress that nobody watches."""


def _parts(trials: list[Trial], most: int) -> Iterator[list[Trial]]:
    for start in range(0, len(trials), most):
        yield trials[start : start + most]


def _store(code: str, wish: Wish) -> Kept:
    engine = code_of([HERE, HERE.parent / "batches"])
    return Kept(wish.folder, engine, code, data_of(wish).identity, wish.device, wish.compiled)


def _keep(store: Kept, found: Mapping[Trial, list[float]]) -> None:
    """The trials that finished together, in one file: none of them is lost, or all."""
    import hashlib

    keys = {trial.key: losses for trial, losses in found.items()}
    name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
    store.write(name, keys)


def _train(
    program: Program,
    code: str,
    trials: list[Trial],
    wish: Wish,
    tick: Tick,
    alone: Callable[[str], None],
) -> list[list[float]]:
    from abcparam.tuning.stacking import train
    from abcparam.tuning.training import job_of

    first = trials[0]
    setting = {"device": wish.device, "compiled": wish.compiled}
    job = job_of(program, code, data_of(wish), steps=first.steps, batch=first.batch, **setting)
    return train(job, [(dict(t.values), t.seed) for t in trials], tick, alone)


def _said(results: list[Result], data: Data, wish: Wish) -> Iterator[str]:
    yield f"trained on {data.name}, at constant learning rates"
    yield "a loss is the mean of the last tenth of the steps, over the seeds"
    if diverged := sum(result.diverged for result in results):
        yield f"{diverged} of {len(results)} trials diverged"
    if wish.seeds == 1:
        yield "one seed: small differences between losses are noise"
