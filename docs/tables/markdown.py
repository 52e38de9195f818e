"""Tables in Markdown."""

from __future__ import annotations

from abcparam.algebra.record import Record


class Table(Record):
    """A head, and rows of as many cells."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def text(self) -> str:
        lines = [self.head, *self.rows]
        assert {len(line) for line in lines} == {len(self.head)}
        first, *rest = (f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines)
        return "\n".join([first, "|---" * len(self.head) + "|", *rest])


def code(*texts: str) -> str:
    """Each as code, with commas between."""
    return ", ".join(f"`{text}`" for text in texts)
