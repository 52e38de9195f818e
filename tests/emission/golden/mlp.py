"""MLP, emitted by abcparam from mlp.param. Change the spec, not this file, and run

    abcparam compile mlp.param

Every tensor's comment gives its role, its exponents and its law. With r its own width
over that width at base, its multiplier is mult * r**-a, its initial standard deviation
S * r**-b and its learning rate lr * r**-c; W·x is the size of what it computes at
initialization, ΔW·x that of the change which its own updates make, as powers of the
growing dims.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Config", "MLP", "check_param_groups", "make_optimizer", "param_groups"]


@dataclass(frozen=True)
class Config:
    """Sizes and hyperparameters. All scale factors follow from them."""

    width: int = 128  # goes to infinity, base 128
    pixels: int = 784
    classes: int = 10
    lr: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "pixels", "classes"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        value = self.lr
        if type(value) not in (int, float) or not math.isfinite(value):
            raise ValueError(f"lr must be a finite number, not {value!r}")

    @property
    def width_ratio(self) -> float:
        """width over its value at base."""
        return self.width / 128


class MLP(nn.Module):
    """x [..., pixels] -> [..., classes]"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # input: a = -1/2, b = 1/2, c = 0; W·x ~ 1, ΔW·x ~ 1
        # bias (b1), input: a = -1/2, b = 1/2, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.W1 = nn.Linear(config.pixels, config.width)
        # hidden: a = 0, b = 1/2, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.W2 = nn.Linear(config.width, config.width, bias=False)
        # output: a = 1/2, b = 1/2, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.W3 = nn.Linear(config.width, config.classes, bias=False)
        self.W1_scale = config.width_ratio**0.5
        self.W3_scale = config.width_ratio**-0.5
        self.reset_parameters()

    def reset_parameters(self) -> None:
        config = self.config
        nn.init.normal_(
            self.W1.weight, std=config.pixels**-0.5 * config.width_ratio**-0.5
        )
        nn.init.zeros_(self.W1.bias)
        nn.init.normal_(self.W2.weight, std=config.width**-0.5)
        nn.init.normal_(self.W3.weight, std=config.width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] > self.config.pixels:
            raise ValueError(f"x is longer than pixels = {self.config.pixels}")
        h1 = self.W1_scale * self.W1(x)
        h2 = self.W2(F.relu(h1))
        return self.W3_scale * self.W3(F.relu(h2))


_SPEC = "01b8087c30326a93"  # hash of the spec, kept in groups and checkpoints
_WRAPPERS = "module _orig_mod _checkpoint_wrapped_module _fsdp_wrapped_module".split()


def param_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Groups of trained parameters, one per law; each `lr` is the spec's * `lr_scale`."""
    config = _inner(model).config
    groups: list[dict[str, Any]] = [
        {
            "name": "input_hidden_output",
            "lr": config.lr,
            "lr_scale": 1.0,
            "weight_decay": 0.0,
            "params": [
                "W1.weight",
                "W1.bias",
                "W2.weight",
                "W3.weight",
            ],
        },
    ]
    parameters = _parameters(_inner(model))
    for group in groups:
        group["params"] = [p for path in group["params"] for p in parameters[path]]
        group["spec"] = _SPEC
    return groups


def make_optimizer(model: nn.Module) -> torch.optim.SGD:
    """SGD over `param_groups(model)`."""
    groups = param_groups(model)
    return torch.optim.SGD(groups)


def check_param_groups(optimizer: Any, groups: Any = None) -> None:
    """Raises where groups are of another spec, lost ratios, or part from fresh `groups`."""
    several = optimizer if isinstance(optimizer, list) else [optimizer]
    found = [group for one in several for group in one.param_groups]
    for group in (group for group in found if group.get("spec") != _SPEC):
        raise ValueError(
            f"group {group.get('name')!r} is of spec {group.get('spec')}, not {_SPEC}: "
            "after load_state_dict, update groups from param_groups(model)"
        )
    laws = {p: law for law in groups or found for p in law["params"] if p.requires_grad}
    if laws.keys() != {p for g in found for p in g["params"] if p.requires_grad}:
        raise ValueError("groups do not hold the parameters that this model has now")
    for key, of in ("lr", "lr_scale"), ("weight_decay",) * 2:
        for own in [one.param_groups for one in several if groups or key == "lr"]:
            held = [(laws[p], g) for g in own for p in g["params"] if p in laws]
            rows = sorted({(w[of], g[key], w["name"]) for w, g in held if of in w})
            for share, value, name, most, top, first in [r + rows[-1] for r in rows]:
                if abs(value * (most or 1) - top * share) > 1e-4 * top * share:
                    raise ValueError(
                        f"{key} of groups {name!r} and {first!r} are as {value} : {top}, must be "
                        f"as {share} : {most}; multiply each, or set each to rate * {of}"
                    )


def _inner(model: nn.Module) -> MLP:
    """The model itself, where it is wrapped or part of another."""
    for module in model.modules():
        if isinstance(module, MLP):
            return module
    raise ValueError("this model was not made here")


def _parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters by name, without the numbers of copies and what wrappers add."""
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parts = [p for p in name.split(".") if not p.isdigit() and p not in _WRAPPERS]
        found.setdefault(".".join(parts), []).append(parameter)
    return found
