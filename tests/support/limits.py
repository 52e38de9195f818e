"""A limit of processor time around work that may have no end."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class TooLongError(BaseException):
    """Work took longer than it may, wherever it is: no `except Exception` takes it for its own."""


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Raises `TooLongError` inside after so many seconds of the processor."""

    def stop(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
