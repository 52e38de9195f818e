"""Functions that are flat but for steps: they pass no gradient, and stand in straight-through ones.

The sign of x is that of `x / RMS(x)`: it is of size 1, however small x is. Where x changes by a
small part δ of itself, δ of all signs flip, a change of root mean square δ^(1/2).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from abcparam.calculus.pointwise import FunctionTraits
from abcparam.imports.aten.stopped import without_gradient
from abcparam.imports.functions import traits_of
from abcparam.imports.seen import Law, Seen
from abcparam.operations.pointwise import Pointwise
from abcparam.program.expressions import Expression

SIGN = Pointwise(FunctionTraits("sign", bounded=True, odd=True, steps=True))
STEPS: dict[str, Callable[[float], float]] = {
    "round": lambda x: float(round(x)),
    "floor": math.floor,
    "ceil": math.ceil,
    "trunc": math.trunc,
}


def sign(see: Seen) -> Expression:
    normed = see.apply("rmsnorm", (see.value(see.get(0)), None, None))
    return without_gradient(see, see.apply(SIGN, (normed,)))


def steps(see: Seen) -> Expression:
    traits = traits_of(STEPS[see.call], see.call)
    assert traits is not None
    traits = traits._replace(steps=True)
    return without_gradient(see, see.apply(Pointwise(traits), (see.value(see.get(0)),)))


LAWS: dict[str, Law] = {
    "aten.sign.default": sign,
    "aten.sgn.default": sign,
    **{f"aten.{name}.default": steps for name in STEPS},
}
