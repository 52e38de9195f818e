"""Losses for TensorBoard, the door to it."""

from __future__ import annotations

from pathlib import Path

from abcparam.diagnostics.installed import missing
from abcparam.tuning.output.tracking import Tracker, name_of, outcome_of, settings_of
from abcparam.tuning.trials import Trial, TrialResult


class TensorBoardWriter(Tracker):
    """A run for each trial below a folder; those that are there already are not written again.

    Raises `SpecError` without TensorBoard.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("--tensorboard", "TensorBoard", error) from None
        super().__init__()
        self.folder, self.writer = folder, SummaryWriter

    def has(self, trial: Trial) -> bool:
        return (self.folder / name_of(trial)).exists()

    def write(self, result: TrialResult) -> None:
        place = self.folder / name_of(result.trial)
        found = {f"hparam/{name}": value for name, value in outcome_of(result).items()}
        with self.writer(str(place)) as writer:
            for step, loss in enumerate(result.losses):
                writer.add_scalar("loss", loss, step)
            writer.add_hparams(settings_of(result.trial), found, run_name=".")
