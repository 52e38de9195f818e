"""Lengths, numbers and factors as written and as formulas."""

from __future__ import annotations

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record
from abcparam.language import syntax

Shape = tuple[Polynomial, ...]


class Amount(Record):
    """A number, length or factor as written (in the names of its place) and as a polynomial."""

    written: syntax.Expression
    value: Polynomial


Setting = Amount | bool | tuple[Amount, ...]
