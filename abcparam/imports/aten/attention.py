"""Scaled dot products, softmax and logarithms."""

from __future__ import annotations

from fractions import Fraction
from math import log

from abcparam.algebra.polynomials import ONE
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers
from abcparam.imports.aten.signs import is_positive
from abcparam.imports.functions import LEAST, is_above
from abcparam.imports.numbers import Power
from abcparam.imports.operations import HEADS, SOFTMAX_ALONG
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
    name, shape = see.call.removeprefix("_"), see.shape(see.get(0))
    axes = see.wholes(1, "dim")
    if any(see.grows(shape[axis]) for axis in axes):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a softmax over a growing axis")
    is_last = all(axis in (-1, len(shape) - 1) for axis in axes)
    operation = name if is_last or name != "softmax" else SOFTMAX_ALONG
    return see.apply(operation, (see.value(see.get(0)),))


def logarithm(see: Seen) -> Expression:
    """`log` and `log1p`, to the base of e, 2 or 10, of what is positive."""
    x = see.get(0)
    least = 0.0 if see.call == "log1p" else LEAST
    if not is_positive(see, x) and not is_above(see, x, least):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a logarithm of what may be zero")
    value = see.value(x)
    if see.call == "log1p":
        value = see.apply("offset", (value,), {"by": amount(ONE)})
    made = see.apply("log", (value,))
    base = BASES.get(see.call)
    return made if base is None else see.scaled(made, Power(1 / log(base), {}))


BASES = {"log2": 2, "log10": 10}


LAWS: dict[str, Law] = {
    "aten.scaled_dot_product_attention.default": scaled_dot_product,
    "aten.softmax.int": softmax,
    "aten._softmax.default": softmax,
    "aten.log_softmax.int": softmax,
    "aten._log_softmax.default": softmax,
    "aten.logsumexp.default": softmax,
    **{f"aten.{name}.default": logarithm for name in ("log", "log1p", *BASES)},
}
