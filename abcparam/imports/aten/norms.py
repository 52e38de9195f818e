"""Norms: PyTorch's, and those that models write by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, number, product
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Numbers, Operand, TracedStep
from abcparam.imports.numbers import Power
from abcparam.imports.operations import LENGTH, QUOTIENT, REARRANGE
from abcparam.imports.seen import Law, Seen, amount
from abcparam.imports.traced import Ref, Weight
from abcparam.program.amounts import Setting
from abcparam.program.expressions import Expression

SQUARES = {"aten.pow.Tensor_Scalar", "aten.square.default", "aten.mul.Tensor"}
SUMS = {"aten.add.Tensor", "aten.add.Scalar"}
LEASTS = {"aten.clamp_min.default", "aten.clamp.default", "aten.maximum.default"}
MEANS = {"aten.mean.dim", "aten.sum.dim_IntList"}
OVER_ALL = {"aten.mean.default", "aten.sum.default"}
LENGTHS = {"aten.linalg_vector_norm.default", "aten.norm.ScalarOpt_dim"}
ROOTS = {"aten.rsqrt.default": -1, "aten.sqrt.default": 1}
EPSILON = 2.0**-23  # PyTorch's for `rms_norm`, of 32 bits
LARGEST_EPSILON = 1e-5  # of coordinates whose length is taken; `pairwise_distance` adds 1e-6
NOTHING = Numbers((0.0,), ())
WEIGHT_NORM = "aten._weight_norm.default"
PASSES = {"aten.expand_as.default", "aten.expand.default"}


def layer_norm(see: Seen) -> Expression:
    _require_several(see)
    gain, bias, axes = see.get(2, "weight"), see.get(3, "bias"), see.get(1, "normalized_shape")
    found = _norm(see, "layernorm", (gain, bias), see.get(4, "eps"))
    return _over(see, found, range(-len(axes) if isinstance(axes, tuple) else -1, 0))


def _over(see: Seen, norm: Expression, axes: Sequence[int]) -> Expression:
    """A norm that centres along some axes: its mean over the last one is zero for that alone."""
    rank = len(see.result)
    is_last = {axis % rank for axis in axes} == {rank - 1}
    return norm if is_last else see.reshaped(norm, see.result)


def rms_norm(see: Seen) -> Expression:
    _require_several(see)
    return _norm(see, "rmsnorm", (see.get(2, "weight"), None), see.get(3, "eps"))


def batch_norm(see: Seen) -> Expression:
    return _norm(see, "batchnorm", (see.get(1), see.get(2)), see.get(7, "eps"))


def group_norm(see: Seen) -> Expression:
    groups = see.whole_or_length(1, "num_groups")
    gain, bias, eps = see.get(2, "weight"), see.get(3, "bias"), see.get(4, "eps")
    return _norm(see, "groupnorm", (gain, bias), eps, {"groups": amount(groups)})


def _require_several(see: Seen) -> None:
    """A number over its own size is its sign, and no deviation from itself."""
    axes = see.get(1, "normalized_shape")
    if isinstance(axes, tuple) and product(see.shape(see.get(0))[-len(axes) :]) == ONE:
        what = "a norm of one number, of which nothing but its sign is left"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)


def _norm(
    see: Seen,
    name: str,
    given: tuple[Operand, Operand],
    epsilon: Operand,
    settings: Mapping[str, Setting] = {},
) -> Expression:
    """A norm with the gain and bias that are given."""
    operands = (see.value(see.get(0)), *(None if x is None else see.value(x) for x in given))
    return see.apply(name, operands, {**settings, **_epsilon(epsilon)})


def _epsilon(value: Operand) -> dict[str, Setting]:
    """What is added under the root; PyTorch's own where none is said."""
    epsilon = value.first if isinstance(value, Numbers) else EPSILON
    return {"eps": amount(number(Fraction(repr(epsilon))))}


def normalized_by_hand(see: Seen, x: Operand, y: Operand) -> Expression | None:
    """`x * rsqrt(mean(x^2) + eps)` and its kin, None where a product is none of them."""
    divides = see.step.target.startswith("aten.div")
    for value, other in ((x, y),) if divides else ((x, y), (y, x)):
        found = _normalized(see, value, other, divides) or _with_gain(see, value, other, divides)
        if found is not None:
            return found
    return None


def _with_gain(see: Seen, value: Operand, other: Operand, divides: bool) -> Expression | None:
    """`gain * x / rms(x)`, where the gain comes first."""
    step = see.definition(value)
    if step is None or step.target != "aten.mul.Tensor":
        return None
    for x, gain in (step.arguments, step.arguments[::-1]):
        if not isinstance(gain, (Ref, Weight)):
            continue
        found = _normalized(see, x, other, divides)
        if found is not None:
            return see.apply("*", (found, see.value(gain)))
    return None


