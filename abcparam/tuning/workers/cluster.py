"""Batches of trials at work elsewhere: a batch whose worker dies goes to another."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import WorkersDied
from abcparam.tuning.trials import OnStep
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult

ATTEMPTS = 4  # workers that may die at one batch; the last is no accident


class WorkerLostError(Exception):
    """Who trained a batch is dead; the text says how that was heard of."""


def carry(cloudpickle: Any, batch: TrialBatch) -> None:
    """The function of a batch's data goes with it, of a module that workers may not have."""
    function = getattr(batch.options.data, "function", None)
    module = sys.modules.get(getattr(function, "__module__", ""))
    if module is not None:
        cloudpickle.register_pickle_by_value(module)


class Cluster(ABC):
    """Batches of trials, each a task of its own. `option` named it on the command line."""

    option: str

    def __init__(self, size: int) -> None:
        self.size = size
        self.running: dict[Any, tuple[TrialBatch, int]] = {}  # by task, and which attempt it is

    @property
    def free(self) -> bool:
        return len(self.running) < self.size

    def start(self, batch: TrialBatch) -> None:
        self.running[self.submitted(batch)] = batch, 1

    def finished(self, on_step: OnStep, watched: object = None) -> list[TrialBatchResult]:
        """Raises what training raised, and `SpecError` where worker after worker dies."""
        on_step(0)
        found = []
        for task in list(self.ready()) if self.running else ():
            batch, attempt = self.running.pop(task)
            try:
                done = self.result(task)
            except WorkerLostError as error:
                self._again(batch, attempt, str(error))
                continue
            on_step(sum(trial.steps for trial in batch.trials))
            found.append(TrialBatchResult(batch, done.results, done.why))
        return found

    def _again(self, batch: TrialBatch, attempt: int, problem: str) -> None:
        if attempt == ATTEMPTS:
            raise self.dead(problem, attempt)
        self.running[self.submitted(batch)] = batch, attempt + 1

    def dead(self, problem: str, attempts: int = 1) -> SpecError:
        """What is said of workers that die, or of a cluster that is gone."""
        fields = {"count": attempts, "problem": problem.partition("\n")[0][:200]}
        return SpecError.about(self.option, WorkersDied, **fields)

    @abstractmethod
    def close(self) -> None:
        """Ends what is still at work."""

    @abstractmethod
    def submitted(self, batch: TrialBatch) -> Any:
        """A task that trains it, which can be a key."""

    @abstractmethod
    def ready(self) -> Iterable[Any]:
        """Tasks that ended by now; waits a while for one."""

    @abstractmethod
    def result(self, task: Any) -> TrialBatchResult:
        """Of a task that ended. Raises what it raised, `WorkerLostError` where it did not end."""
