"""`conv1d`, `conv2d (W, x, stride, padding, groups)`: a linear map of the channels in a window.

`conv_transpose1d` and `conv_transpose2d` are the other way round, from each place to a window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, number, product
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply, TensorRef
from abcparam.program.signature import Call, finite, show
from abcparam.python_code.formula import ONE as ONE_TIME
from abcparam.python_code.nodes import Tuple, call, lift, method

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.tensors import Tensor
    from abcparam.python_code.formula import Formula
    from abcparam.python_code.nodes import Code
    from abcparam.python_code.value import ScaledCode

AXES = {1: "length", 2: "rows, columns"}
BATCHED = '''\
def _batched(layer: nn.Module, x: Tensor, rank: int) -> Tensor:
    """What a layer gives for `x` of so many axes, after any number of batch axes."""
    y: Tensor = layer(x.reshape(-1, *x.shape[-rank:]))
    return y.reshape(*x.shape[:-rank], *y.shape[1:])'''


class Batched(Operation):
    """An operation whose layer takes one batch axis."""

    layer_helper = BATCHED

    def called(self, layer: Code, x: Code, rank: int) -> Code:
        return call("_batched", layer, x, rank)


def slid(call: Call, space: Shape, window: Shape) -> Shape:
    """How often a window fits into each axis of space."""
    stride, padding = call.amount("stride"), call.amount("padding")
    return tuple(
        _fits(call, n + padding * number(2), size, stride)
        for n, size in zip(space, window, strict=True)
    )


def _fits(call: Call, length: Polynomial, size: Polynomial, stride: Polynomial) -> Polynomial:
    left = length - size
    if left.constant is not None and left.constant < 0:
        raise call.refuse(rules.EmptyResult, size=size, length=length)
    return (left if stride == ONE else left // stride) + ONE


def slides(use: Use | Making, usual: Formula | None = None) -> dict[str, Code | None]:
    """`stride` and `padding`, left out where they are PyTorch's own; `usual` is its stride."""
    is_usual = usual is not None and use.formula("stride") == usual
    stride = None if is_usual else use.unless("stride", 0 if usual else 1)
    return {"stride": stride, "padding": use.unless("padding", 0)}


def any_batch(function: str, rank: int, argument: str) -> str:
    """A helper of emitted modules: PyTorch's function, which takes one batch axis at most."""
    name = argument.partition(":")[0]
    return f'''\
def _{function}(x: Tensor, {argument}, **options: int) -> Tensor:
    """`F.{function}` with any number of batch axes."""
    y = F.{function}(x.reshape(-1, *x.shape[-{rank}:]), {name}, **options)
    return y.reshape(*x.shape[:-{rank}], *y.shape[1:])'''


class KernelMap(Batched):
    """A linear map between channels and windows of channels; space and kernels are finite."""

    source = "arXiv 2203.03466, appendix B (fan-in is kernel times channels)"
    values = ("W", "x")
    weights = frozenset({"W"})

    def __init__(self, space: int) -> None:
        self.space = space

    def shapes_of(self, call: Call, inner: str) -> tuple[Shape, Shape]:
        """The shapes of W and x, where they fit; `inner` is what the second axis of W is called."""
        weight, x, groups = call.shape(0), call.shape(1), self.groups(call)
        for name, shape, rank, wanted in (
            ("the tensor", weight, self.space + 2, f"[out, {inner}, {AXES[self.space]}]"),
            ("the operand", x, self.space + 1, f"[channels, {AXES[self.space]}]"),
        ):
            if len(shape) != rank:
                raise call.refuse(rules.WrongRank, operand=name, wanted=wanted, shape=show(shape))
        if weight[1] * groups != x[0]:
            fields = {"wanted": weight[1] * groups, "found": x[0], "shape": show(x)}
            raise call.refuse(rules.ChannelsDiffer, **fields)
        finite(call, *weight[2:], *x[1:])
        return weight, x

    def groups(self, call: Call) -> Polynomial:
        """Into how many parts channels are divided."""
        return ONE

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        weight = call.shape(0)
        rhos = build.rho(product(weight[1:])), build.rho(weight[0] / self.groups(call))
        parameter, x, one = operands.parameter(0), operands.node(1), build.context.one
        return (LinearNode(build.context, parameter, x, one, span=call.span, rhos=rhos),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def helper(self, call: Apply) -> str:
        return any_batch(self.name, self.space + 1, "weight: Tensor")


class Convolution(KernelMap):
    """`w[o (i / g) k …], x[i n …] -> y[o m …]` with g groups; space and kernels are finite."""

    law = "a linear map of fan-in `i / g` and fan-out `o / g`"
    layer = ("W",)
    settings = {"stride": 1, "padding": 0, "groups": 1}

    def __init__(self, space: int) -> None:
        super().__init__(space)
        self.name = f"conv{space}d"
        self.example = f"conv{space}d(kernel, x, padding = 1)"

    def groups(self, call: Call) -> Polynomial:
        return call.amount("groups")

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        weight, x = self.shapes_of(call, "in / groups")
        return ((weight[0], *slid(call, x[1:], weight[2:])),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        weight, groups = call.operands[0], call.settings["groups"]
        if isinstance(weight, TensorRef) and isinstance(groups, Amount):
            yield weight.shapes[0][0] / groups.value

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        return True

    def made(self, making: Making) -> Code:
        outer, inner, *window = making.axes(ONE_TIME, making.formula("groups"))
        square = all(length == window[0] for length in window)
        options = {**slides(making), "groups": making.unless("groups", 1), "bias": lift(False)}
        size = window[0] if square else Tuple(tuple(window))
        return call(f"nn.Conv{self.space}d", inner, outer, size, **options)

    def torch(self, use: Use) -> ScaledCode:
        weight, x, layer = use.value(0), use.value(1), use.layer()
        if layer is not None:
            found = self.called(layer, x.code, self.space + 1)
        else:
            options = {**slides(use), "groups": use.unless("groups", 1)}
            found = call(f"_conv{self.space}d", x.code, use.parameter(0), **options)
        return use.result(found, weight.scale * x.scale, weight.label)


class TransposedConvolution(KernelMap):
    """`w[o i k …], x[i n …] -> y[o m …]`, from each place to a window; the windows are added.

    The axes of w are (out, in, kernel …), as of other convolutions.
    """

    law = "a linear map of fan-in `i` and fan-out `o`"
    settings = {"stride": 1, "padding": 0, "output_padding": 0}
    yields = True

    def __init__(self, space: int) -> None:
        super().__init__(space)
        self.name = f"conv_transpose{space}d"
        self.example = f"conv_transpose{space}d(kernel, x, stride = 2)"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        weight, x = self.shapes_of(call, "in")
        stride, padding = call.amount("stride"), call.amount("padding")
        more = call.amount("output_padding") - padding * number(2)
        space = zip(x[1:], weight[2:], strict=True)
        return ((weight[0], *((n - ONE) * stride + size + more for n, size in space)),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        return [s.value for s in call.settings.values() if isinstance(s, Amount)]

    def torch(self, use: Use) -> ScaledCode:
        weight, x = use.value(0), use.value(1)
        options = {**slides(use), "output_padding": use.unless("output_padding", 0)}
        stored = method(use.parameter(0), "transpose", 0, 1)
        found = call(f"_{self.name}", x.code, stored, **options)
        return use.result(found, weight.scale * x.scale, weight.label)


OPERATIONS = (
    Convolution(1),
    Convolution(2),
    TransposedConvolution(1),
    TransposedConvolution(2),
)
