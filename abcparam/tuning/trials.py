"""The trials of a sweep: which model, which values, how long, which seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from fractions import Fraction
from typing import Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoSize, NoStatedParametrization
from abcparam.diagnostics.source import START, Source
from abcparam.editing.exponents import UnwritableError
from abcparam.editing.parametrization import in_form
from abcparam.program.binding import bind, require_trained
from abcparam.program.model import Program
from abcparam.tuning.choices import TRAINING
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.schedules import CONSTANT, schedule_named
from abcparam.tuning.space import (
    SCHEDULE,
    SETTINGS,
    Axis,
    AxisValue,
    SearchPoint,
    grid,
    is_tuned,
    random_points,
)
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report

OnStep = Callable[[int], None]  # so many steps of training are done


def silent(steps: int) -> None:
    """Progress that nobody watches."""


class Trial(Record):
    """A model to train."""

    form: str
    values: tuple[tuple[str, Fraction], ...]  # of dims and hypers, by name
    steps: int
    batch: int
    seed: int
    schedule: str = CONSTANT

    @property
    def key(self) -> str:
        values = " ".join(f"{name}={value}" for name, value in self.values)
        how = f"steps={self.steps} batch={self.batch} seed={self.seed}"
        return f"{values} {how} schedule={self.schedule}"


class TrialResult(Record):
    """What became of a trial.

    `loss` is the mean of the last tenth of its steps; inf: it diverged, its loss was infinite or no
    number at some step, or it was pruned: others were better. `held_out` is the loss at its end on
    data that were held out, where there are some.
    """

    trial: Trial
    losses: tuple[float, ...]
    held_out: float | None = None

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.losses[-1])

    @property
    def pruned(self) -> bool:
        return not self.diverged and len(self.losses) < self.trial.steps

    @property
    def loss(self) -> float:
        if self.diverged or self.pruned:
            return math.inf
        last = self.losses[-max(1, len(self.losses) // 10) :]
        return math.fsum(last) / len(last)

    def score(self, by: str) -> float:
        """What it is chosen by; inf where it diverged."""
        if by == TRAINING or math.isinf(self.loss):
            return self.loss
        return math.inf if self.held_out is None else self.held_out

    def to_dict(self, program: Program) -> dict[str, Any]:
        trial = self.trial
        return {
            "parametrization": trial.form or None,
            **split(program, trial.values),
            "steps": trial.steps,
            "batch": trial.batch,
            "schedule": trial.schedule,
            "seed": trial.seed,
            "loss": self.loss if math.isfinite(self.loss) else None,
            "held_out": self.held_out,
            "diverged": self.diverged,
            "diverged_at": len(self.losses) - 1 if self.diverged else None,
            "pruned_at": len(self.losses) if self.pruned else None,
        }


def split(program: Program, values: Iterable[tuple[str, AxisValue]]) -> dict[str, Any]:
    """Values as JSON: dims, which are whole, and hypers."""
    found: dict[str, Any] = {"dims": {}, "hypers": {}}
    for name, value in numbers(dict(values)):
        if name in program.dims:
            found["dims"][name] = int(value)
        else:
            found["hypers"][name] = in_json(value)
    return found


def in_json(value: Fraction) -> float | str:
    """A number, or `"1/3"` where none of JSON's is the same; `Fraction(str(…))` reads both."""
    number = float(value)
    return number if math.isfinite(number) and Fraction(repr(number)) == value else str(value)


def programs_of(
    source: Source, values: Mapping[str, Fraction], forms: Iterable[str]
) -> dict[str, Report]:
    """The spec in each parametrization, judged."""
    found = {}
    for form in forms:
        try:
            written = in_form(source, form) if form else source
        except UnwritableError:
            error = NoStatedParametrization.at(START, form=form)
            raise SpecError(source, [error]) from None
        found[form] = judged(load(written, values))
        require_trained(found[form].program)
    return found


def require_sizes(program: Program, named: Set[str] = frozenset()) -> None:
    """Raises `SpecError` for each dim that neither has a size nor is named."""
    bare = [d for d in program.dims.values() if not d.derived and d.default is None]
    errors = [NoSize.at(d.span, name=d.name) for d in bare if d.name not in named]
    if errors:
        raise SpecError(program.source, errors)


def trials_of(program: Program, axes: list[Axis], options: SweepOptions) -> list[Trial]:
    """Every trial: hypers by grid or at random, everything else in all combinations.

    Raises `SpecError` where sizes do not fit together or there is no such schedule.
    """
    require_sizes(program, {axis.name for axis in axes})
    schedule_named(options.schedule, 1)
    points = points_of(program, axes, options)
    sizes = sizes_of(program, axes)
    seeds = range(options.first, options.first + options.seeds)
    made = (
        trial_at(program, form, {**size, **point}, seed, options)
        for form in options.forms
        for size in sizes
        for seed in seeds
        for point in points
    )
    return list(dict.fromkeys(made))


def points_of(program: Program, axes: Iterable[Axis], options: SweepOptions) -> list[SearchPoint]:
    """What is tuned: at random or by grid.

    Where as many are to be drawn as a grid of listed values has, or more, it is that grid.
    """
    tuned = [axis for axis in axes if is_tuned(program, axis.name)]
    listed = all(axis.values for axis in tuned)
    if options.trials and not (
        listed and math.prod(len(axis.values) for axis in tuned) <= options.trials
    ):
        return list(random_points(tuned, options.trials, options.first))
    return grid(tuned)


def sizes_of(program: Program, axes: Iterable[Axis]) -> list[SearchPoint]:
    """Every combination of what is not tuned. Raises `SpecError` where sizes do not fit."""
    sizes = grid(axis for axis in axes if not is_tuned(program, axis.name))
    for size in sizes:
        bind(program, {name: value for name, value in numbers(size) if name in program.dims})
    return sizes


def trial_at(
    program: Program, form: str, point: SearchPoint, seed: int, options: SweepOptions
) -> Trial:
    values = {n: v for n, v in numbers(point) if n in program.dims or n in program.hypers}
    given = {n: int(v) for n, v in numbers(point) if n in SETTINGS and n not in values}
    steps, batch = given.get("steps", options.steps), given.get("batch", options.batch)
    schedule = point.get(SCHEDULE)
    named = schedule if isinstance(schedule, str) else options.schedule
    return Trial(form, tuple(sorted(values.items())), steps, batch, seed, named)


def numbers(point: SearchPoint) -> list[tuple[str, Fraction]]:
    """Of a point, all but the schedule."""
    return [(name, value) for name, value in point.items() if not isinstance(value, str)]


def alike(program: Program, trials: Iterable[Trial]) -> Iterator[list[Trial]]:
    """Trials of the same form, sizes, steps and batch, which can be trained together."""
    groups: dict[object, list[Trial]] = {}
    for trial in trials:
        sizes = tuple((n, v) for n, v in trial.values if n in program.dims)
        key = (trial.form, sizes, trial.steps, trial.batch)
        groups.setdefault(key, []).append(trial)
    yield from groups.values()
