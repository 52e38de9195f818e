"""Laws in the margin: what each tensor makes of its input, how large each assigned value is."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.algebra.record import Record
from abcparam.editor.analysis import Analysis
from abcparam.editor.laws import TensorHint
from abcparam.editor.tree import assignments, tensors
from abcparam.editor.words import Position
from abcparam.language import syntax


class Hint(Record):
    """A text to show behind a place; `wrong`: it tells of a tensor that is not maximal."""

    position: Position
    text: str
    wrong: bool = False


def hints(analysis: Analysis) -> list[Hint]:
    """The hints of a text; while it cannot be judged, the last good ones, where they still fit."""
    if analysis.laws is None:
        return []
    found = [*_tensors(analysis), *_values(analysis)]
    return sorted(found, key=lambda hint: hint.position)


def _tensors(analysis: Analysis) -> Iterator[Hint]:
    """One for each declaration; names with other laws than their neighbours' are told apart."""
    assert analysis.laws is not None
    declared: dict[Position, dict[str, TensorHint]] = {}
    for place, name, statement in tensors(analysis.spec):
        if place in analysis.laws.tensors:
            declared.setdefault(_end(statement), {})[name.id] = analysis.laws.tensors[place]
    for position, laws in declared.items():
        alike = len(set(laws.values())) == 1
        texts = [str(law) if alike else f"{name}: {law}" for name, law in laws.items()]
        wrong = any(law.wrong for law in laws.values())
        yield Hint(position, "; ".join(dict.fromkeys(texts)), wrong)


def _values(analysis: Analysis) -> Iterator[Hint]:
    assert analysis.laws is not None
    for place, assigned in assignments(analysis.spec):
        if place in analysis.laws.values:
            yield Hint(_end(assigned), analysis.laws.values[place])


def _end(node: syntax.Node) -> Position:
    return node.span.end