def _normalized(see: Seen, value: Operand, other: Operand, divides: bool) -> Expression | None:
    root = see.definition(other)
    while root is not None and root.target in PASSES:
        root = see.definition(root.arguments[0])
    if root is None:
        return None
    if divides and _length_of(see, root) is not None:
        return _over_length(see, value, root)
    if divides and root.target in SUMS | LEASTS:
        root = see.definition(root.arguments[0]) or root
    if divides and root.call == "std":
        return _over_spread(see, value, root, NOTHING)
    power = ROOTS.get(root.target)
    if root.target == "aten.pow.Tensor_Scalar":
        exponent = see.with_step(root).scalar(root.arguments[1])
        power = None if exponent is None else {-0.5: -1, 0.5: 1}.get(exponent.coefficient)
    if power is None or (power > 0) != divides:
        return None
    return _over_root(see, value, see.definition(root.arguments[0]))


def _over_root(see: Seen, value: Operand, inner: TracedStep | None) -> Expression | None:
    """Over the root of a mean or sum of squares, or of a variance, plus an epsilon."""
    epsilon: Operand = NOTHING
    if inner is not None and inner.target in SUMS | LEASTS:
        epsilon = inner.arguments[1] if inner.target in SUMS else NOTHING
        inner = see.definition(inner.arguments[0])
    if inner is None:
        return None
    if inner.call == "var":
        return _over_spread(see, value, inner, epsilon)
    centred = _centred(see, value)
    if inner.target not in MEANS:
        return None
    square = see.definition(inner.arguments[0])
    if square is None or not _is_square_of(see, square, value):
        return None
    if inner.target == "aten.sum.dim_IntList":
        return _over_sum(see, value, inner, epsilon)
    if centred is not None:
        found = _plain(see, "layernorm", centred, epsilon)
        return _over(see, found, see.with_step(inner).wholes(1, "dim"))
    return _plain(see, "rmsnorm", value, epsilon)


def _over_spread(
    see: Seen, value: Operand, step: TracedStep, epsilon: Operand
) -> Expression | None:
    """What is centred over its deviation, along the same axes."""
    mean, inner = _mean_of(see, value), see.with_step(step)
    over_all = step.target.endswith(".default")
    if mean is None or over_all or not see.equal(mean.arguments[0], step.arguments[0]):
        return None
    if see.with_step(mean).wholes(1, "dim") != inner.wholes(1, "dim"):
        return None
    found = _plain(see, "layernorm", step.arguments[0], epsilon)
    return _over(see, found, inner.wholes(1, "dim"))


def _plain(see: Seen, name: str, value: Operand, epsilon: Operand) -> Expression:
    """A norm without gain and bias."""
    return see.apply(name, (see.value(value), None, None), _epsilon(epsilon))


def _over_sum(
    see: Seen, value: Operand, step: TracedStep, epsilon: Operand = NOTHING
) -> Expression:
    """A vector over its length: over its RMS, times the root of how many there are."""
    count: Polynomial = product(see.shape(value)) / product(step.shapes[0])
    normed = _plain(see, "rmsnorm", value, epsilon)
    return see.apply("scale", (normed,), {"by": amount(count.power(Fraction(-1, 2)))})


class Rescaled(NamedTuple):
    """A weight of which each row has a length of its own: its gain, along one axis, or -1.

    Entries of `rows` are of size 1, `length` of them in each.
    """

    rows: Expression
    length: Polynomial
    gain: Expression
    axis: int


def rescaled(see: Seen) -> Rescaled:
    """`g * v / ||v||`, the lengths along all axes but one, or all."""
    v, axis = see.get(0), see.whole(2, "dim")
    count = product(see.shape(v)) / (ONE if axis < 0 else see.shape(v)[axis])
    return Rescaled(_plain(see, "rmsnorm", v, NOTHING), count, see.value(see.get(1)), axis)


def _is_square_of(see: Seen, step: TracedStep, value: Operand) -> bool:
    if step.target not in SQUARES:
        return False
    if not see.equal(step.arguments[0], value):
        return False
    if step.target == "aten.mul.Tensor":
        return see.equal(step.arguments[1], value)
    exponent = see.with_step(step).get(1)
    is_two = isinstance(exponent, Numbers) and exponent.first == 2
    return is_two or step.target == "aten.square.default"


def _centred(see: Seen, value: Operand) -> Operand:
    """`x` where a value is `x - mean(x)`."""
    mean = _mean_of(see, value)
    return None if mean is None else mean.arguments[0]


def _mean_of(see: Seen, value: Operand) -> TracedStep | None:
    """The mean of x, where a value is `x - mean(x)`."""
    step = see.definition(value)
    if step is None or step.target != "aten.sub.Tensor":
        return None
    mean = see.definition(step.arguments[1])
    if mean is None or mean.target != "aten.mean.dim":
        return None
    return mean if see.equal(mean.arguments[0], step.arguments[0]) else None


