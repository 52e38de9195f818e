"""A program in another gauge: the same training in other weights, `w' = w / κ` (see `gauge`).

With `κ = k r^-θ` a tensor's multiplier is taken times κ, its init over κ, its learning rate over
`κ^g`, its epsilon times κ; decoupled weight decay times `κ^g`, coupled times `κ²`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, number
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import gauges as rules
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.lengths import at_base
from abcparam.program.model import Program
from abcparam.program.signature import OptimizerSignature
from abcparam.program.tensors import OWN, Init, Tensor
from abcparam.program.vocabulary import GAUGES
from abcparam.resolve.amounts import Amounts

ONE = Amount(syntax.Number(Fraction(1)), number(1))


class Kappa(Record):
    """`k r^-θ`, θ by dim."""

    constant: Amount = ONE
    shifts: Mapping[str, Fraction] = {}

    @property
    def is_one(self) -> bool:
        return self.constant.value == ONE.value and not any(self.shifts.values())


def in_gauge(program: Program, gauge: str) -> Program:
    """The program in a gauge; raises `SpecError` where that would not be the same training."""
    if gauge == GAUGES[0]:
        return program
    choose = {"plain": _plain, "single-group": _single, "unit": _unit}[gauge]
    errors: list[Diagnostic] = []
    tensors = {
        path: _regauged(program, tensor, choose, errors) for path, tensor in program.tensors.items()
    }
    if errors:
        raise SpecError(program.source, errors)
    return replace(program, tensors=tensors, gauge=gauge)


Choose = Callable[[Program, Tensor], Kappa]


def _regauged(program: Program, tensor: Tensor, choose: Choose, errors: list[Diagnostic]) -> Tensor:
    kappa, optimizer = choose(program, tensor), program.optimizers[tensor.optimizer]
    if kappa.is_one:
        return tensor
    if is_clipped(program, tensor):
        errors.append(rules.Clipped.at(optimizer.span, tensor=tensor.path))
    elif not is_invariant(program, tensor):
        errors.append(
            rules.NotInvariant.at(optimizer.span, tensor=tensor.path, optimizer=optimizer.rule.name)
        )
    return _times(program, tensor, kappa, optimizer.rule)


def is_clipped(program: Program, tensor: Tensor) -> bool:
    """Whether the scale of its gradients is seen, by clipping to a norm."""
    return not tensor.frozen and program.optimizers[tensor.optimizer].clip_norm is not None


def is_invariant(program: Program, tensor: Tensor) -> bool:
    """Whether its optimizer takes the very same steps in another gauge."""
    rule = program.optimizers[tensor.optimizer].rule
    return tensor.frozen or bool(rule.invariant and rule.gauge and not rule.spectral)


# Choices of κ


def _plain(program: Program, tensor: Tensor) -> Kappa:
    """The multiplier becomes 1."""
    shifts = {dim: -a for dim, a in _exponents(tensor, "a").items()}
    return Kappa(power(tensor.mult, -1) if tensor.mult else ONE, shifts)


def _single(program: Program, tensor: Tensor) -> Kappa:
    """The learning rate becomes the optimizer's."""
    optimizer = program.optimizers[tensor.optimizer]
    stated, g = optimizer.settings["lr"], optimizer.rule.gauge
    assert isinstance(stated, Amount)
    if tensor.frozen or not g:
        return Kappa()
    ratio = ONE if tensor.lr == stated else times(tensor.lr, power(stated, -1))
    root = Fraction(1, g)
    shifts = {dim: c * root for dim, c in _exponents(tensor, "c").items()}
    return Kappa(ONE if ratio.value == ONE.value else power(ratio, root), shifts)


def _unit(program: Program, tensor: Tensor) -> Kappa:
    """Random weights get unit variance."""
    argument = tensor.init.argument
    if tensor.init.kind not in {"normal", "uniform"} or argument is None or tensor.init.is_zero:
        return Kappa()
    root = power(Amount(syntax.Number(Fraction(3)), number(3)), Fraction(-1, 2))
    std = argument if tensor.init.kind == "normal" else times(argument, root)
    return Kappa(std, dict(_exponents(tensor, "b")))


