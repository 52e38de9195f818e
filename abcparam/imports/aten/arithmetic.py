"""Sums, differences, products, quotients and means, with numbers and of values."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.aten.einsum import summed
from abcparam.imports.aten.norms import normalized_by_hand
from abcparam.imports.aten.signs import is_positive
from abcparam.imports.numbers import Power
from abcparam.imports.operations import QUOTIENT
from abcparam.imports.seen import Law, Seen, amount
from abcparam.program.expressions import Expression


def add(see: Seen) -> Expression:
    return _sum(see, see.get(0), see.get(1), 1)


def subtract(see: Seen) -> Expression:
    return _sum(see, see.get(0), see.get(1), -1)


def subtract_from(see: Seen) -> Expression:
    """`rsub`: the second less the first."""
    return _sum(see, see.get(1), see.get(0), -1)


def _sum(see: Seen, x: Operand, y: Operand, sign: int) -> Expression:
    alpha = see.get(2, "alpha")
    factor = see.scalar(alpha) if isinstance(alpha, Numbers) else None
    factor = (factor or Power(1.0, {})).times(Power(float(sign), {}))
    for number_, other, negative in ((y, x, False), (x, y, sign < 0)):
        by = see.scalar(number_)
        if by is not None and not _is_alone(see, other):
            by = by.times(factor) if number_ is y else by
            value = see.value(other)
            if negative:
                value = see.negated(value)
            return _offset(see, value, by)
    if _hides(x) or _hides(y):
        return see.rearranged(y if _hides(x) else x)
    right = see.value(y)
    if factor.coefficient != 1 or factor.powers:
        right = see.scaled(right, factor)
    return see.apply("+", (see.value(x), right))


def _is_alone(see: Seen, operand: Operand) -> bool:
    return see.scalar(operand) is not None


def _hides(operand: Operand) -> bool:
    """Whether it is a mask that is added: nothing of it is left where it is finite."""
    if not isinstance(operand, KnownData) or operand.integer or operand.size is None:
        return False
    return operand.size.coefficient == 0


def _offset(see: Seen, x: Expression, by: Power) -> Expression:
    if not by.coefficient:
        return x
    value = by.polynomial
    return see.apply("offset", (x,), {"by": amount(value)})


def multiply(see: Seen) -> Expression:
    x, y = see.get(0), see.get(1)
    for by, other in ((see.scalar(y), x), (see.scalar(x), y)):
        if by is not None:
            return see.scaled(see.value(other), by)
    by_hand = normalized_by_hand(see, x, y)
    return by_hand or see.apply("*", (see.value(x), see.value(y)))


def divide(see: Seen) -> Expression:
    x, y = see.get(0), see.get(1)
    by = see.scalar(y)
    if by is not None:
        return see.scaled(see.value(x), by.inverse())
    by_hand = normalized_by_hand(see, x, y)
    if by_hand is not None:
        return by_hand
    if not isinstance(y, KnownData) and not is_positive(see, y):
        what = "a quotient by what may be near zero"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    return see.apply(QUOTIENT, (see.value(x), see.value(y)))


def negative(see: Seen) -> Expression:
    return see.negated(see.value(see.get(0)))


def fused(see: Seen) -> Expression:
    """`addcmul`: `x + value * y * z`."""
    x, y, z = (see.value(see.get(i)) for i in range(3))
    return see.apply("+", (x, see.apply("*", (y, z))))


def mean(see: Seen) -> Expression:
    """A mean, or a map and its factor where it is of what a parameter weighs."""
    x, axes = see.get(0), see.wholes(1, "dim")
    weighed = summed(see, axes)
    if weighed is None:
        return see.mean(x, axes)
    by = amount(ONE / _count(see, x, axes))
    return see.apply("scale", (weighed,), {"by": by})


def total(see: Seen) -> Expression:
    """A sum: a mean times how many there are, or a map where it is of what a parameter weighs."""
    x, axes = see.get(0), see.wholes(1, "dim")
    weighed = summed(see, axes)
    if weighed is not None:
        return weighed
    return see.apply("scale", (see.mean(x, axes),), {"by": amount(_count(see, x, axes))})


def _count(see: Seen, x: Operand, axes: Sequence[int]) -> Polynomial:
    """How many coordinates lie along axes, all of them where none is named."""
    shape = see.shape(x)
    return product(shape[axis] for axis in axes) if axes else product(shape)


LAWS: dict[str, Law] = {
    "aten.add.Tensor": add,
    "aten.add.Scalar": add,
    "aten.sub.Tensor": subtract,
    "aten.sub.Scalar": subtract,
    "aten.rsub.Scalar": subtract_from,
    "aten.rsub.Tensor": subtract_from,
    "aten.mul.Tensor": multiply,
    "aten.mul.Scalar": multiply,
    "aten.div.Tensor": divide,
    "aten.div.Scalar": divide,
    "aten.neg.default": negative,
    "aten.addcmul.default": fused,
    "aten.mean.dim": mean,
    "aten.mean.default": mean,
    "aten.sum.dim_IntList": total,
    "aten.sum.default": total,
}
