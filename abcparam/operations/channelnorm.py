"""`batchnorm` over batch and space, `groupnorm` over groups of channels and space."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.structure import SumNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands
from abcparam.operations.convolution import Batched
from abcparam.operations.normalization import EPS, divides_out, scaled
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import REQUIRED, Call, finite, show
from abcparam.python_code.nodes import ELLIPSIS, Binary, Code, Slice, call, own, subscript

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Making, Use
    from abcparam.program.tensors import Tensor
    from abcparam.python_code.value import ScaledCode

BATCH_NORM = '''\
def _batch_norm(x: Tensor, rank: int, *state: Tensor, **options: Any) -> Tensor:
    """`F.batch_norm` of `[channels, ...]`, so many axes, over all batch axes."""
    y = F.batch_norm(x.reshape(-1, *x.shape[-rank:]), *state, **options)
    return y.reshape(x.shape)'''
GROUP_NORM = '''\
def _group_norm(x: Tensor, rank: int, groups: int, **options: Any) -> Tensor:
    """`F.group_norm` of `[channels, ...]`, so many axes, with any number of batch axes."""
    y = F.group_norm(x.reshape(-1, *x.shape[-rank:]), groups, **options)
    return y.reshape(x.shape)'''


class ChannelNorm(Batched):
    """`x[c *], gain[c], bias[c] -> y[c *]`; the axes after the channels are finite."""

    law = "that of `layernorm`"
    values = ("x", "gain", "bias")
    optional = frozenset({"gain", "bias"})
    layer = ("gain", "bias")
    starts = {"gain": "ones", "bias": "zeros"}
    biased_alone: ClassVar[bool] = True  # whether PyTorch's takes a bias without a gain

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        finite(call, *x[1:])
        for name, shape in zip(self.values[1:], call.shapes[1:], strict=False):
            if shape is not None and shape != x[:1]:
                fields = {"name": name, "found": show(shape), "wanted": show(x[:1])}
                raise call.refuse(rules.NotOfChannels, **fields)
        return (x,)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        context, one = build.context, build.context.one
        x = operands.node(0)
        by_channel = {"over_places": self.state, "in_groups": not self.state}
        y: Node = NormNode(context, x, self.name, True, call.span, **by_channel)
        gain, bias = operands.optional(1), operands.optional(2)
        if gain is not None:
            y = ProductNode(context, y, gain, one, (one, one), call.span)
        if bias is not None:
            y = SumNode(context, (y, bias), (one, one), call.span)
        return (y,)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (scaled(of, free=not self.state and divides_out(call)),)

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        """PyTorch's have a gain and a bias, or neither."""
        return call.operands[2] is not None

    def normalized(self, use: Use, gain: Code | None, bias: Code | None) -> Code:
        """PyTorch's function, with the gain and bias that it takes."""
        raise NotImplementedError

    def torch(self, use: Use) -> ScaledCode:
        layer = use.layer()
        if layer is not None:
            return use.result(self.called(layer, use.code(0), use.rank()))
        gain, bias = (use.code(i) if _plain(use, i) else None for i in (1, 2))
        inside = gain is not None or (self.biased_alone and not use.has(1))
        y = self.normalized(use, gain, bias if inside else None)
        if use.has(1) and gain is None:
            y = Binary("*", y, _over_space(use, 1))
        if use.has(2) and (bias is None or not inside):
            y = Binary("+", y, _over_space(use, 2))
        return use.result(y)


def _plain(use: Use, index: int) -> bool:
    """Whether a gain or bias is one for the whole batch, as PyTorch's functions want them."""
    return use.has(index) and not use.batched(index)


def _eps(place: Use | Making) -> Code | None:
    """None where it is PyTorch's default."""
    usual = place.formula("eps").constant == EPS.value.constant
    return None if usual else place.number("eps")


def _over_space(use: Use, index: int) -> Code:
    axes = [Slice()] * (use.rank() - 1)
    return subscript(use.code(index), ELLIPSIS, *[None] * len(axes)) if axes else use.code(index)


class BatchNorm(ChannelNorm):
    """`x[c *], gain[c], bias[c] -> y[c *]`: each channel over its own RMS in batch and space.

    It keeps running statistics, as PyTorch does.
    """

    name = "batchnorm"
    example = "batchnorm(conv2d(kernel, x, padding = 1), gain, bias)"
    settings = {"eps": EPS}
    source = "arXiv 2011.14522, section 10: a channel's own scale divides out"
    state = True

    def has_layer(self, call: Apply, weight: Tensor) -> bool:
        x = call.operands[0]
        return x is not None and len(x.shapes[0]) <= 4 and super().has_layer(call, weight)

    def made(self, making: Making) -> Code:
        name = f"nn.BatchNorm{max(making.rank() - 1, 1)}d"
        return call(name, *making.axes(), eps=_eps(making))

    def helper(self, call: Apply) -> str:
        return BATCH_NORM

    def normalized(self, use: Use, gain: Code | None, bias: Code | None) -> Code:
        channels = use.shape(0)[0]
        mean = use.buffer("running_mean", channels, 0)
        var = use.buffer("running_var", channels, 1)
        options: dict[str, Code | None] = {"weight": gain, "bias": bias}
        options |= {"training": own("training"), "eps": _eps(use)}
        return call("_batch_norm", use.code(0), use.rank(), mean, var, **options)


class GroupNorm(ChannelNorm):
    """`x[(g c) *], gain[(g c)], bias[(g c)] -> y[(g c) *]`: g groups of channels.

    Each is over its own RMS in its channels and in space.
    """

    name = "groupnorm"
    example = "groupnorm(x, groups = 32, gain = gain, bias = bias)"
    settings = {"groups": REQUIRED, "eps": EPS}
    order = ("x", "groups", "gain", "bias", "eps")
    source = "arXiv 1803.08494; sizes as arXiv 2203.03466, appendix B.1"
    biased_alone = False  # it does, but has no backward pass then

    def made(self, making: Making) -> Code:
        return call("nn.GroupNorm", making.length("groups"), *making.axes(), eps=_eps(making))

    def helper(self, call: Apply) -> str:
        return GROUP_NORM

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        x, groups = call.operands[0], call.settings["groups"]
        if x is not None and isinstance(groups, Amount):
            yield x.shapes[0][0] / groups.value

    def normalized(self, use: Use, gain: Code | None, bias: Code | None) -> Code:
        options = {"weight": gain, "bias": bias, "eps": _eps(use)}
        return call("_group_norm", use.code(0), use.rank(), use.length("groups"), **options)


OPERATIONS = (BatchNorm(), GroupNorm())
