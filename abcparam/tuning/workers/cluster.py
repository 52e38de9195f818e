"""Batches of trials at work elsewhere: a batch whose worker dies goes to another.

Where some of a batch may be stopped early, it is sent in parts: a worker trains up to where that is
decided, and another, or the same one, goes on from its checkpoint with those that are left. Where
they share no files there is none, and it trains them from their first step again.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable
from math import isfinite
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import WorkersDied
from abcparam.tuning.trials import OnStep
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult

if TYPE_CHECKING:
    from abcparam.tuning.train.watch import TrialWatch

ATTEMPTS = 4  # workers that may die at one batch; the last is no accident


class WorkerLostError(Exception):
    """Who trained a batch is dead; the text says how that was heard of."""


def carry(cloudpickle: Any, batch: TrialBatch) -> None:
    """The function of a batch's data goes with it, of a module that workers may not have."""
    function = getattr(batch.options.data, "function", None)
    module = sys.modules.get(getattr(function, "__module__", ""))
    if module is not None:
        cloudpickle.register_pickle_by_value(module)


class SentBatch(Record):
    """A batch at work; `watch` is what its worker has of the one that decides."""

    batch: TrialBatch
    watch: TrialWatch
    deciding: TrialWatch
    attempt: int = 1

    def decided(self, done: TrialBatchResult) -> SentBatch | None:
        """What is to be trained yet, of those that have come to where some are stopped."""
        step, known = self.watch.until, self.watch.decided or {}
        out = frozenset().union(*known.values())
        losses = {n: list(r.losses) for n, r in enumerate(done.results) if n not in out}
        going = {n for n, curve in losses.items() if len(curve) == step and isfinite(curve[-1])}
        if step is None or not going:
            return None
        stopped = frozenset(self.deciding.stopped(step, losses))
        watch = replace(self.watch, decided={**known, step: stopped})
        return replace(self, watch=watch, attempt=1) if going - stopped else None


class Cluster(ABC):
    """Batches of trials, each a task of its own. `option` named it on the command line."""

    option: str

    def __init__(self, size: int) -> None:
        self.size = size
        self.running: dict[Any, SentBatch] = {}  # by task

    @property
    def free(self) -> bool:
        return len(self.running) < self.size

    def start(self, batch: TrialBatch, watch: TrialWatch) -> None:
        self._send(SentBatch(batch, watch.sent(), watch))

    def _send(self, sent: SentBatch) -> None:
        self.running[self.submitted(sent.batch, sent.watch)] = sent

    def finished(self, on_step: OnStep) -> list[TrialBatchResult]:
        """Raises what training raised, and `SpecError` where worker after worker dies."""
        on_step(0)
        found = []
        for task in list(self.ready()) if self.running else ():
            sent = self.running.pop(task)
            try:
                done = self.result(task)
            except WorkerLostError as error:
                self._again(sent, str(error))
                continue
            if left := sent.decided(done):
                self._send(left)
                continue
            on_step(sum(trial.steps for trial in sent.batch.trials))
            found.append(TrialBatchResult(sent.batch, done.results, done.why))
        return found

    def _again(self, sent: SentBatch, problem: str) -> None:
        if sent.attempt == ATTEMPTS:
            raise self.dead(problem, sent.attempt)
        self._send(replace(sent, attempt=sent.attempt + 1))

    def dead(self, problem: str, attempts: int = 1) -> SpecError:
        """What is said of workers that die, or of a cluster that is gone."""
        fields = {"count": attempts, "problem": problem.partition("\n")[0][:200]}
        return SpecError.about(self.option, WorkersDied, **fields)

    @abstractmethod
    def close(self) -> None:
        """Ends what is still at work."""

    @abstractmethod
    def submitted(self, batch: TrialBatch, watch: TrialWatch) -> Any:
        """A task that trains it, which can be a key."""

    @abstractmethod
    def ready(self) -> Iterable[Any]:
        """Tasks that ended by now; waits a while for one."""

    @abstractmethod
    def result(self, task: Any) -> TrialBatchResult:
        """Of a task that ended. Raises what it raised, `WorkerLostError` where it did not end."""
