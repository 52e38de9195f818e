"""Trials as runs of Weights & Biases, the door to it."""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.diagnostics.installed import missing
from abcparam.tuning.output.tracking import digest_of, name_of, outcome_of, settings_of
from abcparam.tuning.trials import TrialResult


class WandbRuns:
    """A run for each trial in a project, under an identity of its own: told twice it is the same.

    Where they go is W&B's own setting (`WANDB_MODE=offline`, `WANDB_DIR`). Raises `SpecError`
    without it.
    """

    def __init__(self, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing("--wandb", "wandb", error) from None
        self.wandb, self.project = wandb, project
        self.told: set[str] = set()

    def add(self, results: Iterable[TrialResult]) -> None:
        for result in results:
            digest = digest_of(result.trial)
            if digest not in self.told:
                self.told.add(digest)
                self._write(result, digest)

    def _write(self, result: TrialResult, digest: str) -> None:
        run = self.wandb.init(
            project=self.project,
            id=digest,
            name=name_of(result.trial),
            config=settings_of(result.trial),
            resume="allow",
            settings=self.wandb.Settings(silent=True),
        )
        for step in range(run.step, len(result.losses)):
            run.log({"training_loss": result.losses[step]}, step=step)
        run.summary.update(outcome_of(result))
        run.finish()
