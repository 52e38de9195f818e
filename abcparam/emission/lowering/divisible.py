"""When a length is whole: what must divide what, found from its formula."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record
from abcparam.emission.lowering.numbers import common_divisor, split
from abcparam.operations.base import operation_of
from abcparam.program.expressions import Apply, Assign, Expression, Invoke, Return, Statement
from abcparam.program.model import Module, Program
from abcparam.python_code import formula
from abcparam.python_code.formula import ONE, Formula, Sum


class Divides(Record):
    """`over` must be a multiple of `under`."""

    over: Formula
    under: Formula


class PerfectPower(Record):
    """`value` must be a perfect power: its root is a length."""

    value: Formula
    degree: int


WholeCondition = Divides | PerfectPower


def conditions(program: Program) -> list[WholeCondition]:
    """What must hold for every length to be whole, in the order of the source."""
    found: dict[WholeCondition, None] = {}
    for length in _lengths(program):
        found |= dict.fromkeys(whole(formula.from_polynomial(length)))
    return list(found)


def whole(value: Formula) -> list[WholeCondition]:
    """The conditions under which one length is whole."""
    if any(power.denominator != 1 for _, power in value.powers):
        return [_root(value)]
    match value.powers:
        case ((Sum(terms=terms), power),) if power == 1:
            return _whole_sum([_scaled(term, value.coefficient) for term in terms])
        case _:
            return _whole_term(value)


def _scaled(term: Formula, by: Fraction) -> Formula:
    return Formula(term.coefficient * by, term.powers)


def _whole_term(value: Formula) -> list[WholeCondition]:
    over, under = split(value)
    if under == ONE:
        return []
    if not under.powers:
        over = Formula(Fraction(1), over.powers)  # the coefficient is in lowest terms
    return [Divides(over, under)]


def _whole_sum(terms: Sequence[Formula]) -> list[WholeCondition]:
    broken = [term for term in terms if split(term)[1] != ONE]
    if len(broken) < 2:
        return [condition for term in broken for condition in _whole_term(term)]
    common = common_divisor(broken)
    over = formula.number(0)
    for term in broken:
        over = formula.add(over, term * common)
    return [Divides(over, common)]


def _root(value: Formula) -> PerfectPower:
    degree = max(power.denominator for _, power in value.powers)
    return PerfectPower(value.power(Fraction(degree)), degree)


def _lengths(program: Program) -> Iterable[Polynomial]:
    for dim in program.dims.values():
        if dim.derived:
            yield dim.value
    for tensor in program.tensors.values():
        yield from tensor.shape
    for given in program.inputs:
        yield from (axis.value for axis in given.axes)
    for module in program.root.walk():
        yield from _lengths_of_module(module)


def _lengths_of_module(module: Module) -> Iterable[Polynomial]:
    if module.count is not None:
        yield module.count.value
    for statement in module.body:
        for value in _values(statement):
            yield from _lengths_of(value)


def _values(statement: Statement) -> tuple[Expression, ...]:
    match statement:
        case Assign(value=value):
            return (value,)
        case Return(values=values):
            return values
        case _:
            return ()


def _lengths_of(value: Expression) -> Iterable[Polynomial]:
    if not isinstance(value, (Apply, Invoke)):
        return
    for operand in value.operands:
        if operand is not None:
            yield from _lengths_of(operand)
    for shape in value.shapes:
        yield from shape
    if isinstance(value, Apply):
        yield from operation_of(value).lengths(value)
