"""Another name for something, wherever it is named."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Replacement
from abcparam.diagnostics.source import Span
from abcparam.editing.replacements import replaced
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.index import NameIndex, Occurrence
from abcparam.editor.words import Position, Words
from abcparam.language.lexical_errors import is_allowed
from abcparam.resolve.names import snake_case

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
NO_NAME = "there is no name of the spec's own here"


class Renaming(Record):
    """What renames something; `problem` says why it is not to be made, if it is not."""

    edit: tuple[Replacement, ...]
    problem: str = ""


def rename(analysis: Analysis, position: Position, name: str) -> Renaming:
    """The edit that gives what is named at a place another name everywhere.

    Instances that are called after their block are renamed with it; such an instance by itself gets
    its name with `as`.
    """
    what = analysis.index.at(position)
    if what is None:
        return Renaming((), NO_NAME)
    if not NAME.fullmatch(name) or not is_allowed(name):
        return Renaming((), f"`{name}` cannot be a name")
    edit = tuple(dict.fromkeys(_edit(analysis, what, name)))
    text = replaced(analysis.source.text, edit)
    after = analyse(replace(analysis.source, text=text))
    if _structure(after.index) != _structure(analysis.index):
        return Renaming((), f"`{name}` is taken where `{what.name}` is used")
    if _errors(after) != _errors(analysis):
        return Renaming((), f"`{name}` cannot be the name of a {what.kind}")
    return Renaming(edit)


def _edit(analysis: Analysis, what: Occurrence, name: str) -> Iterator[Replacement]:
    index = analysis.index
    for occurrence in index.of(what):
        if not occurrence.implied:
            yield Replacement(occurrence.span, name)
        elif occurrence.declares:
            end = _end_of_call(analysis.words, occurrence.span)
            yield Replacement(Span(*end, *end), f" as {name}")
    if what.kind == "block":
        calls = {o.span for o in index.of(what)}
        for instance in index.occurrences:
            implied = instance.kind == "instance" and instance.declared in calls
            if implied and not instance.implied:
                yield Replacement(instance.span, snake_case(name))


def _end_of_call(words: Words, function: Span) -> Position:
    """Behind the bracket that closes a call."""
    depth = 0
    for piece in words.pieces:
        if piece.span.start >= function.end:
            depth += (piece.kind == "LPAR") - (piece.kind == "RPAR")
            if depth <= 0:
                return piece.span.end
    return function.end


def _structure(index: NameIndex) -> list[tuple[str, int, bool]]:
    """Which occurrences are of one thing, whatever it is called."""
    numbers: dict[tuple[str, Span], int] = {}
    return sorted(
        (o.kind, numbers.setdefault((o.kind, o.declared), len(numbers)), o.declares)
        for o in index.occurrences
    )


def _errors(analysis: Analysis) -> Counter[str]:
    return Counter(d.code for d in analysis.diagnostics if d.severity == "error")
