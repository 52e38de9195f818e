"""Who trains the trials of a sweep: this process, with other ranks if there are some, or a cluster.

The ranks are in `data_parallel.py`, clusters in `cluster.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import OnStep
from abcparam.tuning.workers.cluster import Deciding
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials

if TYPE_CHECKING:
    from abcparam.tuning.train.watch import TrialWatch
    from abcparam.tuning.workers.data_parallel import DataParallel


class Worker(Protocol):
    """Takes batches of trials while it is free, and gives their results.

    A batch comes with who may stop some of its trials, and where its checkpoints are.
    """

    @property
    def size(self) -> int:
        """How many batches it can train at a time."""
        ...

    @property
    def free(self) -> bool: ...

    def start(self, batch: TrialBatch, watch: TrialWatch) -> None: ...

    def finished(self, on_step: OnStep, deciding: Deciding | None) -> list[TrialBatchResult]:
        """What is finished by now; waits for something if anything was started.

        `deciding` says who is stopped, where whoever trains has nobody to ask.
        """
        ...

    def close(self) -> None: ...


class LocalWorker:
    """This process, one batch after another; with all ranks where there are some."""

    size = 1

    def __init__(self, parallel: DataParallel | None = None) -> None:
        self.parallel = parallel
        self.waiting: list[tuple[TrialBatch, TrialWatch]] = []

    @property
    def free(self) -> bool:
        return not self.waiting

    def start(self, batch: TrialBatch, watch: TrialWatch) -> None:
        self.waiting.append((batch, watch))

    def finished(self, on_step: OnStep, deciding: object = None) -> list[TrialBatchResult]:
        waiting, self.waiting = self.waiting, []
        return [self._trained(batch, watch, on_step) for batch, watch in waiting]

    def close(self) -> None:
        """Nothing is held."""

    def _trained(self, batch: TrialBatch, watch: TrialWatch, on_step: OnStep) -> TrialBatchResult:
        if self.parallel is not None:
            self.parallel.broadcast((batch.trials, watch.rungs))
        return train_trials(batch, on_step, self.parallel, watch)


def worker_of(options: SweepOptions, parallel: DataParallel | None = None) -> Worker:
    """Raises `SpecError` where there is no such cluster."""
    gpus = 0 if options.device == "cpu" else 1
    if options.ray is not None:
        from abcparam.tuning.workers.ray_cluster import RayCluster

        return RayCluster(options.ray, gpus)
    if options.slurm is not None:
        from abcparam.tuning.workers.slurm_cluster import SlurmCluster

        return SlurmCluster(options.slurm, options.folder or Path("slurm"), gpus)
    return LocalWorker(parallel)


def data_parallel_of(options: SweepOptions, identity: object) -> DataParallel | None:
    """Those that train each trial together. Raises `SpecError` where they cannot."""
    if not options.data_parallel:
        return None
    from abcparam.tuning.workers.data_parallel import DataParallel, ShardedParameters

    made = ShardedParameters if options.sharded else DataParallel
    return made(options.device, identity)
