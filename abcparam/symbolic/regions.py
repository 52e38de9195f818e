"""Regions of the symbols in lowest terms: conditions as clauses, redundant ones left out.

A region is a conjunction of clauses, a clause a choice of alternatives, an alternative a
conjunction of linear constraints. Most clauses have one alternative of one constraint. Everything
dropped is implied by what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from itertools import permutations, product
from math import gcd, lcm
from typing import Any

from abcparam.algebra.record import Record
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import (
    ALWAYS,
    AffineRow,
    All,
    LinearConstraint,
    Some,
    SymbolCondition,
    decided,
    negation,
    opposite,
    subtract,
)
from abcparam.symbolic.solver import Premises, UnprovedError
from abcparam.symbolic.text import row_text
from abcparam.symbolic.verdicts import Verdicts

Alternative = tuple[LinearConstraint, ...]
Clause = tuple[Alternative, ...]

MOST_ALTERNATIVES = 256  # of one clause


class Region(Record):
    """Where a condition holds. `empty`: nowhere; no clauses: everywhere."""

    symbols: tuple[str, ...]
    clauses: tuple[Clause, ...]
    empty: bool = False

    @property
    def everywhere(self) -> bool:
        return not self.clauses and not self.empty

    @property
    def condition(self) -> SymbolCondition:
        if self.empty:
            return Some(())
        return All(tuple(map(_condition, self.clauses)))

    def texts(self) -> list[list[list[str]]]:
        """Each clause's alternatives, each a list of constraints such as `a + b = 1/2`."""
        return self._written(constraint_text)

    def to_dict(self) -> dict[str, Any]:
        """Whether it is empty, and the clauses of which all hold."""
        return {"empty": self.empty, "all": self.constraints()}

    def constraints(self) -> list[list[list[str]]]:
        """The same, readable by sympy: `Eq(a + b, 1/2)`."""
        return self._written(constraint_law)

    def _written(
        self, write: Callable[[LinearConstraint, tuple[str, ...]], str]
    ) -> list[list[list[str]]]:
        return [
            [[write(x, self.symbols) for x in alternative] for alternative in clause]
            for clause in self.clauses
        ]


def regions_of(verdicts: Verdicts) -> dict[str, Region]:
    """The region of each verdict, worst first, of stability and of completeness."""
    symbols = verdicts.derivation.symbols
    maximal = region_of(verdicts.condition("maximal-update"), symbols)
    found = {
        word: region_of(verdicts.condition(word, maximal.condition), symbols)
        for word in (*VERDICTS[:-1], "stable", "complete")
    }
    return {**found, "maximal-update": maximal}


def region_of(condition: SymbolCondition, symbols: Sequence[str]) -> Region:
    """A condition in lowest terms."""
    names = tuple(symbols)
    premises = Premises(names)
    plain, choices = _clauses(condition)
    while True:
        if premises.example(All((*plain, *map(_condition, choices)))) is None:
            return Region(names, (), empty=True)
        plain = _irredundant(names, plain, choices)
        found = _reduced(names, plain, choices)
        if found is None:
            return Region(names, (), empty=True)
        single = [clause[0] for clause in found if len(clause) == 1]
        choices = [clause for clause in found if len(clause) > 1]
        if not single:
            break
        plain += [x for alternative in single for x in alternative]
    return Region(names, (*(((x,),) for x in _sorted(plain)), *choices))


# Clauses


def _clauses(condition: SymbolCondition) -> tuple[list[LinearConstraint], list[Clause]]:
    """The plain constraints of a condition, and its choices."""
    plain: list[LinearConstraint] = []
    choices: list[Clause] = []
    for part in _conjuncts(condition):
        if isinstance(part, LinearConstraint):
            plain.append(part)
        else:
            choices.append(_alternatives(part))
    return plain, list(dict.fromkeys(choices))


def _conjuncts(condition: SymbolCondition) -> Iterable[SymbolCondition]:
    if isinstance(condition, All):
        for part in condition.parts:
            yield from _conjuncts(part)
    elif isinstance(condition, Some) and len(condition.parts) == 1:
        yield from _conjuncts(condition.parts[0])
    else:
        yield condition


def _alternatives(condition: SymbolCondition) -> Clause:
    """A condition as alternatives of linear constraints."""
    if isinstance(condition, LinearConstraint):
        return ((condition,),)
    if isinstance(condition, Some):
        return tuple(dict.fromkeys(a for part in condition.parts for a in _alternatives(part)))
    parts = [_alternatives(part) for part in condition.parts]
    found: list[Alternative] = [()]
    for part in parts:
        found = [(*left, *right) for left, right in product(found, part)]
        if len(found) > MOST_ALTERNATIVES:
            raise TooManyCasesError
    return tuple(dict.fromkeys(found))


