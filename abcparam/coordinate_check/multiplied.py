"""Tensors whose multipliers grow: what a layer makes of them says their sizes up to a factor."""

from __future__ import annotations

from abcparam.emission.lowering.scope import ModuleScope, factor
from abcparam.program.model import Program


def multiplied(program: Program) -> frozenset[str]:
    """The paths of the tensors whose multiplier depends on growing dims."""
    scope = ModuleScope(program)
    stated = {
        path: tensor.mult.value.names if tensor.mult else frozenset()
        for path, tensor in program.tensors.items()
    }
    return frozenset(
        path
        for path, tensor in program.tensors.items()
        if factor(scope, tensor, "a").powers or stated[path] & scope.growing
    )
