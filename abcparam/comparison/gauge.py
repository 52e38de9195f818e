"""The gauge of a tensor: `W = M w` is also `(M κ) (w / κ)`, for any factor κ.

With `w' = w / κ` a gradient is `g' = κ g`. An update must be `Δw' = Δw / κ`, so that

* the init is divided by κ, the learning rate by `κ^gauge`: SGD's update is `lr g`, hence 2; one
  that does not see the gradient's scale has 1, one relative to the weights 0;
* epsilon, which is added to a gradient's size, is multiplied by κ;
* decoupled weight decay multiplies w by `1 - lr λ`: `lr λ` stays;
* coupled weight decay adds `λ w` to the gradient: `λ' w / κ = κ λ w`, so `λ' = κ² λ`.

With `κ = r^-θ` these are `(a + θ, b - θ, c - gauge θ, d + θ)` (arXiv 2011.14522, section 3.2;
arXiv 2308.01814, section 2.8).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import exp

from abcparam.algebra.exponents import Affine, Shifts
from abcparam.algebra.record import Record
from abcparam.comparison.difference import ComparedValue, Difference, GaugeShift
from abcparam.comparison.factors import ZERO, Factors, ScaleFactor
from abcparam.program.amounts import Amount, Setting
from abcparam.program.gauge_text import shifted
from abcparam.program.signature import OptimizerSignature
from abcparam.program.tensors import OWN, Tensor

OF_TENSORS = ("lr", "weight_decay", "eps")  # settings that follow the gauge


class Scales(Record):
    """A tensor's factors as functions of the width; of sign 0 where there is none."""

    multiplier: ScaleFactor
    init: ScaleFactor
    rate: ScaleFactor
    epsilon: ScaleFactor
    decay: ScaleFactor


def scales_of(factors: Factors, tensor: Tensor) -> Scales:
    """What the emitted module would use at each width."""

    def scale(amount: Amount | None, letter: str) -> ScaleFactor:
        factor = factors.of(amount.value) if amount else ScaleFactor(sign=0)
        return factor * power_of_width(factors, tensor, letter)

    return Scales(
        multiplier=_or_one(tensor.mult, factors) * power_of_width(factors, tensor, "a"),
        init=_init(factors, tensor) * power_of_width(factors, tensor, "b"),
        rate=scale(tensor.lr, "c"),
        epsilon=scale(tensor.epsilon, "d"),
        decay=factors.of(tensor.weight_decay.value) if tensor.weight_decay else ScaleFactor(sign=0),
    )


def power_of_width(factors: Factors, tensor: Tensor, letter: str) -> ScaleFactor:
    """`r^-a`, and likewise in other dims."""
    result = ScaleFactor()
    for dim, exponent in tensor.exponents.get(letter, {}).items():
        length = tensor.own if dim == OWN else factors.program.dims[dim].value
        if length is not None:
            result = result * factors.ratio(length).power(exponent * Fraction(-1))
    return result


def _or_one(amount: Amount | None, factors: Factors) -> ScaleFactor:
    return factors.of(amount.value) if amount else ScaleFactor()


def _init(factors: Factors, tensor: Tensor) -> ScaleFactor:
    if tensor.init.kind == "zeros":
        return ScaleFactor(sign=0)
    return _or_one(tensor.init.argument, factors)


# Comparison


class Quantity(Record):
    """What is compared: its name, that of its exponents, and what power of M makes it invariant."""

    name: str
    exponents: str
    power: int
    sign: int = -1  # exponents a, b, c and d are those of 1 / r

    def exponents_of(self, side: Factors, factor: ScaleFactor) -> dict[str, str]:
        growth, sign = factor.growth(side.program), Fraction(self.sign)
        return {dim: str(power * sign) for dim, power in growth.items()}


INIT = Quantity("init", "a + b", 1)
EPSILON = Quantity("eps", "d - a", -1)
DECOUPLED = Quantity("lr * weight_decay", "decay - c", 0, sign=1)
COUPLED = Quantity("weight_decay", "decay + 2a", -2, sign=1)
MULTIPLIER = Quantity("mult", "a", 0)


