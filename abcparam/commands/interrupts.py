"""Ctrl-C ends a command, also where code that it calls would lose it.

Python drops what is raised while it frees an object, and libraries in C make other exceptions of
it.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SOON = 0.01  # seconds


class Interrupts:
    """Whether one has come that nobody has taken."""

    def __init__(self) -> None:
        self.came = False
        self.unraisable = sys.unraisablehook

    def raised(self, number: int, frame: FrameType | None) -> None:
        self.came = True
        signal.default_int_handler(number, frame)

    def dropped(self, found: sys.UnraisableHookArgs) -> None:
        """Raises an interrupt that was dropped once more, a little later."""
        if self.came and issubclass(found.exc_type, KeyboardInterrupt):
            from threading import Timer  # of which a command that is not interrupted has no need

            Timer(SOON, self.again).start()
        else:
            self.unraisable(found)

    def again(self) -> None:
        import threading

        if signal.getsignal(signal.SIGINT) == self.raised:
            main = threading.main_thread().ident
            if sys.platform != "win32" and main is not None:
                signal.pthread_kill(main, signal.SIGINT)  # wakes it, where it sleeps
            else:
                signal.raise_signal(signal.SIGINT)


INTERRUPTS = Interrupts()


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, an interrupt is raised until it is caught, and known to have come."""
    INTERRUPTS.came = False
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if ours:
            signal.signal(signal.SIGINT, INTERRUPTS.raised)
    except ValueError:  # not in the main thread
        ours = False
    if not ours:
        yield
        return
    INTERRUPTS.unraisable = sys.unraisablehook
    sys.unraisablehook = INTERRUPTS.dropped
    try:
        yield
    finally:
        sys.unraisablehook = INTERRUPTS.unraisable
        signal.signal(signal.SIGINT, signal.default_int_handler)
