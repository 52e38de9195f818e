"""What trackers of experiments are told of a trial: its name, its settings, what became of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable

from abcparam.tuning.trials import Trial, TrialResult


class Tracker:
    """Keeps a run for each trial, none twice; `told` are the digests of those that are there."""

    def __init__(self, told: Iterable[str] = ()) -> None:
        self.told = set(told)

    def add(self, results: Iterable[TrialResult]) -> None:
        for result in results:
            if not self.has(result.trial):
                self.told.add(digest_of(result.trial))
                self.write(result)

    def has(self, trial: Trial) -> bool:
        return digest_of(trial) in self.told

    def write(self, result: TrialResult) -> None:
        """Makes the run of a trial."""
        raise NotImplementedError


def digest_of(trial: Trial) -> str:
    return hashlib.sha256(f"{trial.form} {trial.key}".encode()).hexdigest()[:8]


def name_of(trial: Trial) -> str:
    """Of a run: its values as far as a file name holds them, and a hash of all."""
    values = [f"{name}={float(value):.4g}" for name, value in trial.values]
    parts = [*([trial.form] if trial.form else []), *values]
    return ",".join(parts)[:150] + f"-{digest_of(trial)}"


def settings_of(trial: Trial) -> dict[str, str | float]:
    found: dict[str, str | float] = {"parametrization": trial.form or "as written"}
    found |= {name: float(value) for name, value in trial.values}
    found |= {"schedule": trial.schedule, "steps": trial.steps, "batch": trial.batch}
    return {**found, "seed": trial.seed}


def outcome_of(result: TrialResult) -> dict[str, float]:
    """Losses at its end, where it has some: it may have diverged, or been stopped early."""
    found = {"diverged": float(result.diverged)}
    if math.isfinite(result.loss):
        found["loss"] = result.loss
    if result.held_out is not None:
        found["held_out"] = result.held_out
    return found
