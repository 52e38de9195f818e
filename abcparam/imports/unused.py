"""Parameters that the output does not depend on."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import imports as rules
from abcparam.program.expressions import TensorRef
from abcparam.program.model import Program


def unused(program: Program) -> tuple[Diagnostic, ...]:
    """A note about each tensor that no output depends on."""
    used = {x.tensor for x in program.expressions() if isinstance(x, TensorRef)}
    tensors = program.tensors.values()
    return tuple(rules.Unused.at(t.span, name=t.path) for t in tensors if t.path not in used)
