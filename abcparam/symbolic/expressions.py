"""Laws as sympy expressions: the one door to sympy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from abcparam.algebra.sizes import NumericSize, Size
from abcparam.symbolic.sizes import SymbolicSize, symbolic

if TYPE_CHECKING:
    from sympy import Expr as Expr

    from abcparam.symbolic.constraints import Forms


@lru_cache(maxsize=1)
def _sympy() -> Any:
    import sympy

    return sympy


def expression(size: Size) -> Any:
    """A size as a law: `width**Max(1 - a, 0)`, 0 for exact zero, oo for no bound."""
    sympy = _sympy()
    if not size.vectors:
        return sympy.Integer(0) if size.is_zero else sympy.oo
    if isinstance(size, NumericSize):
        return _power({n: _rational(e) for n, e in size.exponents().items()})
    return _quotient(symbolic(size))


def _quotient(size: SymbolicSize) -> Any:
    """The largest of some forms over the largest of others, as a law."""
    written = size.quotient
    if len(size.space.names) == 1:
        exponent = _largest(_rows(size, written.top)) - _largest(_rows(size, written.bottom))
        return _power({size.space.names[0]: exponent})
    return _product(size, written.top) / _product(size, written.bottom)


def latex(size: Size) -> str:
    """The law typeset."""
    return str(_sympy().latex(expression(size)))


def affine_latex(row: Sequence[Fraction | int], symbols: Sequence[str]) -> str:
    """An affine form typeset."""
    return str(_sympy().latex(_affine(row, symbols)))


def _power(exponents: Mapping[str, Any]) -> Any:
    sympy = _sympy()
    powers = [sympy.Symbol(n, positive=True) ** e for n, e in exponents.items()]
    return sympy.Mul(*powers)


def _product(size: SymbolicSize, forms: Forms) -> Any:
    """The largest of several products of powers of the growth dims."""
    order, names = size.space.premises.order, size.space.names
    products = []
    for form in forms:
        rows = [_affine(row, size.space.symbols) for row in order.parts(form)]
        products.append(_power(dict(zip(names, rows, strict=True))))
    return _largest(products)


def _rows(size: SymbolicSize, forms: Forms) -> list[Any]:
    return [_affine(form, size.space.symbols) for form in forms]


def _affine(row: Sequence[Fraction | int], symbols: Sequence[str]) -> Any:
    sympy = _sympy()
    terms = [_rational(c) * sympy.Symbol(s) for c, s in zip(row[1:], symbols, strict=True) if c]
    return sympy.Add(_rational(row[0]), *terms)


def _rational(value: Fraction | int) -> Any:
    exact = Fraction(value)
    return _sympy().Rational(exact.numerator, exact.denominator)


def _largest(values: Sequence[Any]) -> Any:
    """Left as it is: sympy's own simplification of many affine arguments takes seconds."""
    return values[0] if len(values) == 1 else _sympy().Max(*values, evaluate=False)