def rate_of(gauge: int) -> Quantity:
    letter = {0: "c", 1: "c + a"}.get(gauge, f"c + {gauge}a")
    return Quantity("lr", letter, gauge)


class Pair:
    """A tensor of A, at `path`, and the one of B that it is compared with."""

    def __init__(self, a: Factors, b: Factors, path: str, other: str) -> None:
        self.sides = a, b
        self.tensors = a.program.tensors[path], b.program.tensors[other]
        self.path, self.other = path, other
        self.x, self.y = (
            scales_of(side, tensor) for side, tensor in zip(self.sides, self.tensors, strict=True)
        )
        self.kappa = self.y.multiplier / self.x.multiplier

    @property
    def rules(self) -> tuple[OptimizerSignature, OptimizerSignature]:
        a, b = (
            side.program.optimizers[tensor.optimizer].rule
            for side, tensor in zip(self.sides, self.tensors, strict=True)
        )
        return a, b

    def differences(self) -> Iterator[Difference]:
        """Why no gauge takes the one to the other at every width; nothing if one does."""
        x, y = self.x, self.y
        frozen = [tensor.frozen for tensor in self.tensors]
        kinds = [_kind(t.init.kind, s.init) for t, s in zip(self.tensors, (x, y), strict=True)]
        if frozen[0] != frozen[1]:
            yield Difference(self.path, "frozen", *frozen)
        if kinds[0] != kinds[1]:
            yield Difference(self.path, "init", *kinds)
        else:
            yield from self._compared(INIT, x.init, y.init)
        if not any(frozen):
            trained = list(_optimizers(self))
            yield from trained
            if not trained:
                yield from self._training()

    def _training(self) -> Iterator[Difference]:
        """Rates, epsilons and decays of two tensors with the same optimizer."""
        x, y = self.x, self.y
        rule = self.rules[0]
        yield from self._compared(rate_of(rule.gauge), x.rate, y.rate)
        yield from self._compared(EPSILON, x.epsilon, y.epsilon)
        if any(rule.decoupled for rule in self.rules):
            yield from self._compared(DECOUPLED, x.rate * x.decay, y.rate * y.decay)
        else:
            yield from self._compared(COUPLED, x.decay, y.decay)
        if self._fixed:
            yield from self._compared(MULTIPLIER, x.multiplier, y.multiplier)

    @property
    def _fixed(self) -> bool:
        """Whether only the same multiplier will do.

        Clipping by the norm of all gradients sees their scales, as optimizers that are not
        invariant do, and a step relative to an exact zero is of a constant size.
        """
        program, index = self.sides[0].program, self.tensors[0].optimizer
        scales = program.optimizers[index].clip_norm is not None or not self.rules[0].invariant
        return scales or (self.rules[0].gauge == 0 and self.x.init.sign == 0)

    def _compared(self, what: Quantity, x: ScaleFactor, y: ScaleFactor) -> Iterator[Difference]:
        """Whether `x M^power`, which no gauge changes, is the same.

        Where it is not, it is its exponents that differ, or else its values at base.
        """
        by = Affine(Fraction(what.power))
        full_x, full_y = x * self.x.multiplier.power(by), y * self.y.multiplier.power(by)
        if full_x.equals(full_y):
            return
        a, b = what.exponents_of(self.sides[0], full_x), what.exponents_of(self.sides[1], full_y)
        if a != b and x.sign and y.sign:
            yield Difference(self.path, what.exponents, a, b)
            return
        values = self._at_base(x, y)
        if values[0] != values[1]:
            yield Difference(self.path, what.name, *values)
            return
        values = self._at_base(full_x, full_y)
        if values[0] == values[1]:
            values = str(full_x), str(full_y)
        yield Difference(self.path, f"{what.name}, mult included", *values)

    def _at_base(self, x: ScaleFactor, y: ScaleFactor) -> tuple[ComparedValue, ComparedValue]:
        """Both at the base of A, to six digits."""
        base = self.sides[0].program.base_values()
        return _number(x, base), _number(y, base)

    def gauge(self, fold: Shifts | None = None) -> GaugeShift:
        """What takes A to B, where there is no difference but what was folded."""
        side, tensor = self.sides[0], self.tensors[0]
        shifts = {d: e * Fraction(-1) for d, e in self.kappa.growth(side.program).items()}
        moved = "ab" if tensor.frozen else "abcd" if self.x.epsilon.sign else "abc"
        letters = {letter: self.rules[0].shift[letter] for letter in moved}
        multiplier = self._constant(shifts)
        texts = [shifted(side.program, tensor, shifts, letters)]
        if fold:
            of_weights = {letter: by for letter, by in letters.items() if letter != "a"}
            rest = {dim: e + fold.get(dim, ZERO) * Fraction(-1) for dim, e in shifts.items()}
            texts = [
                shifted(side.program, tensor, shifts, {"a": letters["a"]}),
                shifted(side.program, tensor, rest, of_weights),
            ]
        texts += [f"mult * {multiplier:.6g}"] if multiplier != 1 else []
        return GaugeShift(shifts, multiplier, ", ".join(filter(None, texts)), fold or {})

    def fold(self) -> dict[str, Fraction] | None:
        """By which θ the weights of B are `r^-θ` of A's, multipliers included; None if unclear.

        It is the initial scales that say it, or else the learning rates.
        """
        x, y, g = self.x, self.y, self.rules[0].gauge
        if x.init.sign and y.init.sign:
            ratio = x.init * x.multiplier / (y.init * y.multiplier)
        elif x.rate.sign and y.rate.sign and g and not self.tensors[0].frozen:
            by = Affine(Fraction(g))
            ratio = x.rate / y.rate * (x.multiplier / y.multiplier).power(by)
            ratio = ratio.power(Affine(Fraction(1, g)))
        else:
            return {}
        growth = ratio.growth(self.sides[0].program)
        if any(theta.symbols for theta in growth.values()):
            return None
        return {dim: theta.constant for dim, theta in growth.items() if theta.constant}

    def _constant(self, shifts: Shifts) -> float:
        """What is left of κ at base."""
        side, rest = self.sides[0], self.kappa
        for dim, theta in shifts.items():
            rest = rest * side.ratio(side.program.dims[dim].value).power(theta)
        if rest.equals(ScaleFactor()):
            return 1.0
        return float(f"{exp(rest.log(side.program.base_values()) or 0):.12g}")


