"""Maps: parameters that are summed over, and sums of products of two values."""

from __future__ import annotations

from abcparam.algebra.polynomials import ONE
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers, Operand
from abcparam.imports.aten.computed import by_computed, refuse_computed
from abcparam.imports.aten.einsum import by_vector
from abcparam.imports.aten.pairs import flattened_pairs
from abcparam.imports.operations import CONTRACT
from abcparam.imports.seen import Law, Matrix, Seen, amount
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Expression


def linear(see: Seen) -> Expression:
    x, weight, bias = see.get(0), see.get(1), see.get(2, "bias")
    y = _weighted(see, weight, 1, x)
    return y if bias is None else see.apply("+", (y, see.value(bias)))


def _weighted(see: Seen, weight: Operand, axis: int, x: Operand) -> Expression:
    """A map by what must be a parameter of two axes, or one that is scaled by a number."""
    matrix = see.weight(weight)
    if matrix is not None:
        return _mapped(see, matrix, axis, x)
    scaled = see.definition(weight)
    if scaled is not None and scaled.target in {"aten.mul.Tensor", "aten.div.Tensor"}:
        inner = see.with_step(scaled)
        factors = [inner.scalar(operand) for operand in scaled.arguments]
        for operand, factor in zip(scaled.arguments, reversed(factors), strict=True):
            matrix = see.weight(operand)
            if factor is not None and matrix is not None:
                by = factor if scaled.target == "aten.mul.Tensor" else factor.inverse()
                return see.scaled(_mapped(see, matrix, axis, x), by)
    shape = see.shape(weight)
    fans = shape[axis : axis + 1], shape[1 - axis :][:1]
    return by_computed(see, weight, (axis, 1 - axis), fans, x, see.shape(x)[:-1])


def _mapped(see: Seen, matrix: Matrix, axis: int, x: Operand) -> Expression:
    """A parameter of two axes on the last axis of a value, which may be all pairs of two."""
    return flattened_pairs(see, matrix, axis, x) or see.map(matrix, axis, x)


def _matrix(see: Seen, weight: Operand) -> Matrix:
    """What must be a parameter."""
    return see.weight(weight) or refuse_computed(see, weight)


def addmm(see: Seen) -> Expression:
    """`bias + x @ W`, as in GPT-2's layers: W is (in, out)."""
    bias, x, weight = (see.get(i) for i in range(3))
    return see.apply("+", (_weighted(see, weight, 0, x), see.value(bias)))


class Gathered(NamedTuple):
    """Matrices that are taken out of a parameter of several, by index."""

    matrix: Matrix
    at: KnownData


def gathered(see: Seen, operand: Operand) -> Gathered | None:
    """The matrices that a value is, `weight[expert]`; None for other values."""
    step = see.definition(operand)
    if step is None or step.target != "aten.index.Tensor":
        return None
    matrix, where = see.with_step(step).weight(step.arguments[0]), step.arguments[1]
    at = where[0] if isinstance(where, tuple) and len(where) == 1 else None
    if matrix is None or len(matrix.shape) != 3 or not isinstance(at, KnownData) or not at.integer:
        return None
    return Gathered(matrix, at)


def matmul(see: Seen) -> Expression:
    """`x @ y` where either may be a parameter."""
    x, y = see.get(0), see.get(1)
    for place, other in enumerate((y, x)):
        taken = gathered(see, see.get(place))
        if taken is not None:
            rows, columns = taken.matrix.shape[-2:-1], taken.matrix.shape[-1:]
            fans = (rows, columns) if place else (columns, rows)
            return see.packed(taken.matrix, other, fans, ())
    with_vector = by_vector(see)
    if with_vector is not None:
        return with_vector
    left, right = see.weight(x), see.weight(y)
    if right is not None and left is None:
        if len(right.shape) == 2:
            return _mapped(see, right, 0, x)
        if len(right.shape) > 2:
            return see.packed(right, x, (right.shape[-2:-1], right.shape[-1:]), _rows(see, x))
    if left is not None and right is None and len(left.shape) == 2:
        return _from_the_left(see, left, y)
    if left is not None or right is not None:
        what = "a product of parameters, or one of several axes on the left"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    return _contracted(see, x, y, see.shape(x), see.shape(y))


