"""Trials as a worker takes them, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoHeldOut
from abcparam.diagnostics.source import START
from abcparam.tuning.choices import HELD_OUT
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import OnStep, Trial, TrialResult, silent

if TYPE_CHECKING:
    from abcparam.data.batch import Data
    from abcparam.tuning.train.watch import TrialWatch
    from abcparam.tuning.tunable import Recipe
    from abcparam.tuning.workers.data_parallel import DataParallel


class TrialBatch(Record):
    """Trials that can be trained together, and what they need."""

    recipe: Recipe
    trials: tuple[Trial, ...]
    options: SweepOptions


class TrialBatchResult(Record):
    """A batch, its results, and why its trials were trained one by one if they were."""

    batch: TrialBatch
    results: Sequence[TrialResult]
    why: Sequence[str]


def data_of(options: SweepOptions) -> Data:
    from abcparam.data.synthetic import Synthetic

    return options.data or Synthetic()


def train_trials(
    batch: TrialBatch,
    on_step: OnStep = silent,
    parallel: DataParallel | None = None,
    watch: TrialWatch | None = None,
) -> TrialBatchResult:
    """Trains it. Raises `SpecError` where the data do not fit."""
    from abcparam.tuning.train.stacking import train
    from abcparam.tuning.train.training import Job, TrialRun
    from abcparam.tuning.workers.data_parallel import SingleProcess

    first, options = batch.trials[0], batch.options
    setting: dict[str, Any] = {"device": options.device, "compiled": options.compiled}
    processes = parallel or SingleProcess()
    data = data_of(options)
    setting |= {"steps": first.steps, "batch": first.batch, "processes": processes}
    builder = batch.recipe.builder(options.compiled)
    job = Job(batch.recipe.program, builder, data, **setting)
    if options.by == HELD_OUT and job.held_out(job.config(dict(first.values))) is None:
        error = NoHeldOut.at(START, data=data.name)
        raise SpecError(batch.recipe.program.source, [error])
    why: list[str] = []
    runs = [TrialRun(dict(trial.values), trial.seed, trial.schedule) for trial in batch.trials]
    trained = zip(batch.trials, train(job, runs, on_step, why.append, watch), strict=True)
    results = [TrialResult(t, tuple(found.losses), found.held_out) for t, found in trained]
    return TrialBatchResult(batch, results, why)
