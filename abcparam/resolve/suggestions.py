"""How a name that is used and not declared could be declared."""

from __future__ import annotations

from collections.abc import Callable

from abcparam.diagnostics.rules import names as rules
from abcparam.language import syntax
from abcparam.language.printer import written

Declarations = Callable[[str], syntax.Node | None]  # by name


def declared_as(value: syntax.Binary, name: syntax.Name, declarations: Declarations) -> str:
    """A tensor, of an operand of `value` that is applied, or is added to what a map gives."""
    if value.op == "@":
        return rules.UnknownName.applied.format(name=name.id) if value.left is name else ""
    other = value.right if value.left is name else value.left
    if value.op != "+" or not isinstance(other, syntax.Binary) or other.op != "@":
        return ""
    tensor = declarations(other.left.id) if isinstance(other.left, syntax.Name) else None
    if not isinstance(tensor, syntax.Tensor) or not tensor.shape:
        return ""
    axis = tensor.shape[0]
    role = "input " if _grows(axis, declarations) else ""
    return rules.UnknownName.added.format(name=name.id, role=role, axis=written(axis))


def _grows(value: syntax.Expression, declarations: Declarations) -> bool:
    """Whether a length is made of a dim that goes to infinity."""
    names, seen = list(syntax.names_in(value)), set[str]()
    while names:
        name = names.pop()
        dim = declarations(name)
        if name in seen or not isinstance(dim, syntax.Dim):
            continue
        seen.add(name)
        if dim.infinite:
            return True
        names += syntax.names_in(dim.value) if dim.value else ()
    return False
