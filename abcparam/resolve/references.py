"""Where names are declared and used, as resolution finds them; for editors."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.diagnostics.diagnostic import Collector
from abcparam.diagnostics.source import Source, Span
from abcparam.language import syntax
from abcparam.resolve.keywords import ROLES
from abcparam.resolve.names import Entry, NameReference, NameResolver, Scope


def references(spec: syntax.Spec, source: Source) -> tuple[NameReference, ...]:
    """Every place where a name that means something is declared or used.

    The spec may lack statements that could not be read. A local that is assigned again is what it
    was. Parameters and tensors of blocks are found through calls and attributes, outputs in losses,
    tensors and instances in the paths after `for`.
    """
    names = NameResolver(spec, Collector(source))
    names.run()
    scopes = [names.inside[d.span] for d in spec.declarations if isinstance(d, syntax.Forward)]
    for scope in scopes[:1]:
        for declaration in spec.declarations:
            if isinstance(declaration, syntax.Loss):
                _outputs(names, scope, declaration.value)
            elif isinstance(declaration, syntax.Optimizer):
                for selector in declaration.selectors:
                    _path(names, scope, selector)
    return tuple(names.references)


def _outputs(names: NameResolver, scope: Scope, loss: syntax.Expression) -> None:
    for part in syntax.parts_of(loss):
        if isinstance(part, syntax.Call):
            for argument in part.arguments:
                if isinstance(argument.value, syntax.Name):
                    name = argument.value
                    names.refer(name.id, name.span, scope.find(name.id))


def _path(names: NameResolver, scope: Scope | None, selector: syntax.Expression) -> None:
    """The parts of a path, each inside of the one before it."""
    for part, span in _parts(selector):
        entry = scope.find(part) if scope and part not in ROLES else None
        names.refer(part, span, entry)
        inner = _body_of(entry)
        found = names.inside.get(inner) if inner else None
        scope = Scope() if found else None
        if scope and found:
            scope.entries = found.entries


def _parts(selector: syntax.Expression) -> Iterator[tuple[str, Span]]:
    match selector:
        case syntax.Name(id=name, span=span):
            yield name, span
        case syntax.Attribute(value=value, name=name, span=span):
            yield from _parts(value)
            yield name, span
        case _:
            pass


def _body_of(entry: Entry | None) -> Span | None:
    """By what the scope of an instance or label is known."""
    if entry is None:
        return None
    return entry.node.name.span if isinstance(entry.node, syntax.Block) else entry.span
