"""Factors of a forward folded into tensors: the same training by a forward without them.

A factor `(width / base(width))^p` that is left out makes values larger by its inverse. Tensors make
up for it: each is taken times `r^-θ`, with its initial scale, and its learning rate, epsilon and
weight decay as its optimizer's gauge has it. Of all θ that solve the equations of `degrees` the
least are taken, that touch the fewest tensors; readouts before vectors, such as gains, these before
other tensors, and of these the last that are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from abcparam.algebra.elimination import LinearEquation
from abcparam.algebra.least import SolvedRow, Unknown, least
from abcparam.algebra.polynomials import Polynomial, atom, number
from abcparam.algebra.record import Record, replace
from abcparam.comparison.degrees import (
    FACTOR,
    TENSOR,
    DimPowers,
    ForwardFactor,
    ProgramDegrees,
    powers_of,
    total,
)
from abcparam.comparison.regauge import Kappa, reweighted
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import gauges as rules
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.operations.base import operation_of
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, with_operands, with_values
from abcparam.program.model import Module, Program
from abcparam.program.tensors import OWN, Tensor
from abcparam.resolve.amounts import Amounts

READOUT, VECTOR, OTHER = range(3)  # tensors that are folded into, among equals the first
LeftOut = Callable[[Apply], bool | DimPowers]  # all of a factor's growing part, none, these powers


class Kept(Record):
    """A factor that stays in the forward, and what would have to change without it."""

    factor: ForwardFactor
    reasons: tuple[str, ...]


class Fold(Record):
    """A program with factors folded into tensors: θ by path, powers by the factors' symbols."""

    program: Program
    degrees: ProgramDegrees
    theta: Mapping[str, DimPowers]
    left_out: Mapping[str, DimPowers]
    kept: tuple[Kept, ...]


def folded(
    program: Program,
    dropped: LeftOut,
    *,
    together: Callable[[str], str] = str,
    keep: Callable[[str], bool] = lambda path: False,
) -> Program:
    """The program without the growing part of factors, in tensors that make up for it.

    `dropped` says of which: of `scale`, of attention's `scale` and so on; True is all of the
    growing part, else its powers by dim. Tensors of one key in `together` are scaled alike, those
    that `keep` names not at all. Raises `SpecError`, which says of each factor that cannot be
    folded what is in the way.
    """
    found = fold(program, dropped, together=together, keep=keep)
    if found.kept:
        raise SpecError(
            program.source,
            [
                rules.NotFolded.at(
                    kept.factor.call.span,
                    factor=written(kept.factor.amount.written),
                    reasons=", ".join(kept.reasons),
                )
                for kept in found.kept
            ],
        )
    return found.program


def fold(
    program: Program,
    dropped: LeftOut = lambda call: True,
    *,
    together: Callable[[str], str] = str,
    keep: Callable[[str], bool] = lambda path: False,
) -> Fold:
    """As `folded`, of all factors that can be folded, and why the others cannot."""
    degrees = ProgramDegrees(program, together, keep)
    wanted, kept = {}, []
    for factor in degrees.factors:
        powers = _wanted(program, factor, dropped(factor.call))
        if powers is None:
            kept.append(Kept(factor, ("it is no product of powers of dims",)))
        elif any(powers.values()):
            wanted[factor.symbol] = powers
    refused = _refused(degrees, wanted)
    kept += [Kept(f, refused[f.symbol]) for f in degrees.factors if f.symbol in refused]
    left_out = {symbol: powers for symbol, powers in wanted.items() if symbol not in refused}
    theta = _theta(degrees, left_out)
    return Fold(moved(degrees, theta, left_out), degrees, theta, left_out, tuple(kept))


def beyond_usual(program: Program) -> LeftOut:
    """What PyTorch's own functions have not: of attention's scale all but the root of a head."""

    def left_out(call: Apply) -> bool | DimPowers:
        usual = powers_of(program, operation_of(call).usual(call))
        amounts = (call.settings[name] for name in call.operation.factors)
        own = [powers_of(program, a.value) for a in amounts if isinstance(a, Amount)]
        if not usual or len(own) != 1 or own[0] is None:
            return True
        return {
            d: own[0].get(d, Fraction(0)) - usual.get(d, Fraction(0)) for d in {**own[0], **usual}
        }

    return left_out


def _wanted(program: Program, factor: ForwardFactor, dropped: bool | DimPowers) -> DimPowers | None:
    """The powers to leave out; None where what is to be left out is none."""
    if isinstance(dropped, Mapping):
        return {dim.name: dropped[dim.name] for dim in program.growing if dim.name in dropped}
    return powers_of(program, factor.amount.value) if dropped else {}


def _refused(
    degrees: ProgramDegrees, wanted: Mapping[str, DimPowers]
) -> dict[str, tuple[str, ...]]:
    """The factors that cannot be left out, and why: without them the others can."""
    left, refused = dict(wanted), dict[str, tuple[str, ...]]()
    while violated := [c for c in degrees.conditions() if _is_violated(degrees, c, left)]:
        for condition in violated:
            for symbol in condition.terms.keys() & left.keys():
                refused.setdefault(symbol, degrees.reasons(condition))
        left = {symbol: powers for symbol, powers in left.items() if symbol not in refused}
    return refused


