"""Trials as runs of MLflow, the door to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

from abcparam.diagnostics.installed import missing
from abcparam.tuning.output.tracking import Tracker, digest_of, name_of, outcome_of, settings_of
from abcparam.tuning.trials import TrialResult

TAG = "abcparam"  # of a run: which trial it is
AT_ONCE = 1000  # numbers that a server takes


class MlflowRuns(Tracker):
    """A run for each trial in an experiment; those that are there already are not written again.

    Where they go is MLflow's own setting (`MLFLOW_TRACKING_URI`). Raises `SpecError` without it.
    """

    def __init__(self, experiment: str) -> None:
        try:
            from mlflow.entities import Metric, Param
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise missing("--mlflow", "MLflow", error) from None
        self.client, self.metric, self.param = MlflowClient(), Metric, Param
        found = self.client.get_experiment_by_name(experiment)
        made = found.experiment_id if found else self.client.create_experiment(experiment)
        self.experiment = made
        super().__init__(self._finished(made))

    def _finished(self, experiment: str) -> Iterator[str]:
        """The trials that are there, page by page."""
        token = None
        while True:
            wanted = "attributes.status = 'FINISHED'"
            page = self.client.search_runs([experiment], wanted, page_token=token)
            yield from (run.data.tags.get(TAG, "") for run in page)
            token = page.token
            if not token:
                return

    def write(self, result: TrialResult) -> None:
        name, tags = name_of(result.trial), {TAG: digest_of(result.trial)}
        run = self.client.create_run(self.experiment, tags=tags, run_name=name).info.run_id
        settings = settings_of(result.trial).items()
        self.client.log_batch(run, params=[self.param(key, str(value)) for key, value in settings])
        now = int(1000 * time.time())
        losses = [self.metric("training_loss", x, now, n) for n, x in enumerate(result.losses)]
        ends = [self.metric(key, x, now, 0) for key, x in outcome_of(result).items()]
        numbers = [*losses, *ends]
        for first in range(0, len(numbers), AT_ONCE):
            self.client.log_batch(run, metrics=numbers[first : first + AT_ONCE])
        self.client.set_terminated(run)
