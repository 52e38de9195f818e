"""Positions: `rope`, `relative_bias` and `alibi`.

The first turns queries and keys, the others are added to attention's logits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import number
from abcparam.calculus.linear import ValueNode
from abcparam.calculus.node import InputNode, Node
from abcparam.diagnostics.rules import shapes as rules
from abcparam.operations.arrangement import Unchanged
from abcparam.operations.attention import per_head
from abcparam.operations.base import Build, Operands, Operation
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply
from abcparam.program.signature import ANY_SIGN, REQUIRED, Call, finite, show
from abcparam.python_code.nodes import call, method

if TYPE_CHECKING:
    from abcparam.algebra.polynomials import Polynomial
    from abcparam.operations.degrees import Degrees
    from abcparam.operations.emitter import Use
    from abcparam.python_code import nodes
    from abcparam.python_code import value as code

ROPE = '''\
def _rope(x: Tensor, heads: int, theta: float) -> Tensor:
    """Turns the two halves of each head by angles that grow with the position."""
    x = x.unflatten(-1, (heads, -1))
    half, exact = x.shape[-1] // 2, torch.promote_types(x.dtype, torch.float32)
    steps = torch.arange(half, device=x.device, dtype=exact)
    places = torch.arange(x.shape[-3], device=x.device, dtype=exact)
    angles = places[:, None, None] / theta ** (steps / half)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    left, right = x.chunk(2, -1)
    turned = (left * cos - right * sin, right * cos + left * sin)
    return torch.cat(turned, -1).flatten(-2)'''

RELATIVE_BIAS = '''\
def _relative_bias(
    table: Tensor, length: int, max_distance: int, causal: bool
) -> Tensor:
    """Each head's entry for the distance from query to key (arXiv 1910.10683).

    Half of the buckets are single distances, the others ranges that grow up to
    `max_distance`. Keys to the right have buckets of their own, or none if `causal`.
    """
    count = table.shape[0] if causal else table.shape[0] // 2
    place = torch.arange(length, device=table.device)
    distance = place[:, None] - place
    away = distance.clamp(min=0) if causal else distance.abs()
    exact = count // 2
    ratio = (away.clamp(min=1) / exact).log() / math.log(max_distance / exact)
    far = (exact + (ratio * (count - exact)).long()).clamp(max=count - 1)
    bucket = torch.where(away < exact, away, far)
    if not causal:
        bucket = bucket + count * (distance < 0)
    return F.embedding(bucket, table).movedim(-1, -3)'''

ALIBI = '''\
def _alibi(bias: Tensor) -> Tensor:
    """Fills `[heads, length, length]` with minus the distance times a slope per head."""
    heads, length, _ = bias.shape
    exact = torch.promote_types(bias.dtype, torch.float32)
    place = torch.arange(length, device=bias.device, dtype=exact)
    head = torch.arange(1, heads + 1, device=bias.device, dtype=exact)
    slopes = 2 ** (-8 * head / heads)
    distance = (place[:, None] - place).abs()
    return bias - (slopes[:, None, None] * distance).to(bias.dtype)'''


class Rope(Unchanged):
    """`x[i (h d)] -> y[i (h d)]`, d even.

    The halves of a head are turned by angles that grow with i: its first coordinate with the first
    of the second half, and so on. If `interleaved`, neighbours are turned, and come out in halves,
    or, if `in_place` too, where they were.
    """

    name = "rope"
    example = "rope(query @ x, heads = heads)"
    settings = {"heads": 1, "theta": 10000, "interleaved": False, "in_place": False}
    source = "arXiv 2104.09864: rotations, which keep sizes"

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        x = call.shape(0)
        if len(x) < 2:
            raise call.refuse(rules.RankTooLow, needed=2, shape=show(x))
        finite(call, x[-2])
        head = per_head(call, "the operand", x[-1], call.amount("heads"))
        if head.constant is not None and head.constant % 2:
            raise call.refuse(rules.OddHead, head=head)
        return (x,)

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        return ANY_SIGN

    def helper(self, call: Apply) -> str:
        return ROPE

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        (x,), heads = call.operands, call.settings["heads"]
        if x is not None and isinstance(heads, Amount):
            yield x.shapes[0][-1] / heads.value / number(2)

    def torch(self, use: Use) -> code.ScaledCode:
        x = use.value(0)
        heads, given = use.length("heads"), x.code
        if use.flag("interleaved"):
            given = _turned(given, (heads, -1, 2))
        made: nodes.Code = call("_rope", given, heads, use.number("theta"))
        if use.flag("interleaved") and use.flag("in_place"):
            made = _turned(made, (heads, 2, -1))
        return x.but(made)


def _turned(x: nodes.Code, axes: tuple[object, ...]) -> nodes.Code:
    """A vector with the last two of its axes in each head the other way round."""
    return method(method(method(x, "unflatten", -1, axes), "transpose", -1, -2), "flatten", -3)


class RelativeBias(Operation):
    """`table[buckets h] -> y[h i j]`, T5's buckets, for attention's `bias`.

    There is an entry for each head and range of distances from i to j.
    """

    name = "relative_bias"
    example = "relative_bias(table, length = context)"
    law = "a lookup: `s0 = σ`, `d = u`"
    source = "arXiv 1910.10683, section 2.1; a lookup: nothing is summed"
    values = ("table",)
    weights = frozenset({"table"})
    tables = frozenset({"table"})
    settings = {"length": REQUIRED, "max_distance": 128, "causal": False}

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        table, length = call.shape(0), call.amount("length")
        if len(table) != 2:
            raise call.refuse(rules.RankTooLow, needed=2, shape=show(table))
        finite(call, table[0], length)
        return ((table[1], length, length),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (ValueNode(build.context, operands.parameter(0), lookup=True, span=call.span),)

    def degrees(self, call: Apply, of: Degrees) -> tuple[Affine, ...]:
        return (of.of(0),)

    def helper(self, call: Apply) -> str:
        return RELATIVE_BIAS

    def lengths(self, call: Apply) -> Iterable[Polynomial]:
        distance = call.settings["max_distance"]
        return [distance.value] if isinstance(distance, Amount) else ()

    def torch(self, use: Use) -> code.ScaledCode:
        table = use.value(0)
        length = use.extent(use.amount("length"))
        distance, causal = use.length("max_distance"), use.flag("causal")
        found = call("_relative_bias", use.parameter(0), length, distance, causal)
        return use.result(found, table.scale, table.label)


class Alibi(Operation):
    """`-> y[h i j]`, for attention's `bias`.

    It is minus the distance from i to j, times a slope of each head's own.
    """

    name = "alibi"
    example = "alibi(heads, length = context)"
    law = "a constant of Θ(1)"
    source = "arXiv 2108.12409, section 3: a constant"
    values = ()
    settings = {"heads": REQUIRED, "length": REQUIRED}

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        length = call.amount("length")
        finite(call, length)
        return ((call.amount("heads"), length, length),)

    def graph(self, build: Build, call: Call, operands: Operands) -> tuple[Node, ...]:
        return (InputNode(build.context, self.name),)

    def helper(self, call: Apply) -> str:
        return ALIBI

    def torch(self, use: Use) -> code.ScaledCode:
        length = use.extent(use.amount("length"))
        return use.result(call("_alibi", use.zeros([use.length("heads"), length, length])))


OPERATIONS = (Rope(), RelativeBias(), Alibi())