def _is_violated(
    degrees: ProgramDegrees, condition: LinearEquation, left_out: Mapping[str, DimPowers]
) -> bool:
    return any(total(condition.terms, left_out, dim.name) for dim in degrees.program.growing)


def _theta(
    degrees: ProgramDegrees, left_out: Mapping[str, DimPowers]
) -> dict[str, dict[str, Fraction]]:
    """The least θ of each tensor, dim by dim."""
    program, rows = degrees.program, degrees.rows()
    found: dict[str, dict[str, Fraction]] = {}
    for dim in program.growing:
        solved = [
            SolvedRow(
                name,
                {x: k for x, k in terms.items() if not x.startswith(FACTOR)},
                -total(terms, left_out, dim.name),
            )
            for name, terms in rows.items()
        ]
        if not any(row.value for row in solved):
            continue
        theta = least(solved, _unknowns(degrees, dim.name))
        for path in program.tensors:
            if by := theta.get(f"{TENSOR}{degrees.together(path)}"):
                found.setdefault(path, {})[dim.name] = by
    return found


def _unknowns(degrees: ProgramDegrees, dim: str) -> dict[str, Unknown]:
    """What each θ counts for: the tensors that share it, with their copies."""
    found: dict[str, Unknown] = {}
    tensors = degrees.program.tensors
    for place, path in enumerate(sorted(tensors, key=lambda path: -degrees.depths.get(path, 0))):
        tensor = tensors[path]
        name, weight = f"{TENSOR}{degrees.together(path)}", _copies(degrees.program, tensor)
        kind = _kind(tensor, dim)
        if name in found:
            other = found[name]
            weight, kind, place = weight + other.weight, max(kind, other.kind), other.place
        found[name] = Unknown(weight, kind, place)
    return found


def _copies(program: Program, tensor: Tensor) -> int:
    values, count = program.base_values(), Fraction(1)
    for copies in tensor.copies:
        count *= copies.value.evaluate(values)
    return max(1, int(count))


def _kind(tensor: Tensor, dim: str) -> int:
    if dim in tensor.fan_in.names and dim not in tensor.fan_out.names and len(tensor.axes) > 1:
        return READOUT
    return VECTOR if len(tensor.axes) < 2 else OTHER


# The program without factors


def moved(
    degrees: ProgramDegrees, theta: Mapping[str, DimPowers], left_out: Mapping[str, DimPowers]
) -> Program:
    """The program in which tensors are taken times `r^-θ` and factors over `r^p`."""
    program = degrees.program
    if not theta and not left_out:
        return program
    factors = {(id(f.call), f.setting): left_out.get(f.symbol, {}) for f in degrees.factors}
    tensors = dict(program.tensors)
    for path, shifts in theta.items():
        tensors[path] = _scaled(program, tensors[path], shifts)
    root = _Rewriting(program, factors).module(program.root)
    return replace(program, tensors=tensors, root=root, folded=True)


def _scaled(program: Program, tensor: Tensor, theta: DimPowers) -> Tensor:
    rule = program.optimizers[tensor.optimizer].rule
    shifts = {_key(program, tensor, dim): -by for dim, by in theta.items()}
    return reweighted(program, tensor, Kappa(shifts=shifts), rule)


def _key(program: Program, tensor: Tensor, dim: str) -> str:
    """The dim of exponents that means the powers of `dim`: the tensor's own, if it is as long."""
    own = powers_of(program, tensor.own) if tensor.own is not None else None
    return OWN if own == {dim: Fraction(1)} else dim


class _Rewriting:
    """Modules with other amounts for factors."""

    def __init__(self, program: Program, left_out: Mapping[tuple[int, str], DimPowers]) -> None:
        self.program = program
        self.left_out = left_out

    def module(self, module: Module) -> Module:
        return replace(
            module,
            children=tuple(self.module(child) for child in module.children),
            body=tuple(with_values(statement, self.value) for statement in module.body),
        )

    def value(self, value: Expression) -> Expression:
        made = with_operands(value, self.value)
        return self.without(made, id(value)) if isinstance(made, Apply) else made

    def without(self, call: Apply, use: int) -> Expression:
        """A call without what is left out of the factors of a use; none where that is all."""
        settings = dict(call.settings)
        for name in call.operation.factors:
            amount, powers = settings[name], self.left_out.get((use, name))
            if isinstance(amount, Amount) and powers:
                left = _without(self.program, amount, powers)
                if call.operation.multiple and left.value.constant == 1:
                    (only,) = call.operands
                    assert only is not None
                    return only
                settings[name] = left
        return replace(call, settings=settings)


def _without(program: Program, amount: Amount, powers: DimPowers) -> Amount:
    """An amount over `r^p`."""
    value: Polynomial = amount.value
    for dim, power in powers.items():
        base = number(program.dims[dim].base or 1)
        value = value * base.power(power) * atom(dim).power(-power)
    return Amount(_text(program, value), value)


def _text(program: Program, value: Polynomial) -> syntax.Expression:
    """The power of a dim, where it is one, else whatever it is made of."""
    for power in (powers_of(program, value) or {}).values():
        for dim in program.dims.values():
            if dim.value.power(power) == value:
                return syntax.Binary("^", syntax.Name(dim.name), syntax.Number(power))
    return Amounts(program.dims, program.hypers, {}).written(value)
