"""Batches of trials at work elsewhere: a batch whose worker dies goes to another.

Where some of a batch may be stopped early, it is sent in parts: a worker trains up to where that is
decided, and another, or the same one, goes on from its checkpoint with those that are left. Where
they share no files there is none, and it trains them from their first step again.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import WorkersDied
from abcparam.presentation.words import first_line
from abcparam.tuning.trials import OnStep, Trial
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


# Which of some trials are stopped after a step, by their losses.
Deciding = Callable[[int, Mapping[Trial, Sequence[float]]], Collection[Trial]]


class SentBatch(Record):
    """A batch at work, and how far its worker trains it."""

    batch: TrialBatch
    watch: TrialWatch
    attempt: int = 1

    def reached(self, done: TrialBatchResult) -> dict[Trial, Sequence[float]]:
        """The losses of those that were not stopped before."""
        out = frozenset().union(*(self.watch.decided or {}).values())
        return {r.trial: r.losses for n, r in enumerate(done.results) if n not in out}

    def going(self, done: TrialBatchResult) -> set[Trial]:
        """Those that wait for it to be decided who goes on."""
        step = self.watch.until
        return {t for t, x in self.reached(done).items() if len(x) == step and isfinite(x[-1])}

    def without(self, step: int, stopped: Collection[Trial]) -> SentBatch:
        """What is to be trained yet."""
        indices = frozenset(n for n, t in enumerate(self.batch.trials) if t in stopped)
        decided = {**(self.watch.decided or {}), step: indices}
        return replace(self, watch=replace(self.watch, decided=decided), attempt=1)


class Cluster(ABC):
    """Batches of trials, each a task of its own. `option` named it on the command line."""

    option: str

    def __init__(self, size: int) -> None:
        self.size = size
        self.running: dict[Any, SentBatch] = {}  # by task
        self.paused: list[tuple[SentBatch, TrialBatchResult]] = []

    @property
    def free(self) -> bool:
        return len(self.running) < self.size

    def start(self, batch: TrialBatch, watch: TrialWatch) -> None:
        self._send(SentBatch(batch, watch.sent()))

    def _send(self, sent: SentBatch) -> None:
        self.running[self.submitted(sent.batch, sent.watch)] = sent

    def finished(self, on_step: OnStep, deciding: Deciding | None = None) -> list[TrialBatchResult]:
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
            if deciding is not None and sent.going(done):
                self.paused.append((sent, done))
            else:
                found.append(TrialBatchResult(sent.batch, done.results, done.why))
        if deciding is not None and not self.running:
            found += self._decided(deciding)
        on_step(sum(trial.steps for done in found for trial in done.batch.trials))
        return found

    def _decided(self, deciding: Deciding) -> Iterator[TrialBatchResult]:
        """Batches none of which goes on; the others are sent again.

        All trials are compared with each other, so it is when all have come there.
        """
        paused, self.paused = self.paused, []
        for step in sorted({sent.watch.until or 0 for sent, _ in paused}):
            here = [(sent, done) for sent, done in paused if sent.watch.until == step]
            losses = {t: x for sent, done in here for t, x in sent.reached(done).items()}
            stopped = deciding(step, losses)
            for sent, done in here:
                if sent.going(done).difference(stopped):
                    self._send(sent.without(step, stopped))
                else:
                    yield TrialBatchResult(sent.batch, done.results, done.why)

    def _again(self, sent: SentBatch, problem: str) -> None:
        if sent.attempt == ATTEMPTS:
            raise self.dead(problem, sent.attempt)
        self._send(replace(sent, attempt=sent.attempt + 1))

    def dead(self, problem: str, attempts: int = 1) -> SpecError:
        """What is said of workers that die, or of a cluster that is gone."""
        fields = {"count": attempts, "problem": first_line(problem)}
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
