"""Gradients that are stopped: a value passes as it is, and its gradient is none."""

from __future__ import annotations

from abcparam.algebra.polynomials import number
from abcparam.imports.seen import Law, Seen, amount
from abcparam.program.expressions import Expression

WITHOUT_GRADIENT = frozenset(
    {"aten.detach.default", "aten.detach_.default", "wrap_with_set_grad_enabled"}
)


def stopped(see: Seen) -> Expression:
    return without_gradient(see, see.value(see.get(0)))


def without_gradient(see: Seen, x: Expression) -> Expression:
    """A value through which no gradient passes."""
    return see.apply("rescale", (x,), {"backward": amount(number(0))})


LAWS: dict[str, Law] = {
    "aten.detach.default": stopped,
    "aten.detach_.default": stopped,
}