def _exponents(tensor: Tensor, letter: str) -> dict[str, Fraction]:
    return {dim: e.evaluate({}) for dim, e in tensor.exponents.get(letter, {}).items()}


# The tensor times κ


def _times(program: Program, tensor: Tensor, kappa: Kappa, rule: OptimizerSignature) -> Tensor:
    found = reweighted(program, tensor, kappa, rule)
    multiplier = shifted_by(tensor.exponents.get("a", {}), kappa.shifts, rule.shift["a"])
    return replace(
        found,
        exponents={**found.exponents, "a": multiplier},
        mult=times(tensor.mult or ONE, kappa.constant),
    )


def reweighted(program: Program, tensor: Tensor, kappa: Kappa, rule: OptimizerSignature) -> Tensor:
    """The weights over κ, and what trains them; the multiplier is as it was."""
    k, g = kappa.constant, rule.gauge
    by = {letter: shift for letter, shift in rule.shift.items() if letter != "a"}
    init = tensor.init
    if init.kind != "zeros":
        init = _over(init, k)
    decay = tensor.weight_decay
    if decay is not None and decay.value.terms and not tensor.frozen:
        two = g if rule.decoupled else 2
        decay = times(decay, times(power(k, two), _ratio(program, tensor, kappa, -two)))
    return replace(
        tensor,
        exponents={
            **tensor.exponents,
            **{
                letter: shifted_by(tensor.exponents.get(letter, {}), kappa.shifts, shift)
                for letter, shift in by.items()
            },
        },
        init=init,
        lr=times(tensor.lr, power(k, -g)),
        epsilon=tensor.epsilon and times(tensor.epsilon, k),
        weight_decay=decay,
    )


def _over(init: Init, k: Amount) -> Init:
    kind = "constant" if init.kind == "ones" else init.kind
    return Init(kind, times(init.argument or ONE, power(k, -1)))


def shifted_by(
    exponents: Mapping[str, Affine], shifts: Mapping[str, Fraction], by: int
) -> dict[str, Affine]:
    moved = dict(exponents)
    for dim, theta in shifts.items():
        moved[dim] = moved.get(dim, Affine(Fraction(0))) + Affine(theta * by)
    return moved


def _ratio(program: Program, tensor: Tensor, kappa: Kappa, by: int) -> Amount:
    """`r^(by θ)`, written out."""
    powers, rounded = dict[str, Fraction](), ONE
    for dim, theta in kappa.shifts.items():
        length = tensor.own if dim == OWN else program.dims[dim].value
        if length is None or not theta:
            continue
        if not length.is_monomial:
            rounded = times(rounded, power(_over_base(program, length), theta * by))
            continue
        for name, exponent in length.terms[0][0]:
            if isinstance(name, str) and program.dims[name].infinite:
                powers[name] = powers.get(name, Fraction(0)) + theta * exponent * by
    return times(written_ratio(program, powers), rounded)


def _over_base(program: Program, length: Polynomial) -> Amount:
    """A length that is no product of dims, over what it is at base."""
    amounts, under = Amounts(program.dims, program.hypers, {}), at_base(length, program.dims)
    written = syntax.Binary("/", amounts.written(length), amounts.written(under))
    return Amount(written, length / under)


def written_ratio(program: Program, powers: Mapping[str, Fraction]) -> Amount:
    """The product of dims over what they are at base, to these powers."""
    result = ONE
    for name, exponent in powers.items():
        value = program.dims[name].value
        over = syntax.Call(syntax.Name("base"), (syntax.Argument(syntax.Name(name)),))
        factor = Amount(
            syntax.Binary("/", syntax.Name(name), over),
            value * at_base(value, program.dims).power(Fraction(-1)),
        )
        result = times(result, power(factor, exponent))
    return result


def times(left: Amount, right: Amount) -> Amount:
    if left.value == ONE.value:
        return right
    if right.value == ONE.value:
        return left
    return Amount(syntax.Binary("*", left.written, right.written), left.value * right.value)


def power(value: Amount, exponent: Fraction | int) -> Amount:
    if value.value == ONE.value or exponent == 1:
        return value
    if not exponent:
        return ONE
    exact = Fraction(exponent)
    return Amount(syntax.Binary("^", value.written, syntax.Number(exact)), value.value.power(exact))
