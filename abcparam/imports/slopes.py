"""What PyTorch makes of a function of one value at a number, and of its gradient there.

At a kink a gradient is what PyTorch chose: of `relu` and `abs` at 0 it is 0, a clamp passes it on
at its ends, `maximum` halves it. So the calls themselves are run on one number.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import torch
from torch import Tensor

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.pointwise import FunctionTraits
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.seen import Seen

Made = Callable[[Tensor], object]  # an argument of a call, from the one value

LARGEST_DENOMINATOR = 10_000  # of what is taken for a rational number
ROUNDING = 1e-13


def with_slopes(traits: FunctionTraits, see: Seen, base: Operand) -> FunctionTraits:
    """The traits of the function of `base` that a call computes, with PyTorch's own gradients."""
    function = _call(see, base)
    if function is None:
        return traits

    @cache
    def at(x: Fraction) -> _Point:
        return _point(function, float(x))

    return traits._replace(
        flat_at_zero=at(Fraction(0)).flat,
        exact=lambda x: at(x).value,
        saturated=lambda x: at(x).flat,
    )


class _Point(NamedTuple):
    """A function at a number: its value, where that is rational, and is its gradient zero?"""

    value: Fraction | None
    flat: bool


def _point(function: Made, number: float) -> _Point:
    with torch.enable_grad():
        x = torch.tensor(number, dtype=torch.float64, requires_grad=True)
        y = function(x)
        assert isinstance(y, Tensor)
        flat = not y.requires_grad or not torch.autograd.grad(y, x)[0].item()
    value = float(y.detach())
    if value - value:  # infinite, or no number
        return _Point(None, False)
    near = Fraction(value).limit_denominator(LARGEST_DENOMINATOR)
    exact = abs(float(near) - value) <= ROUNDING * max(1.0, abs(value))
    return _Point(near if exact else None, flat)


def _argument(see: Seen, operand: Operand, base: Operand) -> Made | None:
    """An argument as a function of one value; None where it is none."""
    operand = see.origin(operand)
    if operand == base:
        return lambda x: x
    if isinstance(operand, KnownData):
        constant = operand.constant
        if constant is None or constant.powers:
            return None
        number = constant.coefficient
        return lambda x: torch.tensor(number, dtype=x.dtype)
    if isinstance(operand, Numbers):
        if len(set(operand.values)) > 1:
            return None
        return lambda x: operand.first
    if operand is None or isinstance(operand, (bool, str)):
        return lambda x: operand
    step = see.definition(operand)
    return None if step is None else _call(see.with_step(step), base)


def _call(see: Seen, base: Operand) -> Made | None:
    """What the call at hand gives, as a function of one value; None where it is none."""
    name, _, overload = see.step.target.removeprefix("aten.").partition(".")
    call = getattr(getattr(torch.ops.aten, name, None), overload, None)
    found = [_argument(see, x, base) for x in (*see.step.arguments, *see.step.keywords.values())]
    arguments = [x for x in found if x is not None]
    if call is None or len(arguments) < len(found):
        return None
    count = len(see.step.arguments)

    def made(x: Tensor) -> object:
        values = (argument(x) for argument in arguments)
        given = [v.clone() if isinstance(v, Tensor) else v for v in values]  # some are in place
        return call(*given[:count], **dict(zip(see.step.keywords, given[count:], strict=True)))

    return made
