"""Trials as jobs of SLURM, the door to submitit."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.installed import missing
from abcparam.diagnostics.rules.tuning import BadJobs
from abcparam.presentation.words import first_line
from abcparam.tuning.workers.cluster import Cluster, WorkerLostError, carry
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials

if TYPE_CHECKING:
    from abcparam.tuning.train.watch import TrialWatch

LOCAL = "local"  # jobs that are processes of this machine
JOBS = 8  # at a time
LOOK = 1.0  # seconds between two looks at jobs
ONE_JOB = {"nodes": 1, "tasks_per_node": 1, "cpus_per_task": 1, "timeout_min": 240}


class SlurmCluster(Cluster):
    """A job for each batch of trials. `settings` are those of submitit, `NAME=VALUE,…`.

    `jobs` is how many are queued at a time; `slurm_partition`, `timeout_min`, `cpus_per_task`, …
    are submitit's own. Jobs and their logs lie in a folder that all nodes have.
    """

    option = "--slurm"

    def __init__(self, settings: str, folder: Path, gpus: int = 0) -> None:
        try:
            import cloudpickle
            import submitit
        except ImportError as error:
            raise missing("--slurm", "SLURM", error) from None
        local, given = settings_of(settings)
        super().__init__(int(given.pop("jobs", JOBS)))
        kind = LOCAL if local else "slurm"
        try:
            self.executor = submitit.AutoExecutor(folder=folder / "jobs", cluster=kind)
            self.executor.update_parameters(**ONE_JOB, **({"gpus_per_node": gpus} if gpus else {}))
            self.executor.update_parameters(name="abcparam", **given)
        except Exception as error:  # of settings, or as there is no SLURM
            raise _refused(settings, error) from None
        self.cloudpickle = cloudpickle
        self.uncompleted = submitit.core.utils.UncompletedJobError

    def close(self) -> None:
        for job in self.running:
            job.cancel()

    def submitted(self, batch: TrialBatch, watch: TrialWatch) -> Any:
        carry(self.cloudpickle, batch)
        return self.executor.submit(trained, batch, watch)

    def ready(self) -> Iterable[Any]:
        found = [job for job in self.running if job.done()]
        if not found:
            time.sleep(LOOK)
        return found

    def result(self, task: Any) -> TrialBatchResult:
        try:
            found: TrialBatchResult | Exception = task.result()
        except self.uncompleted as error:  # killed, preempted for good, its node lost
            raise WorkerLostError(str(error)) from None
        if isinstance(found, Exception):
            raise found
        return found


def trained(batch: TrialBatch, watch: TrialWatch) -> TrialBatchResult | Exception:
    """In a job; what it raises comes back, as submitit keeps only the text of it."""
    try:
        return train_trials(batch, watch=watch)
    except Exception as error:
        return error


def settings_of(text: str) -> tuple[bool, dict[str, Any]]:
    """Whether jobs are local, and the settings. Raises `SpecError`."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    pairs = [part.partition("=") for part in parts if part != LOCAL]
    if any(not name or not equals or not value for name, equals, value in pairs):
        raise _refused(text, "settings are NAME=VALUE")
    values = {name.strip(): _value(value.strip()) for name, _, value in pairs}
    jobs = values.get("jobs", 1)
    if not isinstance(jobs, int) or jobs < 1:
        raise _refused(text, "`jobs` is a positive whole number")
    return LOCAL in parts, values


def _value(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _refused(settings: str, problem: object) -> SpecError:
    fields = {"settings": settings, "problem": first_line(problem)}
    return SpecError.about("--slurm", BadJobs, **fields)
