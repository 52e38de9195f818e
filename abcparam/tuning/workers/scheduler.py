"""The trials of a sweep at work: those on disk, those of another process, those to train here."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from typing import TYPE_CHECKING

from abcparam.program.model import Program
from abcparam.storage.locks import WorkLocks
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import OnStep, Trial, TrialResult, alike, silent
from abcparam.tuning.workers.cluster import Deciding
from abcparam.tuning.workers.ranks import rank
from abcparam.tuning.workers.result_store import ResultStore
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials
from abcparam.tuning.workers.worker import data_parallel_of, worker_of

if TYPE_CHECKING:
    from abcparam.tuning.output.tracking import Tracker
    from abcparam.tuning.train.watch import TrialWatch
    from abcparam.tuning.tunable import Recipe

WAIT = 0.1  # seconds until we look again whether another process is done
# From how many steps there are to train.
StepProgress = Callable[[int], AbstractContextManager[OnStep]]
# At which of so many steps trials may be stopped, and which of some are.
Pruning = tuple[Callable[[int], Iterable[int]], Deciding]


class Work:
    """Trials of one program; several processes that keep them in one folder share them."""

    def __init__(
        self,
        program: Program,
        recipes: Mapping[str, Recipe],
        options: SweepOptions,
        progress: StepProgress | None = None,
    ) -> None:
        self.program, self.recipes, self.options = program, recipes, options
        self.progress = progress or (lambda steps: nullcontext(silent))
        self.stores = {form: ResultStore(recipe, options) for form, recipe in recipes.items()}
        self.parallel = data_parallel_of(
            options, sorted(store.name for store in self.stores.values())
        )
        self.worker = worker_of(options, self.parallel)
        self.trackers = list(_trackers(options))
        self.locks = WorkLocks(options.folder)
        self.one_by_one: dict[str, None] = {}  # why some were trained one by one

    def close(self) -> None:
        self.worker.close()
        self.locks.close()
        if self.parallel is not None:
            self.parallel.close()

    def on_all_ranks(self, search: Callable[[], list[TrialResult]]) -> list[TrialResult]:
        """What a search finds, which trains by `results`."""
        if self.parallel is None:
            return search()
        from abcparam.tuning.workers.data_parallel import search_on_rank_0

        parallel = self.parallel

        def train(trials: tuple[Trial, ...], rungs: Collection[int]) -> object:
            from abcparam.tuning.train.watch import TrialWatch

            watch = TrialWatch(tuple(range(len(trials))), frozenset(rungs))
            return train_trials(self._batch(trials), silent, parallel, watch)

        return search_on_rank_0(parallel, search, train)

    def results(self, trials: Sequence[Trial], pruning: Pruning | None = None) -> list[TrialResult]:
        """Of every trial, in order: from disk where it is finished."""
        done = self.found(trials)
        steps = sum(trial.steps for trial in trials if trial not in done)
        with self.progress(steps) if steps else nullcontext(silent) as on_step:
            while left := [trial for trial in trials if trial not in done]:
                self._go_on(left, on_step, pruning)
                done = self.found(trials)
        for tracker in self.trackers if rank() == 0 else ():
            tracker.add(done.values())
        return [done[trial] for trial in trials]

    def found(self, trials: Iterable[Trial]) -> dict[Trial, TrialResult]:
        """What is finished."""
        for store in self.stores.values():
            store.look()
        known = {t: self.stores[t.form].results.get(t.key) for t in trials}
        return {t: TrialResult(t, *losses) for t, losses in known.items() if losses is not None}

    def _go_on(self, trials: Sequence[Trial], on_step: OnStep, pruning: Pruning | None) -> None:
        """Until something is done, here or elsewhere."""
        while self.worker.free and (batch := self._locked(trials)):
            self.worker.start(batch, self._watch(batch, pruning))
        done = self.worker.finished(on_step, pruning and pruning[1])
        for each in done:
            self._keep(each)
        if not done:
            time.sleep(WAIT)

    def _locked(self, trials: Sequence[Trial]) -> TrialBatch | None:
        """The next ones that nobody is at and that can be trained together."""
        with self.locks.exclusive():
            done, taken = self.found(trials), self.locks.others() | self.locks.names
            free = [t for t in trials if t not in done and self._name(t) not in taken]
            group = next(alike(self.program, free), None)
            if group is None:
                return None
            chosen = self._begun(group) or self._share(group)
            self.locks.hold([self._name(trial) for trial in chosen])
            self.stores[chosen[0].form].begin(chosen)
        return self._batch(chosen)

    def _share(self, group: Sequence[Trial]) -> tuple[Trial, ...]:
        """What this process takes of trials that can be trained together."""
        share = ceil(len(group) / (self.options.sharers * self.worker.size))
        return tuple(group[: min(self.options.abreast, share)])

    def _begun(self, group: Sequence[Trial]) -> tuple[Trial, ...]:
        """Of these some that were trained together until whoever did so ended, if there are any."""
        free = {trial.key: trial for trial in group}
        for keys in self.stores[group[0].form].begun():
            if len(keys) <= self.options.abreast and free.keys() >= set(keys):
                return tuple(free[key] for key in keys)
        return ()

    def _batch(self, trials: tuple[Trial, ...]) -> TrialBatch:
        return TrialBatch(self.recipes[trials[0].form], trials, self.options)

    def _watch(self, batch: TrialBatch, pruning: Pruning | None) -> TrialWatch:
        from abcparam.tuning.train.watch import TrialWatch

        trials = batch.trials
        place = self.stores[trials[0].form].place(trials)
        members = tuple(range(len(trials)))
        if pruning is None:
            return TrialWatch(members, place=place)
        rungs, stopped = pruning

        def stop(step: int, losses: Mapping[int, Sequence[float]]) -> list[int]:
            found = stopped(step, {trials[index]: curve for index, curve in losses.items()})
            return [index for index in losses if trials[index] in found]

        return TrialWatch(members, frozenset(rungs(trials[0].steps)), stop, place)

    def _name(self, trial: Trial) -> str:
        return f"{self.stores[trial.form].name} {trial.key}"

    def _keep(self, done: TrialBatchResult) -> None:
        trials = done.batch.trials
        self.one_by_one |= dict.fromkeys(done.why)
        self.stores[trials[0].form].keep(done.results)
        for tracker in self.trackers:
            tracker.add(done.results)
        with self.locks.exclusive():
            self.locks.release([self._name(trial) for trial in trials])


def _trackers(options: SweepOptions) -> Iterator[Tracker]:
    if options.board is not None:
        from abcparam.tuning.output.tensorboard import TensorBoardWriter

        yield TensorBoardWriter(options.board)
    if options.wandb is not None:
        from abcparam.tuning.output.weights_and_biases import WandbRuns

        yield WandbRuns(options.wandb)
    if options.mlflow is not None:
        from abcparam.tuning.output.mlflow_runs import MlflowRuns

        yield MlflowRuns(options.mlflow)
