"""A part of a sweep as a worker takes it, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoHeldOut
from abcparam.diagnostics.source import START
from abcparam.program.model import Program
from abcparam.tuning.choices import HELD_OUT
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import Result, Tick, Trial, silent

if TYPE_CHECKING:
    from abcparam.data.batch import Data
    from abcparam.tuning.workers.data_parallel import Ranks


class Part(Record):
    """Trials that can be trained together, and what they need."""

    program: Program
    code: str
    trials: tuple[Trial, ...]
    options: SweepOptions


class Done(Record):
    """A part, its results, and why its trials were trained one by one if they were."""

    part: Part
    results: Sequence[Result]
    why: Sequence[str]


def data_of(options: SweepOptions) -> Data:
    from abcparam.data.synthetic import Synthetic

    return options.data or Synthetic()


def train_part(part: Part, tick: Tick = silent, ranks: Ranks | None = None) -> Done:
    """Trains it. Raises `SpecError` where the data do not fit."""
    from abcparam.tuning.train.stacking import train
    from abcparam.tuning.train.training import Run, job_of
    from abcparam.tuning.workers.data_parallel import Team

    first, options = part.trials[0], part.options
    setting = {"device": options.device, "compiled": options.compiled, "team": ranks or Team()}
    data = data_of(options)
    job = job_of(part.program, part.code, data, steps=first.steps, batch=first.batch, **setting)
    if options.by == HELD_OUT and job.held_out(job.config(dict(first.values))) is None:
        said = NoHeldOut.at(START, data=data.name)
        raise SpecError(part.program.source, [said])
    why: list[str] = []
    runs = [Run(dict(trial.values), trial.seed, trial.schedule) for trial in part.trials]
    trained = zip(part.trials, train(job, runs, tick, why.append), strict=True)
    results = [Result(t, tuple(found.losses), found.held_out) for t, found in trained]
    return Done(part, results, why)