def _rows(see: Seen, x: Operand) -> Shape:
    return see.shape(x)[-2:-1]


def _contracted(see: Seen, x: Operand, y: Operand, left: Shape, right: Shape) -> Expression:
    if len(right) == 1:
        right = (*right, ONE)
    batch = see.result[: len(see.result) - 2]
    settings: dict[str, Setting] = {
        "over": (amount(left[-1]),),
        "x_lacks": (amount(right[-1]), *_missing(batch, left[:-2])),
        "y_lacks": (*map(amount, left[-2:-1]), *_missing(batch, right[:-2])),
    }
    return see.apply(CONTRACT, (see.value(x), see.value(y)), settings)


def _missing(batch: Shape, have: Shape) -> list[Amount]:
    padded = (*[ONE] * (len(batch) - len(have)), *have)
    return [amount(n) for n, m in zip(batch, padded, strict=True) if n != m]


def _from_the_left(see: Seen, matrix: Matrix, x: Operand) -> Expression:
    """`W @ x`: the last axis but one is summed over."""
    shape = see.shape(x)
    shared = (*shape[:-2], shape[-1]) if len(shape) > 1 else ()
    return see.packed(matrix, x, (matrix.shape[1:], matrix.shape[:1]), shared)


def grouped(see: Seen) -> Expression:
    """`grouped_mm`: rows of x, group by group, each by a matrix of (groups, in, out)."""
    matrix = _matrix(see, see.get(1))
    return see.packed(matrix, see.get(0), (matrix.shape[-2:-1], matrix.shape[-1:]), ())


def convolution(see: Seen) -> Expression:
    """`conv1d`, `conv2d`: a map of the channels in a window; space is finite."""
    groups, shape = see.whole_or_length(6, "groups"), see.shape(see.get(1))
    return _over_space(see, (1, 0), (shape[1:], (shape[0] / groups,)))


def transposed(see: Seen) -> Expression:
    """`conv_transpose`: the weight is (in, out, …)."""
    groups, shape = see.whole_or_length(6, "groups"), see.shape(see.get(1))
    return _over_space(see, (0, 1), ((shape[0] / groups, *shape[2:]), (shape[1],)))


def _over_space(see: Seen, axes: tuple[int, int], fans: tuple[Shape, Shape]) -> Expression:
    """A map of channels by a weight, of which these axes are those of x and of the result."""
    x, weight, bias = see.get(0), see.get(1), see.get(2, "bias")
    matrix = see.weight(weight)
    if matrix is not None:
        y = see.packed(matrix, x, fans, ())
    else:
        y = by_computed(see, weight, axes, fans, x, ())
    return y if bias is None else _with_bias(see, y, bias)


def _with_bias(see: Seen, y: Expression, bias: Operand) -> Expression:
    """A bias of channels, the first axis but the batch."""
    channels, space = see.shape(bias), len(see.result) - 2
    return see.apply("+", (y, see.rearranged(bias, (*channels, *[ONE] * space))))


def baddbmm(see: Seen) -> Expression:
    """`beta * bias + alpha * x @ y` of values."""
    bias, x, y = (see.get(i) for i in range(3))
    product_ = _contracted(see, x, y, see.shape(x), see.shape(y))
    alpha, beta = see.get(4, "alpha"), see.get(3, "beta")
    if isinstance(alpha, Numbers):
        power = see.scalar(alpha)
        assert power is not None
        product_ = see.scaled(product_, power)
    if isinstance(beta, Numbers) and beta.first == 0:
        return product_
    return see.apply("+", (product_, see.value(bias)))


LAWS: dict[str, Law] = {
    "aten.linear.default": linear,
    "aten.addmm.default": addmm,
    "aten.matmul.default": matmul,
    "aten.mm.default": matmul,
    "aten.bmm.default": matmul,
    "aten.baddbmm.default": baddbmm,
    "aten._grouped_mm.default": grouped,
    "transformers.grouped_mm_fallback.default": grouped,
    "aten.conv1d.default": convolution,
    "aten.conv2d.default": convolution,
    "aten.conv3d.default": convolution,
    "aten.conv1d.padding": convolution,
    "aten.conv2d.padding": convolution,
    "aten.conv_transpose1d.default": transposed,
    "aten.conv_transpose2d.input": transposed,
    "aten.conv_transpose3d.input": transposed,
}