def _length_of(see: Seen, step: TracedStep) -> Operand:
    """What a step is the Euclidean length of, behind a least value."""
    found = see.definition(step.arguments[0]) if step.target in SUMS | LEASTS else step
    if found is None or found.target not in LENGTHS:
        return None
    order = see.with_step(found).get(1)
    is_two = not isinstance(order, Numbers) or order.first == 2
    return found.arguments[0] if is_two else None


def _over_length(see: Seen, value: Operand, step: TracedStep) -> Expression | None:
    """A vector over what is its Euclidean length."""
    is_own = see.equal(_length_of(see, step), value)
    return _over_sum(see, value, step) if is_own else None


def length(see: Seen) -> Expression:
    """The Euclidean length of vectors, where it is no part of a norm."""
    order = see.get(1)
    if isinstance(order, Numbers) and order.first != 2:
        see.refuse(rules.NoLaw, operation=see.step.target, what="a length but the Euclidean")
    x = _without_epsilon(see, see.get(0))
    count = product(see.shape(x)) / product(see.result)
    return see.apply(LENGTH, (see.value(x),), {"over": (amount(count),)})


def _without_epsilon(see: Seen, x: Operand) -> Operand:
    """What an epsilon is added to, which keeps a length from zero; else the value as it is."""
    step = see.definition(x)
    if step is None or step.target not in SUMS:
        return x
    value, added = step.arguments[:2]
    is_small = isinstance(added, Numbers) and max(map(abs, added.values)) <= LARGEST_EPSILON
    return value if is_small else x


def root(see: Seen) -> Expression:
    """The root of a mean or sum of squares, and an epsilon: a length, where it is no norm's."""
    inner = see.definition(see.get(0))
    if inner is not None and inner.target in SUMS | LEASTS:
        inner = see.definition(inner.arguments[0])
    if inner is not None and inner.call == "mse_loss":
        return _root_of_loss(see.with_step(inner))
    is_sum = inner is not None and inner.target in MEANS | OVER_ALL
    square = see.definition(inner.arguments[0]) if inner and is_sum else None
    if inner is None or square is None or not _is_square_of(see, square, square.arguments[0]):
        see.refuse(rules.NoLaw, operation=see.step.target, what="a root of what may be zero")
    x = square.arguments[0]
    count = product(see.shape(x)) / product(inner.shapes[0])
    if inner.call == "mean":
        return _root_mean_square(see, see.value(x), count)
    return see.apply(LENGTH, (see.value(x),), {"over": (amount(count),)})


def reciprocal_root(see: Seen) -> Expression:
    """One over a length, as what StyleGAN divides by the lengths of its weights' rows."""
    over = root(see)
    one = see.apply("offset", (see.scaled(over, Power(0.0, {})),), {"by": amount(ONE)})
    return see.apply(QUOTIENT, (one, over))


def _root_of_loss(see: Seen) -> Expression:
    """The root of a mean square error: the root mean square of a difference."""
    x, y = see.get(0), see.get(1)
    shape = max(see.shape(x), see.shape(y), key=len)
    difference = see.difference(see.value(x), see.value(y), shape)
    reduction, count = see.whole(2, "reduction", 1), product(shape)
    if reduction == 0:
        see.refuse(rules.NoLaw, operation="aten.sqrt.default", what="a root of what may be zero")
    if reduction == 1:
        return _root_mean_square(see, difference, count)
    return see.apply(LENGTH, (difference,), {"over": (amount(count),)})


def _root_mean_square(see: Seen, x: Expression, count: Polynomial) -> Expression:
    made = see.apply(LENGTH, (x,), {"over": (amount(count),)})
    return see.apply("scale", (made,), {"by": amount(count.power(Fraction(-1, 2)))})


def deviation(see: Seen) -> Expression:
    """The root mean square of what is centred; Bessel's correction changes no size."""
    x = see.value(see.get(0))
    axes = see.wholes(1, "dim") if see.step.target != f"aten.{see.call}.default" else ()
    shape = x.shapes[0]
    over = {axis % len(shape) for axis in axes or range(len(shape))}
    alone = tuple(ONE if i in over else n for i, n in enumerate(shape))
    mean = see.mean(see.get(0), axes)
    kept = see.apply(REARRANGE, (mean,), shape=alone)
    centred = see.difference(x, kept, shape)
    count = product(shape) / product(see.result)
    return _root_mean_square(see, centred, count)


def variance(see: Seen) -> Expression:
    return see.apply("square", (deviation(see),))


LAWS: dict[str, Law] = {
    "aten.sqrt.default": root,
    "aten.rsqrt.default": reciprocal_root,
    **{f"aten.std.{kind}": deviation for kind in ("correction", "dim", "default")},
    **{f"aten.var.{kind}": variance for kind in ("correction", "dim", "default")},
    **dict.fromkeys(LENGTHS, length),
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.batch_norm.default": batch_norm,
    "aten.group_norm.default": group_norm,
    "aten.instance_norm.default": batch_norm,
}
