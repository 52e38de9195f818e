"""Ways through the syntax tree: what stands where, and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abcparam.diagnostics.source import Span
from abcparam.editor.words import Position
from abcparam.language import syntax

BodyPlace = tuple[str, ...]  # the bodies around a statement, its names, its number among alike


def holds(span: Span, position: Position) -> bool:
    return span.start <= position <= span.end


def tensors(spec: syntax.Spec) -> Iterator[tuple[BodyPlace, syntax.Name, syntax.Tensor]]:
    """The tensors that are declared, each by a place that edits elsewhere leave alone."""
    for body, statement in _statements(spec):
        if isinstance(statement, syntax.Tensor):
            for name in statement.names:
                yield (*body, name.id), name, statement


def assignments(spec: syntax.Spec) -> Iterator[tuple[BodyPlace, syntax.Assign]]:
    """The assignments, likewise."""
    counts: dict[BodyPlace, int] = {}
    for body, statement in _statements(spec):
        if isinstance(statement, syntax.Assign):
            place = (*body, *(target.id for target in statement.targets))
            counts[place] = counts.get(place, 0) + 1
            yield (*place, str(counts[place])), statement


def _statements(spec: syntax.Spec) -> Iterator[tuple[BodyPlace, syntax.Statement]]:
    for declaration in spec.declarations:
        match declaration:
            case syntax.Tensor():
                yield (), declaration
            case syntax.Block(name=name, body=body):
                yield from _inside((name.id,), body)
            case syntax.Forward(body=body):
                yield from _inside(("forward",), body)
            case _:
                pass


def _inside(
    place: BodyPlace, body: Sequence[syntax.Statement]
) -> Iterator[tuple[BodyPlace, syntax.Statement]]:
    unnamed = 0
    for statement in body:
        yield place, statement
        if isinstance(statement, syntax.Repeat):
            unnamed += statement.label is None
            label = statement.label.id if statement.label else f"repeat {unnamed}"
            yield from _inside((*place, label), statement.body)


def values_at(spec: syntax.Spec, position: Position) -> list[syntax.Expression]:
    """The expressions of bodies that a place is in, the innermost first."""
    found: list[syntax.Expression] = []
    for _, statement in _statements(spec):
        match statement:
            case syntax.Assign(value=value):
                given: tuple[syntax.Expression, ...] = (value,)
            case syntax.Return(values=values):
                given = values
            case _:
                given = ()
        for value in given:
            if holds(value.span, position):
                found += [part for part in syntax.parts_of(value) if holds(part.span, position)]
    return found[::-1]


def repeats(body: Sequence[syntax.Statement]) -> Iterator[syntax.Repeat]:
    """Those of a body, and those inside of them."""
    for statement in body:
        if isinstance(statement, syntax.Repeat):
            yield statement
            yield from repeats(statement.body)
