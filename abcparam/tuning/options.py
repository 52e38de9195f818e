"""What a sweep is asked for; imports nothing that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.record import Record
from abcparam.tuning.choices import RANDOM, TRAINING
from abcparam.tuning.schedules import CONSTANT

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.data.batch import Data

AS_WRITTEN = ""  # the form of the spec's own parametrization
SEARCHED = 32  # trials of a transfer


class SweepOptions(Record):
    """What a sweep is asked for. `trials` 0: a grid; else so many points, drawn by `sampler`."""

    over: tuple[str, ...] = ()
    forms: tuple[str, ...] = (AS_WRITTEN,)
    trials: int = 0
    seeds: int = 1
    first: int = 0  # the first seed, and that of a random search
    steps: int = 100
    batch: int = 32
    schedule: str = CONSTANT  # unless `over` has some
    by: str = TRAINING
    sampler: str = RANDOM  # of `trials`, one of `SAMPLERS`
    prune: bool = False  # trials that others leave behind are stopped early
    storage: str | None = None  # the database of studies; none: a file in `folder`
    ray: str | None = None  # the cluster's address, `local`: one that is started here
    slurm: str | None = None  # settings of its jobs, `local`: processes of this machine
    ranks: int = 1  # processes that were started for this sweep
    data_parallel: bool = False  # they train each trial together, instead of sharing the trials
    sharded: bool = False  # and `data_parallel`, each with a part of the parameters
    board: Path | None = None  # of TensorBoard
    wandb: str | None = None  # a project of Weights & Biases
    mlflow: str | None = None  # an experiment of MLflow
    together: int = 64  # trials in one program, 1: one by one
    device: str = "cpu"
    compiled: bool = False
    data: Data | None = None
    folder: Path | None = None

    @property
    def sampled(self) -> bool:
        """Whether a sampler of Optuna chooses the points."""
        return self.sampler != RANDOM and self.trials > 0

    @property
    def sharers(self) -> int:
        """Processes that share the trials."""
        return 1 if self.data_parallel else self.ranks

    @property
    def abreast(self) -> int:
        """Trials in one program at most."""
        return 1 if self.data_parallel else self.together
