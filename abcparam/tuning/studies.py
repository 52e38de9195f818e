"""Searches by the samplers and the pruner of Optuna: a study for each combination of sizes.

A study lives in a database. What a process asked for and did not tell, because it was killed, is
asked again; what had been trained by then is on disk, and is not trained again.
"""

from __future__ import annotations

import io
import pickle
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, takewhile
from math import ceil, fsum, inf, isfinite
from typing import Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.installed import missing
from abcparam.diagnostics.rules.tuning import NoStore
from abcparam.program.model import Program
from abcparam.storage.digests import digest
from abcparam.tuning.choices import OPTUNA
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.space import Axis, AxisValue, SearchPoint, is_tuned
from abcparam.tuning.study_storage import Heartbeats, StudyStorage
from abcparam.tuning.trials import Trial, TrialResult, points_of, sizes_of, trial_at
from abcparam.tuning.workers.scheduler import WAIT, Work

TOGETHER = 8  # points at most that a sampler is asked for before the last ones are told
# After a sixth of the steps, and after two thirds, a quarter of the points goes on.
FIRST_RUNG, REDUCTION = 6, 4
LATELY = 4  # of the losses up to a rung, the last quarter
DONE = ("COMPLETE", "PRUNED")
LOSSES = "losses"  # what a study's trial remembers of what became of it


def searched(
    program: Program, axes: Sequence[Axis], options: SweepOptions, work: Work
) -> list[TrialResult]:
    """The results of all points in each parametrization and at each size.

    A sampler chooses `options.trials`; those of a grid or at random are only pruned. Every point is
    trained with every seed. Raises `SpecError` without Optuna, or without its database.
    """
    tuned = [axis for axis in axes if is_tuned(program, axis.name)]
    found: dict[Trial, TrialResult] = {}
    sizes = sizes_of(program, axes)
    points = None if options.sampled else points_of(program, axes, options)
    for form in options.forms:
        for size in sizes:
            cell = SearchCell(program, form, size, options)
            search = Search(f"{work.stores[form].name} {cell.name}", tuned, cell, work, points)
            found |= {result.trial: result for result in search.results()}
    return list(found.values())


class SearchCell(Record):
    """Where the best point is looked for."""

    program: Program
    form: str
    size: SearchPoint
    options: SweepOptions

    @property
    def name(self) -> str:
        size = " ".join(f"{name}={value}" for name, value in sorted(self.size.items()))
        return (
            f"{size} steps={self.options.steps} batch={self.options.batch} {self.options.schedule}"
        )

    def trials(self, point: SearchPoint) -> list[Trial]:
        """A point with each seed."""
        made = {**self.size, **point}
        seeds = range(self.options.first, self.options.first + self.options.seeds)
        return [trial_at(self.program, self.form, made, seed, self.options) for seed in seeds]


