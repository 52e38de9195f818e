"""Symbolic sizes as text: for sympy, for people, for LaTeX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.record import NamedTuple
from abcparam.symbolic.constraints import opposite

if TYPE_CHECKING:
    from abcparam.symbolic.constraints import AffineRow, FormOrder, Forms


class Quotient(NamedTuple):
    """A size as it is written: max(top) - max(bottom), in forms over the symbols.

    Without a top it is exactly zero or has no bound.
    """

    top: Forms
    bottom: Forms
    is_zero: bool
    names: tuple[str, ...]  # the growth dims
    symbols: tuple[str, ...]
    order: FormOrder
    origin: AffineRow  # the form of exponent 0


class Notation(NamedTuple):
    """How laws are written: powers, products, the largest of several, a quotient, no bound."""

    power: Callable[[str, str], str]
    times: str
    largest: str
    unbounded: str


def _sympy_power(name: str, exponent: str) -> str:
    return name if exponent == "1" else f"{name}**{_guarded(exponent)}"


def _plain_power(name: str, exponent: str) -> str:
    return name if exponent == "1" else f"{name}^{_guarded(exponent)}"


LAW = Notation(_sympy_power, "*", "Max({})", "oo")
PLAIN = Notation(_plain_power, " * ", "max({})", "unbounded")


def _guarded(exponent: str) -> str:
    """In brackets unless it is one word, or one call."""
    one_call = exponent.startswith(("Max(", "max(")) and exponent.index(")") == len(exponent) - 1
    return exponent if exponent.isalnum() or one_call else f"({exponent})"


def exponents_text(size: Quotient) -> dict[str, str | None]:
    """The exponent of each growth dim, `-inf` for exact zero.

    None where it depends on which form is the largest (in all limits but the first).
    """
    names, order = size.names, size.order
    if not size.top:
        return dict.fromkeys(names, "-inf" if size.is_zero else "inf")
    if len(names) == 1:
        return {names[0]: _difference(size.top, size.bottom, size.symbols)}
    return {name: _exponent_of(size, i, order) for i, name in enumerate(names)}


def _exponent_of(size: Quotient, index: int, order: FormOrder) -> str | None:
    top, bottom = (
        tuple(dict.fromkeys(order.parts(form)[index] for form in forms))
        for forms in (size.top, size.bottom)
    )
    alone = [limit for limit, _ in order.dims].count(0) == 1 and order.dims[index][0] == 0
    if len(top) == len(bottom) == 1 or alone:
        return _difference(top, bottom, size.symbols)
    return None


def rate_text(size: Quotient) -> str | None:
    """By which power of the growth dim a size falls: `Min(a + b, c)`.

    None where there are several dims, or a size is divided by.
    """
    symbols, plain = size.symbols, size.bottom == (size.origin,)
    if len(size.names) != 1 or not size.top or not plain:
        return None
    texts = sorted(row_text(opposite(row), symbols) for row in size.top)
    return texts[0] if len(texts) == 1 else f"Min({', '.join(texts)})"


def law_text(size: Quotient, notation: Notation) -> str:
    """The size as a law in the growth dims."""
    if not size.top:
        return "0" if size.is_zero else notation.unbounded
    names = size.names
    if len(names) == 1:
        exponent = _difference(size.top, size.bottom, size.symbols)
        return "1" if exponent == "0" else notation.power(names[0], exponent)
    top, bottom = (_products(size, forms, notation) for forms in (size.top, size.bottom))
    return top if bottom == "1" else f"{_factor(top)}/{_factor(bottom)}"


def _factor(text: str) -> str:
    return f"({text})" if "*" in text and not text.endswith(")") else text


def _products(size: Quotient, forms: Forms, notation: Notation) -> str:
    order, names, symbols = size.order, size.names, size.symbols
    texts = []
    for form in forms:
        exponents = [row_text(row, symbols) for row in order.parts(form)]
        factors = [notation.power(n, e) for n, e in zip(names, exponents, strict=True) if e != "0"]
        texts.append(notation.times.join(factors) or "1")
    unique = list(dict.fromkeys(texts))
    return unique[0] if len(unique) == 1 else notation.largest.format(", ".join(unique))


def _difference(
    top: Sequence[AffineRow], bottom: Sequence[AffineRow], symbols: tuple[str, ...]
) -> str:
    """`Max(1 - a, 0) - Max(b, 1/2)`."""
    upper, lower = _maximum(top, symbols), _maximum(bottom, symbols)
    if lower == "0":
        return upper
    return f"{upper} - {lower}" if lower.startswith("Max") else f"{upper} - ({lower})"


def _maximum(rows: Sequence[AffineRow], symbols: tuple[str, ...]) -> str:
    texts = sorted(row_text(row, symbols) for row in rows)
    return texts[0] if len(texts) == 1 else f"Max({', '.join(texts)})"


def row_text(row: AffineRow, symbols: tuple[str, ...]) -> str:
    """`1/2 - a + 2*c`: the constant first, symbols in their order."""
    parts = [str(Fraction(row[0]))] if row[0] else []
    for coefficient, symbol in zip(row[1:], symbols, strict=True):
        if coefficient:
            value = abs(Fraction(coefficient))
            term = symbol if value == 1 else f"{value}*{symbol}"
            parts.append(f"-{term}" if coefficient < 0 else term)
    return " + ".join(parts).replace("+ -", "- ") or "0"
