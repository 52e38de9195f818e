"""Mean squares at base of what each place gathers of those before it, the first one apart.

All places see the first one, and that itself alone: copy by copy gradients gather there.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate

from abcparam.algebra.record import NamedTuple


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
    places = range(1, number)
    means = [1 / (t + 1) for t in places]
    whole = [sharp / (t + sharp) for t in places]  # the sum of the squared weights of a place
    squares = [w * m for w, m in zip(whole, means, strict=True)]
    apart = [(1 - w) * m for w, m in zip(whole, means, strict=True)]
    later = list(accumulate(reversed(means), initial=0.0))[-2::-1]  # of the places behind
    couples = (number - 1) * (number - 2) / 2
    both = sum(m * n for m, n in zip(means, later, strict=True))
    counted = sum(t * m * n for t, m, n in zip(places, means, later, strict=True))
    others = sum(m for m in means)
    farther = sum(
        m * n
        for m, n in zip(
            means, _later([t * m for t, m in zip(places, means, strict=True)]), strict=True
        )
    )
    crossed = sum(
        t * m * n
        for t, m, n in zip(
            places, means, _later([t * m for t, m in zip(places, means, strict=True)]), strict=True
        )
    )
    from_here = [m + n for m, n in zip(means, later, strict=True)]
    inverses = [m * m for m in means]
    squares_here = [q + n for q, n in zip(squares, _later(squares), strict=True)]
    inverses_here = [q + n for q, n in zip(inverses, _later(inverses), strict=True)]
    return _Sums(
        inverse=others,
        inverses=sum(inverses),
        squares=sum(squares),
        squared=sum(t * q for t, q in zip(places, squares, strict=True)),
        pairs_first=sum(apart),
        pairs=sum((t - 1) * a for t, a in zip(places, apart, strict=True)),
        both=both / couples,
        one=(counted + farther) / couples,
        same=counted / couples,
        two=(crossed - counted) / couples,
        kept=sum(squares_here),
        spread=sum(h * h - i for h, i in zip(from_here, inverses_here, strict=True)),
    )


def _later(terms: list[float]) -> list[float]:
    """For each the sum of those behind it."""
    return list(accumulate(reversed(terms), initial=0.0))[-2::-1]
