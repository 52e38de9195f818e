"""Sizes: the exponents of typical coordinates, a max-plus semiring over the growth dims.

A quantity of size `e` has RMS of order `n^e`. Products of quantities add sizes, sums take the
largest; exact zero has size -inf. With several growth dims an exponent is a vector. Vectors are
compared by their total rate within each group of dims that go to infinity together, the first limit
most significant.

Vectors that tie stand for one size. Which of them is the larger is decided as soon as a dim grows a
little faster than its rate, or slower: for each of these ways the larger one is kept, so two for
each dim at most. Each way is a total order that products respect, so what is kept of a sum, product
or quotient follows from what was kept of its operands, way by way, and `x / x` is 1.

Everything is exact: exponents are counted in a unit in which most are whole numbers, and the others
fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import inf, lcm
from operator import add
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from abcparam.algebra.exponents import Affine

Number = Fraction | int
Vector = tuple[Number, ...]
SizeKey = tuple[Number | float, ...]

UNIT = 2**8 * 3**2 * 5**2 * 7  # to an exponent of 1: whole numbers are faster than fractions


class Size(Protocol):
    """The size of a quantity, as laws use it: a number, or one in symbols.

    All sizes of a graph live in one space, and only those of one space meet in a law.
    """

    @property
    def space(self) -> Space:
        """Where it lives."""

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """Its exponents; empty for exact zero and for no bound."""

    @property
    def is_zero(self) -> bool:
        """Whether the quantity is exactly zero."""

    @property
    def is_bound(self) -> bool:
        """Whether, as a bound, it bounds anything."""

    def __add__(self, other: Self, /) -> Self:
        """The size of a product."""

    def __neg__(self) -> Self:
        """The size of the inverse."""

    def __sub__(self, other: Self, /) -> Self:
        """The size of a quotient."""

    def less(self, other: Self, /) -> Self:
        """The same, whatever the other depends on."""

    def __or__(self, other: Self, /) -> Self:
        """The larger: the size of a sum."""

    def __and__(self, other: Self, /) -> Self:
        """The smaller: a bound."""

    def half(self) -> Self:
        """The size of a root: the central limit."""

    def __lt__(self, other: Self, /) -> bool: ...

    def __le__(self, other: Self, /) -> bool: ...

    def __gt__(self, other: Self, /) -> bool: ...

    def __ge__(self, other: Self, /) -> bool: ...

    def exponents(self) -> Mapping[str, object]:
        """The exponents by growth dim; `str` writes them."""

    def to_dict(self) -> Mapping[str, str | None]:
        """The exponents as texts by growth dim, None where there is no text for one."""

    def law(self) -> str:
        """As a law in the growth dims that sympy can read."""


class Space(Protocol):
    """Where sizes live: the growth dims of a program, and how their powers compare.

    `one` and `zero` are those of the semiring: the size of what is Θ(1), of exponent 0, and that of
    exact zero, of exponent -inf.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The growth dims."""

    @property
    def follows(self) -> bool:
        """Whether sizes can be compared, and so directions of changes followed."""

    @property
    def one(self) -> Size: ...

    @property
    def zero(self) -> Size: ...

    @property
    def unbounded(self) -> Size: ...

    def size(self, exponents: Mapping[str, Fraction]) -> Size:
        """The size with these exponents, the others 0."""

    def exponent(self, exponents: Mapping[str, Affine]) -> Size:
        """The size with these exponents."""


class NumericSpace:
    """The space of sizes that are numbers."""

    follows = True

    def __init__(self, dims: Mapping[str, tuple[int, Fraction]]) -> None:
        """`dims` maps each growth dim to its group (0 is the first limit) and its rate."""
        self.names = tuple(dims)
        self.groups = sorted({group for group, _ in dims.values()})
        scale = lcm(1, *(rate.denominator for _, rate in dims.values()))
        self._weights = tuple(
            tuple(int(rate * scale) if group == g else 0 for group, rate in dims.values())
            for g in self.groups
        )
        self._plain = len(self.names) == 1 and self._weights == ((1,),)
        self._single: dict[Vector, NumericSize] = {}
        self.one = NumericSize(self, (tuple(0 for _ in dims),))
        self.zero = NumericSize(self, (), (-inf,) * max(1, len(self.groups)))
        self.unbounded = NumericSize(self, (), (inf,) * max(1, len(self.groups)))

    def key(self, vector: Vector) -> SizeKey:
        if self._plain:
            return vector
        return tuple(
            sum(w * v for w, v in zip(ws, vector, strict=True)) for ws in self._weights
        ) or (0,)

    def size(self, exponents: Mapping[str, Fraction]) -> NumericSize:
        """The size with these exponents, the others 0."""
        scaled = (exponents.get(name, Fraction(0)) * UNIT for name in self.names)
        return NumericSize(self, (tuple(x.numerator if x.denominator == 1 else x for x in scaled),))

    def single(self, vector: Vector) -> NumericSize:
        """The size of one vector; made once, as few are ever needed."""
        found = self._single.get(vector)
        if found is None:
            found = self._single[vector] = NumericSize(self, (vector,))
        return found

    def exponent(self, exponents: Mapping[str, Affine]) -> NumericSize:
        """The size with these exponents, which hold no symbols."""
        return self.size({name: affine.constant for name, affine in exponents.items()})


class NumericSize:
    """An exponent, or `-inf` for exact zero, or `inf` for no bound.

    Ordered by growth; ties compare equal. What it makes with others is made once.
    """

    __slots__ = ("_differences", "_half", "_sums", "_value", "_ways", "key", "space", "vectors")

    def __init__(
        self,
        space: NumericSpace,
        vectors: tuple[Vector, ...],
        key: SizeKey | None = None,
        ways: Sequence[Vector] = (),
    ) -> None:
        self.space = space
        self.vectors = vectors  # those that are kept of the ones that tie, in falling order
        self._ways = tuple(ways)  # of several, the one of each way to break ties
        self.key: SizeKey = space.key(vectors[0]) if key is None else key
        self._value: object = self._ways or vectors or self.key  # what no other size has
        self._sums: dict[object, NumericSize] = {}  # by what is added
        self._differences: dict[object, NumericSize] = {}
        self._half: NumericSize | None = None

    def __add__(self, other: NumericSize) -> NumericSize:
        found = self._sums.get(other._value)
        if found is None:
            found = self._sums[other._value] = self._plus(other)
        return found

    def _plus(self, other: NumericSize) -> NumericSize:
        left, right = self.vectors, other.vectors
        if len(left) == len(right) == 1:
            one = self.space.one
            if self is one:
                return other
            return self if other is one else self.space.single(tuple(map(add, left[0], right[0])))
        if not left or not right:
            return self._improper(other)
        return self._way_by_way(_plus, other)

    def _way_by_way(self, made: Callable[..., Vector], *others: NumericSize) -> NumericSize:
        """What is made of the vectors of this size and of others, for each way to break ties."""
        count = 2 * len(self.space.names)
        ways = [size._ways or size.vectors * count for size in (self, *others)]
        return _tied(self.space, [made(*vectors) for vectors in zip(*ways, strict=True)])

    def _improper(self, other: NumericSize) -> NumericSize:
        """-inf absorbs everything: zero times anything is zero."""
        zero = self.space.zero
        return zero if zero.key in (self.key, other.key) else self.space.unbounded

    def __neg__(self) -> NumericSize:
        if len(self.vectors) == 1:
            return self.space.single(tuple([-x for x in self.vectors[0]]))
        if not self.vectors:
            return self.space.zero if self.key > self.space.zero.key else self.space.unbounded
        return self._way_by_way(lambda v: tuple(-x for x in v))

    def __sub__(self, other: NumericSize) -> NumericSize:
        found = self._differences.get(other._value)
        if found is None:
            found = self._differences[other._value] = self + -other
        return found

    def less(self, other: NumericSize) -> NumericSize:
        """The size of a quotient."""
        return self - other

    def half(self) -> NumericSize:
        """Half of it: the central limit."""
        if self._half is None:
            self._half = self._halved()
        return self._half

    def _halved(self) -> NumericSize:
        if len(self.vectors) == 1:
            return self.space.single(tuple(map(_halved, self.vectors[0])))
        if not self.vectors:
            return self
        return self._way_by_way(lambda v: tuple(map(_halved, v)))

    def __or__(self, other: NumericSize) -> NumericSize:
        """The larger: the size of a sum."""
        if self is other:
            return self
        mine, theirs = self.key, other.key
        if mine > theirs:
            return self
        if mine < theirs:
            return other
        if self.vectors == other.vectors:
            return self
        return self._chosen(max, other)

    def __and__(self, other: NumericSize) -> NumericSize:
        """The smaller: a bound."""
        if self.key != other.key or self.vectors == other.vectors:
            return self if self.key <= other.key else other
        return self._chosen(min, other)

    def _chosen(self, end: Callable[..., Vector], other: NumericSize) -> NumericSize:
        """The larger or the smaller of two that tie, for each way to break ties."""
        dims = range(len(self.space.names))
        ranks = iter([_rank(index, faster) for index in dims for faster in (True, False)])
        return self._way_by_way(lambda v, w: end(v, w, key=next(ranks)), other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NumericSize) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: NumericSize) -> bool:
        return self.key < other.key

    def __le__(self, other: NumericSize) -> bool:
        return self.key <= other.key

    def __gt__(self, other: NumericSize) -> bool:
        return self.key > other.key

    def __ge__(self, other: NumericSize) -> bool:
        return self.key >= other.key

    @property
    def is_zero(self) -> bool:
        """Whether the quantity is exactly zero."""
        return self.key[0] == -inf

    @property
    def is_bound(self) -> bool:
        return self.key[0] != inf

    def exponents(self) -> dict[str, Fraction]:
        """The exponents by growth dim, every one of them; of several that tie, the first."""
        return {
            n: Fraction(x, UNIT) for n, x in zip(self.space.names, self.vectors[0], strict=True)
        }

    @property
    def one_by_one(self) -> tuple[NumericSize, ...]:
        """Those that tie."""
        return tuple(map(self.space.single, self.vectors)) or (self,)

    def to_dict(self) -> dict[str, str]:
        """The exponents as exact strings, `-inf` for exact zero."""
        if not self.vectors:
            return {name: str(self.key[0]) for name in self.space.names}
        return {name: str(value) for name, value in self.exponents().items()}

    def law(self) -> str:
        """As a law that sympy can read: `1`, `width**(1/2)`, `0`; the first of several that tie."""
        if not self.vectors:
            return "0" if self.is_zero else "oo"
        powers = [f"{n}**({e})" if e != 1 else n for n, e in self.exponents().items() if e]
        return "*".join(powers) or "1"

    def __str__(self) -> str:
        """As a law: `1`, `width^(1/2)`, `0`; ties are joined by `~`."""
        if not self.vectors:
            return "0" if self.is_zero else "unbounded"
        return " ~ ".join(_law(self.space.names, vector) for vector in self.vectors)

    __repr__ = __str__


def numeric(size: Size) -> NumericSize:
    """A size that is known to be a number."""
    assert isinstance(size, NumericSize)
    return size


def _tied(space: NumericSpace, ways: Sequence[Vector]) -> NumericSize:
    vectors = tuple(sorted(set(ways), reverse=True))
    return (
        space.single(vectors[0]) if len(vectors) == 1 else NumericSize(space, vectors, None, ways)
    )


def _rank(index: int, faster: bool) -> Callable[[Vector], Vector]:
    """By what vectors that tie are compared where a dim grows faster, or slower.

    The exponents decide in their order where that of the dim is the same.
    """
    return lambda v: (v[index], *v) if faster else tuple(-x for x in (v[index], *v))


def _plus(v: Vector, w: Vector) -> Vector:
    return tuple(map(add, v, w))


def _halved(x: Number) -> Number:
    return Fraction(x, 2) if x % 2 else x // 2


def _law(names: tuple[str, ...], vector: Vector) -> str:
    factors = [power(name, Fraction(x, UNIT)) for name, x in zip(names, vector, strict=True) if x]
    return " * ".join(factors) or "1"


def power(name: str, exponent: Fraction) -> str:
    """`width`, `width^-1`, `width^(1/2)`: an exponent as people and the language write it."""
    if exponent == 1:
        return name
    return f"{name}^{exponent}" if exponent.denominator == 1 else f"{name}^({exponent})"
