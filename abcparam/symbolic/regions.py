"""Regions of the symbols in lowest terms: conditions as clauses, redundant ones left out.

A region is a conjunction of clauses, a clause a choice of alternatives, an alternative a
conjunction of linear constraints. Most clauses have one alternative of one constraint. Everything
dropped is implied by what is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import permutations, product
from math import gcd, lcm
from operator import mul
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
    SymbolPoint,
    decided,
    negation,
    opposite,
    point_of,
    primitive,
    whole,
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


def regions_of(verdicts: Verdicts, stable: Region) -> dict[str, Region]:
    """The region of each verdict, worst first, of stability and of completeness."""
    symbols = verdicts.derivation.symbols
    maximal = region_of(verdicts.condition("maximal-update"), symbols)
    sound = region_of(All((verdicts.derivation.within, verdicts.derivation.sound_at_init)), symbols)
    found = {
        word: region_of(verdicts.condition(word, maximal.condition, sound.condition), symbols)
        for word in (*VERDICTS[:-1], "complete")
    }
    return {**found, "stable": stable, "maximal-update": maximal}


def stated(condition: SymbolCondition, symbols: Sequence[str]) -> Region:
    """A condition as it is, which may say something twice."""
    plain, choices = _clauses(condition)
    return Region(tuple(symbols), (*(((x,),) for x in dict.fromkeys(plain)), *choices))


def region_of(condition: SymbolCondition, symbols: Sequence[str]) -> Region:
    """A condition in lowest terms."""
    names = tuple(symbols)
    premises = Premises(names)
    plain, choices = _clauses(whole(condition))
    while True:
        if premises.point(All((*plain, *map(_condition, choices)))) is None:
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
    written = [tuple([tuple(map(lowest_terms, a)) for a in clause]) for clause in choices]
    return Region(names, (*(((x,),) for x in _sorted(list(map(lowest_terms, plain)))), *written))


# Clauses


def _clauses(condition: SymbolCondition) -> tuple[list[LinearConstraint], list[Clause]]:
    """The plain constraints of a condition, and its choices.

    Without those that always hold, and those that say another one "or" more.
    """
    parts = list({id(part): part for part in _conjuncts(condition)}.values())
    plain = [part for part in parts if isinstance(part, LinearConstraint)]
    choices = [_alternatives(part) for part in parts if not isinstance(part, LinearConstraint)]
    least: list[frozenset[Alternative]] = []
    for clause in sorted(map(frozenset, choices), key=len):
        if () not in clause and not any(map(clause.issuperset, least)):
            least.append(clause)
    kept = [clause for clause in dict.fromkeys(choices) if frozenset(clause) in least]
    return list(dict.fromkeys(plain)), kept


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
    unique = list(dict.fromkeys(map(_unsigned, plain)))
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
        LinearConstraint(primitive(pivots.reduce_row(x.row)), x.relation)
        for x in unique
        if x.row not in equal and x.relation != "="
    ]
    rest = [x for x in dict.fromkeys(rest) if decided(x) != ALWAYS]
    kept = _needed(names, rest)
    return [*(_unsigned(LinearConstraint(row, "=")) for row in equalities), *kept]


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
    by, over = row[index], other[index]
    found = tuple([over * x - by * y for x, y in zip(row, other, strict=True)])
    return _unsigned(LinearConstraint(primitive(found), "=")).row


def _complexity(row: AffineRow) -> tuple[int, int, int]:
    """Symbols, those with a factor, and those of the other sign than the first."""
    used = [int(c) for c in row[1:] if c]
    signs, common = sum([c * used[0] < 0 for c in used]), gcd(*used)
    return len(used), sum([abs(c) != common for c in used]), signs


def _needed(
    names: tuple[str, ...], constraints: Sequence[LinearConstraint]
) -> list[LinearConstraint]:
    """The constraints that the others do not imply.

    Each is held against those that are known to be needed, which are few (K. L. Clarkson, "More
    output-sensitive geometric algorithms", FOCS 1994): where it does not follow from them, the
    first one that is met on the way from inside to where it is broken is needed too.
    """
    kept = sorted(constraints, key=lambda x: _complexity(x.row))
    inside = _inside(names, kept)
    needed, assumed = Premises(names), set[LinearConstraint]()
    for x in reversed(list(kept)):
        while x not in assumed:
            beyond = LinearConstraint(opposite(x.row), ">")
            broken = needed.point(beyond) or needed.point(negation(x))
            if broken is None:
                kept.remove(x)
                break
            met = None if inside is None else _first_met(kept, inside, broken)
            if met is None and _follows(names, kept, x):
                kept.remove(x)
                break
            met = met or x
            assumed.add(met)
            needed.assume(met)
    return kept


def _inside(names: tuple[str, ...], constraints: Sequence[LinearConstraint]) -> SymbolPoint | None:
    """A point inside of all constraints, off the planes on which simple points lie."""
    found = Premises(names).point(All(tuple(x._replace(relation=">") for x in constraints)))
    if found is None:
        return None
    way: list[Fraction] = [
        Fraction(0),
        *(Fraction(97 + 31 * k * k, 64 + 11 * k) for k in range(len(names))),
    ]
    farthest = Fraction(1)
    for x in constraints:
        slope = sum(map(mul, x.row, way))
        if slope < 0:
            farthest = min(farthest, -Fraction(sum(map(mul, x.row, found)), found[0]) / slope)
    values = (Fraction(v, found[0]) for v in found[1:])
    return point_of([v + farthest / 3 * w for v, w in zip(values, way[1:], strict=True)])


def _first_met(
    constraints: Sequence[LinearConstraint], inside: SymbolPoint, outside: SymbolPoint
) -> LinearConstraint | None:
    """The constraint that is broken first on the way; None where several are."""
    found: list[LinearConstraint] = []
    least, over = 2, 1
    for x in constraints:
        without = sum(map(mul, x.row, outside))
        if without <= 0:
            way = sum(map(mul, x.row, inside)) * outside[0]
            whole_way = way - without * inside[0]
            if way * over < least * whole_way:
                found, least, over = [], way, whole_way
            if way * over == least * whole_way:
                found.append(x)
    return found[0] if len(found) == 1 else None


def _follows(
    names: tuple[str, ...], constraints: Iterable[LinearConstraint], x: LinearConstraint
) -> bool:
    """Whether the others imply a constraint."""
    others = Premises(names)
    for other in constraints:
        if other != x:
            others.assume(other)
    return others.proves(x)


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
    reduced: dict[Alternative, Alternative | None] = {}
    for clause in reversed(choices):  # layers are alike: the last says what others say
        wanted = _condition(clause)
        if premises.proves(wanted) or any(_follows_from(premises, c, wanted) for c in found):
            continue
        for a in clause:
            if a not in reduced:
                reduced[a] = _alternative(premises, a)
        possible = _weakest(premises, [r for a in clause if (r := reduced[a]) is not None])
        if not possible:
            return None
        found.append(tuple(possible))
    return _needed_choices(premises, list(dict.fromkeys(reversed(found))))


def _follows_from(premises: Premises, clause: Clause, wanted: SymbolCondition) -> bool:
    return premises.proves(Some((negation(_condition(clause)), wanted)))


def _alternative(premises: Premises, alternative: Alternative) -> Alternative | None:
    """An alternative without what the premises imply; None where it is impossible."""
    if premises.point(All(alternative)) is None:
        return None
    reduced = [
        _unsigned(LinearConstraint(primitive(premises.reduce_row(x.row)), x.relation))
        for x in alternative
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
            found.append(_unsigned(LinearConstraint(x.row, "=")))
        else:
            found.append(x)
    return tuple(dict.fromkeys(found))


def _implies(left: Iterable[LinearConstraint], right: LinearConstraint) -> SymbolCondition:
    return Some((*(negation(x) for x in left), right))


def _weakest(premises: Premises, alternatives: list[Alternative]) -> list[Alternative]:
    """The alternatives that are no special case of another one."""
    kept = list(dict.fromkeys(alternatives))
    seen = _Implications(premises, {a: All(a) for a in kept})
    for a in list(kept):
        others = [b for b in kept if b != a]
        if any(seen.implied(a, b) for b in others):
            kept = others
    return kept


def _needed_choices(premises: Premises, clauses: list[Clause]) -> list[Clause]:
    """The choices that the others do not imply: first no other one, then all of them together.

    Of layers that are alike, the first and the last mostly say what those between them say.
    """
    kept = list(clauses)
    seen = _Implications(premises, {clause: _condition(clause) for clause in clauses})
    for clause in clauses:
        others = [c for c in kept if c != clause]
        if any(seen.implied(c, clause) for c in others):
            kept = others
    if len(kept) > 2:
        for clause in [*kept[1:-1], kept[0], kept[-1]]:
            others = [c for c in kept if c != clause]
            if seen.together(others, clause):
                kept = others
    return kept


class _Implications:
    """Which of some conditions follow from others."""

    def __init__(self, premises: Premises, conditions: Mapping[Any, SymbolCondition]) -> None:
        self.premises = premises
        self.held = {key: whole(condition) for key, condition in conditions.items()}
        self.denied = {key: negation(condition) for key, condition in self.held.items()}

    def implied(self, left: Any, right: Any) -> bool:
        """Whether a condition follows from another one."""
        return self.together((left,), right)

    def together(self, left: Iterable[Any], right: Any) -> bool:
        """Whether a condition follows from others that hold together."""
        wrong = All((self.denied[right], *(self.held[key] for key in left)))
        return self.premises.impossible(wrong)


def _condition(clause: Clause) -> SymbolCondition:
    return Some(tuple(All(alternative) for alternative in clause))


# Constraints


def _unsigned(x: LinearConstraint) -> LinearConstraint:
    """An equality whose first coefficient is positive; any other constraint as it is."""
    first = next((c for c in x.row[1:] if c), 0)
    return LinearConstraint(opposite(x.row), "=") if x.relation == "=" and first < 0 else x


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
