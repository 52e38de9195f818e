"""The runs of a check: each is made once, and those on disk are read from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from abcparam.coordinates.laws import Key
from abcparam.coordinates.plan import Plan
from abcparam.coordinates.store import Sizes, Store
from abcparam.record import Record
from abcparam.report import Report

if TYPE_CHECKING:
    from abcparam.batches.base import Data
    from abcparam.coordinates.handwritten import Handwritten
    from abcparam.coordinates.measuring import Setting, Subject

TOKENS = 64
Run = tuple[int, int]  # width and seed
Progress = Callable[[list[Run]], Iterator[Run]]


class Wish(Record):
    """What is asked for. `widths` empty: as many as `budget` seconds allow."""

    widths: tuple[int, ...] = ()
    budget: float = 60.0
    seeds: int = 3
    steps: int = 4
    device: str = "cpu"
    compiled: bool = False
    first: int = 0  # the first seed
    given: tuple[str, ...] = ()  # dims that were given a value and keep it
    folder: Path | None = None
    data: Data | None = None  # random numbers if none is given
    module: Handwritten | None = None  # in place of the emitted model
    vary: str = ""  # the dim that is varied, if not the first that goes to infinity
    tokens: int = TOKENS  # positions in a batch


class Runs:
    """Of the emitted code, or of the module that is wished for in its place."""

    def __init__(self, report: Report, wish: Wish, batch: int, code: str) -> None:
        self.report, self.wish, self.batch, self.code = report, wish, batch, code
        identity = (code, *(x.identity if x else "" for x in (wish.data, wish.module)))
        self.store = Store(wish.folder, wish.steps, batch, wish.device, *identity)
        self.known: dict[tuple[int, ...], Sizes] = {}

    def all(self, plan: Plan, progress: Progress) -> dict[Run, Mapping[Key, list[float]]]:
        """The sizes of every width and seed."""
        seeds = range(self.wish.first, self.wish.first + self.wish.seeds)
        runs = [(width, seed) for width in plan.dims for seed in seeds]
        for width, seed in progress([r for r in runs if not self.is_known(plan.dims[r[0]], r[1])]):
            self.sizes(plan.dims[width], seed)
        found = {run: self.sizes(plan.dims[run[0]], run[1]) for run in runs}
        return {run: {k: list(v) for k, v in sizes.items()} for run, sizes in found.items()}

    def is_known(self, dims: Mapping[str, int], seed: int) -> bool:
        """Whether this run is finished, now or earlier."""
        key = (*dims.values(), seed)
        if key not in self.known and (kept := self.store.read(key)) is not None:
            self.known[key] = kept
        return key in self.known

    def sizes(self, dims: Mapping[str, int], seed: int) -> Sizes:
        key = (*dims.values(), seed)
        if not self.is_known(dims, seed):
            self.known[key] = self.subject.run(dims, seed, self.setting)
            self.store.write(key, self.known[key])
        return self.known[key]

    def seconds_a_step(self, dims: Mapping[str, int]) -> float:
        """Of a new run; of two if nothing ran before, since libraries load in the first."""
        key = (*dims.values(), self.wish.first)
        for _ in range(1 if self.known else 2):
            start = time.perf_counter()
            self.known[key] = self.subject.run(dims, self.wish.first, self.setting)
            seconds = time.perf_counter() - start
        self.store.write(key, self.known[key])
        return seconds / (self.wish.steps + 1)

    @cached_property
    def setting(self) -> Setting:
        from abcparam.coordinates.measuring import Setting

        wish = self.wish
        return Setting(wish.steps, self.batch, wish.device, wish.compiled, wish.data)

    @cached_property
    def subject(self) -> Subject:
        """What is trained: the emitted model, or one that was written by hand."""
        from abcparam.coordinates.measuring import Probe

        probe = Probe(self.report, self.code)
        if self.wish.module is None:
            return probe
        from abcparam.coordinates.foreign import Foreign

        return Foreign(probe, self.wish.module)
