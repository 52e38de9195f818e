"""Two programs brought to a form in which tensors make up for their factors alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine, Shifts
from abcparam.algebra.record import Record
from abcparam.comparison.degrees import DimPowers
from abcparam.comparison.fold import fold, moved
from abcparam.comparison.gauge import Pair
from abcparam.program.model import Program


class FoldedPrograms(Record):
    """A and B without factors, and by which θ the weights of B are `r^-θ` of A's, by path."""

    programs: tuple[Program, Program]
    between: Mapping[str, DimPowers]

    def shifts(self, path: str) -> Shifts:
        return {dim: Affine(theta) for dim, theta in self.between.get(path, {}).items()}


def folded_alike(a: Program, b: Program, pairs: Iterable[Pair]) -> FoldedPrograms | None:
    """The programs without the factors that can be folded; None if that leaves them as they are.

    A's tensors are taken to B's, folded; that has to be one of the solutions of A's equations, or
    there is no such form of both.
    """
    between: dict[str, DimPowers] = {}
    together: dict[str, DimPowers] = {}
    first, second = fold(a), fold(b)
    for pair in pairs:
        theta = pair.fold()
        if theta is None:
            return None
        between |= {pair.path: theta} if theta else {}
        whole = _sum(theta, second.theta.get(pair.other, {}))
        if together.setdefault(pair.path, whole) != whole:
            return None
    if not (between or first.left_out or second.left_out):
        return None
    if not first.degrees.hold(together, first.left_out):
        return None
    return FoldedPrograms((moved(first.degrees, together, first.left_out), second.program), between)


def _sum(x: DimPowers, y: DimPowers) -> DimPowers:
    return {d: x.get(d, Fraction(0)) + y.get(d, Fraction(0)) for d in dict.fromkeys([*x, *y])}
