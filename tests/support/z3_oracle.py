"""Conditions on symbols as z3 reads them: the oracle of our own decisions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import z3

from abcparam.symbolic.constraints import AffineRow, All, LinearConstraint, SymbolCondition


def variables(names: Sequence[str]) -> list[Any]:
    return [z3.Real(name) for name in names]


def term(row: AffineRow, symbols: Sequence[Any]) -> Any:
    """An affine form in the variables."""
    parts = [number(c) * x for c, x in zip(row[1:], symbols, strict=True) if c]
    return z3.Sum([number(row[0]), *parts])


def number(value: Fraction | int) -> Any:
    return z3.RealVal(str(Fraction(value)))


def formula(condition: SymbolCondition, symbols: Sequence[Any]) -> Any:
    """A condition on the variables."""
    if isinstance(condition, LinearConstraint):
        left = term(condition.row, symbols)
        relation = condition.relation
        return left >= 0 if relation == ">=" else left > 0 if relation == ">" else left == 0
    parts = [formula(part, symbols) for part in condition.parts]
    return z3.And(parts) if isinstance(condition, All) else z3.Or(parts)


def possible(conditions: Sequence[SymbolCondition], symbols: Sequence[Any]) -> bool:
    """Whether they can hold together."""
    solver = z3.Solver()
    solver.add([formula(condition, symbols) for condition in conditions])
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)


def smaller_sum(
    conditions: Sequence[SymbolCondition],
    rows: Sequence[AffineRow],
    total: Fraction,
    symbols: Sequence[Any],
) -> bool:
    """Whether the conditions can hold while the sum of the rows' absolute values is below this."""
    solver = z3.Solver()
    solver.add([formula(condition, symbols) for condition in conditions])
    terms = [term(row, symbols) for row in rows]
    solver.add(z3.Sum([z3.If(x >= 0, x, -x) for x in terms]) < number(total))
    answer = solver.check()
    assert answer != z3.unknown
    return bool(answer == z3.sat)
