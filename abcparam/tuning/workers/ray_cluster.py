"""Trials on a Ray cluster, the door to Ray."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.installed import missing
from abcparam.diagnostics.rules.tuning import NoCluster
from abcparam.presentation.words import first_line
from abcparam.tuning.workers.cluster import Cluster, WorkerLostError, carry
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials

if TYPE_CHECKING:
    from abcparam.tuning.train.watch import TrialWatch

LOCAL = "local"
LOOK = 5.0  # seconds until whoever waits is heard of again


class RayCluster(Cluster):
    """One batch of trials for each of its processors, or of its GPUs where they are used.

    What Ray prints goes to stderr until it is closed.
    """

    option = "--ray"

    def __init__(self, address: str, gpus: int = 0) -> None:
        self.quiet = ExitStack()
        self.quiet.enter_context(stdout_to_stderr())
        try:
            self.ray = connected(address)
            resources = self.ray.cluster_resources()
        except BaseException:
            self.quiet.close()
            raise
        super().__init__(max(1, int(resources.get("GPU" if gpus else "CPU", 1))))
        # Whoever loses a worker hears of it here, so that each batch is started again in one way.
        remote = self.ray.remote(num_cpus=1, num_gpus=gpus, max_retries=0)
        self.train = remote(train_trials)
        self.head = self.ray.get_runtime_context().gcs_address
        self.gone = False

    def close(self) -> None:
        if self.gone:
            self.ray.shutdown()
        else:
            for task in self.running:
                self.ray.cancel(task, force=True)
        self.quiet.close()

    def submitted(self, batch: TrialBatch, watch: TrialWatch) -> Any:
        carry(self.ray.cloudpickle, batch)
        return self.train.remote(batch, watch=watch)

    def ready(self) -> Iterable[Any]:
        try:
            found, _ = self.ray.wait(list(self.running), timeout=LOOK)
        except self.ray.exceptions.RayError as error:
            raise self._gone(str(error)) from None
        if not found:
            self._require_alive()
        return list(found)

    def _require_alive(self) -> None:
        """Ray waits for a cluster that is gone, and in the end ends the process."""
        host, _, port = self.head.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=LOOK).close()
        except OSError as error:
            raise self._gone(f"its head does not answer ({error})") from None
        if not any(node["Alive"] for node in self.ray.nodes()):
            raise self._gone("no node of the cluster is alive")

    def _gone(self, problem: str) -> SpecError:
        self.gone = True
        return self.dead(problem)

    def result(self, task: Any) -> TrialBatchResult:
        errors = self.ray.exceptions
        try:
            found: TrialBatchResult = self.ray.get(task)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.LocalRayletDiedError as error:
            raise self._gone(str(error)) from None
        except errors.RayError as error:  # of a worker that was killed, a node, lost memory
            raise WorkerLostError(str(error)) from None
        return found


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """What is printed here, by Python or below it, is no output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def connected(address: str) -> Any:
    """Ray, at work at an address. Raises `SpecError` where it is not."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise missing("--ray", "Ray", error) from None
    if ray.is_initialized():
        return ray
    # Ray's own `local` starts one even where another was, and may be gone, of which it has a note.
    where: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address, **where, log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # also one of no class of its own
        problem = first_line(error)
        fields = {"address": address, "problem": problem}
        raise SpecError.about("--ray", NoCluster, **fields) from None
    return ray