def _kind(kind: str, init: ScaleFactor) -> str:
    if init.sign == 0:
        return "zeros"
    return "constant" if kind == "ones" else kind


def _number(factor: ScaleFactor, values: Mapping[str, Fraction]) -> ComparedValue:
    if factor.sign == 0:
        return 0.0
    logarithm = factor.log(values)
    if logarithm is None or abs(logarithm) > 700:
        return str(factor)
    return factor.sign * float(f"{exp(logarithm):.6g}")


# Optimizers


def _optimizers(pair: Pair) -> Iterator[Difference]:
    """Where two tensors are not trained by the same rule with the same settings."""
    a, b = pair.rules
    if a.form != b.form and not _differ_in_decay_only(pair):
        yield Difference(pair.path, "optimizer", a.form, b.form)
        return
    first, second = (
        side.program.optimizers[tensor.optimizer].settings
        for side, tensor in zip(pair.sides, pair.tensors, strict=True)
    )
    for name in first:
        if name not in OF_TENSORS and name in second:
            x, y = (_setting(s, v[name]) for s, v in zip(pair.sides, (first, second), strict=True))
            if x != y:
                yield Difference(pair.path, name, x, y)


def _differ_in_decay_only(pair: Pair) -> bool:
    """Whether one rule is the other with decoupled decay (`adamw`), and none decays."""
    a, b = sorted(pair.rules, key=lambda rule: rule.decoupled)
    return b.decoupled and b.name == f"{a.name}w" and pair.x.decay.sign == pair.y.decay.sign == 0


def _setting(side: Factors, value: Setting) -> ComparedValue:
    if isinstance(value, bool):
        return value
    if isinstance(value, tuple):
        return f"({', '.join(str(side.known(item.value)) for item in value)})"
    return str(side.known(value.value))


# Text
