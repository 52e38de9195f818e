"""Searches by the samplers of Optuna, the door to it: a study for each combination of sizes.

A study lives in a database. What a process asked for and did not tell, because it was killed, is
asked again; what had been trained by then is on disk, and is not trained again.
"""

from __future__ import annotations

import hashlib
import socket
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import ceil
from typing import Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoStore
from abcparam.program.model import Program
from abcparam.tuning.choices import OPTUNA
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.space import Axis, AxisValue, SearchPoint, is_tuned
from abcparam.tuning.trials import Trial, TrialResult, missing, sizes_of, trial_at
from abcparam.tuning.workers.scheduler import WAIT, Work

TOGETHER = 8  # points at most that are asked for before the last ones are told
HEARTBEAT, DEAD = 15.0, 600.0  # seconds: how often who is at a point on another machine says so
AT, LOSSES = "at", "losses"  # what a study's trial remembers: who is at it, what became of it


def searched(
    program: Program, axes: Sequence[Axis], options: SweepOptions, work: Work
) -> list[TrialResult]:
    """The results of `options.trials` points in each parametrization and at each size.

    Every point is trained with every seed. Raises `SpecError` without Optuna, or without its
    database.
    """
    tuned = [axis for axis in axes if is_tuned(program, axis.name)]
    found: dict[Trial, TrialResult] = {}
    for form in options.forms:
        for size in sizes_of(program, axes):
            cell = SearchCell(program, form, size, options)
            search = Search(f"{work.stores[form].name} {cell.name}", tuned, cell, work)
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

    def __init__(self, name: str, axes: Sequence[Axis], cell: SearchCell, work: Work) -> None:
        self.optuna = optuna_of()
        self.axes, self.cell, self.options, self.work = axes, cell, cell.options, work
        options = self.options
        identity = (name, axes, options.by, options.sampler, options.first, options.seeds)
        self.name = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        self.here = f"{socket.gethostname()} {options.folder and options.folder.resolve()}"
        self.last_heartbeat = time.time()
        with work.locks.exclusive():
            self.study = self._study()

    def _study(self) -> Any:
        """Raises `SpecError` where the database cannot be had."""
        folder, url = self.options.folder, self.options.storage
        if url is None and folder is not None:
            url = f"sqlite:///{folder / 'optuna.db'}"
        waiting = {"connect_args": {"timeout": 100}} if url and url.startswith("sqlite") else {}
        storages, create = self.optuna.storages, self.optuna.create_study
        try:
            storage = storages.RDBStorage(url, engine_kwargs=waiting) if url else None
            return create(storage=storage, study_name=self.name, load_if_exists=True)
        except Exception as error:  # of the database's driver, which may be any
            problem = str(error).partition("\n")[0][:200] or type(error).__name__
            raise SpecError.about("--storage", NoStore, url=url, problem=problem) from None

    def results(self) -> Iterator[TrialResult]:
        """Asks, trains and tells until there are enough points, here and elsewhere."""
        while (asked := self._asked()) is not None:
            if asked:
                self._train(asked)
            else:
                time.sleep(WAIT)
        complete = [t for t in self._known() if t.state.name == "COMPLETE"]
        for finished in complete[: self.options.trials]:
            trials = self.cell.trials(self._point(finished.params))
            found = self.work.found(trials)
            for trial, (losses, held_out) in zip(trials, finished.user_attrs[LOSSES], strict=True):
                yield found.get(trial) or TrialResult(trial, tuple(losses), held_out)

    def _known(self) -> list[Any]:
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def _asked(self) -> list[Any] | None:
        """The next points to train, none while others are at the last ones; None: enough."""
        with self.work.locks.exclusive():
            known = self._known()
            complete = sum(t.state.name == "COMPLETE" for t in known)
            if complete >= self.options.trials:
                return None
            running = [t for t in known if t.state.name == "RUNNING"]
            dead = [t for t in running if not self._lives(t)]
            for trial in dead:
                self._again(trial)
            left = self.options.trials - complete - len(running) + len(dead)
            self.study.sampler = self._sampler(len(known))
            most = min(left, self.options.abreast, ceil(TOGETHER / self.options.sharers))
            return [self._ask() for _ in range(most)]

    def _lives(self, trial: Any) -> bool:
        """Whether somebody is at it: here that is known, elsewhere by when we last heard of it."""
        here, heartbeat = trial.user_attrs.get(AT, (self.here, 0))
        locks = self.work.locks
        if here == self.here:
            return self._lock_name(trial.number) in locks.others() | locks.names
        return bool(time.time() - heartbeat < DEAD)

    def _lock_name(self, number: int) -> str:
        return f"{self.name} {number}"

    def _again(self, trial: Any) -> None:
        """The same point will be the next one that is asked for."""
        failed = self.optuna.trial.TrialState.FAIL
        self.study.tell(trial.number, state=failed, skip_if_finished=True)
        if trial.params:
            self.study.enqueue_trial(trial.params)

    def _sampler(self, count: int) -> Any:
        """With other random numbers for other points, also when started again."""
        seed = (
            self.options.first
            if self.options.sampler == "qmc"
            else self.options.first * 10**6 + count
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", self.optuna.exceptions.ExperimentalWarning)
            return getattr(self.optuna.samplers, OPTUNA[self.options.sampler])(seed=seed)

    def _ask(self) -> Any:
        try:
            trial = self.study.ask()
            self.work.locks.hold([self._lock_name(trial.number)])
            trial.set_user_attr(AT, (self.here, time.time()))
            for axis in self.axes:
                _suggest(trial, axis)
        except ImportError as error:  # of what a sampler needs besides
            raise missing("--sampler", "Optuna", error) from None
        return trial

    def _point(self, params: Mapping[str, Any]) -> SearchPoint:
        return {axis.name: _value(axis, params[axis.name]) for axis in self.axes}

    def _train(self, asked: Sequence[Any]) -> None:
        """Trains points and tells the study."""
        trials = {t.number: self.cell.trials(self._point(t.params)) for t in asked}
        each = list(dict.fromkeys(trial for same in trials.values() for trial in same))
        found = dict(
            zip(each, self.work.results(each, lambda _: self._heartbeat(asked)), strict=True)
        )
        for one in asked:
            mine = [found[trial] for trial in trials[one.number]]
            one.set_user_attr(LOSSES, [(result.losses, result.held_out) for result in mine])
            self.study.tell(one, sum(result.score(self.options.by) for result in mine) / len(mine))
        with self.work.locks.exclusive():
            self.work.locks.release([self._lock_name(one.number) for one in asked])

    def _heartbeat(self, asked: Sequence[Any]) -> None:
        """Says that we live, now and then."""
        if time.time() - self.last_heartbeat > HEARTBEAT:
            self.last_heartbeat = time.time()
            for trial in asked:
                trial.set_user_attr(AT, (self.here, self.last_heartbeat))


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


def optuna_of() -> Any:
    """Optuna, silent. Raises `SpecError` without it."""
    try:
        import optuna
    except ImportError as error:
        raise missing("--sampler", "Optuna", error) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
