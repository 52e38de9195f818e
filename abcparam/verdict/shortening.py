"""A model with fewer copies of its finite repeats, for searches that judge it often."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import number
from abcparam.algebra.record import replace
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.model import Module, Program


def shortened(program: Program, copies: int) -> Program:
    """The program with so many copies of each finite repeat at most."""
    return replace(program, root=_shortened(program.root, program, copies))


def _shortened(module: Module, program: Program, copies: int) -> Module:
    children = tuple(_shortened(child, program, copies) for child in module.children)
    count = module.count
    if count and not any(program.growth_of(name) for name in count.value.names):
        few = min(copies, int(count.value.evaluate(program.base_values())))
        count = Amount(syntax.Number(Fraction(few)), number(few))
    return replace(module, children=children, count=count)
