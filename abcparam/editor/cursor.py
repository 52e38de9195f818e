"""What is being written at a place: the statement so far, and the brackets around the place."""

from __future__ import annotations

import re
from collections.abc import Sequence

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Source, Span
from abcparam.editor.words import Position
from abcparam.language.lexer import Frame, Layout
from abcparam.language.parser import pieces
from abcparam.language.scanner import Token

HERE = "HERE"  # the kind of the piece that is put where something is being written
HYPHENATED = ("_EXPECT", "_ASSUME")  # statements whose words have hyphens
WORD = re.compile(r"[A-Za-z0-9_]*$")
WORDS = re.compile(r"[A-Za-z0-9_-]*$")


class Cursor(Record):
    """A place where something is being written.

    `span` is the word so far. `frames` are the open brackets with their statements, the innermost
    last; `item` is what stands before the word, back to the start of the statement or argument.
    """

    span: Span
    frames: tuple[Frame, ...]
    tokens: tuple[Token, ...]

    @property
    def kind(self) -> str:
        """What is around it: `top`, `body`, `list` (braces of settings) or `group` (other)."""
        return self.frames[-1].kind

    @property
    def head(self) -> str:
        """The keyword of the statement, as a terminal."""
        return self.frames[-1].head

    @property
    def previous(self) -> str:
        """The type of the token before it."""
        return self.tokens[-1].type if self.tokens else ""

    @property
    def item(self) -> tuple[Token, ...]:
        separators = ("COMMA", "_END") if self.kind in ("list", "group") else ("_END",)
        return self._back(len(self.frames) - 1, separators)

    @property
    def called(self) -> str:
        """The name before the innermost bracket, if that is around arguments."""
        frame = self.frames[-1]
        before = self.tokens[frame.index - 1] if frame.type == "LPAR" and frame.index else None
        return before.text if before and before.type == "NAME" else ""

    def before_braces(self) -> tuple[Token, ...]:
        """The words of the statement whose braces are around the place."""
        frame = next((f for f in reversed(self.frames) if f.type == "LBRACE"), None)
        start = frame.index if frame else 0
        found: list[Token] = []
        for token in reversed(self.tokens[:start]):
            if token.type in ("_END", "LBRACE", "RBRACE"):
                break
            found.append(token)
        return tuple(reversed(found))

    def _back(self, depth: int, separators: Sequence[str]) -> tuple[Token, ...]:
        start = self.frames[depth].index + 1 if depth else 0
        found: list[Token] = []
        for token in reversed(self.tokens[start:]):
            if token.depth == depth and token.type in separators:
                break
            found.append(token)
        return tuple(reversed(found))


def cursor_at(source: Source, position: Position) -> Cursor | None:
    """What is being written at a place; None in a comment, or in quotes."""
    lines = source.lines
    line = lines[position[0] - 1] if position[0] <= len(lines) else ""
    before = line[: position[1] - 1]
    above = "".join(f"{text}\n" for text in lines[: position[0] - 1])
    found = _cursor(above, before, WORD, position)
    if found and found.frames[-1].head in HYPHENATED:
        return _cursor(above, before, WORDS, position)
    return found


def _cursor(above: str, before: str, word: re.Pattern[str], position: Position) -> Cursor | None:
    match = word.search(before)
    start = match.start() if match else len(before)
    found = pieces(above + before[:start])
    *found, end = found
    if found and found[-1].line == end.line and found[-1].text.startswith(("#", '"')):
        return None
    layout = Layout([*found, end._replace(kind=HERE)])
    tokens = [token for token in layout.tokens if token.type != HERE]
    return Cursor(Span(position[0], start + 1, *position), tuple(layout.frames), tuple(tokens))
