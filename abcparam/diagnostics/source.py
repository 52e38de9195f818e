"""A spec's text and places in it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from abcparam.algebra.record import Record


class Span(Record):
    """A stretch of source: lines and columns count from 1, the end is exclusive.

    `file` is empty in the source's own text, else the path of another one.
    """

    line: int
    column: int
    end_line: int
    end_column: int
    file: str = ""

    @property
    def start(self) -> tuple[int, int]:
        """Its start, as line and column."""
        return self.line, self.column

    @property
    def end(self) -> tuple[int, int]:
        """Its end, as line and column."""
        return self.end_line, self.end_column

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.line, self.column, other.end_line, other.end_column, self.file)

    def to_dict(self) -> dict[str, int | str]:
        place: dict[str, int | str] = {"file": self.file} if self.file else {}
        return place | {
            "line": self.line,
            "column": self.column,
            "end_line": self.end_line,
            "end_column": self.end_column,
        }

    @classmethod
    def from_dict(cls, place: Mapping[str, Any]) -> Span:
        """The span that `to_dict` was of."""
        return cls(**place)


START = Span(1, 1, 1, 1)


class Source(Record):
    """The text of a spec; `file` is its path as given, `-` for standard input.

    A model in Python may be spread over files: `others` are those beside the first, by path.
    """

    text: str
    file: str = "-"
    folder: str | None = None
    others: Mapping[str, Source] = {}

    def holding(self, span: Span) -> Source:
        """The source that a place is in."""
        return self.others.get(span.file, self)

    @property
    def lines(self) -> list[str]:
        """Its lines without their ends; not to be changed."""
        return _lines(self.text)


@lru_cache(1)
def _lines(text: str) -> list[str]:
    """Split once for all that is said of a text."""
    return text.split("\n")
