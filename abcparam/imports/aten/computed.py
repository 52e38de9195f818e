"""Maps by weights that are made of a parameter: normalised, or a multiple of it."""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Numbers, Operand
from abcparam.imports.aten.norms import WEIGHT_NORM, Rescaled, normalized_by_hand, rescaled
from abcparam.imports.operations import CONTRACT
from abcparam.imports.seen import Seen, amount
from abcparam.program.amounts import Setting, Shape
from abcparam.program.expressions import Expression

HALF = Fraction(1, 2)
TIMES = {"aten.mul.Tensor", "aten.div.Tensor"}
SINGULAR = {"aten.vdot.default", "aten.dot.default"}  # `u @ W @ v` of a power iteration


def by_computed(
    see: Seen,
    weight: Operand,
    axes: tuple[int, int],
    fans: tuple[Shape, Shape],
    x: Operand,
    shared: Shape,
) -> Expression:
    """A map by a weight that is made of a parameter.

    `axes` of the weight are those of x and of the result, `fans` what is summed over and what is
    not; `shared` are the axes of x that it is applied to side by side.
    """
    if not is_made_of_a_parameter(see, weight):
        refuse_computed(see, weight)
    step = see.definition(weight)
    if step is not None and step.target == WEIGHT_NORM:
        return _rescaled(see, rescaled(see.with_step(step)), axes, fans, x, shared)
    return _contracted(see, see.value(x), see.value(weight), fans, shared)


def _rescaled(
    see: Seen,
    weight: Rescaled,
    axes: tuple[int, int],
    fans: tuple[Shape, Shape],
    x: Operand,
    shared: Shape,
) -> Expression:
    """A map by rows of other lengths, which are a gain of the result, or of x where columns are.

    Where it reads out, its rows of length 1 are taken over the root of how many they sum over, and
    the result times that: it then changes by no more than what is multiplied by the gain may.
    """
    value, root = see.value(x), weight.length.power(HALF)
    if weight.axis >= 0 and weight.axis not in axes:  # a length for each place of a window
        rows = see.apply("*", (weight.rows, weight.gain), shape=weight.rows.shapes[0])
        return _contracted(see, value, _over(see, rows, root), fans, shared)
    if weight.axis == axes[0]:
        value = _times(see, value, weight.gain, see.shape(x))
        return _contracted(see, value, _over(see, weight.rows, root), fans, shared)
    if see.grows(product(fans[1])):
        found = _contracted(see, value, _over(see, weight.rows, root), fans, shared)
        return _times(see, found, weight.gain, see.result)
    found = _contracted(see, value, _over(see, weight.rows, weight.length), fans, shared)
    return _over(see, _times(see, found, weight.gain, see.result), ONE / root)


def _over(see: Seen, x: Expression, by: Polynomial) -> Expression:
    return see.apply("scale", (x,), {"by": amount(ONE / by)}, x.shapes[0])


def _contracted(
    see: Seen, x: Expression, weight: Expression, fans: tuple[Shape, Shape], shared: Shape
) -> Expression:
    settings: dict[str, Setting] = {
        "over": tuple(map(amount, fans[0])),
        "x_lacks": tuple(map(amount, fans[1])),
        "y_lacks": tuple(map(amount, shared)),
    }
    return see.apply(CONTRACT, (x, weight), settings)


def _times(see: Seen, x: Expression, gain: Expression, shape: Shape) -> Expression:
    """A value times a gain of its channels, or one of all of it."""
    beside = 0 if see.call in {"linear", "addmm"} else len(shape) - 2
    lengths = tuple(n for n in gain.shapes[0] if n != ONE)
    return see.apply("*", (x, see.reshaped(gain, (*lengths, *[ONE] * beside))), shape=shape)


def is_made_of_a_parameter(see: Seen, operand: Operand) -> bool:
    """Whether each entry is one of a parameter's, up to a number or the length of its row."""
    if see.weight(operand) is not None:
        return True
    step = see.definition(operand)
    if step is None:
        return False
    inner, of = see.with_step(step), step.arguments
    if step.target == WEIGHT_NORM:
        return see.weight(of[0]) is not None
    if step.target in TIMES:
        for x, by in (of[:2], of[1::-1]) if step.call == "mul" else (of[:2],):
            if isinstance(by, Numbers) or normalized_by_hand(inner, x, by) is not None:
                return is_made_of_a_parameter(inner, x)
    return False


def refuse_computed(see: Seen, weight: Operand) -> NoReturn:
    step = see.definition(weight)
    what = "a weight that is computed from parameters"
    if step is not None and step.call == "div":
        under = see.definition(step.arguments[1])
        if under is not None and under.target in SINGULAR:
            what = "a weight over its largest singular value, as `spectral_norm` makes it"
    see.refuse(rules.NoLaw, operation=see.step.target, what=what)
