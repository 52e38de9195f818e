"""What moves coordinates about and leaves their size.

These are concat, split, indexing, dropout, zeros, mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, number
from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Node, ZerosNode
from abcparam.calculus.rows import PartNode, is_whole
from abcparam.calculus.structure import (
    ConcatNode,
    CopiesNode,
    DroppedNode,
    MeanNode,
    SameNode,
    ScaleNode,
    SelectNode,
)
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import (
    NOT_NEGATIVE,
    REQUIRED,
    Call,
    RefusedError,
    axis_of,
    show,
)
from abcparam.python_code.nodes import ELLIPSIS, List, Slice, call, method, own, subscript

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.nodes import Code
    from abcparam.python_code.value import ScaledCode


TAKE = '''\
def _take(x: Tensor, at: Tensor, axis: int) -> Tensor:
    """The place along an axis that each sample names."""
    return x.take_along_dim(at[(..., *[None] * -axis)], axis).squeeze(axis)'''

SPLIT_HEADS = '''\
def _split_heads(x: Tensor, heads: int, parts: int) -> tuple[Tensor, ...]:
    """The parts of each head, those of all heads behind one another."""
    each = x.unflatten(-1, (heads, -1)).chunk(parts, -1)
    return tuple(part.flatten(-2) for part in each)'''


def whole(call: Call, name: str) -> int:
    """A setting that must be a plain whole number, such as an axis."""
    value = call.amount(name).constant
    if value is None or value.denominator != 1:
        raise call.refuse(rules.NotWhole, name=name, wanted="a whole number")
    return int(value)


def whole_axes(call: Call) -> list[int]:
    """The setting `axis`, a whole number or several."""
    setting = call.settings["axis"]
    amounts = setting if isinstance(setting, tuple) else (setting,)
    for amount in amounts:
        value = amount.value.constant if isinstance(amount, Amount) else None
        if value is None or value.denominator != 1:
            raise call.refuse(rules.NotWhole, name="axis", wanted="a whole number or several")
    return axes_of(setting)


def axes_of(setting: Setting) -> list[int]:
    """Whole numbers, of which a setting is one or several."""
    amounts = setting if isinstance(setting, tuple) else (setting,)
    return [int(a.value.constant or 0) for a in amounts if isinstance(a, Amount)]


SPLIT_HEADS_AT = '''\
def _split_heads_at(x: Tensor, heads: int, lengths: list[int]) -> tuple[Tensor, ...]:
    """The parts of these lengths of each head, those of all heads behind one another."""
    each = x.unflatten(-1, (heads, -1)).split(lengths, -1)
    return tuple(part.flatten(-2) for part in each)'''

CONCAT_HEADS = '''\
def _concat_heads(heads: int, *several: Tensor) -> Tensor:
    """Of each head the parts, one behind the other."""
    each = [x.unflatten(-1, (heads, -1)) for x in several]
    return torch.cat(each, -1).flatten(-2)'''


class Unchanged(Operation):
    """`x[*] -> y[*]` of the same size per coordinate."""

    law = "unchanged"
    source = "reindexing: each coordinate is one of the input's"

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return min(signs)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (SameNode(build.context, operands.nodes(), call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),)


class Dropout(Unchanged):
    """`x[*] -> y[*]`, each coordinate kept with probability 1 - p and divided by it."""

    name = "dropout"
    example = "dropout(x, 0.1)"
    settings = {"p": REQUIRED}

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        kept = build.rho(ONE - call.amount("p"))
        return (DroppedNode(build.context, operands.node(0), kept, call.span),)

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        return (call.shape(0),)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return min(signs[0], NOT_NEGATIVE)

    def torch(self, use: Use) -> ScaledCode:
        training = own("training")
        x = use.value(0)
        return x.but(call("F.dropout", x.code, use.number("p"), training))


class Select(Unchanged):
    """`x[n *] -> y[*]`: the i-th of the first declared axis; `i` may be a repeat's number."""

    name = "index"
    example = "x[0]"
    written = ("x[i]",)
    settings = {"at": REQUIRED}
    hidden = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        return (x[1:],)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (SelectNode(build.context, operands.nodes(), call.span),)

    def torch(self, use: Use) -> ScaledCode:
        x, at = use.value(0), use.length("at")
        return x.but(subscript(x.code, ELLIPSIS, at, *[Slice()] * (use.rank() - 1)))


