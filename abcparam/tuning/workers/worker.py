"""Who trains the parts of a sweep: this process, alone or as rank 0 of those that train with it
(`team.py`), or a cluster (`cluster.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import Tick
from abcparam.tuning.workers.part import Done, Part, train_part

if TYPE_CHECKING:
    from abcparam.tuning.workers.data_parallel import Ranks


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


def crew_of(options: SweepOptions, ranks: Ranks | None = None) -> Crew:
    """Raises `SpecError` where there is no such cluster."""
    if options.ray is None:
        return Alone(ranks)
    from abcparam.tuning.workers.ray_cluster import Cluster

    return Cluster(options.ray, gpus=0 if options.device == "cpu" else 1)


def ranks_of(options: SweepOptions, identity: object) -> Ranks | None:
    """Those that train each trial together. Raises `SpecError` where they cannot."""
    if not options.data_parallel:
        return None
    from abcparam.tuning.workers.data_parallel import Ranks

    return Ranks(options.device, identity)
