"""Which values rates, scales, multipliers and other settings may have, once hypers are numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.polynomials import Polynomial, atom
from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply
from abcparam.program.model import Program

HyperValues = Mapping[str, Fraction]


class AllowedRange(Record):
    """Values that a setting may have."""

    wanted: str  # in words
    low: Fraction = Fraction(0)
    with_low: bool = True
    high: Fraction | None = None
    with_high: bool = False

    def has(self, value: Fraction) -> bool:
        above = value > self.low or (self.with_low and value == self.low)
        below = self.high is None or value < self.high or (self.with_high and value == self.high)
        return above and below


POSITIVE = AllowedRange("positive", with_low=False)
NOT_NEGATIVE = AllowedRange("0 or more")
SHARE = AllowedRange("from 0 to 1", high=Fraction(1), with_high=True)
BELOW_ONE = AllowedRange("from 0 to below 1", high=Fraction(1))
OF_OPTIMIZERS = {  # what PyTorch's take
    "lr": POSITIVE,
    "clip_norm": POSITIVE,
    "betas": BELOW_ONE,
    "eps": NOT_NEGATIVE,
    "momentum": NOT_NEGATIVE,
    "weight_decay": NOT_NEGATIVE,
}
OF_INITS = {"normal": NOT_NEGATIVE, "uniform": NOT_NEGATIVE}  # a deviation, a bound


class LimitedAmount(Record):
    """Where an amount stands that has to lie in a range."""

    key: str
    owner: str
    amount: Amount
    range: AllowedRange
    span: Span

    def refused(self, value: Fraction, hypers: HyperValues) -> Diagnostic:
        from abcparam.diagnostics.rules.exponents import NotPositive

        at = ", ".join(f"`{name} = {float(hyper):g}`" for name, hyper in hypers.items())
        return NotPositive.at(
            self.span,
            what=f"`{self.key}` of {self.owner}",
            value=f"{float(value):g}",
            wanted=self.range.wanted,
            remedy=f"that is with {at}: give other values" if at else "give it another value",
        )


def require_in_range(program: Program, values: HyperValues) -> None:
    """Raises `SpecError` where the values of hypers leave a setting without sense.

    Where some are given it is what depends on them, else all.
    """
    if found := list(out_of_range(program, values)):
        raise SpecError(program.source, found)


def out_of_range(program: Program, values: HyperValues) -> Iterator[Diagnostic]:
    """What has no sense with these values of hypers.

    Where some are given it is what depends on them, else all.
    """
    known = program.base_values() | dict(values)
    told = set()
    for place in _places(program):
        value, names = _value(place.amount.value, known), place.amount.value.names
        if (values and not names & values.keys()) or value is None or place.range.has(value):
            continue
        if (place.key, place.amount.value) not in told:
            told.add((place.key, place.amount.value))
            hypers = sorted(names & program.hypers.keys())
            yield place.refused(value, {name: known[name] for name in hypers})


def _value(value: Polynomial, known: HyperValues) -> Fraction | None:
    """None where it depends on what has no value, or is no number."""
    try:
        return value.nearest(known) if value.names <= known.keys() else None
    except (ValueError, ZeroDivisionError):
        return None


def _places(program: Program) -> Iterator[LimitedAmount]:
    yield from _own(program)
    for optimizer in program.optimizers:
        name = f"`{optimizer.rule.name}`"
        for key, allowed in OF_OPTIMIZERS.items():
            setting = optimizer.settings.get(key)
            for amount in setting if isinstance(setting, tuple) else (setting,):
                if isinstance(amount, Amount):
                    yield LimitedAmount(key, name, amount, allowed, optimizer.span)
    for tensor in program.tensors.values():
        given = (
            ("lr", tensor.lr, POSITIVE),
            ("mult", tensor.mult, POSITIVE),
            ("weight_decay", tensor.weight_decay, NOT_NEGATIVE),
            ("init", tensor.init.argument, OF_INITS.get(tensor.init.kind)),
        )
        for key, amount, range in given:
            if amount is not None and range is not None:
                yield LimitedAmount(key, f"`{tensor.name}`", amount, range, tensor.span)
    for value in program.expressions():
        if isinstance(value, Apply) and value.operation.name == "dropout":
            p = value.settings["p"]
            if isinstance(p, Amount):
                yield LimitedAmount("p", "`dropout`", p, SHARE, value.span)


def _own(program: Program) -> Iterator[LimitedAmount]:
    """Settings of the optimizers of a model of the user's own, which has no expressions of them."""
    said = [setting for optimizer in program.optimizers for setting in optimizer.settings.values()]
    named = {name for each in said if isinstance(each, Amount) for name in each.value.names}
    for hyper in program.hypers.values():
        allowed = OF_OPTIMIZERS.get(hyper.name)
        if allowed is not None and hyper.name not in named:
            amount = Amount(syntax.Name(hyper.name), atom(hyper.name))
            yield LimitedAmount(hyper.name, "the optimizer", amount, allowed, hyper.span)
