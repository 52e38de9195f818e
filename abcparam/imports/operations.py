"""Operations of PyTorch that the language has no word for, with their laws.

They have no line of emitted code: a program that holds one is judged, not compiled.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.calculus.bilinear import ProductNode, QuotientNode
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.calculus.pairs import PairsMapNode, PairsNode
from abcparam.calculus.parts import ALL_OF_IT, ALL_ROWS, Rows
from abcparam.calculus.pointwise import SoftmaxNode
from abcparam.calculus.structure import LargestNode, MeanNode, SameNode, ScaleNode, SumNode
from abcparam.diagnostics.source import Span
from abcparam.operations.attention import Heads, attended
from abcparam.operations.base import Build, Operands, Operation
from abcparam.operations.softmax import Softmax
from abcparam.program.amounts import Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code.value import ScaledCode


class ReadOperation(Operation):
    """An operation that was read; the shape of its result is the traced one."""

    hidden = True

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),)

    def torch(self, use: Use) -> ScaledCode:
        raise NotImplementedError(f"`{self.name}` is read from PyTorch, it is not written to it")


class Rearrange(ReadOperation):
    """`x -> y`: views, transposes, slices, copies, masks."""

    name = "rearrange"
    law = "unchanged"
    source = "reindexing: each coordinate is one of the input's"

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (SameNode(build.context, operands.nodes(), call.span),)


class Stretch(ReadOperation):
    """`x -> y`, the same all along axes that x lacks."""

    name = "expand"
    law = "unchanged; gradients are summed over the axes that `x` lacks"
    source = "arXiv 2006.14548 (Tensor Programs II), linear combinations"
    settings = {"over": ()}

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        lacking = build.length(_lengths(call.settings, "over"))
        return (SumNode(build.context, operands.nodes(), (lacking,), call.span),)


class SoftmaxAlong(ReadOperation):
    """`x -> y`, a softmax over another axis than the last: nothing is known of means over that."""

    name = "softmax_along"
    law, source = Softmax.law, Softmax.source
    degrees = Operation.degrees

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        node = SoftmaxNode(build.context, operands.node(0), call.span)
        node.kept_mean = None  # that of its last axis
        return (node,)


class Largest(ReadOperation):
    """`x -> y`, the largest of some coordinates."""

    name = "largest"
    law = "unchanged; the largest is not centred, and its gradient changes by `d - s`"
    source = "arXiv 2006.14548 (Tensor Programs II), a nonlinearity of finitely many coordinates"

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (LargestNode(build.context, operands.nodes(), call.span),)


class Larger(ReadOperation):
    """`x, y -> z`, the larger of two, or the smaller, coordinate by coordinate."""

    name = "larger"
    values = ("x", "y")
    law = "the larger size; it is not centred, and gradients change by `d - s`"
    source = "arXiv 2006.14548 (Tensor Programs II), a nonlinearity of finitely many coordinates"

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.same(),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (LargestNode(build.context, operands.nodes(), call.span),)


class Length(ReadOperation):
    """`x -> y`, the Euclidean length along some axes, of so many coordinates."""

    name = "length"
    law = "`s0 + ρ/2`, `d + ρ/2`"
    source = "arXiv 2006.14548: the law of large numbers, for squares"
    settings = {"over": ()}

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        rho, context = build.length(_lengths(call.settings, "over")), build.context
        positive = LargestNode(context, operands.nodes(), call.span)
        return (ScaleNode(context, MeanNode(context, positive, rho), rho.half(), call.span),)


class RowsPart(ReadOperation):
    """`x -> y`, rows `start` to `end` of the map that made x, as parts of all of them."""

    name = "part"
    law = "unchanged; parts of one map's result are as independent as those of several maps"
    source = "reindexing: each coordinate is one of the input's"
    settings = {"start": 0, "end": 1}

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        start, end = (_rational(call, name) for name in ("start", "end"))
        return (rows(build, operands.node(0), start, end, call.span),)


def rows(build: Build, x: Node, start: Fraction, end: Fraction, span: Span) -> Node:
    """Some of the rows of the maps that made a value."""
    node = SameNode(build.context, (x,), span)
    found: dict[int, Rows] = {}
    bits = node.maps
    while bits:
        bit = bits & -bits
        held = node.parts.get(bit, ALL_ROWS)
        low, high = held.get(ONE, ALL_OF_IT)
        found[bit] = {**held, ONE: (low + start * (high - low), low + end * (high - low))}
        bits ^= bit
    node.parts = found
    return node


class Contract(ReadOperation):
    """`x, y -> z`: the sum of products over some axes of two values.

    Settings are the lengths that are summed over, and those that x and y lack.
    """

    name = "contract"
    values = ("x", "y")
    law = "`s0 = s0(x) + s0(y) + ρ/2`, or `ρ` where both come from one map; change `ρ + …`"
    source = "arXiv 2203.03466, Definition 4.1 (1/d)"
    settings = {"over": (), "x_lacks": (), "y_lacks": ()}

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, y = operands.nodes()
        over, x_lacks, y_lacks = (
            build.length(_lengths(call.settings, name)) for name in ("over", "x_lacks", "y_lacks")
        )
        return (ProductNode(build.context, x, y, over, (x_lacks, y_lacks), call.span),)


class Division(ReadOperation):
    """`x, y -> z`, x over what is positive; y may lack axes."""

    name = "/"
    values = ("x", "y")
    law = "`s0 = s0(x) - s0(y)`; `d = max(d(x) - s(y), s(x) + d(y) - 2 s(y))`"
    source = "arXiv 2006.14548 (Tensor Programs II), a nonlinearity of two values"

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1) * Fraction(-1),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, y = operands.nodes()
        lacking = build.lacking(call.shape(1), call.shape(0))
        return (QuotientNode(build.context, x, y, lacking, call.span),)


class HeadsOfAttention(ReadOperation):
    """`q[* h i d], k[* g j d], v[* g j e], bias -> y[* h i e]`, scaled dot products per head."""

    name = "scaled_dot_product_attention"
    values = ("q", "k", "v", "bias")
    optional = frozenset({"bias"})
    law = "that of `attention`"
    source = "arXiv 2203.03466, Definition 4.1 (1/d)"
    factors = ("scale",)
    settings = {"scale": 1}

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        logits = of.of(0) + of.of(1) + of.left_out("scale")
        of.vanish(logits, "the logits of attention")
        of.still(3)
        return (of.of(2),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        q, k, v = (call.shape(i) for i in range(3))
        group = build.rho(_heads(q) / _heads(k))
        heads = Heads(build.rho(q[-1]), build.rho(v[-1]), group, build.rho(call.amount("scale")))
        bias, lacking = operands.optional(3), build.context.one
        if bias is not None:
            lacking = build.lacking(call.shape(3), (*q[:-1], k[-2]))
        nodes = [operands.node(i) for i in range(3)]
        return attended(build, nodes, heads, bias, lacking, call.span)


class PackedMap(ReadOperation):
    """`x[* i] -> y[* o]` by a tensor whose fans are those of this use."""

    name = "map"
    values = ("W", "x")
    weights = frozenset({"W"})
    law = "that of `W @ x`"
    source = "arXiv 2011.14522, section 5"
    settings = {"fan_in": 1, "fan_out": 1, "shared": (), "transposed": False}

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        rhos = build.rho(call.amount("fan_in")), build.rho(call.amount("fan_out"))
        shared = build.length(_lengths(call.settings, "shared"))
        weight, x = operands.parameter(0), operands.node(1)
        tied = call.flag("transposed") and build.tied(weight, x)
        return (LinearNode(build.context, weight, x, shared, False, tied, call.span, rhos),)


class PairsMap(ReadOperation):
    """`x[* i], y[* j] -> z[* o]`: a tensor on all products of their coordinates."""

    name = "map of pairs"
    values = ("W", "x", "y")
    weights = frozenset({"W"})
    law = "that of `W @ x` over all pairs; a change of them has rank one"
    source = "arXiv 1407.1870: the spectral norm of a random tensor"
    settings = {"x_fan": 1, "y_fan": 1, "fan_out": 1, "x_lacks": (), "y_lacks": (), "shared": ()}

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0) + of.of(1) + of.of(2),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        x, y, out = (build.rho(call.amount(name)) for name in ("x_fan", "y_fan", "fan_out"))
        x_lacks, y_lacks, shared = (
            build.length(_lengths(call.settings, name)) for name in ("x_lacks", "y_lacks", "shared")
        )
        context, values = build.context, (operands.node(1), operands.node(2))
        pairs = PairsNode(context, *values, (x_lacks + y, y_lacks + x), call.span)
        weight = operands.parameter(0)
        return (PairsMapNode(context, weight, pairs, shared, (x, y), out, call.span),)


def _heads(shape: Shape) -> Polynomial:
    return shape[-3] if len(shape) > 2 else ONE


def _lengths(settings: Mapping[str, Setting], name: str) -> Shape:
    found = settings[name]
    assert isinstance(found, tuple)
    return tuple(amount.value for amount in found)


def _rational(call: Call, name: str) -> Fraction:
    value = call.amount(name).constant
    assert value is not None
    return value


REARRANGE, STRETCH, LARGEST, PART = Rearrange(), Stretch(), Largest(), RowsPart()
SOFTMAX_ALONG = SoftmaxAlong()
LARGER = Larger()
CONTRACT, QUOTIENT, LENGTH = Contract(), Division(), Length()
HEADS, PACKED, PAIRS_MAP = HeadsOfAttention(), PackedMap(), PairsMap()
