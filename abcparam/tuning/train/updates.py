"""How stacked parameters move.

An emitted optimizer writes an update at learning rate 1, and each trial moves by it at its own
rate.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from abcparam.algebra.record import NamedTuple
from abcparam.emission.views.training import optimizers_used
from abcparam.tuning.train.training import Job


class Settings(NamedTuple):
    """Of each parameter, by name, [trials, 1, …]; a decay of 0 is left out."""

    rates: dict[str, Tensor]
    decays: dict[str, Tensor]


class Updates:
    """The parameters of `model`, which stands for all trials, in place of its own.

    They are made of the first gradients, as optimizers keep what they remember in the shapes of
    their parameters.

    Values and updates come to lie in memory as the gradients do, so that nothing is copied. Updates
    have their axes in that order: an optimizer that goes entry by entry sees none.
    """

    def __init__(
        self,
        job: Job,
        model: nn.Module,
        values: Mapping[str, Tensor],
        settings: Settings,
        gradients: Mapping[str, Tensor],
    ) -> None:
        self.values, self.settings = values, settings
        self.orders = {name: in_memory(gradient) for name, gradient in gradients.items()}
        self.updates = {name: self._begun(name) for name in settings.rates}
        for name, update in self.updates.items():
            home, own = home_of(model, name)
            home.register_parameter(own, update)
        self.optimizers = job.optimizers(model)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 1.0
                if "weight_decay" in group:
                    group["weight_decay"] = 0.0
        self.decoupled = self._decoupled(job)

    def _begun(self, name: str) -> nn.Parameter:
        value, order = self.values[name], self.orders.get(name)
        if order is not None:
            back = sorted(range(len(order)), key=order.__getitem__)
            value.data = value.data.permute(order).contiguous().permute(back)
            value = value.permute(order)
        return nn.Parameter(torch.zeros_like(value))

    def _decoupled(self, job: Job) -> set[str]:
        """The parameters whose weights are multiplied by weight decay."""
        rules = [used.rule for used in optimizers_used(job.program).values()]
        apart = {
            id(parameter)
            for optimizer, rule in zip(self.optimizers, rules, strict=True)
            for group in optimizer.param_groups
            for parameter in group["params"]
            if rule.decoupled
        }
        return {name for name, update in self.updates.items() if id(update) in apart}

    def keep(self, indices: Tensor) -> None:
        """Goes on with these trials alone, once it is made for them."""
        for update in self.updates.values():
            shape = update.shape
            states = [optimizer.state.get(update, {}) for optimizer in self.optimizers]
            for state in states:
                same = {k: v for k, v in state.items() if isinstance(v, Tensor)}
                state |= {k: v[indices] for k, v in same.items() if v.shape == shape}
            update.grad, update.data = None, update.data[indices]

    def apply(self, gradients: Mapping[str, Tensor], factors: Tensor | None) -> None:
        """Moves the values, at their rates times the factors of a schedule, [trials]."""
        for name, order in self.orders.items():
            self._take(name, gradients[name].permute(order), self.values[name].permute(order))
        for optimizer in self.optimizers:
            optimizer.step()
        for name, order in self.orders.items():
            rate = self.settings.rates[name]
            rate = rate if factors is None else rate * factors.view_as(rate)
            self.values[name].permute(order).addcmul_(self.updates[name], rate)

    def _take(self, name: str, gradient: Tensor, value: Tensor) -> None:
        """An update begins at 0, or where decoupled weight decay puts it."""
        update, decay = self.updates[name], self.settings.decays.get(name)
        if decay is not None and name in self.decoupled:
            torch.mul(value, -decay, out=update)
        else:
            update.zero_()
        if decay is not None and name not in self.decoupled:
            gradient = gradient.addcmul(value, decay)
        update.grad = gradient.contiguous()


def home_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    """The module of a parameter or buffer, and its own name there."""
    path, _, own = name.rpartition(".")
    return model.get_submodule(path), own


def in_memory(values: Tensor) -> tuple[int, ...]:
    """Its axes in their order in memory, that of the trials in front."""
    return (0, *sorted(range(1, values.ndim), key=values.stride, reverse=True))
