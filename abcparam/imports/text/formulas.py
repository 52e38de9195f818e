"""Formulas of sizes as a person writes them."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import Monomial, Opaque, Polynomial
from abcparam.language import syntax
from abcparam.resolve.amounts import expression_of


class Formulas:
    """Writes lengths and factors; `dims` are formulas that have a name."""

    def __init__(self) -> None:
        self.dims: dict[str, Polynomial] = {}
        self.taken: set[str] = set()
        self.renamed: dict[str, str] = {}
        self.places: dict[Polynomial, str] = {}  # by how many there are in the example

    def named(self, name: str, value: Polynomial) -> syntax.Expression:
        """A formula, by a name that it gets unless it is a number, a size or has one."""
        found = self.written(value)
        if isinstance(found, (syntax.Name, syntax.Number)):
            return found
        return syntax.Name(self.dim(name, value))

    def dim(self, name: str, value: Polynomial) -> str:
        """A dim of this value, called like this or with a number behind."""
        for known, formula in self.dims.items():
            if formula == value and known.rstrip("0123456789") == name:
                return known
        number, chosen = 2, name
        while chosen in self.taken:
            chosen, number = f"{name}{number}", number + 1
        self.taken.add(chosen)
        self.dims[chosen] = value
        return chosen

    def rename(self, known: str, name: str) -> None:
        """A dim is called otherwise from the start, if nothing else is called so."""
        if known in self.dims and name not in self.taken:
            self.taken.add(name)
            self.renamed[known] = name

    def named_dims(self) -> dict[str, Polynomial]:
        """All dims, as they are called in the end."""
        return {self.renamed.get(name, name): value for name, value in self.dims.items()}

    def place(self, length: Polynomial) -> syntax.Expression:
        """The dim of positions, of which the example has so many."""
        if length not in self.places:
            self.places[length] = self.dim("context", length)
        return syntax.Name(self.places[length])

    def longest(self, length: Polynomial, rows: Polynomial) -> syntax.Expression:
        """The same where a table has rows for more positions than the example has."""
        found = self.place(length)
        self.dims[self.places[length]] = rows
        return found

    def written(self, value: Polynomial) -> syntax.Expression:
        for name, formula in self.dims.items():
            if formula == value and value.constant is None:
                return syntax.Name(name)
        return formula_of(value)


def formula_of(value: Polynomial) -> syntax.Expression:
    """`3 * width / head`, with roots as powers."""
    if any(isinstance(a, Opaque) for monomial, _ in value.terms for a, _ in monomial):
        return expression_of(value)
    if not value.terms:
        return syntax.Number(Fraction(0))
    terms = [_term(monomial, coefficient) for monomial, coefficient in value.terms]
    found = terms[0]
    for term in terms[1:]:
        found = syntax.Binary("+", found, term)
    return found


def _term(monomial: Monomial, coefficient: Fraction) -> syntax.Expression:
    names = [(str(name), power) for name, power in monomial]
    over = [_power(name, power) for name, power in names if not _is_under(power)]
    under = [_power(name, -power) for name, power in names if _is_under(power)]
    top, bottom = coefficient.numerator, coefficient.denominator
    if not names or _is_decimal(coefficient):
        over = [syntax.Number(Fraction(f"{float(coefficient):.16g}")), *over]
    else:
        over = [syntax.Number(Fraction(top)), *over] if top != 1 or not over else over
        under = [syntax.Number(Fraction(bottom)), *under] if bottom != 1 else under
    found = over[0] if over else syntax.Number(Fraction(1))
    for factor in over[1:]:
        found = syntax.Binary("*", found, factor)
    for factor in under:
        found = syntax.Binary("/", found, factor)
    return found


def _is_decimal(value: Fraction) -> bool:
    """Whether a number is written with a point, not as a quotient."""
    if value.denominator == 1:
        return False
    return value.denominator > 64 or abs(value.numerator) > 64


def _is_under(power: Fraction) -> bool:
    """Whether a power stands below the line: `width / head`, but `head^(-1/2)`."""
    return power < 0 and power.denominator == 1


def _power(name: str, power: Fraction) -> syntax.Expression:
    if power == 1:
        return syntax.Name(name)
    exponent: syntax.Expression = syntax.Number(abs(power))
    if power.denominator > 1:
        exponent = syntax.Binary(
            "/",
            syntax.Number(Fraction(power.numerator)),
            syntax.Number(Fraction(power.denominator)),
        )
    if power < 0 and power.denominator == 1:
        exponent = syntax.Negative(exponent)
    return syntax.Binary("^", syntax.Name(name), exponent)
