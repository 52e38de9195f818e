"""The circumstances under which specs are worked on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from abcparam.algebra.budgets import opened
from abcparam.algebra.collector import without_collector

FRAMES = 20_000  # enough for 64 levels of brackets in each of 32 levels of blocks


@contextmanager
def at_work() -> Iterator[None]:
    """With room for deep specs, without the garbage collector, and within a budget."""
    frames = sys.getrecursionlimit()
    sys.setrecursionlimit(max(FRAMES, frames))
    try:
        with without_collector(), opened():
            yield
    finally:
        sys.setrecursionlimit(frames)
