"""Trials as runs of Weights & Biases, the door to it."""

from __future__ import annotations

from abcparam.diagnostics.installed import missing
from abcparam.tuning.output.tracking import Tracker, digest_of, name_of, outcome_of, settings_of
from abcparam.tuning.trials import TrialResult


class WandbRuns(Tracker):
    """A run for each trial in a project, under an identity of its own: told twice it is the same.

    Where they go is W&B's own setting (`WANDB_MODE=offline`, `WANDB_DIR`). Raises `SpecError`
    without it.
    """

    def __init__(self, project: str) -> None:
        try:
            import wandb
        except ImportError as error:
            raise missing("--wandb", "wandb", error) from None
        super().__init__()
        self.wandb, self.project = wandb, project

    def write(self, result: TrialResult) -> None:
        run = self.wandb.init(
            project=self.project,
            id=digest_of(result.trial),
            name=name_of(result.trial),
            config=settings_of(result.trial),
            resume="allow",
            settings=self.wandb.Settings(silent=True),
        )
        for step in range(run.step, len(result.losses)):
            run.log({"training_loss": result.losses[step]}, step=step)
        run.summary.update(outcome_of(result))
        run.finish()
