"""Tensors whose multipliers grow: what a layer makes of them says their sizes up to a factor."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.emission.lowering.scope import ModuleScope, factor
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Assign, Expression, Local, TensorRef
from abcparam.program.model import Module, Program


def multiplied(program: Program) -> frozenset[str]:
    """The paths of the tensors whose multiplier depends on growing dims.

    A factor of the code beside the tensor is one too: a model may have it on the other side.
    """
    scope = ModuleScope(program)
    stated = {
        path: tensor.mult.value.names if tensor.mult else frozenset()
        for path, tensor in program.tensors.items()
    }
    own = {
        path
        for path, tensor in program.tensors.items()
        if factor(scope, tensor, "a").powers or stated[path] & scope.growing
    }
    return frozenset(own.union(*(_scaled(m, scope.growing) for m in program.root.walk())))


def _scaled(module: Module, growing: frozenset[str]) -> Iterator[str]:
    """The tensors of a module whose input or result is multiplied by a growing factor."""
    assigned = {
        statement.targets[0]: statement.value
        for statement in module.body
        if isinstance(statement, Assign) and len(statement.targets) == 1
    }

    def behind(value: Expression | None) -> Expression | None:
        return assigned.get(value.name) if isinstance(value, Local) else value

    def grows(value: Expression | None) -> bool:
        by = value.settings.get("by") if isinstance(value, Apply) else None
        return isinstance(by, Amount) and bool(by.value.names & growing)

    for value in module.expressions():
        if not isinstance(value, Apply):
            continue
        if grows(value):
            yield from _tensors(behind(value.operands[0]))
        elif any(grows(behind(operand)) for operand in value.operands):
            yield from _tensors(value)


def _tensors(value: Expression | None) -> Iterator[str]:
    """The tensors that an operation takes."""
    operands = value.operands if isinstance(value, Apply) else ()
    yield from (operand.tensor for operand in operands if isinstance(operand, TensorRef))
