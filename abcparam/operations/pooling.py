"""`maxpool`, `avgpool (x, size, stride, padding)`, `upsample`, `unfold(image, size)`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from abcparam.algebra.polynomials import Polynomial
from abcparam.calculus.node import Node
from abcparam.calculus.structure import LargestNode
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.arrangement import Unchanged
from abcparam.operations.base import Build, Operands
from abcparam.operations.convolution import any_batch, slid, slides
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import REQUIRED, Call, finite, show
from abcparam.python_code.nodes import call

if TYPE_CHECKING:
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode

UNFOLD = '''\
def _unfold(image: Tensor, size: int) -> Tensor:
    """Square patches of images `[channels, rows, columns]`, row by row."""
    image = image.unflatten(-1, (-1, size)).unflatten(-3, (-1, size))
    return image.movedim((-4, -2), (-5, -4)).flatten(-3).flatten(-3, -2)'''
WANTED = "[channels, length] or [channels, rows, columns]"


class Pooling(Unchanged):
    """`x[c n …] -> y[c m …]` over windows of one or two axes of space."""

    settings = {"size": REQUIRED, "stride": "size", "padding": 0}

    def __init__(self, short: str) -> None:
        self.name = f"{short}pool"
        self.example = f"{short}pool(x, size = 2)"
        self.short = short

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x, size = call.shape(0), call.amount("size")
        if len(x) not in {2, 3}:
            raise call.refuse(rules.WrongRank, operand="the operand", wanted=WANTED, shape=show(x))
        finite(call, *x[1:], size)
        return ((x[0], *slid(call, x[1:], (size,) * (len(x) - 1))),)

    def helper(self, call: Apply) -> str:
        (x,) = call.operands
        rank = len(x.shapes[0]) if x else 0
        return any_batch(f"{self.short}_pool{rank - 1}d", rank, "size: int")

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        return [s.value for s in call.settings.values() if isinstance(s, Amount)]

    def torch(self, use: Use) -> ScaledCode:
        x, options = use.value(0), slides(use, usual=use.formula("size"))
        function = f"_{self.short}_pool{use.rank() - 1}d"
        if self.short == "avg":
            return x.but(call(function, x.code, use.length("size"), **options))
        return use.result(call(function, use.code(0), use.length("size"), **options))


class MaxPool(Pooling):
    """`x[c n …] -> y[c m …]`: the largest of each window of one or two axes of space."""

    law = "unchanged; the largest is not centred, and its gradient changes by `d - s`"
    source = "arXiv 2006.14548 (Tensor Programs II), a nonlinearity of finitely many coordinates"

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        window = build.length((call.amount("size"),) * (len(call.shape(0)) - 1))
        return (LargestNode(build.context, operands.nodes(), call.span, window),)


class Upsample(Unchanged):
    """`x[c n …] -> y[c (n f) …]`: each place of space f times along each of one or two axes.

    If `linear`, places in between are on the line between their neighbours, or bilinear.
    """

    name = "upsample"
    source = "arXiv 2006.14548 (Tensor Programs II), linear combinations of finitely many places"
    example = "conv2d(kernel, upsample(x, factor = 2), padding = 1)"
    settings = {"factor": REQUIRED, "linear": False}
    yields = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x, factor = call.shape(0), call.amount("factor")
        if len(x) not in {2, 3}:
            raise call.refuse(rules.WrongRank, operand="the operand", wanted=WANTED, shape=show(x))
        finite(call, *x[1:], factor)
        return ((x[0], *(n * factor for n in x[1:])),)

    def helper(self, call: Apply) -> str:
        (x,) = call.operands
        rank = len(x.shapes[0]) if x else 0
        linear = call.settings["linear"] is True
        mode = f', mode="{_mode(rank)}"' if linear else ""
        says = "Places between those of space" if linear else "Each place of space `factor` times"
        name = _function(rank, linear)
        return f'''\
def {name}(x: Tensor, factor: int) -> Tensor:
    """{says} along each of its axes."""
    y = F.interpolate(x.reshape(-1, *x.shape[-{rank}:]), scale_factor=factor{mode})
    return y.reshape(*x.shape[:-{rank}], *y.shape[1:])'''

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        return [s.value for s in call.settings.values() if isinstance(s, Amount)]

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        function = _function(use.rank(), use.flag("linear"))
        return x.but(call(function, x.code, use.length("factor")))


def _mode(rank: int) -> str:
    return "bilinear" if rank == 3 else "linear"


def _function(rank: int, linear: bool) -> str:
    return f"_upsample_{_mode(rank)}" if linear else f"_upsample{rank - 1}d"


class Unfold(Unchanged):
    """`image[c rows columns] -> y[(r s) (c size size)]`: square patches, row by row."""

    name = "unfold"
    example = "patch_in @ unfold(image, size = 4)"
    values = ("image",)
    settings = {"size": REQUIRED}

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        image, size = call.shape(0), call.amount("size")
        if len(image) != 3:
            wanted, shape = "[channels, rows, columns]", show(image)
            raise call.refuse(rules.WrongRank, operand="the image", wanted=wanted, shape=shape)
        channels, rows, columns = image
        finite(call, rows, columns, size)
        return ((rows * columns / (size * size), channels * size * size),)

    def helper(self, call: Apply) -> str:
        return UNFOLD

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        (image,), size = call.operands, call.settings["size"]
        if image is not None and isinstance(size, Amount):
            yield from (length / size.value for length in image.shapes[0][1:])

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        return x.but(call("_unfold", x.code, use.length("size")))


OPERATIONS = (MaxPool("max"), Pooling("avg"), Upsample(), Unfold())
