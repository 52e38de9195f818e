"""The difference of two texts as replacements, and texts with replacements made in them."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher
from itertools import takewhile

from abcparam.diagnostics.diagnostic import Replacement
from abcparam.diagnostics.source import Span


def replacements(before: str, after: str) -> tuple[Replacement, ...]:
    """What makes one text of another: a stretch for each run of lines that differ."""
    old, new = before.split("\n"), after.split("\n")
    found = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return tuple(
        _replacement(old, first, stop, new[start:end])
        for kind, first, stop, start, end in found
        if kind != "equal"
    )


def _replacement(old: list[str], first: int, stop: int, new: list[str]) -> Replacement:
    """Lines in the place of others, without what both begin and end with."""
    if first == stop or not new:
        return _whole_lines(old, first, stop, new)
    before, after = "\n".join(old[first:stop]), "\n".join(new)
    start = _alike(before, after)
    end = _alike(before[start:][::-1], after[start:][::-1])
    place = Span(*_at(before, start, first), *_at(before, len(before) - end, first))
    return Replacement(place, after[start : len(after) - end])


def _whole_lines(old: list[str], first: int, stop: int, new: list[str]) -> Replacement:
    """Lines that are added or taken away, with a newline before them or, at the top, after."""
    if first:
        end = (stop, len(old[stop - 1]) + 1)
        return Replacement(
            Span(first, len(old[first - 1]) + 1, *end), "".join("\n" + line for line in new)
        )
    return Replacement(Span(1, 1, stop + 1, 1), "".join(line + "\n" for line in new))


def _alike(one: str, two: str) -> int:
    """How many characters both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, two, strict=False)))


def _at(text: str, offset: int, first: int) -> tuple[int, int]:
    """The line and column of an offset in lines, of which the first has this number, from 0."""
    line = text.count("\n", 0, offset)
    return first + line + 1, offset - text.rfind("\n", 0, offset)


def replaced(text: str, edit: Iterable[Replacement]) -> str:
    """The text with replacements made in it that do not overlap."""
    lines = [0]
    for line in text.split("\n"):
        lines.append(lines[-1] + len(line) + 1)
    in_order = sorted(edit, key=lambda made: (made.span.start, made.span.end))
    for made in reversed(in_order):
        start = lines[made.span.line - 1] + made.span.column - 1
        stop = lines[made.span.end_line - 1] + made.span.end_column - 1
        text = text[:start] + made.text + text[stop:]
    return text
