"""The runs of a check: each is made once, and those on disk are read from there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from abcparam.coordinate_check.laws import RowKey
from abcparam.coordinate_check.measure.store import Store, StoredSizes
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import WidthPlan
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.coordinate_check.measure.measuring import RunSetting, Subject

RunKey = tuple[int, int]  # width and seed
# Of runs as they finish, and their number.
RunProgress = Callable[[Iterable[RunKey], int], Iterable[RunKey]]


def silent(finished: Iterable[RunKey], count: int) -> Iterable[RunKey]:
    """Progress that nobody sees."""
    return finished


class Runs:
    """Of the emitted code, or of the module that is asked for in its place."""

    def __init__(self, report: Report, options: CheckOptions, batch: int, code: str) -> None:
        self.report, self.options, self.batch, self.code = report, options, batch, code
        identity = (code, *(x.identity if x else "" for x in (options.data, options.module)))
        identity += ("alignment",) if options.alignment else ()
        self.store = Store(options.folder, options.steps, batch, options.device, *identity)
        self.known: dict[tuple[int, ...], StoredSizes] = {}
        self.idle: list[Subject] = []  # of those that were made

    def all(
        self, plan: WidthPlan, progress: RunProgress
    ) -> dict[RunKey, Mapping[RowKey, list[float]]]:
        """The sizes of every width and seed."""
        seeds = range(self.options.first, self.options.first + self.options.seeds)
        runs = [(width, seed) for width in plan.dims for seed in seeds]
        left = [run for run in runs if not self.is_known(plan.dims[run[0]], run[1])]
        for _ in progress(self.made(left, plan), len(left)):
            pass
        found = {run: self.known[_key(plan.dims[run[0]], run[1])] for run in runs}
        return {run: {k: list(v) for k, v in sizes.items()} for run, sizes in found.items()}

    def made(self, runs: list[RunKey], plan: WidthPlan) -> Iterator[RunKey]:
        """Makes them, each kept and told when it is finished."""
        count = min(self.side_by_side, len(runs))
        self.ready(count)
        if count < 2:
            for width, seed in runs:
                self.make(plan.dims[width], seed)
                yield width, seed
            return
        longest = sorted(runs, reverse=True)  # first, so that they end together
        with _threads(count) as pool:
            going = {pool.submit(self.make, plan.dims[run[0]], run[1]): run for run in longest}
            for done in as_completed(going):
                done.result()
                yield going[done]

    def is_known(self, dims: Mapping[str, int], seed: int) -> bool:
        """Whether this run is finished, now or earlier."""
        key = _key(dims, seed)
        if key not in self.known and (kept := self.store.read(key)) is not None:
            self.known[key] = kept
        return key in self.known

    def make(self, dims: Mapping[str, int], seed: int) -> None:
        """Trains one and keeps its sizes."""
        subject = self.idle.pop()
        sizes = subject.run(dims, seed, self.setting)
        self.idle.append(subject)
        key = _key(dims, seed)
        self.known[key] = sizes
        self.store.write(key, sizes)

    def seconds_a_step(self, dims: Mapping[str, int]) -> float:
        """Of a new run; of two if nothing ran before, since libraries load in the first."""
        self.ready(1)
        for _ in range(1 if self.known else 2):
            start = time.perf_counter()
            self.make(dims, self.options.first)
            seconds = time.perf_counter() - start
        return seconds / (self.options.steps + 1)

    @property
    def side_by_side(self) -> int:
        """How many runs are made at a time: seeds on the threads that torch has.

        A GPU is one, and code that is compiled or the user's may not bear it.
        """
        import torch

        alone = (
            self.options.device != "cpu" or self.options.compiled or self.options.module is not None
        )
        return 1 if alone else min(self.options.seeds, torch.get_num_threads())

    @cached_property
    def setting(self) -> RunSetting:
        from abcparam.coordinate_check.measure.measuring import RunSetting

        options = self.options
        return RunSetting(
            options.steps,
            self.batch,
            options.device,
            options.compiled,
            options.data,
            alignment=options.alignment,
        )

    def ready(self, count: int) -> None:
        """Has so many subjects; they are made in the main thread, since `ast` holds to one."""
        while len(self.idle) < count:
            self.idle.append(self.subject())

    def subject(self) -> Subject:
        """What is trained: the emitted model, or one that was written by hand."""
        from abcparam.coordinate_check.measure.measuring import Probe

        probe = Probe(self.report, self.code)
        if self.options.module is None:
            return probe
        from abcparam.coordinate_check.measure.foreign import Foreign

        return Foreign(probe, self.options.module)


def _key(dims: Mapping[str, int], seed: int) -> tuple[int, ...]:
    return (*dims.values(), seed)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Each with its share of the threads that torch has; an error ends what waits."""
    import torch

    from abcparam.coordinate_check.measure.measuring import in_double

    threads = torch.get_num_threads()
    share = max(1, threads // count)
    pool = ThreadPoolExecutor(count, initializer=torch.set_num_threads, initargs=(share,))
    with in_double():  # also for those at work when another leaves it
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)
