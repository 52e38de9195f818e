"""Losses for TensorBoard, the door to it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from abcparam.diagnostics.installed import missing
from abcparam.tuning.output.tracking import name_of, outcome_of, settings_of
from abcparam.tuning.trials import TrialResult


class TensorBoardWriter:
    """A run for each trial below a folder; those that are there already are not written again.

    Raises `SpecError` without TensorBoard.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise missing("--tensorboard", "TensorBoard", error) from None
        self.folder, self.writer = folder, SummaryWriter

    def add(self, results: Iterable[TrialResult]) -> None:
        for result in results:
            place = self.folder / name_of(result.trial)
            if not place.exists():
                self._write(result, place)

    def _write(self, result: TrialResult, place: Path) -> None:
        found = {f"hparam/{name}": value for name, value in outcome_of(result).items()}
        with self.writer(str(place)) as writer:
            for step, loss in enumerate(result.losses):
                writer.add_scalar("loss", loss, step)
            writer.add_hparams(settings_of(result.trial), found, run_name=".")
