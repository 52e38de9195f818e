"""What a search or a proof may take: processor time and memory.

Whoever begins work opens a budget, and what searches spends it. Where it is spent, a search ends
with what it has found, and says so. Reading, judging and writing are no searches: they take the
time that the size of a spec explains.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from time import perf_counter

if sys.platform == "emscripten":  # in a browser, where threads have no clocks of their own
    from time import process_time as thread_time
else:
    from time import thread_time

SECONDS = 10.0  # of the processor, unless another budget is given
MEGABYTES = 400  # more than were in use when the work began
PAUSE = 0.01  # seconds between two looks at what is spent
NOT_FURTHER = "not searched further: {why}"


class SpentError(Exception):
    """The budget is spent; the text says so."""


class _Budget:
    """What is left, from now on."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.until = thread_time() + seconds
        self.megabytes = _peak() + MEGABYTES
        self.next = 0.0

    def spend(self) -> None:
        now = perf_counter()
        if now < self.next:
            return
        if why := self.spent():
            raise SpentError(why)
        self.next = now + PAUSE

    def spent(self) -> str:
        why = ""
        if thread_time() > self.until:
            why = f"the budget of {self.seconds:g} s is spent (`--budget` sets another)"
        elif _peak() > self.megabytes:
            why = f"the search takes more than {MEGABYTES} MB of memory"
        return why and NOT_FURTHER.format(why=why)


_allowed: ContextVar[float] = ContextVar("allowed", default=SECONDS)
_open: ContextVar[_Budget | None] = ContextVar("open", default=None)


@contextmanager
def budget(seconds: float) -> Iterator[None]:
    """Searches and proofs inside may take so many seconds of processor time, 10 otherwise.

    `with abcparam.budget(60): abcparam.solve(text)`. A search whose budget is spent ends with what
    it has found, and says "not searched further".
    """
    token = _allowed.set(seconds)
    try:
        yield
    finally:
        _allowed.reset(token)


@contextmanager
def opened() -> Iterator[None]:
    """Spent from now on, unless one is open that this work is a part of."""
    if _open.get() is not None:
        yield
        return
    token = _open.set(_Budget(_allowed.get()))
    try:
        yield
    finally:
        _open.reset(token)


def spend() -> None:
    """Raises `SpentError` where the budget that is open is spent."""
    found = _open.get()
    if found is not None:
        found.spend()


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: in Python, in the system, in PyTorch on a CPU or a device."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return any(words in str(error) for words in ("out of memory", "allocate memory"))


if sys.platform == "win32" or sys.platform == "emscripten":

    def _peak() -> float:
        return 0.0

else:
    import resource

    PEAKS_A_MEGABYTE = 2**20 if sys.platform == "darwin" else 2**10

    def _peak() -> float:
        """The most memory that this process has had, in megabytes."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / PEAKS_A_MEGABYTE
