"""Maps: parameters that are summed over, and sums of products of two values."""

from __future__ import annotations

from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import Numbers, Operand
from abcparam.imports.operations import CONTRACT
from abcparam.imports.seen import Law, Seen, amount
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Expression


def linear(see: Seen) -> Expression:
    x, weight, bias = see.get(0), see.get(1), see.get(2, "bias")
    y = _weighted(see, weight, 1, x)
    return y if bias is None else see.apply("+", (y, see.value(bias)))


def _weighted(see: Seen, weight: Operand, axis: int, x: Operand) -> Expression:
    """A map by what must be a parameter of two axes, or one that is scaled by a number."""
    if see.weight(weight) is not None:
        return see.map(weight, axis, x)
    scaled = see.definition(weight)
    if scaled is not None and scaled.target in {"aten.mul.Tensor", "aten.div.Tensor"}:
        inner = see.with_step(scaled)
        factors = [inner.scalar(operand) for operand in scaled.arguments]
        for operand, factor in zip(scaled.arguments, reversed(factors), strict=True):
            if factor is not None and see.weight(operand) is not None:
                by = factor if scaled.target == "aten.mul.Tensor" else factor.inverse()
                return see.scaled(see.map(operand, axis, x), by)
    return see.refuse(
        rules.NoLaw, operation=see.step.target, what="a weight that is computed from parameters"
    )


def addmm(see: Seen) -> Expression:
    """`bias + x @ W`, as in GPT-2's layers: W is (in, out)."""
    bias, x, weight = (see.get(i) for i in range(3))
    return see.apply("+", (_weighted(see, weight, 0, x), see.value(bias)))


def matmul(see: Seen) -> Expression:
    """`x @ y` where either may be a parameter of two axes."""
    x, y = see.get(0), see.get(1)
    if see.weight(y) is not None and len(see.shape(y)) == 2:
        return see.map(y, 0, x)
    if see.weight(x) is not None and len(see.shape(x)) == 2:
        return _from_the_left(see, x, y)
    if see.weight(y) is not None or see.weight(x) is not None:
        return _batched_weight(see, x, y)
    left, right = see.shape(x), see.shape(y)
    if len(right) == 1:
        right = (*right, ONE)
    return _contracted(see, x, y, left, right)


def _contracted(see: Seen, x: Operand, y: Operand, left: Shape, right: Shape) -> Expression:
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


def _from_the_left(see: Seen, weight: Operand, x: Operand) -> Expression:
    """`W @ x`: the last axis but one is summed over."""
    found = see.weight(weight)
    assert found is not None
    source, order = found
    sizes = [see.names.weights[source.name][i] for i in order]
    shape = see.shape(x)
    shared: list[Polynomial] = [*shape[:-2], shape[-1]] if len(shape) > 1 else []
    return see.packed(source, x, ((sizes[1],), (sizes[0],)), tuple(shared))


def _batched_weight(see: Seen, x: Operand, y: Operand) -> Expression:
    """A parameter of three axes: a map for each of the first one."""
    found = see.weight(y)
    if found is None or see.weight(x) is not None:
        what = "a parameter of several axes on the left"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    source, order = found
    sizes = [see.names.weights[source.name][i] for i in order]
    return see.packed(source, x, ((sizes[-2],), (sizes[-1],)), see.shape(x)[-2:-1])


def einsum(see: Seen) -> Expression:
    """Sums of products by their letters, of two operands."""
    equation, operands = see.get(0), see.get(1)
    assert isinstance(equation, str) and isinstance(operands, tuple)
    if len(operands) != 2 or "." in equation:
        see.refuse(rules.NoLaw, operation=see.step.target, what=f"`{equation}`")
    inputs, _, output = equation.replace(" ", "").partition("->")
    left, right = inputs.split(",")
    sizes = {
        letter: length
        for letters, operand in zip((left, right), operands, strict=True)
        for letter, length in zip(letters, see.shape(operand), strict=True)
    }
    summed = (set(left) | set(right)) - set(output)
    for operand, own, other in ((operands[1], right, left), (operands[0], left, right)):
        if see.weight(operand) is not None:
            x = operands[0] if operand is operands[1] else operands[1]
            return _weight_by_letters(see, operand, x, own, other, output, sizes)
    if any((letter in left) != (letter in right) for letter in summed):
        see.refuse(rules.NoLaw, operation=see.step.target, what=f"`{equation}`")
    settings: dict[str, Setting] = {
        "over": tuple(amount(sizes[x]) for x in sorted(summed)),
        "x_lacks": tuple(amount(sizes[x]) for x in output if x not in left),
        "y_lacks": tuple(amount(sizes[x]) for x in output if x not in right),
    }
    return see.apply(CONTRACT, [see.value(x) for x in operands], settings)


def _weight_by_letters(
    see: Seen,
    weight: Operand,
    x: Operand,
    own: str,
    other: str,
    output: str,
    sizes: dict[str, Polynomial],
) -> Expression:
    found = see.weight(weight)
    assert found is not None
    fan_in = tuple(sizes[a] for a in own if a in other and a not in output)
    fan_out = tuple(sizes[a] for a in own if a in output and a not in other)
    shared = tuple(sizes[a] for a in other if a in output and a not in own)
    if any(a not in other and a not in output for a in own) or not fan_in:
        see.refuse(rules.NoLaw, operation=see.step.target, what="a sum over a parameter alone")
    return see.packed(found[0], x, (fan_in, fan_out), shared)


def convolution(see: Seen) -> Expression:
    """`conv1d`, `conv2d`: a map of the channels in a window; space is finite."""
    x, weight, bias = see.get(0), see.get(1), see.get(2, "bias")
    found = see.weight(weight)
    if found is None:
        what = "a weight that is computed from parameters"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    shape = see.shape(weight)
    groups = see.whole_or_length(6, "groups")
    y = see.packed(found[0], x, (shape[1:], (shape[0] / groups,)), ())
    return y if bias is None else _with_bias(see, y, bias)


def transposed(see: Seen) -> Expression:
    """`conv_transpose`: the weight is (in, out, …)."""
    x, weight, bias = see.get(0), see.get(1), see.get(2, "bias")
    found = see.weight(weight)
    if found is None:
        what = "a weight that is computed from parameters"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    shape = see.shape(weight)
    groups = see.whole_or_length(6, "groups")
    y = see.packed(found[0], x, ((shape[0] / groups, *shape[2:]), (shape[1],)), ())
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
    "aten.einsum.default": einsum,
    "aten.conv1d.default": convolution,
    "aten.conv2d.default": convolution,
    "aten.conv3d.default": convolution,
    "aten.conv1d.padding": convolution,
    "aten.conv2d.padding": convolution,
    "aten.conv_transpose1d.default": transposed,
    "aten.conv_transpose2d.input": transposed,
}