class Search:
    """A study of one cell."""

    def __init__(
        self,
        name: str,
        axes: Sequence[Axis],
        cell: SearchCell,
        work: Work,
        points: Sequence[SearchPoint] | None = None,
    ) -> None:
        self.axes, self.cell, self.options, self.work = axes, cell, cell.options, work
        options = self.options
        self.points = None if points is None else [self._params(point) for point in points]
        self.count = options.trials if points is None else len(points)
        self.pruned: set[int] = set()  # numbers of trials
        self.reported: set[tuple[int, int]] = set()  # and steps; seeds one by one: by the first
        identity = (name, axes, options.by, options.sampler, options.first, options.seeds)
        self.name = digest(repr(identity))
        self.storage = StudyStorage(_url(options))
        self.optuna = self.storage.optuna
        self.study = self.storage.study(self.name)
        self.heartbeats = Heartbeats(self.storage)

    def results(self) -> Iterator[TrialResult]:
        """Asks, trains and tells until there are enough points, here and elsewhere.

        Raises `SpecError` where the database is lost for good.
        """
        try:
            self._search()
            known = self._known()
        except self.storage.losses as error:
            raise self.storage.lost(error) from None
        for finished in [t for t in known if t.state.name in DONE][: self.count]:
            trials = self.cell.trials(self._point(finished.params))
            found = self.work.found(trials)
            with self._of_the_store():
                kept = [(tuple(losses), held) for losses, held in finished.user_attrs[LOSSES]]
                pairs = list(zip(trials, kept, strict=True))
            for trial, (losses, held_out) in pairs:
                yield found.get(trial) or TrialResult(trial, losses, held_out)

    def _search(self) -> None:
        with self.heartbeats:
            try:
                while (asked := self._asked()) is not None:
                    if asked:
                        self._train(asked)
                    else:
                        time.sleep(WAIT)
            finally:
                for trial in self.heartbeats.trials.values():
                    with suppress(*self.storage.losses):
                        self.storage.give_back(self.study, trial)

    def _known(self) -> list[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def _asked(self) -> list[Any] | None:
        """The next points to train, none while others are at the last ones; None: enough."""
        with self.storage.exclusive():
            self.storage.requeue(self.study)
            self._enqueue()
            known = self._known()
            complete = sum(t.state.name in DONE for t in known)
            if complete >= self.count:
                return None
            running = sum(t.state.name == "RUNNING" for t in known)
            left = self.count - complete - running
            self.study.sampler = self._sampler(len(known))
            together = TOGETHER if self.points is None else self.options.abreast
            most = min(left, self.options.abreast, ceil(together / self.options.sharers))
            return [self._ask() for _ in range(most)]

    def _enqueue(self) -> None:
        """The points of a grid, or at random, that were not asked for, or whose trial was lost."""
        if self.points is None:
            return
        known = [t for t in self._known() if t.state.name != "FAIL"]
        there = [t.system_attrs.get("fixed_params") or t.params for t in known]
        for params in self.points:
            if params in there:
                there.remove(params)
            else:
                self.study.enqueue_trial(params)

    def _sampler(self, count: int) -> Any:
        """With other random numbers for other points, also when started again."""
        seed = (
            self.options.first
            if self.options.sampler == "qmc"
            else self.options.first * 10**6 + count
        )
        name = OPTUNA[self.options.sampler] if self.points is None else "RandomSampler"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            sampler = getattr(self.optuna.samplers, name)(seed=seed)
        if name == OPTUNA["cmaes"]:
            sampler._restore_optimizer = restored
        return sampler

    def _ask(self) -> Any:
        try:
            trial = self.storage.ask(self.study)
            self.heartbeats.trials[trial.number] = trial
            for axis in self.axes:
                _suggest(trial, axis)
        except ImportError as error:  # of what a sampler needs besides
            raise missing("--sampler", "Optuna", error) from None
        return trial

    def _point(self, params: Mapping[str, Any]) -> SearchPoint:
        with self._of_the_store():
            return {axis.name: _value(axis, params[axis.name]) for axis in self.axes}

    @contextmanager
    def _of_the_store(self) -> Iterator[None]:
        """What others wrote into the database may be anything."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError):
            problem = "a trial in it is not as this version writes it"
            fields = {"url": self.options.storage or "the runs' folder", "problem": problem}
            raise SpecError.about("--storage", NoStore, **fields) from None

    def _params(self, point: SearchPoint) -> dict[str, Any]:
        """What a study has of a point."""
        each = ((axis, point[axis.name]) for axis in self.axes)
        return {a.name: str(value) if a.values else float(value) for a, value in each}

    def _train(self, asked: Sequence[Any]) -> None:
        """Trains points and tells the study."""
        trials = {t.number: self.cell.trials(self._point(t.params)) for t in asked}
        each = list(dict.fromkeys(trial for same in trials.values() for trial in same))

        def stopped(step: int, losses: Mapping[Trial, Sequence[float]]) -> set[Trial]:
            return self._stopped(asked, trials, step, losses)

        pruning = (self._rungs, stopped) if self.options.prune else None
        found = dict(zip(each, self.work.results(each, pruning), strict=True))
        for one in asked:
            self._tell(one, [found[trial] for trial in trials[one.number]])

    def _rungs(self, steps: int) -> list[int]:
        """At which the pruner is asked; it is the one for so many steps from here on."""
        first = max(1, steps // FIRST_RUNG)
        self.study.pruner = self.optuna.pruners.SuccessiveHalvingPruner(first, REDUCTION)
        found = (first * REDUCTION**power for power in range(steps))
        return list(takewhile(lambda step: step < steps, found))

    def _stopped(
        self,
        asked: Sequence[Any],
        trials: Mapping[int, Sequence[Trial]],
        step: int,
        losses: Mapping[Trial, Sequence[float]],
    ) -> set[Trial]:
        """The trials that no point needs any more, after a step."""
        reached = {
            one.number: sum(map(_lately, mine)) / len(mine)
            for one in asked
            if (mine := [losses[trial] for trial in trials[one.number] if trial in losses])
            and one.number not in self.pruned
            and (one.number, step) not in self.reported
        }
        numbered = {one.number: one for one in asked}
        for number in _in_turn(reached):
            self.reported.add((number, step))
            numbered[number].report(reached[number], step)
            if numbered[number].should_prune():
                self.pruned.add(number)
        wanted = (trials[one.number] for one in asked if one.number not in self.pruned)
        return losses.keys() - set(chain.from_iterable(wanted))

    def _tell(self, asked: Any, results: Sequence[TrialResult]) -> None:
        """Unless its heartbeats were missed: then another trial of the same point will be told."""
        score: float | None = sum(r.score(self.options.by) for r in results) / len(results)
        state = None
        if any(result.pruned for result in results):
            score, state = None, self.optuna.trial.TrialState.PRUNED
        with suppress(self.optuna.exceptions.UpdateFinishedTrialError):
            asked.set_user_attr(LOSSES, [(result.losses, result.held_out) for result in results])
            self.study.tell(asked, score, state, True)  # or it is finished already
        del self.heartbeats.trials[asked.number]


def _in_turn(reached: Mapping[int, float]) -> list[int]:
    """In which order the pruner is told of points, which compares each with those before it.

    Those that are to go on come last, the best of them at the end; of the others the best is first.
    """
    best = sorted(reached, key=reached.__getitem__)
    count = max(1, len(best) // REDUCTION)
    return [*best[count:], *reversed(best[:count])]


def _lately(losses: Sequence[float]) -> float:
    """What a trial that is not at its end is judged by; inf where it diverged."""
    last = losses[-max(1, len(losses) // LATELY) :]
    return fsum(last) / len(last) if isfinite(last[-1]) else inf


def _url(options: SweepOptions) -> str | None:
    """Of the database, whose folder is there."""
    if options.storage is None and options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        return f"sqlite:///{options.folder / 'optuna.db'}"
    return options.storage


def _suggest(trial: Any, axis: Axis) -> None:
    if axis.values:
        trial.suggest_categorical(axis.name, [str(value) for value in axis.values])
    else:
        trial.suggest_float(axis.name, float(axis.low), float(axis.high), log=axis.log)


def _value(axis: Axis, suggested: str | float) -> AxisValue:
    """As it is trained: one of the axis, or to six digits."""
    if axis.values:
        return {str(value): value for value in axis.values}[str(suggested)]
    return Fraction(f"{suggested:.6g}")


class _Numbers(pickle.Unpickler):
    """Of what the sampler `cmaes` keeps in the database: its own state and numpy's numbers.

    Anything else in a pickle could be any program.
    """

    MAY = {
        "cmaes": {"CMA", "SepCMA", "CMAwM"},
        "numpy": {
            *("ndarray", "dtype", "_reconstruct", "scalar", "_frombuffer"),
            *("RandomState", "MT19937", "__randomstate_ctor", "__bit_generator_ctor"),
        },
    }

    def find_class(self, module: str, name: str) -> Any:
        if name not in self.MAY.get(module.partition(".")[0], ()):
            raise pickle.UnpicklingError(f"{module}.{name}")
        return super().find_class(module, name)


def restored(completed: Sequence[Any]) -> Any:
    """The state of `cmaes` that the last trial which has one keeps, None where it is no such."""
    prefix = "cma:optimizer"
    for trial in reversed(completed):
        parts = {key: x for key, x in trial.system_attrs.items() if key.startswith(prefix)}
        if parts:
            try:
                text = "".join(parts[f"{prefix}:{index}"] for index in range(len(parts)))
                return _Numbers(io.BytesIO(bytes.fromhex(text))).load()
            except Exception:  # whatever a pickle of somebody else's makes of itself
                return None
    return None
