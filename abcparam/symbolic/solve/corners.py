"""Learning rates that no other stable ones exceed: the corners that they lie between.

Under SGD a rate may be larger where another is smaller, as a readout that moves less gives the
layers before it a smaller gradient. With all other exponents as they are, the stable rates are a
region of which each corner where none can be larger without another being smaller is one choice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, product
from math import comb, prod
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.symbolic.constraints import (
    AffineRow,
    All,
    LinearConstraint,
    Some,
    SymbolCondition,
    holds,
)
from abcparam.symbolic.derive.derivation import derive_laws
from abcparam.symbolic.regions import Region, region_of
from abcparam.symbolic.solver import Premises
from abcparam.symbolic.symbols import substituted
from abcparam.symbolic.verdicts import verdicts_of

MOST = 4096  # sets of equations that are solved

RatePoint = dict[str, Fraction]  # exponents of learning rates by symbol


class Corner(Record):
    """Exponents of learning rates by symbol, and what they do.

    `maximal` are the paths of tensors whose updates reach their bounds, `short` those of others,
    each with the power of growing dims by which its update is below.
    """

    rates: Mapping[str, Fraction]
    verdict: str
    maximal: tuple[str, ...]
    short: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        rates = {symbol: str(value) for symbol, value in self.rates.items()}
        maximal, short = list(self.maximal), dict(self.short)
        return {"rates": rates, "verdict": self.verdict, "maximal": maximal, "short": short}


def corners(
    program: Program, values: Mapping[str, Affine], rates: Sequence[str]
) -> tuple[Corner, ...] | None:
    """All corners of the stable learning rates, others of the values as they are.

    None where they are too many to enumerate.
    """
    rest = {symbol: value for symbol, value in values.items() if symbol not in rates}
    known = bind(substituted(program, rest), {})
    cases = [verdicts_of(found) for found in derive_laws(known, tuple(rates))]
    stable = region_of(Some(tuple(case.condition("stable") for case in cases)), tuple(rates))
    found = _vertices(stable)
    if found is None:
        return None
    premises = Premises(tuple(rates))
    premises.assume(stable.condition)
    return tuple(_corner(known, point) for point in found if _is_largest(premises, point))


def _corner(program: Program, point: RatePoint) -> Corner:
    judgement: Judgement = judgement_of(bind(program, point))
    trained = [law for law in judgement.tensors if law.slack is not None]
    return Corner(
        point,
        judgement.verdict,
        tuple(law.path for law in trained if law.status == "maximal"),
        tuple((law.path, str(law.slack)) for law in trained if law.status != "maximal"),
    )


def _vertices(region: Region) -> list[RatePoint] | None:
    """Where as many constraints are tight as there are symbols, in each choice of a region."""
    count = len(region.symbols)
    choices = prod(len(clause) for clause in region.clauses)
    rows = sum(max(map(len, clause)) for clause in region.clauses)
    if choices * comb(max(rows, count), count) > MOST:
        return None
    found: dict[tuple[Fraction, ...], RatePoint] = {}
    for chosen in product(*region.clauses):
        tight = list(dict.fromkeys(x.row for alternative in chosen for x in alternative))
        for equations in combinations(tight, count):
            point = _solved(equations, region.symbols)
            if point is not None and holds(region.condition, point, region.symbols):
                found[tuple(point.values())] = point
    return [found[key] for key in sorted(found)]


def _solved(rows: Sequence[AffineRow], symbols: Sequence[str]) -> RatePoint | None:
    """Where all rows are zero; None where that is no single point."""
    left = [[Fraction(x) for x in (*row[1:], -row[0])] for row in rows]
    for column in range(len(symbols)):
        pivot = next((i for i in range(column, len(left)) if left[i][column]), None)
        if pivot is None:
            return None
        left[column], left[pivot] = left[pivot], left[column]
        head = [x / left[column][column] for x in left[column]]
        left = [
            head if i == column else [x - row[column] * h for x, h in zip(row, head, strict=True)]
            for i, row in enumerate(left)
        ]
    return {symbol: row[-1] for symbol, row in zip(symbols, left, strict=True)}


def _is_largest(premises: Premises, point: RatePoint) -> bool:
    """Whether no stable rates are all as large, and some larger."""
    larger = All((*_at_most(point, ">="), Some(tuple(_at_most(point, ">")))))
    return premises.example(larger) is None


def _at_most(point: RatePoint, relation: str) -> Iterator[SymbolCondition]:
    """That each exponent is the point's, or below it: the rate is as large, or larger."""
    for index, value in enumerate(point.values()):
        row: list[Fraction | int] = [value, *[0] * len(point)]
        row[1 + index] = -1
        yield LinearConstraint(tuple(row), relation)
