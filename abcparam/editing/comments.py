"""Comments that a change of a spec may have made false.

What a comment says is not understood. It is told of where it stands in a line that changed,
directly above one, or at the head of a `parametrization` in which something changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Source
from abcparam.language.parser import comments
from abcparam.language.scanner import Raw

HEAD = "parametrization"


class CommentLine(Record):
    """A comment, `#` included, and the line that it is in."""

    line: int
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}"

    def to_dict(self) -> dict[str, object]:
        """The comment as in the JSON of `abcparam check --fix`."""
        return {"line": self.line, "text": self.text}


def doubtful_comments(before: str, after: str) -> tuple[CommentLine, ...]:
    """The comments of a text that its changes may have made false."""
    found = comments(Source(after))
    lines = after.split("\n")
    places = {number for line in _changed(before, after) for number in _around(lines, line)}
    return tuple(CommentLine(c.line, c.text.strip()) for c in found if c.line in places)


def _changed(before: str, after: str) -> Iterator[int]:
    """The lines of a text that are not those of the one before, comments and gaps aside."""
    old, new = _plain(before), _plain(after)
    for kind, _, _, start, end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            yield from (number + 1 for number in range(start, end) if new[number])


def _plain(text: str) -> list[str]:
    """The lines without comments and with single blanks."""
    by_line: dict[int, Raw] = {comment.line: comment for comment in comments(Source(text))}
    lines = []
    for number, line in enumerate(text.split("\n"), 1):
        end = by_line[number].column - 1 if number in by_line else len(line)
        lines.append(" ".join(line[:end].split()))
    return lines


def _around(lines: Sequence[str], line: int) -> Iterator[int]:
    """The line, the comments above it, and the head of the parametrization that it is in."""
    yield line
    yield from _above(lines, line)
    head = line
    while head > 1 and lines[head - 1][:1] in ("", " ", "}", "#"):
        head -= 1
    if lines[head - 1].startswith(HEAD):
        yield head
        yield from _above(lines, head)


def _above(lines: Sequence[str], line: int) -> Iterator[int]:
    """Comments that stand alone in the lines directly above."""
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
        yield line