class Take(Unchanged):
    """`x[n *], at -> y[*]`: of the first declared axis of each sample, the one that it names."""

    name = "take"
    example = "take(layernorm(x), last)"
    values = ("x", "at")
    indices = frozenset({"at"})
    yields = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x, at = call.shape(0), call.shape(1)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        if at:
            wanted = "[], one place for each sample"
            raise call.refuse(rules.WrongRank, operand="`at`", wanted=wanted, shape=show(at))
        return (x[1:],)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (SelectNode(build.context, (operands.node(0),), call.span),)

    def helper(self, call: Apply) -> str:
        return TAKE

    def torch(self, use: Use) -> ScaledCode:
        return use.result(call("_take", *use.batch(), -use.rank()))


class Transpose(Unchanged):
    """`x[* i j] -> y[* j i]`: the last two axes."""

    name = "transpose"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if len(x) < 2:
            raise call.refuse(rules.RankTooLow, needed=2, shape=show(x))
        return ((*x[:-2], x[-1], x[-2]),)

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        return x.but(method(x.code, "transpose", -2, -1))


class Permute(Unchanged):
    """`x[i j …] -> y[…]`: the declared axes in another order, those of x by number."""

    name = "permute"
    example = "permute(conv2d(depthwise, x, padding = 3, groups = width), axis = (1, 2, 0))"
    settings = {"axis": REQUIRED}
    yields = True

    def _order(self, call: Call) -> list[int]:
        x, axes = call.shape(0), whole_axes(call)
        order = [axis_of(call, x, axis) for axis in axes]
        if sorted(order) != list(range(len(x))):
            wanted = f"each of the {_axes(len(x))} once"
            raise call.refuse(rules.NotWhole, name="axis", wanted=wanted)
        return order

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        return (tuple(x[axis] for axis in self._order(call)),)

    def torch(self, use: Use) -> ScaledCode:
        x, rank = use.value(0), use.rank()
        order = [axis % rank for axis in axes_of(use.setting("axis"))]
        moved = [i for i, axis in enumerate(order) if i != axis]
        if not moved:
            return x
        now = [axis - rank for axis in (order[i] for i in moved)]
        return x.but(method(x.code, "movedim", tuple(now), tuple(i - rank for i in moved)))


class Unsqueeze(Unchanged):
    """`x[* i] -> y[* i 1]`: an axis of 1, or a tuple of them, as y counts them."""

    name = "unsqueeze"
    example = "image + unsqueeze(shift @ time, axis = (-2, -1))"
    settings = {"axis": REQUIRED}
    yields = True

    def _axes(self, call: Call) -> list[int]:
        """Axes of the result, from the front."""
        axes = whole_axes(call)
        rank = len(call.shape(0)) + len(axes)
        return sorted(axis_of(call, (ONE,) * rank, axis) for axis in axes)

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        shape = list(call.shape(0))
        for axis in self._axes(call):
            shape.insert(axis, ONE)
        return (tuple(shape),)

    def torch(self, use: Use) -> ScaledCode:
        x, axes = use.value(0), axes_of(use.setting("axis"))
        rank, code = use.rank() + len(axes), x.code
        for axis in sorted((axis % rank - rank for axis in axes), reverse=True):
            code = method(code, "unsqueeze", axis)
        return x.but(code)


