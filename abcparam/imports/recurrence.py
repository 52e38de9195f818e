"""Recurrent layers: their cells, unrolled for two steps from a state at rest.

What the first step leaves is what the second one starts from, so that the map of the state is met
with a state; laws are those of its gates, parts of one map each.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import InputNode, Node
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import ConcatNode, ScaleNode, SumNode
from abcparam.diagnostics.source import Span
from abcparam.imports.operations import ReadOperation, rows
from abcparam.operations import operations
from abcparam.operations.base import Build, Operands
from abcparam.operations.pointwise import Pointwise
from abcparam.program.expressions import Apply
from abcparam.program.signature import Call

if TYPE_CHECKING:
    from abcparam.operations.degrees import Degrees

STEPS = 2


class Recurrent(ReadOperation):
    """`x[t i], h[j], c[j] -> y[t j]`, by maps of x and of the state, each with a bias or without.

    With `cell` it gives the state of the cell instead.
    """

    values = ("x", "h", "c", "W_x", "W_h", "b_x", "b_h")
    weights = frozenset({"W_x", "W_h"})
    optional = frozenset({"h", "c", "b_x", "b_h"})
    settings = {"cell": False}
    source = "arXiv 2006.14548 (Tensor Programs II): a recurrent network is a program, unrolled"

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        of.still(*range(len(call.operands)))
        return (of.held(),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        layer = _Layer(build, operands, call.span)
        state: State = operands.optional(1), operands.optional(2)
        outputs, cells = [], []
        for _ in range(STEPS):
            state = self.step(layer, state)
            outputs.append(state[0])
            cells.append(state[1])
        found = [x for x in (cells if call.flag("cell") else outputs) if x is not None]
        return (ConcatNode(build.context, found, [build.context.one] * STEPS, call.span),)

    def step(self, layer: _Layer, state: State) -> State:
        """The state after a step."""
        raise NotImplementedError


State = tuple[Node | None, Node | None]  # output and cell; None where it is at rest


class _Layer:
    """What a step is made of."""

    def __init__(self, build: Build, operands: Operands, span: Span) -> None:
        self.build, self.operands, self.span = build, operands, span
        self.given = self.map(3, operands.node(0), 5)

    def map(self, weight: int, x: Node | None, bias: int) -> Node | None:
        """A map and its bias; of a state at rest the bias alone."""
        parts = [self.operands.optional(bias)]
        if x is not None:
            parameter, context = self.operands.parameter(weight), self.build.context
            parts.insert(0, LinearNode(context, parameter, x, context.one, span=self.span))
        return self.sum(*parts)

    def sum(self, *given: Node | None) -> Node | None:
        """The sum of what is there."""
        found = [x for x in given if x is not None]
        if len(found) < 2:
            return found[0] if found else None
        return SumNode(self.build.context, found, [self.build.context.one] * len(found), self.span)

    def product(self, x: Node, y: Node | None) -> Node | None:
        """Coordinate by coordinate; nothing where one is at rest."""
        one = self.build.context.one
        return y and ProductNode(self.build.context, x, y, one, (one, one), self.span)

    def gate(self, x: Node | None, index: int, count: int) -> Node | None:
        """One of so many gates that are rows of a map."""
        if x is None:
            return None
        return rows(self.build, x, Fraction(index, count), Fraction(index + 1, count), self.span)

    def function(self, name: str, x: Node | None) -> Node:
        """A nonlinearity of the language, of zero too."""
        operation = operations()[name]
        assert isinstance(operation, Pointwise)
        assert x is not None
        return PointwiseNode(self.build.context, x, operation.traits, self.span)

    def one_less(self, x: Node) -> Node:
        """`1 - x`."""
        context = self.build.context
        one = ScaleNode(context, InputNode(context, ""), context.one, self.span)
        return SumNode(context, (one, x), [context.one] * 2, self.span)


class LongShortTermMemory(Recurrent):
    """`x[t i], h[j], c[j] -> y[t j]`, an LSTM's layer of four gates."""

    name = "lstm"
    law = "gates as maps, `c = f c + i g`, `h = o tanh(c)`"

    def step(self, layer: _Layer, state: State) -> State:
        h, c = state
        gates = layer.sum(layer.given, layer.map(4, h, 6))
        i, f, o = (layer.function("sigmoid", layer.gate(gates, k, 4)) for k in (0, 1, 3))
        new = layer.function("tanh", layer.gate(gates, 2, 4))
        cell = layer.sum(layer.product(f, c), layer.product(i, new))
        return layer.product(o, layer.function("tanh", cell)), cell


class GatedRecurrentUnit(Recurrent):
    """`x[t i], h[j] -> y[t j]`, a GRU's layer of three gates."""

    name = "gru"
    law = "gates as maps, `n = tanh(W x + r U h)`, `h = (1 - z) n + z h`"

    def step(self, layer: _Layer, state: State) -> State:
        h, _ = state
        kept = layer.map(4, h, 6)
        both = layer.sum(layer.given, kept)
        r, z = (layer.function("sigmoid", layer.gate(both, k, 3)) for k in (0, 1))
        inner = layer.product(r, layer.gate(kept, 2, 3))
        new = layer.function("tanh", layer.sum(layer.gate(layer.given, 2, 3), inner))
        return layer.sum(layer.product(layer.one_less(z), new), layer.product(z, h)), None


class Simple(Recurrent):
    """`x[t i], h[j] -> y[t j]`, a layer without gates."""

    def __init__(self, function: str) -> None:
        self.name = f"rnn_{function}"
        self.function = function
        self.law = f"`h = {function}(W x + U h)`"

    def step(self, layer: _Layer, state: State) -> State:
        both = layer.sum(layer.given, layer.map(4, state[0], 6))
        return layer.function(self.function, both), None


LAYERS = {
    "lstm": LongShortTermMemory(),
    "gru": GatedRecurrentUnit(),
    "rnn_tanh": Simple("tanh"),
    "rnn_relu": Simple("relu"),
}
