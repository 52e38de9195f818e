"""Long lists and long texts in one line."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMES = 6
MOST_LETTERS = 200


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """`W1, W2 and 7 more`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def first_line(problem: object) -> str:
    """The first line of what an error says, cut off where it is long."""
    return str(problem).partition("\n")[0][:MOST_LETTERS]
