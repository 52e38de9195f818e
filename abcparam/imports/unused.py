"""Parameters that the output does not depend on."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.analysis.build import build_graph
from abcparam.calculus.structure import RescaleNode
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import imports as rules
from abcparam.presentation.words import listed
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, TensorRef, parts_of
from abcparam.program.model import Module, Program


def used_tensors(root: Module) -> set[str]:
    """The tensors that a value depends on; no gradient reaches another one."""
    return {value.tensor for value in _values(root) if isinstance(value, TensorRef)}


def taught_tensors(program: Program) -> set[str]:
    """The tensors that a gradient reaches: those that not only stopped ones come from."""
    stops = (part for value in _values(program.root) for part in parts_of(value))
    if not any(isinstance(part, Apply) and _stops(part) for part in stops):
        return set(program.tensors)
    graph = build_graph(program)
    found: set[str] = set()
    todo, seen = list(graph.outputs), set(graph.outputs)
    while todo:
        node = todo.pop()
        if node.parameter is not None:
            found.add(node.parameter.tensor.path)
        if isinstance(node, RescaleNode) and node.backward.is_zero:
            continue
        todo += [x for x in node.inputs if x not in seen]
        seen.update(node.inputs)
    return found


def _values(root: Module) -> Iterator[Expression]:
    return (value for module in root.walk() for value in module.expressions())


def _stops(call: Apply) -> bool:
    backward = call.settings.get("backward")
    return isinstance(backward, Amount) and not backward.value.terms


def unused(program: Program) -> tuple[Diagnostic, ...]:
    """A note about the tensors that no output depends on, at the first."""
    used = used_tensors(program.root)
    found = [t for t in program.tensors.values() if t.path not in used]
    if not found:
        return ()
    return (rules.Unused.at(found[0].span, names=listed([f"`{t.path}`" for t in found])),)
