"""A whole sweep of one spec: trials, those already on disk, those to train, what is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from fractions import Fraction
from functools import cached_property
from typing import Any

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.source import Source
from abcparam.program.model import Program
from abcparam.tuning.choices import HELD_OUT
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.space import SCHEDULE, Axis, AxisValue, at_end, axes_of, is_tuned
from abcparam.tuning.trials import (
    Trial,
    TrialResult,
    numbers,
    split,
    trials_of,
)
from abcparam.tuning.tunable import Tunable, TunableSpec
from abcparam.tuning.workers.ranks import (
    require_equal_shards,
    require_ranks,
    require_shardable,
)
from abcparam.tuning.workers.scheduler import StepProgress, Work
from abcparam.tuning.workers.trial_batch import data_of

Hypers = tuple[tuple[str, AxisValue], ...]


class Cell(Record):
    """Trials that differ in their hypers, schedule and seed alone."""

    form: str
    sizes: tuple[tuple[str, Fraction], ...]
    steps: int
    batch: int


class MeanLosses(Record):
    """Of trials that differ in their seeds alone, the means; inf where one of them diverged."""

    training: float
    held_out: float | None
    score: float  # the one that is chosen by


class Best(Record):
    """The best hypers of a cell, with the schedule where some are compared."""

    cell: Cell
    point: Hypers
    losses: MeanLosses
    ends: tuple[str, ...]  # hypers whose best value is at an end of what was searched

    @property
    def hypers(self) -> dict[str, Fraction]:
        return dict(numbers(dict(self.point)))

    @property
    def schedule(self) -> str | None:
        """None unless some were compared."""
        found = dict(self.point).get(SCHEDULE)
        return found if isinstance(found, str) else None

    @property
    def loss(self) -> float:
        """The one that it was chosen by."""
        return self.losses.score


class SweepResult(Record):
    """What a sweep found. `notes`: what a reader has to know about how."""

    program: Program
    mark: str
    verdicts: Mapping[str, str]
    axes: tuple[Axis, ...]
    results: tuple[TrialResult, ...]
    notes: tuple[str, ...]
    data: str
    by: str
    schedule: str  # of all, unless some were compared

    @cached_property
    def measured(self) -> dict[Cell, dict[Hypers, MeanLosses]]:
        """The losses of each point, for each cell."""
        found: dict[Cell, dict[Hypers, list[TrialResult]]] = {}
        for result in self.results:
            points = found.setdefault(self._cell(result.trial), {})
            points.setdefault(self._point(result.trial), []).append(result)
        return {
            cell: {point: _mean(results, self.by) for point, results in points.items()}
            for cell, points in found.items()
        }

    @cached_property
    def stopped(self) -> dict[Cell, set[Hypers]]:
        """The points of each cell that were stopped early."""
        found: dict[Cell, set[Hypers]] = {}
        for trial in (result.trial for result in self.results if result.pruned):
            found.setdefault(self._cell(trial), set()).add(self._point(trial))
        return found

    def _cell(self, trial: Trial) -> Cell:
        sizes = tuple((n, v) for n, v in trial.values if n in self.program.dims)
        return Cell(trial.form, sizes, trial.steps, trial.batch)

    def _point(self, trial: Trial) -> Hypers:
        """Its hypers, and its schedule where some are compared."""
        hypers = tuple((n, v) for n, v in trial.values if n in self.program.hypers)
        compared = any(axis.name == SCHEDULE for axis in self.tuned)
        return (*hypers, (SCHEDULE, trial.schedule)) if compared else hypers

    @cached_property
    def tuned(self) -> list[Axis]:
        """The axes whose best values are looked for."""
        return [axis for axis in self.axes if is_tuned(self.program, axis.name)]

    @cached_property
    def cells(self) -> dict[Cell, dict[Hypers, float]]:
        """For each cell the loss of each point that the best is chosen by; inf: it diverged."""
        return {
            cell: {point: losses.score for point, losses in points.items()}
            for cell, points in self.measured.items()
        }

    @cached_property
    def scores(self) -> dict[Cell, dict[Hypers, dict[int, float]]]:
        """The losses that `cells` has the means of, by seed."""
        found: dict[Cell, dict[Hypers, dict[int, float]]] = {}
        for result in self.results:
            points = found.setdefault(self._cell(result.trial), {})
            seeds = points.setdefault(self._point(result.trial), {})
            seeds[result.trial.seed] = result.score(self.by)
        return found

    @cached_property
    def forms(self) -> list[str]:
        """The parametrizations, each once."""
        return list(dict.fromkeys(cell.form for cell in self.cells))

    def least(self, cell: Cell, name: str) -> dict[float | str, float]:
        """The least loss of a cell at each value of a hyper, whatever the others are."""
        points = self.cells[cell]
        return {value: points[point] for value, point in self.least_points(cell, name).items()}

    def least_points(self, cell: Cell, name: str) -> dict[float | str, Hypers]:
        """The points of these losses."""
        points = self.cells[cell]
        found: dict[float | str, Hypers] = {}
        for point, loss in points.items():
            at = dict(point)[name]
            value = at if isinstance(at, str) else float(at)
            if value not in found or loss < points[found[value]]:
                found[value] = point
        return found

    @cached_property
    def best(self) -> list[Best]:
        """Of every cell in which a trial did not diverge."""
        axes = {axis.name: axis for axis in self.axes}
        found = []
        for cell, points in self.measured.items():
            point, losses = min(points.items(), key=lambda item: item[1].score)
            if math.isfinite(losses.score):
                ends = tuple(n for n, v in point if n in axes and at_end(axes[n], v))
                found.append(Best(cell, point, losses, ends))
        return found

    @cached_property
    def searched(self) -> dict[str, list[float]]:
        """The values of each hyper of which there are several, in order."""
        points = [dict(point) for cell in self.cells.values() for point in cell]
        names = [axis.name for axis in self.tuned if axis.name in self.program.hypers]
        found = {name: sorted({float(point[name]) for point in points}) for name in names}
        return {name: values for name, values in found.items() if len(values) > 1}

    def hides(self, best: Best, name: str) -> bool:
        """Whether the best value of a hyper may lie beyond what was searched, as far as is seen."""
        return name in best.ends or len(self.searched.get(name, ())) < 3

    def to_dict(self) -> dict[str, Any]:
        """The JSON; a loss is null where the trial diverged."""
        return {
            "schema": 1,
            "file": self.program.source.file,
            "model": self.program.name,
            "fingerprint": self.mark,
            "verdicts": {form or "as written": v for form, v in self.verdicts.items()},
            "data": self.data,
            "chosen_by": self.by,
            "axes": [axis.name for axis in self.axes],
            "best": [
                {
                    "parametrization": best.cell.form or None,
                    **split(self.program, [*best.cell.sizes, *best.point]),
                    "steps": best.cell.steps,
                    "batch": best.cell.batch,
                    "schedule": best.schedule or self.schedule,
                    "loss": best.losses.training,
                    "held_out": best.losses.held_out,
                    "at_end": list(best.ends),
                }
                for best in self.best
            ],
            "trials": [result.to_dict(self.program) for result in self.results],
            "notes": list(self.notes),
        }


def _mean(results: Sequence[TrialResult], by: str) -> MeanLosses:
    kept = [result.held_out for result in results if result.held_out is not None]
    mean = sum(kept) / len(kept) if len(kept) == len(results) else None
    scores = [result.score(by) for result in results]
    training = sum(result.loss for result in results)
    return MeanLosses(training / len(results), mean, sum(scores) / len(scores))


def sweep_source(
    source: Source,
    values: Mapping[str, Fraction],
    options: SweepOptions,
    progress: StepProgress | None = None,
) -> SweepResult:
    """A sweep of a spec."""
    return swept(TunableSpec(source), values, options, progress)


def swept(
    tunable: Tunable,
    values: Mapping[str, Fraction],
    options: SweepOptions,
    progress: StepProgress | None = None,
) -> SweepResult:
    """Trains every trial that is not on disk yet. Raises `SpecError`."""
    if options.sharded:
        options = replace(options, data_parallel=True)
    if options.data_parallel:
        require_ranks("a Ray cluster" if options.ray else "SLURM" if options.slurm else "")
    program = tunable.program(values)
    axes = axes_of(program, options.over)
    trials = trials_of(program, axes, options)
    judged = tunable.recipes(values, options.forms)
    recipes = {form: found.recipe for form, found in judged.items()}
    if options.data_parallel:
        programs = [recipe.program for recipe in recipes.values()]
        require_equal_shards(programs, sorted({trial.batch for trial in trials}))
        if options.sharded:
            require_shardable(programs)
    with closing(Work(program, recipes, options, progress)) as work:
        results = tuple(work.on_all_ranks(lambda: _found(program, axes, trials, options, work)))
    verdicts = {form: found.verdict for form, found in judged.items()}
    data = data_of(options).name
    notes = (
        *tunable.notes,
        *_notes(results, axes, data, options),
        *(f"trained one by one: {why}" for why in work.one_by_one),
    )
    return SweepResult(
        program,
        tunable.mark(program),
        verdicts,
        tuple(axes),
        results,
        notes,
        data,
        by=options.by,
        schedule=options.schedule,
    )


def _found(
    program: Program, axes: list[Axis], trials: list[Trial], options: SweepOptions, work: Work
) -> list[TrialResult]:
    if not options.sampled and not options.prune:
        return work.results(trials)
    from abcparam.tuning.studies import searched

    return searched(program, axes, options, work)


def _notes(
    results: Sequence[TrialResult], axes: Iterable[Axis], data: str, options: SweepOptions
) -> Iterator[str]:
    schedules = dict.fromkeys(result.trial.schedule for result in results)
    one = f"a {next(iter(schedules))} schedule" if len(schedules) == 1 else "each by its schedule"
    yield f"trained on {data}, learning rates: {one}"
    if options.by == HELD_OUT:
        yield "the best by the loss on held-out data after the last step, over the seeds"
    else:
        yield "a loss is the mean of the last tenth of the steps, over the seeds"
    if diverged := sum(result.diverged for result in results):
        yield f"{diverged} of {len(results)} trials diverged"
    if pruned := sum(result.pruned for result in results):
        steps = [len(result.losses) for result in results]
        share = sum(steps) / sum(result.trial.steps for result in results)
        yield (
            f"{pruned} of {len(results)} trials were stopped early, as others were better: "
            f"{100 * share:.0f} % of all steps were trained"
        )
    for axis in axes:
        if not axis.log and 0 < 10 * axis.low <= axis.high:
            ends = f"{float(axis.low):g} to {float(axis.high):g}"
            yield f"{axis.name} is tried evenly from {ends}; {axis.name}=log:… is by equal ratios"
    if options.seeds == 1:
        yield "one seed: small differences between losses are noise"