class TooManyCasesError(UnprovedError):
    """A region with too many alternatives to write down."""


def _irredundant(
    names: tuple[str, ...], plain: Iterable[LinearConstraint], choices: Iterable[Clause]
) -> list[LinearConstraint]:
    """The constraints without what others imply.

    Implied equalities are found, equalities independent, and inequalities that others imply left
    out.
    """
    unique = list(dict.fromkeys(map(lowest_terms, plain)))
    everything = Premises(names)
    for condition in (*unique, *map(_condition, choices)):
        everything.assume(condition)
    chosen = {x.row for clause in choices for a in clause for x in a if x.relation == "="}
    equal = [x.row for x in unique if x.relation == "=" or _is_equality(everything, x)]
    equal += [row for row in chosen if everything.proves(LinearConstraint(row, "="))]
    equalities = _independent(equal)
    pivots = Premises(names)
    for row in equalities:
        pivots.assume_equation(row)
    rest = [
        lowest_terms(LinearConstraint(pivots.reduce_row(x.row), x.relation))
        for x in unique
        if x.row not in equal and x.relation != "="
    ]
    rest = [x for x in dict.fromkeys(rest) if decided(x) != ALWAYS]
    kept = _needed(names, rest)
    return [*(lowest_terms(LinearConstraint(row, "=")) for row in equalities), *kept]


def _is_equality(premises: Premises, x: LinearConstraint) -> bool:
    return x.relation == ">=" and premises.proves(LinearConstraint(opposite(x.row), ">="))


def _independent(rows: Sequence[AffineRow]) -> list[AffineRow]:
    """Rows that say the same together, none of them needless.

    Each is as simple as the others can make it.
    """
    kept: list[AffineRow] = []
    for row in sorted(dict.fromkeys(rows), key=_complexity):
        seen = Premises([""] * (len(row) - 1))
        for other in kept:
            seen.eliminate(other)
        if any(seen.reduce_row(row)[1:]):
            kept.append(row)
    return _simplified(kept)


def _simplified(rows: list[AffineRow]) -> list[AffineRow]:
    """Each row less a multiple of another one, where that leaves fewer symbols."""
    changed = True
    while changed:
        changed = False
        for i, j in permutations(range(len(rows)), 2):
            for k in range(1, len(rows[i])):
                if rows[i][k] and rows[j][k]:
                    simpler = _without(rows[i], rows[j], k)
                    if _complexity(simpler) < _complexity(rows[i]):
                        rows[i], changed = simpler, True
    return rows


def _without(row: AffineRow, other: AffineRow, index: int) -> AffineRow:
    """The row less the multiple of the other that takes a symbol from it, in lowest terms."""
    factor = Fraction(row[index]) / Fraction(other[index])
    return lowest_terms(LinearConstraint(subtract(row, tuple(factor * c for c in other)), "=")).row


def _complexity(row: AffineRow) -> tuple[int, int, int]:
    """Symbols, those with a factor, and those of the other sign than the first."""
    used = [c for c in row[1:] if c]
    signs = sum(1 for c in used if c * used[0] < 0)
    return len(used), sum(1 for c in used if abs(c) != 1), signs


def _needed(
    names: tuple[str, ...], constraints: Sequence[LinearConstraint]
) -> list[LinearConstraint]:
    kept = sorted(constraints, key=lambda x: _complexity(x.row))
    for x in reversed(list(kept)):
        others = Premises(names)
        for other in kept:
            if other != x:
                others.assume(other)
        if others.proves(x):
            kept.remove(x)
    return kept


def _reduced(
    names: tuple[str, ...], plain: Sequence[LinearConstraint], choices: Sequence[Clause]
) -> list[Clause] | None:
    """The choices without what the plain constraints decide; None if one of them is impossible."""
    premises = Premises(names)
    for x in plain:
        if x.relation == "=":
            premises.assume_equation(x.row)
        else:
            premises.assume(x)
    found: list[Clause] = []
    for clause in choices:
        if premises.proves(_condition(clause)):
            continue
        alternatives = [_alternative(premises, a) for a in clause]
        possible = _weakest(premises, [a for a in alternatives if a is not None])
        if not possible:
            return None
        found.append(tuple(possible))
    return _needed_choices(premises, list(dict.fromkeys(found)))


