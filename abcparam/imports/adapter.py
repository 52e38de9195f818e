"""The adapter of a user's model: a file of torch alone that initializes and trains their class."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from math import sqrt

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record, replace
from abcparam.emission.render import render
from abcparam.imports.inits import Start
from abcparam.imports.layer_numbers import deep_paths
from abcparam.imports.numbers import Power, Sizes
from abcparam.imports.rates import Rate
from abcparam.imports.remedy import MissingFactor, TensorChange
from abcparam.imports.result import Audit
from abcparam.imports.trained import (
    BaseRates,
    base_rates,
    options_of,
    rates_adapted,
    rates_of_trained,
)
from abcparam.python_code.layout import Text, paragraph, prose, trusted

BESIDE = {"lr", "weight_decay", "eps"}
WIDTH = 88  # of a line


class KindView(Record):
    """One of several optimizers: its class in torch, what its groups are called, its settings."""

    name: Text
    variable: Text
    settings: Text
    drops_eps: bool  # its groups have none


class AdaptHeadView(Record):
    """What the file as a whole says."""

    title: Text
    command: Text
    base: Text
    forward: tuple[Text, ...]
    sizes: Text
    lr: Text
    decay: Text
    eps: Text
    has_eps: bool
    optimizer: Text
    settings: Text
    kinds: tuple[KindView, ...]  # where there are several


class LawsView(Record):
    """Entries of the tables of the file."""

    shown: tuple[Text, ...]
    entries: tuple[Text, ...]
    factors: tuple[Text, ...]
    held: tuple[Text, ...]  # the modules that hold numbers of the model's own
    knobs: tuple[Text, ...]  # what these are set to

    @property
    def scales(self) -> bool:
        """Whether the forward needs factors."""
        return bool(self.factors or self.knobs)


def adapter_of(
    audit: Audit,
    command: str,
    base_sizes: Sizes | None = None,
    lr: float | None = None,
    weight_decay: float | None = None,
) -> str:
    """The text of the adapter of a model; `command` is what writes it.

    `base_sizes` are those at which nothing changes, by default the first that it was read at. `lr`
    and `weight_decay` are what it takes at base, by default those of the optimizer.
    """
    audit = at_base(audit, base_sizes or {})
    base = base_rates(audit)
    taken = replace(
        base,
        lr=base.lr if lr is None else lr,
        decay=base.decay if weight_decay is None else weight_decay,
    )
    views = {"head": _head(audit, taken, command), "laws": _laws(audit, base)}
    return render("adapt.py.jinja", views)


def at_base(audit: Audit, sizes: Sizes) -> Audit:
    """The audit with other sizes as its base. Raises `ValueError` for one that does not grow."""
    for name in sizes:
        if name not in audit.grow:
            raise ValueError(f"the base is of what grows, {', '.join(audit.grow)}, not of {name}")
    first, *others = audit.settings
    return replace(audit, settings=({**first, **sizes}, *others))


def _head(audit: Audit, base: BaseRates, command: str) -> AdaptHeadView:
    sizes = {name: audit.settings[0][name] for name in audit.grow}
    rules = {rate.rule: rate for _, rate in rates_of_trained(audit)}
    alone = next(iter(rules.values())) if len(rules) == 1 else None
    return AdaptHeadView(
        title=prose(f"The maximal update parametrization of {audit.factory.name}."),
        command=prose(command),
        base=prose(", ".join(f"{name} = {size}" for name, size in sizes.items())),
        forward=tuple(_forward(audit.remedy.missing, audit)),
        sizes=trusted(json.dumps(sizes)),
        lr=trusted(f"{base.lr:g}"),
        decay=trusted(f"{base.decay:g}"),
        eps=trusted(f"{base.eps:g}"),
        has_eps=bool(base.eps),
        optimizer=trusted(_class_of(alone)),
        settings=trusted(_settings(alone)),
        kinds=tuple(map(_kind, rules.values())) if len(rules) > 1 else (),
    )


def _kind(rate: Rate) -> KindView:
    name = _class_of(rate)
    settings, variable = trusted(_settings(rate)), trusted(f"of_{name.lower()}")
    return KindView(trusted(name), variable, settings, rate.eps is None)


def _class_of(rate: Rate | None) -> str:
    """PyTorch's class of an optimizer; nothing where it has none, or there are several."""
    from abcparam.optimizers import optimizers

    return optimizers()[rate.rule].torch if rate is not None else ""


