"""A spec's text and places in it."""

from __future__ import annotations

from abcparam.algebra.record import Record


class Span(Record):
    """A stretch of source: lines and columns count from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int

    @property
    def end(self) -> tuple[int, int]:
        """Its end, as line and column."""
        return self.end_line, self.end_column

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.line, self.column, other.end_line, other.end_column)

    def to_dict(self) -> dict[str, int]:
        return {
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
        }


START = Span(1, 1, 1, 1)


class Source(Record):
    """The text of a spec; `file` is its path as given, `-` for standard input."""

    text: str
    file: str = "-"
    folder: str | None = None

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")
