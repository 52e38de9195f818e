"""What a place means: a name's declaration and laws, an expression's sizes and why, a word."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.editor.analysis import Analysis
from abcparam.editor.glossary import explained
from abcparam.editor.index import Occurrence
from abcparam.editor.laws import nodes_at, told_of_tensor, told_of_value
from abcparam.editor.tree import BodyPlace, assignments, tensors, values_at
from abcparam.editor.words import Position
from abcparam.language import syntax
from abcparam.verdict.work import at_work


class Hover(Record):
    """A text in Markdown about a stretch of the spec."""

    span: Span
    text: str


@at_work()
def hover(analysis: Analysis, position: Position) -> Hover | None:
    """What there is to say about a place."""
    what = analysis.index.at(position)
    if what is not None:
        return Hover(what.span, "\n\n".join(_name(analysis, what)))
    word = analysis.words.at(position)
    known = explained(word.text) if word else ""
    value = _value(analysis, position)
    if word and known:
        called = value and isinstance(value[0], syntax.Call) and value[0].function.id == word.text
        return Hover(word.span, f"{value[1]}\n\n---\n\n{known}" if value and called else known)
    return Hover(value[0].span, value[1]) if value else None


def _name(analysis: Analysis, what: Occurrence) -> Iterator[str]:
    line = analysis.source.lines[what.declared.line - 1].strip()
    yield f"```param\n{line}\n```"
    yield f"{what.kind} `{what.name}`, line {what.declared.line}"
    if analysis.laws is None:
        return
    for place, name, _ in tensors(analysis.spec):
        if name.span == what.declared:
            laws = analysis.laws.of_tensors.get(place, ())
            yield from told_of_tensor(analysis.laws.report, laws)
    for place, assigned in assignments(analysis.spec):
        if what.span in [target.span for target in assigned.targets]:
            yield from _assigned(analysis, place, assigned)


def _assigned(analysis: Analysis, place: BodyPlace, assigned: syntax.Assign) -> Iterator[str]:
    """The sizes of what is assigned, with the reasons where the laws are of this very text."""
    nodes = nodes_at(analysis.report, assigned.value) if analysis.report else []
    if nodes and analysis.report:
        yield from told_of_value(analysis.report, nodes)
    elif analysis.laws and place in analysis.laws.values:
        yield analysis.laws.values[place]


def _value(analysis: Analysis, position: Position) -> tuple[syntax.Expression, str] | None:
    """The innermost expression at a place that has a size, and what is said of it."""
    if analysis.report is None:
        return None
    for value in values_at(analysis.spec, position):
        nodes = nodes_at(analysis.report, value)
        if nodes:
            return value, "\n\n".join(told_of_value(analysis.report, nodes))
    return None