def _settings(rate: Rate | None) -> str:
    if rate is None:
        return ""
    given = {n: value for n, value in options_of(rate).items() if n not in BESIDE}
    return "".join(f", {name}={_plain(value)}" for name, value in given.items())


def _plain(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"({', '.join(_plain(item) for item in value)})"
    return json.dumps(value) if isinstance(value, str) else f"{value}"


def _forward(missing: Sequence[MissingFactor], audit: Audit) -> Iterator[Text]:
    """What the docstring says of factors that the forward has to have."""
    if audit.remedy.knobs:
        yield Text("")
        yield from paragraph("`scale_` sets numbers of the model's own:")
        for knob in audit.remedy.knobs:
            yield from paragraph(f"{', '.join(knob.places)}, * {_ratio_of(knob.powers)}")
    if not missing:
        return
    yield Text("")
    if can_be_hooked(audit):
        yield from paragraph("`scale_` gives the forward a factor that nothing else makes up for:")
    else:
        yield from paragraph("The forward has to have factors that nothing here makes up for:")
    for found in missing:
        source = audit.program.source.holding(found.span)
        factor = _ratio_of(found.powers)
        yield from paragraph(f"{factor} at line {found.span.line} of {source.file}")


def _ratio_of(powers: Mapping[str, Fraction]) -> str:
    return " * ".join(f"r_{name}^({power})" for name, power in powers.items())


def _laws(audit: Audit, base: BaseRates) -> LawsView:
    changes = {change.path: change for change in audit.remedy.changes}
    entries: list[Text] = []
    copies: dict[str, list[str]] = {}
    for parameter in audit.model.weights:
        copies.setdefault(audit.read.paths[parameter][0], []).append(parameter)
    first = {path: found[0] for path, found in copies.items()}
    deep = deep_paths({name: audit.read.paths[name][0] for name in audit.model.weights})
    for path, parameter in first.items():
        change = changes.get(path, TensorChange(path, (), {}, {}, {}, {}))
        rate = audit.rates[parameter]
        spreads = [_spread(audit.starts[x], audit) for x in copies[path]]
        spread = spreads[0] if len(set(map(str, spreads))) == 1 else None  # layers of one number
        fields = _fields(change, spread, rate, base, audit)
        entries += _entry(deep[path], fields)
    names = list(_knob_names(audit))
    return LawsView(
        tuple(_shown(audit, first, deep)),
        tuple(entries),
        tuple(_factors(audit)),
        tuple(_held(audit, names)),
        tuple(_set(audit, names)),
    )


def _knob_names(audit: Audit) -> Iterator[str]:
    """What the modules that hold each number are called: each has a name of its own."""
    taken: set[str] = set()
    for knob in audit.remedy.knobs:
        name = knob.name.rpartition(".")[2]
        while name in taken:
            name += "_"
        taken.add(name)
        yield name


def _held(audit: Audit, names: Sequence[str]) -> Iterator[Text]:
    for knob, name in zip(audit.remedy.knobs, names, strict=True):
        own = f"{knob.own.at(audit.settings[0]):.6g}{_by(knob.own.powers)}"
        call = [json.dumps(knob.name), own, *map(json.dumps, knob.paths)]
        line = f"    {name} = _holding(model, {', '.join(call)})"
        if len(line) <= WIDTH:
            yield trusted(line)
        else:
            yield trusted(f"    {name} = _holding(")
            yield from (trusted(f"        {part},") for part in ("model", *call))
            yield trusted("    )")


def _set(audit: Audit, names: Sequence[str]) -> Iterator[Text]:
    for knob, name in zip(audit.remedy.knobs, names, strict=True):
        yield trusted(f"    for module in {name}:")
        yield trusted(f"        module.{knob.name} *= {_by(knob.powers).removeprefix(' * ')}")


def _by(powers: Mapping[str, Fraction]) -> str:
    """` * r["width"] ** (-1 / 2)`."""
    return "".join(f" * r[{json.dumps(n)}]{_exponent(p)}" for n, p in powers.items())


def _exponent(power: Fraction) -> str:
    if power == 1:
        return ""
    return f" ** {power}" if power.denominator == 1 else f" ** ({_number(power)})"


def can_be_hooked(audit: Audit) -> bool:
    """Whether every factor that the forward has to have belongs to what a module gives."""
    return all(missing.module for missing in audit.remedy.missing)


def _factors(audit: Audit) -> Iterator[Text]:
    if can_be_hooked(audit):
        for missing in audit.remedy.missing:
            yield trusted(f"    {json.dumps(missing.module)}: {_powers(missing.powers)},")


def _fields(
    change: TensorChange, spread: Power | None, rate: Rate, base: BaseRates, audit: Audit
) -> dict[str, str]:
    sizes = audit.settings[0]
    law = rates_adapted(audit, change, rate)
    fields = {"init": _powers(change.init), "lr": _powers(law.lr)}
    if law.decay and rate.weight_decay.coefficient:
        fields["decay"] = _powers(law.decay)
    if law.eps:
        fields["eps"] = _powers(law.eps)
    if base.lr and rate.lr.at(sizes) != base.lr:
        fields["rate"] = f"{rate.lr.at(sizes) / base.lr:.6g}"
    if base.decay and rate.weight_decay.at(sizes) != base.decay:
        fields["weight"] = f"{rate.weight_decay.at(sizes) / base.decay:.6g}"
    kinds = dict.fromkeys(_class_of(rate) for _, rate in rates_of_trained(audit))
    if _class_of(rate) != next(iter(kinds)) and _class_of(rate) in kinds:
        fields["kind"] = json.dumps(_class_of(rate))
    if spread is not None:
        fields["std"] = f"{spread.coefficient:.6g}"
        if spread.powers:
            fields["spread"] = _powers(spread.powers)
    return fields


def _spread(start: Start, audit: Audit) -> Power | None:
    """The root mean square of a parameter at base, and by which powers it follows what grows."""
    if start.kind == "zeros":
        return Power(0.0, {})
    if start.kind == "ones":
        return Power(1.0, {})
    scale = start.scale
    if scale is None or start.kind == "measured" or start.note:
        return None
    if any(name not in audit.grow for name in scale.powers):
        return None
    at_base = abs(scale.at(audit.settings[0])) / (sqrt(3) if start.kind == "uniform" else 1)
    return Power(at_base, scale.powers)


def _powers(powers: Mapping[str, Fraction]) -> str:
    return "{" + ", ".join(f"{json.dumps(n)}: {_number(p)}" for n, p in powers.items()) + "}"


def _number(power: Fraction) -> str:
    return (
        str(power.numerator)
        if power.denominator == 1
        else f"{power.numerator} / {power.denominator}"
    )


def _entry(path: str, fields: Mapping[str, str]) -> list[Text]:
    inside = ", ".join(f"{name}={value}" for name, value in fields.items())
    line = f"    {json.dumps(path)}: Law({inside}),"
    if len(line) <= WIDTH:
        return [trusted(line)]
    head = trusted(f"    {json.dumps(path)}: Law(")
    if len(inside) + 8 <= WIDTH:
        return [head, trusted(f"        {inside}"), trusted("    ),")]
    lines = [trusted(f"        {name}={value},") for name, value in fields.items()]
    return [head, *lines, trusted("    ),")]


def _shown(audit: Audit, first: Mapping[str, str], deep: Mapping[str, str]) -> Iterator[Text]:
    """Where a size stands alone in a shape."""
    for size in audit.grow:
        for path, parameter in first.items():
            found = _axis(audit.model.weights[parameter].shape, size)
            if found is not None:
                axis, number = found
                yield trusted(
                    f"    {json.dumps(size)}: ({json.dumps(deep[path])}, {axis}, {number}),"
                )
                break


def _axis(shape: Sequence[Polynomial], size: str) -> tuple[int, int] | None:
    """The axis that is a multiple of a size, and of which number."""
    for axis, length in enumerate(shape):
        if len(length.terms) == 1:
            monomial, number = length.terms[0]
            if monomial == ((size, Fraction(1)),) and number.denominator == 1:
                return axis, int(number)
    return None
