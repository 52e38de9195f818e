"""Lengths at base."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.polynomials import (
    Polynomial,
    number,
    substituted,
)
from abcparam.program.dims import Dim


def at_base(value: Polynomial, dims: Mapping[str, Dim]) -> Polynomial:
    """The value with every dim that goes to infinity at its base."""
    bases = {name: number(dim.base or 1) for name, dim in dims.items() if dim.infinite}
    return substituted(value, bases)
