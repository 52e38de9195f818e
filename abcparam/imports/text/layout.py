"""How the coordinates of a value lie: in the language's axes, and in those of PyTorch's graph.

An axis is a product of factors. Views, transposes and expansions move factors of the graph's axes
about; the language's axes stay, so that none of them needs a line of text.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import ONE, Polynomial, product
from abcparam.algebra.record import Record, replace
from abcparam.imports.numbers import Sizes
from abcparam.language import syntax
from abcparam.program.amounts import Shape

NUMBERS = itertools.count()


class AxisFactor(Record):
    """A factor of an axis.

    `kind` is `batch`, `others` (samples beside those of the batch), `copies` (the same all along
    it) or nothing.
    """

    length: Polynomial
    kind: str
    number: int


FactorAxis = tuple[AxisFactor, ...]  # no factor: of length 1


class Laid(Record):
    """A value: its expression, its axes in the language, and those in the graph."""

    code: syntax.Expression
    text: tuple[FactorAxis, ...]
    graph: tuple[FactorAxis, ...]

    @property
    def batched(self) -> bool:
        return any(factor.kind == "batch" for axis in self.graph for factor in axis)


def in_text(laid: Laid) -> list[AxisFactor]:
    """The factors of a value's axes as it is computed: those of the batch lie in front."""
    graph = in_graph(laid)
    outer = [factor for kind in ("batch", "others") for factor in graph if factor.kind == kind]
    return [*outer, *(factor for axis in laid.text for factor in axis)]


def in_graph(laid: Laid) -> list[AxisFactor]:
    """The factors of a value's axes as the graph has them."""
    return [factor for axis in laid.graph for factor in axis]


AxisFactors = Mapping[AxisFactor, tuple[AxisFactor, ...]]


def factor_of(length: Polynomial, kind: str = "") -> AxisFactor:
    """A factor that is no other's."""
    return AxisFactor(length, kind, next(NUMBERS))


class Lengths:
    """What is asked of lengths, at all settings that the model was read at."""

    def __init__(self, settings: Sequence[Sizes]) -> None:
        self.sizes = settings[0]
        self.settings = [{n: Fraction(size) for n, size in sizes.items()} for sizes in settings]

    def values(self, length: Polynomial) -> tuple[Fraction, ...]:
        return tuple(length.evaluate(sizes) for sizes in self.settings)

    def is_one(self, length: Polynomial) -> bool:
        return all(value == 1 for value in self.values(length))

    def same(self, left: Polynomial, right: Polynomial) -> bool:
        return self.values(left) == self.values(right)

    def divides(self, part: Polynomial, whole: Polynomial) -> bool:
        """Whether a length is a whole number of others, everywhere."""
        pairs = zip(self.values(whole), self.values(part), strict=True)
        return all((x / y).denominator == 1 for x, y in pairs)

    def whole(self, length: Polynomial) -> int | None:
        """A whole number that is the same everywhere; None where it is none."""
        values = set(self.values(length))
        value = values.pop()
        return None if values or value.denominator != 1 else int(value)

    # Axes

    def axis(self, length: Polynomial, kind: str = "") -> FactorAxis:
        return () if self.is_one(length) else (factor_of(length, kind),)

    def axes(self, shape: Iterable[Polynomial]) -> tuple[FactorAxis, ...]:
        return tuple(map(self.axis, shape))

    def length(self, axis: FactorAxis) -> Polynomial:
        return product(factor.length for factor in axis)

    def alike(self, left: FactorAxis, right: FactorAxis) -> bool:
        return self.same(self.length(left), self.length(right))


def factored(axis: FactorAxis, factors: AxisFactors) -> FactorAxis:
    """An axis in which factors are products of others."""
    found: FactorAxis = ()
    for factor in axis:
        found += factored(factors[factor], factors) if factor in factors else (factor,)
    return found


def with_factors(laid: Laid, factors: AxisFactors) -> Laid:
    if not factors:
        return laid
    text = tuple(factored(axis, factors) for axis in laid.text)
    return replace(laid, text=text, graph=tuple(factored(axis, factors) for axis in laid.graph))


