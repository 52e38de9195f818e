"""Mean squares at base of what each place gathers of those before it, the first one apart.

All places see the first one, and that itself alone: copy by copy gradients gather there.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate, pairwise

from abcparam.algebra.record import NamedTuple

WIDEST = 32  # places in front of a block, over those in it


class InOrder(NamedTuple):
    """Mean squares at the first of so many places and at the others, and what two of them share.

    `across`: the first and another one, `among`: two others.
    """

    number: float
    first: float
    others: float
    across: float
    among: float

    @classmethod
    def of(cls, number: float, square: float, shared: float, first: float, lead: float) -> InOrder:
        """From means over all places and pairs, and by how much the first is above them."""
        others = square * (number - first) / (number - 1)
        among = shared * (number - 2 * lead) / (number - 2)
        return cls(number, square * first, others, shared * lead, among)

    @property
    def square(self) -> float:
        return (self.first + (self.number - 1) * self.others) / self.number

    @property
    def shared(self) -> float:
        return (2 * self.across + (self.number - 2) * self.among) / self.number

    @property
    def above(self) -> tuple[float, float]:
        """By how much the first place is above the mean, and what it shares."""
        return self.first / self.square, self.across / self.shared if self.shared > 0 else 1.0

    def averaged(self, sharp: float) -> InOrder:
        """The weighted mean of those up to each place."""
        of = _sums(int(self.number), sharp)
        rest = self.number - 1
        others = of.squares * self.first + of.squared * self.others
        others += 2 * of.pairs_first * self.across + of.pairs * self.among
        across = (of.inverse * self.first + (rest - of.inverse) * self.across) / rest
        among = of.both * self.first + of.one * self.across + of.same * self.others
        return InOrder(self.number, self.first, others / rest, across, among + of.two * self.among)

    def gathered(self, sharp: float) -> InOrder:
        """The gradient of what is averaged so: all that a place gave; its sum stays."""
        of, rest, number = _sums(int(self.number), sharp), self.number - 1, self.number
        pairs = of.inverse**2 - of.inverses
        first = self.first + 2 * of.inverse * self.across
        first += pairs * self.among + of.squares * self.others
        others = (of.kept * self.others + of.spread * self.among) / rest
        whole = self.first + rest * self.across
        whole += of.inverse * (self.across + self.others + (number - 2) * self.among)
        across = (whole - first) / rest
        total = self.first + rest * (2 * self.across + self.others + (number - 2) * self.among)
        among = (total - first - rest * (2 * across + others)) / (rest * (number - 2))
        return InOrder(number, first, others, across, among)


class _Sums(NamedTuple):
    """Sums over places behind the first, t = 1, 2, ..., of weights of those up to t.

    Their mean 1 / (t + 1) and its square; the mean square of a weight, times 1 and times t;
    products of two of one place, by whether the first is among them; means over pairs of places.
    """

    inverse: float
    inverses: float
    squares: float
    squared: float
    pairs_first: float
    pairs: float
    both: float
    one: float
    same: float
    two: float
    kept: float
    spread: float


@cache
def _sums(number: int, sharp: float) -> _Sums:
    blocks = _FarPlaces(number)
    places = blocks.places
    means = [1 / (t + 1) for t in places]
    timed = [t / (t + 1) for t in places]
    inverses = [m * m for m in means]
    whole = [sharp / (t + sharp) for t in places]  # the sum of the squared weights of a place
    squares = [w * m for w, m in zip(whole, means, strict=True)]
    apart = [(1 - w) * m for w, m in zip(whole, means, strict=True)]
    behind, timed_behind = blocks.later(means), blocks.later(timed)
    couples = (number - 1) * (number - 2) / 2
    counted = blocks.total(timed, behind)
    from_here = [m + n for m, n in zip(means, behind, strict=True)]
    return _Sums(
        inverse=blocks.total(means),
        inverses=blocks.total(inverses),
        squares=blocks.total(squares),
        squared=blocks.total(places, squares),
        pairs_first=blocks.total(apart),
        pairs=blocks.total(places, apart) - blocks.total(apart),
        both=blocks.total(means, behind) / couples,
        one=(counted + blocks.total(means, timed_behind)) / couples,
        same=counted / couples,
        two=(blocks.total(timed, timed_behind) - counted) / couples,
        kept=blocks.total(squares) + blocks.total(blocks.later(squares)),
        spread=blocks.total(from_here, from_here)
        - blocks.total(inverses)
        - blocks.total(blocks.later(inverses)),
    )


class _FarPlaces:
    """Places behind the first: each of the near ones, and blocks of those that hardly differ."""

    def __init__(self, number: int) -> None:
        starts = [1]
        while starts[-1] < number:
            starts.append(min(starts[-1] + max(1, starts[-1] // WIDEST), number))
        self.counts = [after - start for start, after in pairwise(starts)]
        self.places = [start + (n - 1) / 2 for start, n in zip(starts, self.counts, strict=False)]

    def total(self, terms: list[float], others: list[float] | None = None) -> float:
        """The sum over places of terms, or of products of two."""
        shares = terms if others is None else [x * y for x, y in zip(terms, others, strict=True)]
        return sum(n * x for n, x in zip(self.counts, shares, strict=True))

    def later(self, terms: list[float]) -> list[float]:
        """For each the sum of those behind it."""
        blocks = [n * x for n, x in zip(self.counts, terms, strict=True)]
        sums = list(accumulate(reversed(blocks), initial=0.0))
        behind = sums[-2::-1]
        return [(whole - x) / 2 + y for x, whole, y in zip(terms, blocks, behind, strict=True)]
