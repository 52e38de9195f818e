"""Norms: PyTorch's, and those that models write by hand."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, product
from abcparam.imports.alike import Numbers, Operand, TracedStep
from abcparam.imports.seen import Law, Seen, amount
from abcparam.program.amounts import Setting
from abcparam.program.expressions import Expression

SQUARES = {"aten.pow.Tensor_Scalar", "aten.square.default", "aten.mul.Tensor"}
SUMS = {"aten.add.Tensor", "aten.add.Scalar"}
LEASTS = {"aten.clamp_min.default", "aten.clamp.default", "aten.maximum.default"}
ROOTS = {"aten.rsqrt.default": -1, "aten.sqrt.default": 1}
PASSES = {"aten.expand_as.default", "aten.expand.default"}


def layer_norm(see: Seen) -> Expression:
    return _norm(see, "layernorm", see.get(2, "weight"), see.get(3, "bias"))


def rms_norm(see: Seen) -> Expression:
    return _norm(see, "rmsnorm", see.get(2, "weight"), None)


def _norm(see: Seen, name: str, gain: Operand, bias: Operand) -> Expression:
    given = [None if x is None else see.value(x) for x in (gain, bias)]
    operands = (see.value(see.get(0)), *given)
    return see.apply(name, operands)


def batch_norm(see: Seen) -> Expression:
    return _channels(see, "batchnorm", see.get(1), see.get(2))


def instance_norm(see: Seen) -> Expression:
    return _channels(see, "batchnorm", see.get(1), see.get(2))


def group_norm(see: Seen) -> Expression:
    groups = see.whole_or_length(1, "num_groups")
    return _channels(see, "groupnorm", see.get(2), see.get(3), {"groups": amount(groups)})


def _channels(
    see: Seen,
    name: str,
    gain: Operand,
    bias: Operand,
    settings: dict[str, Setting] | None = None,
) -> Expression:
    given = [None if x is None else see.value(x) for x in (gain, bias)]
    operands = (see.value(see.get(0)), *given)
    return see.apply(name, operands, settings)


def normalized_by_hand(see: Seen, x: Operand, y: Operand) -> Expression | None:
    """`x * rsqrt(mean(x^2) + eps)` and its kin, None where a product is none of them."""
    divides = see.step.target.startswith("aten.div")
    for value, other in ((x, y),) if divides else ((x, y), (y, x)):
        found = _normalized(see, value, other, divides)
        if found is not None:
            return found
    return None


def _normalized(see: Seen, value: Operand, other: Operand, divides: bool) -> Expression | None:
    root = see.definition(other)
    while root is not None and root.target in PASSES:
        root = see.definition(root.arguments[0])
    if root is None:
        return None
    if divides and _length_of(see, root) is not None:
        return _over_length(see, value, root)
    power = ROOTS.get(root.target)
    if root.target == "aten.pow.Tensor_Scalar":
        exponent = see.with_step(root).scalar(root.arguments[1])
        power = None if exponent is None else {-0.5: -1, 0.5: 1}.get(exponent.coefficient)
    if power is None or (power > 0) != divides:
        return None
    return _over_root(see, value, see.definition(root.arguments[0]))


def _over_root(see: Seen, value: Operand, inner: TracedStep | None) -> Expression | None:
    """Over the root of a mean of squares, or of a variance, plus an epsilon."""
    if inner is None:
        return None
    if inner.target in SUMS | LEASTS:
        inner = see.definition(inner.arguments[0])
        if inner is None:
            return None
    if inner.target.startswith("aten.var"):
        centred = _centred(see, value)
        same = centred is not None and see.origin(inner.arguments[0]) == see.origin(centred)
        return see.apply("layernorm", (see.value(centred), None, None)) if same else None
    if inner.target != "aten.mean.dim":
        return None
    square = see.definition(inner.arguments[0])
    if square is None or not _is_square_of(see, square, value):
        return None
    centred = _centred(see, value)
    if centred is not None:
        return see.apply("layernorm", (see.value(centred), None, None))
    return see.apply("rmsnorm", (see.value(value), None, None))


def _is_square_of(see: Seen, step: TracedStep, value: Operand) -> bool:
    if step.target not in SQUARES:
        return False
    if see.origin(step.arguments[0]) != see.origin(value):
        return False
    if step.target == "aten.mul.Tensor":
        return see.origin(step.arguments[1]) == see.origin(value)
    exponent = see.with_step(step).get(1)
    is_two = isinstance(exponent, Numbers) and exponent.first == 2
    return is_two or step.target == "aten.square.default"


def _centred(see: Seen, value: Operand) -> Operand:
    """`x` where a value is `x - mean(x)`."""
    step = see.definition(value)
    if step is None or step.target != "aten.sub.Tensor":
        return None
    mean = see.definition(step.arguments[1])
    is_mean = mean is not None and mean.target == "aten.mean.dim"
    if is_mean and see.origin(mean.arguments[0]) == see.origin(step.arguments[0]):  # type: ignore[union-attr]
        return step.arguments[0]
    return None


def _length_of(see: Seen, step: TracedStep) -> Operand:
    """What a step is the Euclidean length of, behind a least value."""
    found: TracedStep | None = step
    if step.target in LEASTS:
        found = see.definition(step.arguments[0])
    if found is None or found.target not in {
        "aten.linalg_vector_norm.default",
        "aten.norm.ScalarOpt_dim",
    }:
        return None
    return found.arguments[0]


def _over_length(see: Seen, value: Operand, step: TracedStep) -> Expression | None:
    """A vector over its length: over its RMS, times the root of how many there are."""
    if see.origin(_length_of(see, step)) != see.origin(value):
        return None
    count: Polynomial = product(see.shape(value)) / product(step.shapes[0])
    normed = see.apply("rmsnorm", (see.value(value), None, None))
    return see.apply("scale", (normed,), {"by": amount(count.power(Fraction(-1, 2)))})


LAWS: dict[str, Law] = {
    "aten.layer_norm.default": layer_norm,
    "aten.rms_norm.default": rms_norm,
    "aten.batch_norm.default": batch_norm,
    "aten.group_norm.default": group_norm,
    "aten.instance_norm.default": instance_norm,
}