def viewed(laid: Laid, shape: Shape, lengths: Lengths) -> Laid | None:
    """A value whose coordinates are counted along other axes; None where no factors make them."""
    queue = in_graph(laid)
    factors: dict[AxisFactor, tuple[AxisFactor, ...]] = {}
    graph: list[FactorAxis] = []
    for length in shape:
        axis, needed = [], length
        while not lengths.is_one(needed):
            if not queue:
                return None
            factor = queue.pop(0)
            if lengths.divides(factor.length, needed):
                axis.append(factor)
                needed = needed / factor.length
            elif lengths.divides(needed, factor.length):
                outer = factor_of(needed, factor.kind)
                inner = factor_of(factor.length / needed, factor.kind)
                factors[factor] = outer, inner
                axis.append(outer)
                queue.insert(0, inner)
                needed = ONE
            else:
                return None
        graph.append(tuple(axis))
    if queue:
        return None
    made = with_factors(laid, factors)
    return replace(made, graph=tuple(factored(axis, factors) for axis in graph))


def common_factors(
    left: FactorAxis, right: FactorAxis, lengths: Lengths
) -> dict[AxisFactor, tuple[AxisFactor, ...]] | None:
    """By what factors of two axes are replaced so that both have the same lengths."""
    found: dict[AxisFactor, tuple[AxisFactor, ...]] = {}
    one, other = list(left), list(right)
    while one and other:
        a, b = one.pop(0), other.pop(0)
        if lengths.same(a.length, b.length):
            continue
        if lengths.divides(b.length, a.length):
            found[a] = factor_of(b.length, a.kind), factor_of(a.length / b.length, a.kind)
            one.insert(0, found[a][1])
        elif lengths.divides(a.length, b.length):
            found[b] = factor_of(a.length, b.kind), factor_of(b.length / a.length, b.kind)
            other.insert(0, found[b][1])
        else:
            return None
    return None if one or other else found


def is_real(axis: FactorAxis) -> bool:
    """Whether a value has coordinates along an axis, and not one that is the same all along."""
    return any(factor.kind != "copies" for factor in axis)


def combined(x: Laid, y: Laid, lengths: Lengths) -> Laid | None:
    """The layout of what is computed from two values, coordinate by coordinate.

    Its expression is that of the first. None where the language would put them together otherwise.
    """
    rank = max(len(x.graph), len(y.graph))
    x, y = (_padded(value, rank) for value in (x, y))
    for axis in range(rank):
        if is_real(x.graph[axis]) and is_real(y.graph[axis]):
            factors = common_factors(x.graph[axis], y.graph[axis], lengths)
            if factors is None:
                return None
            x, y = with_factors(x, factors), with_factors(y, factors)
    graph, names = [], dict[AxisFactor, AxisFactor]()
    for left, right in zip(x.graph, y.graph, strict=True):
        if is_real(left) and is_real(right):
            names.update(zip(right, left, strict=True))
        graph.append(left if is_real(left) or not right else right)
    y_text = tuple(tuple(names.get(factor, factor) for factor in axis) for axis in y.text)
    text = _broadcast(x.text, y_text)
    wrong = text is None or (x.batched and len(y_text) > len(x.text) and not y.batched)
    if wrong or (y.batched and len(x.text) > len(y_text) and not x.batched):
        return None
    assert text is not None
    return Laid(x.code, text, tuple(graph))


def _padded(laid: Laid, rank: int) -> Laid:
    return replace(laid, graph=((),) * (rank - len(laid.graph)) + laid.graph)


def _broadcast(
    left: tuple[FactorAxis, ...], right: tuple[FactorAxis, ...]
) -> tuple[FactorAxis, ...] | None:
    """The axes of both, aligned at the last ones."""
    rank = max(len(left), len(right))
    found = []
    for a, b in zip(
        ((),) * (rank - len(left)) + left, ((),) * (rank - len(right)) + right, strict=True
    ):
        if a and b and a != b:
            return None
        found.append(a or b)
    return tuple(found)


def turned(laid: Laid, order: Sequence[int]) -> Laid:
    """A value with its axes in another order."""
    return replace(laid, graph=tuple(laid.graph[axis] for axis in order))


def stretched(laid: Laid, shape: Shape, lengths: Lengths) -> Laid:
    """A value that is the same all along the axes of a shape that it lacks."""
    padded = _padded(laid, len(shape))
    graph = [
        axis or (lengths.axis(length, "copies"))
        for axis, length in zip(padded.graph, shape, strict=True)
    ]
    return replace(padded, graph=tuple(graph))
