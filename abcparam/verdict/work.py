"""The circumstances under which specs are worked on."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from abcparam.algebra.budgets import opened

FRAMES = 20_000  # enough for 64 levels of brackets in each of 32 levels of blocks


@contextmanager
def at_work() -> Iterator[None]:
    """With room for deep specs, without the garbage collector, and within a budget.

    Whatever a phase makes is kept, and passes over it all cost time.
    """
    collecting, frames = gc.isenabled(), sys.getrecursionlimit()
    gc.disable()
    sys.setrecursionlimit(max(FRAMES, frames))
    try:
        with opened():
            yield
    finally:
        sys.setrecursionlimit(frames)
        if collecting:
            gc.enable()
