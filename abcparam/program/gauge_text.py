"""How a gauge is spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine, Shifts, vanishes
from abcparam.algebra.polynomials import leading_growth
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor


def shifted(program: Program, tensor: Tensor, shifts: Shifts, letters: Mapping[str, int]) -> str:
    """`a + 1/2, b - 1/2, c - 1`: a shift θ of each dim, times what each letter takes of it."""
    own = leading_growth(tensor.own, program.growth_of, program.growth_order) if tensor.own else {}
    parts = []
    for dim, theta in shifts.items():
        suffix = "" if own == {dim: 1} else f"[{dim}]"
        parts += [_signed(f"{k}{suffix}", theta * Fraction(by)) for k, by in letters.items() if by]
    return ", ".join(part for part in parts if part)


def _signed(name: str, by: Affine) -> str:
    if vanishes(by):
        return ""
    single = len(by.symbols) + bool(by.constant) == 1
    if single and str(by).startswith("-"):
        return f"{name} - {str(by)[1:]}"
    return f"{name} + {by}" if single else f"{name} + ({by})"
