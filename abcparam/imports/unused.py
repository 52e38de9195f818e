"""Parameters that the output does not depend on."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import imports as rules
from abcparam.program.expressions import TensorRef
from abcparam.program.gauge_text import listed
from abcparam.program.model import Module, Program


def used_tensors(root: Module) -> set[str]:
    """The tensors that a value depends on; no gradient reaches another one."""
    values = (value for module in root.walk() for value in module.expressions())
    return {value.tensor for value in values if isinstance(value, TensorRef)}


def unused(program: Program) -> tuple[Diagnostic, ...]:
    """A note about the tensors that no output depends on, at the first."""
    used = used_tensors(program.root)
    found = [t for t in program.tensors.values() if t.path not in used]
    if not found:
        return ()
    return (rules.Unused.at(found[0].span, names=listed([f"`{t.path}`" for t in found])),)
