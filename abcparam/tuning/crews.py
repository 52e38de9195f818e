"""Who trains the parts of a sweep: this process, alone or as rank 0 of those that train with it
(`team.py`), or a cluster (`cluster.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from abcparam.diagnostics import SpecError
from abcparam.program import Program
from abcparam.record import Record
from abcparam.rules.tuning import NoHeldOut
from abcparam.source import START
from abcparam.tuning.choices import HELD_OUT
from abcparam.tuning.trials import Result, Tick, Trial, Wish, silent

if TYPE_CHECKING:
    from abcparam.batches.base import Data
    from abcparam.tuning.team import Ranks


class Part(Record):
    """Trials that can be trained together, and what they need."""

    program: Program
    code: str
    trials: tuple[Trial, ...]
    wish: Wish


class Done(Record):
    """A part, its results, and why its trials were trained one by one if they were."""

    part: Part
    results: Sequence[Result]
    why: Sequence[str]


class Crew(Protocol):
    """Takes parts while it is free, and gives them back done."""

    @property
    def size(self) -> int:
        """How many parts it can be at."""
        ...

    @property
    def free(self) -> bool: ...

    def start(self, part: Part) -> None: ...

    def finished(self, tick: Tick) -> list[Done]:
        """What has become done; waits for something if anything was started."""
        ...


class Alone:
    """This process, one part after another; with all ranks where there are some."""

    size = 1

    def __init__(self, ranks: Ranks | None = None) -> None:
        self.ranks = ranks
        self.waiting: list[Part] = []

    @property
    def free(self) -> bool:
        return not self.waiting

    def start(self, part: Part) -> None:
        self.waiting.append(part)

    def finished(self, tick: Tick) -> list[Done]:
        parts, self.waiting = self.waiting, []
        return [self._trained(part, tick) for part in parts]

    def _trained(self, part: Part, tick: Tick) -> Done:
        if self.ranks is not None:
            self.ranks.told(part.trials)
        return train_part(part, tick, self.ranks)


def crew_of(wish: Wish, ranks: Ranks | None = None) -> Crew:
    """Raises `SpecError` where there is no such cluster."""
    if wish.ray is None:
        return Alone(ranks)
    from abcparam.tuning.cluster import Cluster

    return Cluster(wish.ray, gpus=0 if wish.device == "cpu" else 1)


def data_of(wish: Wish) -> Data:
    from abcparam.batches.synthetic import Synthetic

    return wish.data or Synthetic()


def ranks_of(wish: Wish, identity: object) -> Ranks | None:
    """Those that train each trial together. Raises `SpecError` where they cannot."""
    if not wish.data_parallel:
        return None
    from abcparam.tuning.team import Ranks

    return Ranks(wish.device, identity)


def train_part(part: Part, tick: Tick = silent, ranks: Ranks | None = None) -> Done:
    """Trains it. Raises `SpecError` where the data do not fit."""
    from abcparam.tuning.stacking import train
    from abcparam.tuning.team import Team
    from abcparam.tuning.training import Run, job_of

    first, wish = part.trials[0], part.wish
    setting = {"device": wish.device, "compiled": wish.compiled, "team": ranks or Team()}
    data = data_of(wish)
    job = job_of(part.program, part.code, data, steps=first.steps, batch=first.batch, **setting)
    if wish.by == HELD_OUT and job.held_out(job.config(dict(first.values))) is None:
        said = NoHeldOut.at(START, data=data.name)
        raise SpecError(part.program.source, [said])
    why: list[str] = []
    runs = [Run(dict(trial.values), trial.seed, trial.schedule) for trial in part.trials]
    trained = zip(part.trials, train(job, runs, tick, why.append), strict=True)
    results = [Result(t, tuple(found.losses), found.held_out) for t, found in trained]
    return Done(part, results, why)