def _alternative(premises: Premises, alternative: Alternative) -> Alternative | None:
    """An alternative without what the premises imply; None where it is impossible."""
    if premises.example(All(alternative)) is None:
        return None
    reduced = [
        lowest_terms(LinearConstraint(premises.reduce_row(x.row), x.relation)) for x in alternative
    ]
    kept = [x for x in dict.fromkeys(reduced) if not premises.proves(x)]
    for x in list(kept):
        others = [y for y in kept if y is not x]
        if len(others) < len(kept) and others and premises.proves(_implies(others, x)):
            kept = others
    return _tightened(premises, kept)


def _tightened(premises: Premises, kept: Sequence[LinearConstraint]) -> Alternative:
    """`x <= 0` as `x = 0` where the premises, or the alternative itself, say `x >= 0`."""
    found = []
    for x in kept:
        at_most = LinearConstraint(opposite(x.row), ">=")
        if x.relation == ">=" and premises.proves(_implies(kept, at_most)):
            found.append(lowest_terms(LinearConstraint(x.row, "=")))
        else:
            found.append(x)
    return tuple(dict.fromkeys(found))


def _implies(left: Iterable[LinearConstraint], right: LinearConstraint) -> SymbolCondition:
    return Some((*(negation(x) for x in left), right))


def _weakest(premises: Premises, alternatives: list[Alternative]) -> list[Alternative]:
    """The alternatives that are no special case of another one."""
    kept = list(dict.fromkeys(alternatives))
    for a in list(kept):
        others = [b for b in kept if b != a]
        if any(premises.proves(Some((negation(All(a)), All(other)))) for other in others):
            kept = others
    return kept


def _needed_choices(premises: Premises, clauses: list[Clause]) -> list[Clause]:
    """The choices that no other one implies."""
    kept = list(clauses)
    for clause in clauses:
        others = [c for c in kept if c != clause]
        wanted = _condition(clause)
        if any(premises.proves(Some((negation(_condition(c)), wanted))) for c in others):
            kept = others
    return kept


def _condition(clause: Clause) -> SymbolCondition:
    return Some(tuple(All(alternative) for alternative in clause))


# Constraints


def lowest_terms(x: LinearConstraint) -> LinearConstraint:
    """The same constraint with coprime whole coefficients of the symbols.

    The first one of an equality is positive.
    """
    coefficients = [Fraction(c) for c in x.row[1:] if c]
    if not coefficients:
        return x
    scale = Fraction(lcm(*(c.denominator for c in coefficients)))
    scale /= gcd(*(int(c * scale) for c in coefficients))
    if x.relation == "=" and coefficients[0] < 0:
        scale = -scale
    row = tuple(int(v) if v == int(v) else v for v in (Fraction(c) * scale for c in x.row))
    return LinearConstraint(row, x.relation)


def _sorted(plain: Sequence[LinearConstraint]) -> list[LinearConstraint]:
    return sorted(plain, key=lambda x: (x.relation != "=", [-abs(c) for c in x.row[1:]]))


def constraint_text(x: LinearConstraint, symbols: tuple[str, ...]) -> str:
    """`a + b = 1/2`, `c <= 1`: the constant alone on the right."""
    left, relation, right = sides(x)
    return f"{row_text(left, symbols)} {relation} {row_text(right, symbols)}"


def constraint_law(x: LinearConstraint, symbols: tuple[str, ...]) -> str:
    """`Eq(a + b, 1/2)`, `c <= 1`."""
    left, relation, right = sides(x)
    if relation == "=":
        return f"Eq({row_text(left, symbols)}, {row_text(right, symbols)})"
    return constraint_text(x, symbols)


def sides(x: LinearConstraint) -> tuple[AffineRow, str, AffineRow]:
    """The symbols on the left, the first one positive, and the constant on the right."""
    row, relation = x.row, x.relation
    first = next((c for c in row[1:] if c), 0)
    if first < 0 and relation != "=":
        row, relation = opposite(row), relation.replace(">", "<")
    constant = (-row[0], *[0] * (len(row) - 1))
    return (0, *row[1:]), relation, constant


def region_lines(head: str, region: Region) -> list[str]:
    """A region as text: where it is, a line for each clause."""
    if region.empty or region.everywhere:
        return [f"{head}: {'nowhere' if region.empty else 'everywhere'}"]
    colon = "" if head.endswith("and") else ":"
    return [f"{head}{colon}", *(f"    {line}" for line in clause_texts(region))]


def clause_texts(region: Region) -> list[str]:
    """A line for each clause; alternatives are joined by `or`."""
    return [_clause(texts) for texts in region.texts()]


def _clause(alternatives: Sequence[Sequence[str]]) -> str:
    return " or ".join(" and ".join(alternative) for alternative in alternatives)
