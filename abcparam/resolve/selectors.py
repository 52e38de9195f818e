"""Which optimizer trains which tensor."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.language import syntax
from abcparam.resolve.keywords import ROLES

Selectors = Sequence[tuple[str, ...]]  # of each optimizer; none: it takes the rest


def dotted(selector: syntax.Expression) -> str:
    match selector:
        case syntax.Name(id=name):
            return name
        case syntax.Attribute(value=value, name=name):
            return f"{dotted(value)}.{name}"
        case _:
            return "?"


def selects(selector: str, role: str | None, path: str) -> bool:
    if selector in ROLES:
        return selector == role
    if selector.endswith(".*"):
        return path.startswith(selector[:-1])
    return selector == path


def trainers(selectors: Selectors, role: str | None, path: str) -> list[int]:
    """The optimizers that take a tensor; it should be one."""
    chosen = [i for i, own in enumerate(selectors) if any(selects(s, role, path) for s in own)]
    return chosen or [i for i, own in enumerate(selectors) if not own]