class RepeatInterleave(Unchanged):
    """`x[* i] -> y[* (i n)]`: each coordinate n times, one behind the other."""

    name = "repeat_interleave"
    example = "repeat_interleave(temperature, head) * query @ x"
    law = "unchanged; gradients are summed over the copies"
    source = "arXiv 2006.14548 (Tensor Programs II), linear combinations"
    settings = {"n": REQUIRED}
    yields = True

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if not x:
            raise call.refuse(rules.RankTooLow, needed=1, shape=show(x))
        return ((*x[:-1], x[-1] * call.amount("n")),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        copies, alike = build.rho(call.amount("n")), call.shape(0)[-1] == ONE
        return (CopiesNode(build.context, operands.node(0), copies, alike, call.span),)

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        return [s.value for s in call.settings.values() if isinstance(s, Amount)]

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        return x.but(method(x.code, "repeat_interleave", use.length("n"), -1))


class Tile(RepeatInterleave):
    """`x[* i] -> y[* (n i)]`: all coordinates n times, one whole behind the other."""

    name = "tile"
    example = "concat(key @ latent, tile(rope(shared @ x), heads), heads = heads)"

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        return x.but(method(x.code, "tile", use.length("n")))


class Flatten(Unchanged):
    """`x[i j …] -> y[(i j …)]`: all declared axes into one."""

    name = "flatten"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        total = ONE
        for length in call.shape(0):
            total = total * length
        return ((total,),)

    def torch(self, use: Use) -> ScaledCode:
        x = use.value(0)
        return x.but(method(x.code, "flatten", -use.rank())) if use.rank() > 1 else x


class Split(Operation):
    """`x[* (n i)] -> n times y[* i]`; with `heads` each of them is split, `x[* (h n i)]`.

    n may be the lengths of the parts, `(i, j)`, of `x[* (i + j)]` or of each head.
    """

    name = "split"
    example = "split(packed @ x, 3)"
    law = "unchanged; parts of one map's result are as independent as those of several maps"
    settings = {"n": REQUIRED, "axis": -1, "heads": 1}
    source = "reindexing: each coordinate is one of the input's"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        axis, heads = axis_of(call, x, whole(call, "axis")), call.amount("heads")
        if heads != ONE and axis != len(x) - 1:
            raise call.refuse(rules.NotWhole, name="heads", wanted="1 but along the last axis")
        lengths = [heads * length for length in self._lengths(call, x[axis] / heads)]
        return tuple((*x[:axis], length, *x[axis + 1 :]) for length in lengths)

    def _lengths(self, call: Call, whole_: Polynomial) -> list[Polynomial]:
        """Those of the parts of an axis, or of that of a head."""
        sizes = call.settings["n"]
        if isinstance(sizes, tuple):
            found = [size.value for size in sizes]
            total = number(0)
            for length in found:
                total = total + length
            if total != whole_ or not 1 <= len(found) <= 64:
                wanted, help = f"lengths that make up {whole_}", rules.NotWhole.lengths
                raise call.refuse(rules.NotWhole, name="n", wanted=wanted, help=help)
            return found
        parts = whole(call, "n")
        if not 1 <= parts <= 64:
            raise call.refuse(rules.NotWhole, name="n", wanted="a whole number from 1 to 64")
        return [whole_ / number(parts)] * parts

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, shape = operands.node(0), call.shape(0)
        axis, heads = axis_of(call, shape, whole(call, "axis")), call.amount("heads")
        each = shape[axis] / heads
        shares = [(length / each).constant for length in self._lengths(call, each)]
        if axis != len(shape) - 1 or None in shares:
            return tuple(SelectNode(build.context, (x,), call.span) for _ in shares)

        def is_cut(length: Polynomial) -> bool:
            return is_whole(length) or build.rho(length) > build.context.one

        ends = list(accumulate(share for share in shares if share is not None))
        cuts = zip([Fraction(0), *ends], ends, strict=False)
        return tuple(PartNode(build.context, x, cut, call.span, heads, is_cut) for cut in cuts)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),) * len(call.shapes)

    def helper(self, call: Apply) -> str:
        if not _has_heads(call.settings["heads"]):
            return ""
        return SPLIT_HEADS_AT if isinstance(call.settings["n"], tuple) else SPLIT_HEADS

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        heads, (x,), sizes = call.settings["heads"], call.operands, call.settings["n"]
        yield from (size.value for size in sizes) if isinstance(sizes, tuple) else ()
        if x is not None and isinstance(heads, Amount) and _has_heads(heads):
            yield x.shapes[0][-1] / heads.value

    def torch(self, use: Use) -> ScaledCode:
        sizes = use.setting("n")
        if isinstance(sizes, tuple):
            return use.result(self._cut(use, [use.extent(size) for size in sizes]))
        parts = use.whole("n")
        if _has_heads(use.setting("heads")):
            return use.result(call("_split_heads", use.code(0), use.length("heads"), parts))
        return use.result(method(use.code(0), "chunk", parts, dim=use.axis()))

    def _cut(self, use: Use, lengths: list[Code]) -> Code:
        """Parts of these lengths."""
        if _has_heads(use.setting("heads")):
            return call("_split_heads_at", use.code(0), use.length("heads"), List(tuple(lengths)))
        return method(use.code(0), "split", List(tuple(lengths)), dim=use.axis())


def _has_heads(setting: Setting) -> bool:
    return isinstance(setting, Amount) and setting.value != ONE


