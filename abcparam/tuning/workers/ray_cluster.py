"""Trials on a Ray cluster, the door to Ray."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoCluster
from abcparam.tuning.trials import OnStep, missing
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials

LOCAL = "local"
LOOK = 5.0  # seconds until whoever waits is heard of again


class RayCluster:
    """One batch of trials for each of its processors, or of its GPUs where they are used."""

    def __init__(self, address: str, gpus: int = 0) -> None:
        self.ray = connected(address)
        self.size = max(1, int(self.ray.cluster_resources().get("GPU" if gpus else "CPU", 1)))
        self.train = self.ray.remote(num_cpus=1, num_gpus=gpus)(train_trials)
        self.running: dict[Any, TrialBatch] = {}

    @property
    def free(self) -> bool:
        return len(self.running) < self.size

    def start(self, batch: TrialBatch) -> None:
        function = getattr(
            batch.options.data, "function", None
        )  # of a module that others do not have
        module = sys.modules.get(getattr(function, "__module__", ""))
        if module is not None:
            self.ray.cloudpickle.register_pickle_by_value(module)
        self.running[self.train.remote(batch)] = batch

    def finished(self, on_step: OnStep) -> list[TrialBatchResult]:
        """Raises what training raised."""
        on_step(0)
        ready, _ = self.ray.wait(list(self.running), timeout=LOOK) if self.running else ([], [])
        batches = [(task, self.running.pop(task)) for task in ready]
        try:
            found = [(batch, self.ray.get(task)) for task, batch in batches]
        except self.ray.exceptions.RayTaskError as error:
            raise error.cause from None
        for batch, _ in found:
            on_step(sum(trial.steps for trial in batch.trials))
        return [TrialBatchResult(batch, done.results, done.why) for batch, done in found]


def connected(address: str) -> Any:
    """Ray, at work at an address. Raises `SpecError` where it is not."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise missing("--ray", "Ray", error) from None
    if ray.is_initialized():
        return ray
    where = {"include_dashboard": False} if address == LOCAL else {"address": address}
    try:
        ray.init(**where, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError, OSError) as error:
        problem = str(error).partition("\n")[0][:200]
        fields = {"address": address, "problem": problem}
        raise SpecError.about("--ray", NoCluster, **fields) from None
    return ray
