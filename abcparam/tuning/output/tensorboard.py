"""Losses for TensorBoard, the door to it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from pathlib import Path

from abcparam.diagnostics.installed import missing
from abcparam.tuning.trials import Trial, TrialResult


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
        trial, found = result.trial, {"hparam/diverged": float(result.diverged)}
        if math.isfinite(result.loss):
            found["hparam/loss"] = result.loss
        if result.held_out is not None:
            found["hparam/held_out"] = result.held_out
        settings = {"schedule": trial.schedule, "steps": trial.steps, "batch": trial.batch}
        values = {name: float(value) for name, value in trial.values}
        with self.writer(str(place)) as writer:
            for step, loss in enumerate(result.losses):
                writer.add_scalar("loss", loss, step)
            hypers = {"parametrization": trial.form or "as written", **values, **settings}
            writer.add_hparams({**hypers, "seed": trial.seed}, found, run_name=".")


def name_of(trial: Trial) -> str:
    """Of a run: its values as far as a file name holds them, and a hash of all."""
    digest = hashlib.sha256(f"{trial.form} {trial.key}".encode()).hexdigest()[:8]
    values = [f"{name}={float(value):.4g}" for name, value in trial.values]
    return ",".join([*([trial.form] if trial.form else []), *values])[:150] + f"-{digest}"
