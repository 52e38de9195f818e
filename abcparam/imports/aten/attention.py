"""Scaled dot products and softmax."""

from __future__ import annotations

from fractions import Fraction

from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers
from abcparam.imports.operations import HEADS
from abcparam.imports.seen import Law, Seen, amount
from abcparam.program.expressions import Expression


def scaled_dot_product(see: Seen) -> Expression:
    q, k, v, mask = (see.get(i, n) for i, n in enumerate(("query", "key", "value", "attn_mask")))
    scale = see.get(6, "scale")
    if isinstance(scale, Numbers):
        found = see.scalar(scale)
        assert found is not None
        by = found.polynomial
    else:
        by = see.shape(q)[-1].power(Fraction(-1, 2))
    bias = None if mask is None or isinstance(mask, KnownData) else see.value(mask)
    operands = [*(see.value(x) for x in (q, k, v)), bias]
    return see.apply(HEADS, operands, {"scale": amount(by)})


def softmax(see: Seen) -> Expression:
    x = see.get(0)
    axis = see.whole(1, "dim")
    length = see.shape(x)[axis]
    if see.grows(length):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a softmax over a growing axis")
    return see.apply("softmax", (see.value(x),))


LAWS: dict[str, Law] = {
    "aten.scaled_dot_product_attention.default": scaled_dot_product,
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.log_softmax.int": softmax,
}