class Concat(Operation):
    """`x[* i], y[* j] -> z[* (i + j)]` along an axis; equal but for that.

    With `heads` each of them is put together, `x[* (h i)], y[* (h j)] -> z[* (h (i + j))]`.
    """

    name = "concat"
    example = "concat(token, x, axis = 0)"
    law = "the largest"
    many = True
    settings = {"axis": -1, "heads": 1}
    source = "arXiv 2006.14548: the largest part decides"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        first, axis = call.shape(0), whole(call, "axis")
        where = axis_of(call, first, axis)
        if call.amount("heads") != ONE and where != len(first) - 1:
            raise call.refuse(rules.NotWhole, name="heads", wanted="1 but along the last axis")
        total: Polynomial | None = None
        for index in range(len(call.shapes)):
            shape = call.shape(index)
            if len(shape) != len(first) or any(
                x != y for i, (x, y) in enumerate(zip(shape, first, strict=True)) if i != where
            ):
                raise _not_joined(call, first, shape, axis)
            total = shape[where] if total is None else total + shape[where]
        assert total is not None
        return ((*first[:where], total, *first[where + 1 :]),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        nodes = operands.nodes()
        return (ConcatNode(build.context, nodes, [build.context.one] * len(nodes), call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.same(),)

    def torch(self, use: Use) -> ScaledCode:
        if _has_heads(use.setting("heads")):
            return use.result(call("_concat_heads", use.length("heads"), *use.batch()))
        return use.result(call("torch.cat", use.batch(), dim=use.axis()))

    def helper(self, call: Apply) -> str:
        return CONCAT_HEADS if _has_heads(call.settings["heads"]) else ""

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        heads = call.settings["heads"]
        if isinstance(heads, Amount) and _has_heads(heads):
            yield from (x.shapes[0][-1] / heads.value for x in call.operands if x is not None)


def _not_joined(call: Call, left: Shape, right: Shape, axis: int) -> RefusedError:
    """What is said of shapes that cannot be joined."""
    help = rules.NotJoined.others
    if len(left) != len(right):
        short, long = sorted((left, right), key=len)
        padded = show((*[ONE] * (len(long) - len(short)), *short))
        help = rules.NotJoined.ranks.format(
            one=show(short),
            other=show(long),
            few=_axes(len(short)),
            many=len(long),
            as_many=padded,
        )
    fields = {"left": show(left), "right": show(right), "axis": axis}
    return call.refuse(rules.NotJoined, help=help, **fields)


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"


class ZerosOf(Operation):
    """`-> y[n …]`."""

    name = "zeros"
    example = "zeros(width)"
    written = ("zeros(n, …)",)
    law = "exactly zero"
    values = ()
    settings = {"shape": REQUIRED}
    source = "an exact zero"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        shape = call.settings["shape"]
        assert isinstance(shape, tuple)
        return (tuple(amount.value for amount in shape),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (ZerosNode(build.context, call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.free(),)

    def torch(self, use: Use) -> ScaledCode:
        shape = use.setting("shape")
        assert isinstance(shape, tuple)
        return use.result(use.zeros([use.extent(amount) for amount in shape]))


class Mean(Operation):
    """`x[* i] -> y[*]`: the mean over one axis, or over a tuple of axes."""

    name = "mean"
    example = "mean(x, axis = 0)"
    law = (
        "`s0`, less `ρ/2` if `x` is centred; `d`; a number over a softmax's axis or a layer norm's"
    )
    settings = {"axis": REQUIRED}
    source = "arXiv 2006.14548: the law of large numbers"

    def _axes(self, call: Call) -> list[int]:
        x = call.shape(0)
        return [axis_of(call, x, axis) for axis in whole_axes(call)]

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        axes = self._axes(call)
        return (tuple(x for i, x in enumerate(call.shape(0)) if i not in axes),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        rho, last = self._rho(build, call), len(call.shape(0)) - 1 in self._axes(call)
        return (MeanNode(build.context, operands.node(0), rho, call.span, last),)

    def _rho(self, build: Build, call: Call) -> Size:
        """The size of the axes that it goes over."""
        axes = self._axes(call)
        return build.length([x for i, x in enumerate(call.shape(0)) if i in axes])

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return signs[0]

    def torch(self, use: Use) -> ScaledCode:
        return self.reduced(use, "mean")

    def reduced(self, use: Use, name: str) -> ScaledCode:
        """A method of PyTorch's that goes over the axes."""
        rank, x = use.rank(), use.value(0)
        axes = [a if a < 0 else a - rank for a in axes_of(use.setting("axis"))]
        return x.but(method(x.code, name, axes[0] if len(axes) == 1 else tuple(axes)))


class Total(Mean):
    """`x[* i] -> y[*]`: the sum over one axis, or over a tuple of axes."""

    name = "sum"
    example = "sum(x, axis = 0)"
    law = "that of `mean`, and `ρ`"

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        (mean,) = super().graph(build, call, operands)
        return (ScaleNode(build.context, mean, self._rho(build, call), call.span),)

    def torch(self, use: Use) -> ScaledCode:
        return self.reduced(use, "sum")


OPERATIONS = (
    Dropout(),
    Select(),
    Take(),
    Transpose(),
    Permute(),
    Unsqueeze(),
    RepeatInterleave(),
    Tile(),
    Flatten(),
    Split(),
    Concat(),
    ZerosOf(),
    Mean(),
    Total(),
)
