"""A user's model made ready to train at any size: as it is, or as its adapter would have it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import torch
from torch import nn

from abcparam.comparison.degrees import DimPowers
from abcparam.imports.factory import called_with
from abcparam.imports.numbers import Sizes
from abcparam.imports.rates import DEFAULT_LR, Rate
from abcparam.imports.remedy import TensorChange
from abcparam.imports.result import Audit
from abcparam.optimizers import optimizers

Optimizers = list[torch.optim.Optimizer]


def scaled_(audit: Audit, model: nn.Module, sizes: Sizes) -> None:
    """Multiplies what the model's own initialization made, as its adapter does."""
    ratios, changes = ratios_of(audit, sizes), changes_by_parameter(audit)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in changes:
                parameter.mul_(times(changes[name].init, ratios))


def optimizers_of(audit: Audit, model: nn.Module, sizes: Sizes, adapted: bool) -> Optimizers:
    """What trains a model, without weight decay."""
    found = _adapted(audit, model, sizes) if adapted else _own(audit, model, sizes)
    for optimizer in found:
        for group in optimizer.param_groups:
            group["weight_decay"] = 0.0
    return found


def _own(audit: Audit, model: nn.Module, sizes: Sizes) -> Optimizers:
    if audit.optimizer is None:
        return [torch.optim.AdamW(model.parameters(), lr=DEFAULT_LR)]
    made = called_with(audit.optimizer, sizes, model)
    return list(made) if isinstance(made, (list, tuple)) else [made]


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
        change = changes.get(name)
        lr, eps = rate.lr.at(base), None if rate.eps is None else rate.eps.at(base)
        if change is not None:
            lr *= times(change.lr, ratios)
            eps = None if eps is None else eps * times(change.eps, ratios)
        group: dict[str, object] = {"params": [parameter], "lr": lr, **rate.options}
        yield rate.rule, group if eps is None else {**group, "eps": eps}


def changes_by_parameter(audit: Audit) -> dict[str, TensorChange]:
    """What changes of each parameter, by its name."""
    return {name: change for change in audit.remedy.changes for name in change.parameters}


def ratios_of(audit: Audit, sizes: Sizes) -> dict[str, float]:
    """Every size that grows over that at base."""
    return {name: sizes[name] / audit.settings[0][name] for name in audit.grow}


def times(powers: DimPowers, ratios: Mapping[str, float]) -> float:
    """A product of powers of ratios."""
    return prod((ratios[name] ** float(power) for name, power in powers.items()), start=1.0)
