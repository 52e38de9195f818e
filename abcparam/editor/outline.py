"""The declarations of a spec as a tree of symbols."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.editor.analysis import Analysis
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.language.syntax import first_word


class Symbol(Record):
    """A declaration: its name, what it is, all of it, where its name stands, what is inside."""

    name: str
    kind: str
    detail: str
    span: Span
    name_span: Span
    inside: tuple[Symbol, ...] = ()


def outline(analysis: Analysis) -> list[Symbol]:
    """The symbols of what can be read of a text, in its order."""
    return [symbol for d in analysis.spec.declarations for symbol in _symbols(d)]


def _symbols(node: syntax.Declaration | syntax.Statement) -> Iterator[Symbol]:
    match node:
        case syntax.Model(name=name):
            yield _symbol(name, "model", "", node)
        case syntax.Dim(name=name, infinite=infinite):
            yield _symbol(name, "dim", "-> inf" if infinite else "", node)
        case syntax.Hyper(name=name):
            yield _symbol(name, "hyper", "", node)
        case syntax.Exponent(names=names):
            yield from (_symbol(name, "symbol", "", node) for name in names)
        case syntax.Parametrization(name=named):
            yield Symbol(
                f"parametrization {named.id}" if named else "parametrization",
                "parametrization",
                "",
                node.span,
                named.span if named else node.span,
            )
        case syntax.Tensor(names=names, shape=shape):
            axes = f"[{', '.join(map(written, shape))}]"
            role = f"{node.role.id} {axes}" if node.role else axes
            yield from (_symbol(name, "tensor", role, node) for name in names)
        case syntax.Block(name=name, body=body):
            yield _symbol(name, "block", "", node, _inside(body))
        case syntax.Forward(body=body):
            name = syntax.Name("forward", span=first_word(node.span, "forward"))
            yield _symbol(name, "forward", "", node, _inside(body))
        case syntax.Repeat(label=label, body=body):
            called = label or syntax.Name("repeat", span=first_word(node.span, "repeat"))
            yield _symbol(called, "label", f"{written(node.count)} copies", node, _inside(body))
        case syntax.Optimizer(name=name):
            yield _symbol(name, "optimizer", "", node)
        case _:
            pass


def _inside(body: Iterable[syntax.Statement]) -> tuple[Symbol, ...]:
    return tuple(symbol for statement in body for symbol in _symbols(statement))


def _symbol(
    name: syntax.Name,
    kind: str,
    detail: str,
    node: syntax.Node,
    inside: tuple[Symbol, ...] = (),
) -> Symbol:
    return Symbol(name.id, kind, detail, node.span, name.span, inside)
