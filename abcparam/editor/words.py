"""The pieces of a text by place, and what each is to the compiler."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.language.scanner import OPERATORS, Raw, Token

Position = tuple[int, int]  # line and column, from 1

KINDS = {
    "COMMENT": "comment",
    "NUMBER": "number",
    "STRING": "string",
    "NAME": "name",
    "ODD": "error",
    **dict.fromkeys([*OPERATORS, "ARROW", "EQUAL", "QMARK"], "operator"),
}


class Words(Record):
    """The pieces of a text, in order, and the terminals that the names among them became."""

    pieces: tuple[Raw, ...]
    names: tuple[Raw, ...]
    tokens: tuple[Token, ...]

    def at(self, position: Position) -> Raw | None:
        """The name that a place is in, or right behind."""
        index = bisect_right(self.names, position, key=_start) - 1
        found = self.names[index] if index >= 0 else None
        inside = found and position <= found.span.end and found.line == position[0]
        return found if inside else None

    def last_in(self, span: Span, name: str) -> Span | None:
        """The last place in a stretch where this name stands."""
        start = bisect_left(self.names, span.start, key=_start)
        stop = bisect_left(self.names, span.end, key=_start)
        found = (raw for raw in reversed(self.names[start:stop]) if raw.text == name)
        return next((raw.span for raw in found), None)


def words_of(pieces: Iterable[Raw], tokens: tuple[Token, ...]) -> Words:
    pieces = tuple(pieces)
    return Words(pieces, tuple(piece for piece in pieces if piece.kind == "NAME"), tokens)


def kinds(words: Words) -> list[tuple[Raw, str]]:
    """Every piece that is to be coloured, and as what.

    That is `comment`, `keyword`, `number`, `string`, `operator`, `name`, or `error`.
    """
    read = {(token.line, token.column): token.type for token in words.tokens if token.text}
    found = []
    for piece in words.pieces:
        kind = KINDS.get(piece.kind)
        as_read = read.get((piece.line, piece.column), piece.kind)
        if kind == "name" and as_read.startswith("_"):
            kind = "keyword"
        elif kind and as_read == "ERROR" and kind != "comment":
            kind = "error"
        if kind:
            found.append((piece, kind))
    return found


def _start(raw: Raw) -> Position:
    return raw.line, raw.column
