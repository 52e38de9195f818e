"""A user's model made ready to train at any size: as it is, or as its adapter would have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from abcparam.algebra.record import Record
from abcparam.comparison.degrees import DimPowers
from abcparam.imports.knobs import multiply_
from abcparam.imports.numbers import Power, Sizes
from abcparam.imports.rates import Option, Rate, optimizers_made
from abcparam.imports.remedy import TensorChange
from abcparam.imports.result import Audit
from abcparam.optimizers import optimizers

TORCH_NAMES = {"adjust": "adjust_lr_fn"}  # Muon's
Optimizers = list[torch.optim.Optimizer]
SCALED: dict[type[nn.Module], type[nn.Module]] = {}  # classes made so far, by what they extend


def scaled_(audit: Audit, model: nn.Module, sizes: Sizes) -> None:
    """Multiplies what the model's own initialization made, as its adapter does."""
    ratios, changes = ratios_of(audit, sizes), changes_by_parameter(audit)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in changes:
                parameter.mul_(times(changes[name].init, ratios))


class BaseRates(Record):
    """The values at base that all groups share, from which each differs by a factor."""

    lr: float
    decay: float
    eps: float


def base_rates(audit: Audit) -> BaseRates:
    """The largest of all groups at base."""
    sizes = audit.settings[0]
    rates = [rate for _, rate in rates_of_trained(audit)]
    lr = max(rate.lr.at(sizes) for rate in rates)
    decay = max(rate.weight_decay.at(sizes) for rate in rates)
    eps = max((rate.eps.at(sizes) for rate in rates if rate.eps is not None), default=0.0)
    return BaseRates(lr, decay, eps)


def rates_of_trained(audit: Audit) -> Iterator[tuple[str, Rate]]:
    """How each parameter that is trained is trained."""
    for parameter, weights in audit.model.weights.items():
        if weights.trained:
            yield parameter, audit.rates[parameter]


def options_of(rate: Rate) -> dict[str, Option]:
    """The options of an optimizer as its class in torch calls them."""
    return {TORCH_NAMES.get(name, name): value for name, value in rate.options.items()}


class AdaptedRates(Record):
    """By which powers of r what a group has at base is multiplied: your own, and what changes."""

    lr: DimPowers
    decay: DimPowers
    eps: DimPowers


def rates_adapted(audit: Audit, change: TensorChange | None, rate: Rate) -> AdaptedRates:
    """How a parameter's rates follow what grows, where it is adapted."""

    def powers(own: Power | None, by: DimPowers) -> DimPowers:
        there = own.powers if own is not None and own.coefficient else {}
        names = (name for name in audit.grow if name in there or name in by)
        found = {name: there.get(name, Fraction(0)) + by.get(name, Fraction(0)) for name in names}
        return {name: power for name, power in found.items() if power}

    by = change or TensorChange("", (), {}, {}, {}, {})
    pairs = ((rate.lr, by.lr), (rate.weight_decay, by.decay), (rate.eps, by.eps))
    return AdaptedRates(*(powers(own, changed) for own, changed in pairs))


def undecayed(found: Optimizers) -> Optimizers:
    """The same without weight decay."""
    for group in groups_in(found):
        group["weight_decay"] = 0.0
    return found


def groups_in(found: Optimizers) -> Iterator[dict[str, Any]]:
    """The groups of several optimizers."""
    for optimizer in found:
        yield from optimizer.param_groups


def optimizers_of(audit: Audit, model: nn.Module, sizes: Sizes, adapted: bool) -> Optimizers:
    """What trains a model: its own optimizers, or those of its adapter."""
    return _adapted(audit, model, sizes) if adapted else _own(audit, model, sizes)


def _own(audit: Audit, model: nn.Module, sizes: Sizes) -> Optimizers:
    """With the learning rates that a training loop makes of their groups."""
    found = optimizers_made(audit.optimizer, audit.factory, model, sizes)
    for group in groups_in(found):
        rate = group.get("initial_lr", group["lr"])
        group["lr"] = rate * group.get(audit.lr_key, 1.0) if audit.lr_key else rate
    return found


def _adapted(audit: Audit, model: nn.Module, sizes: Sizes) -> Optimizers:
    """An optimizer for each rule, with a group for each parameter."""
    groups: dict[str, list[dict[str, object]]] = {}
    for name, group in _groups(audit, model, sizes):
        groups.setdefault(name, []).append(group)
    return [
        getattr(torch.optim, optimizers()[rule].torch)(of_rule) for rule, of_rule in groups.items()
    ]


def _groups(
    audit: Audit, model: nn.Module, sizes: Sizes
) -> Iterator[tuple[str, dict[str, object]]]:
    base, ratios = audit.settings[0], ratios_of(audit, sizes)
    changes = changes_by_parameter(audit)
    for name, parameter in model.named_parameters():
        rate: Rate = audit.rates[name]
        law = rates_adapted(audit, changes.get(name), rate)
        lr = rate.lr.at(base) * times(law.lr, ratios)
        decay = rate.weight_decay.at(base) * times(law.decay, ratios)
        eps = None if rate.eps is None else rate.eps.at(base) * times(law.eps, ratios)
        group: dict[str, object] = {"params": [parameter], "lr": lr, "weight_decay": decay}
        group |= options_of(rate)
        yield rate.rule, group if eps is None else {**group, "eps": eps}


def multiplied_(audit: Audit, model: nn.Module, sizes: Sizes) -> None:
    """Gives the forward the factors that nothing else makes up for, as the adapter does."""
    ratios = ratios_of(audit, sizes)
    for knob in audit.remedy.knobs:
        multiply_(model, knob, times(knob.powers, ratios))
    for missing in audit.remedy.missing:
        module: Any = model.get_submodule(missing.module)
        module.mup_factor = times(missing.powers, ratios)
        module.__class__ = _scaled(type(module))


def _scaled(kind: type[nn.Module]) -> type[nn.Module]:
    """The class of modules that give `mup_factor` times what those of another class give."""

    def forward(self: Any, *given: Any, **named: Any) -> Tensor:
        found: Tensor = kind.forward(self, *given, **named) * self.mup_factor
        return found

    if kind not in SCALED:
        SCALED[kind] = type("Scaled", (kind,), {"forward": forward})
    return SCALED[kind]


def changes_by_parameter(audit: Audit) -> dict[str, TensorChange]:
    """What changes of each parameter, by its name."""
    return {name: change for change in audit.remedy.changes for name in change.parameters}


def ratios_of(audit: Audit, sizes: Sizes) -> dict[str, float]:
    """Every size that grows over that at base."""
    return {name: sizes[name] / audit.settings[0][name] for name in audit.grow}


def times(powers: DimPowers, ratios: Mapping[str, float]) -> float:
    """A product of powers of ratios."""
    return prod((ratios[name] ** float(power) for name, power in powers.items()), start=1.0)
