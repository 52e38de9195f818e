"""DeepGPT, emitted by abcparam from gpt_depth.param. Change the spec, not this file, and run

    abcparam compile gpt_depth.param

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

__all__ = ["Config", "DeepGPT", "check_param_groups", "make_optimizer", "param_groups"]


@dataclass(frozen=True)
class Config:
    """Sizes and hyperparameters. All scale factors follow from them."""

    width: int = 256  # goes to infinity, base 256
    depth: int = 2  # goes to infinity, base 2
    head: int = 64
    vocab: int = 50304
    context: int = 1024
    lr: float = 0.004  # search log [0.0001, 0.1]
    eps: float = 1e-16
    wd: float = 0.1

    def __post_init__(self) -> None:
        for name in ("width", "depth", "head", "vocab", "context"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        for name in ("lr", "eps", "wd"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not math.isfinite(value):
                raise ValueError(f"{name} must be a finite number, not {value!r}")
        if self.width % self.head:
            raise ValueError(
                f"width must be a multiple of {self.head}, not {self.width}"
            )

    @property
    def heads(self) -> int:
        return self.width // self.head

    @property
    def width_ratio(self) -> float:
        """width over its value at base."""
        return self.width / 256

    @property
    def depth_ratio(self) -> float:
        """depth over its value at base."""
        return self.depth / 2


class Attention(nn.Module):
    """x [..., context, width] -> [..., context, width]"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.query = nn.Linear(config.width, config.heads * config.head, bias=False)
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.key = nn.Linear(config.width, config.heads * config.head, bias=False)
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.value = nn.Linear(config.width, config.heads * config.head, bias=False)
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.project = nn.Linear(config.heads * config.head, config.width, bias=False)
        self.heads = config.heads
        self.scale = 1 / config.head

    def reset_parameters(self) -> None:
        config = self.config
        nn.init.normal_(self.query.weight, std=config.width**-0.5)
        nn.init.normal_(self.key.weight, std=config.width**-0.5)
        nn.init.normal_(self.value.weight, std=config.width**-0.5)
        nn.init.normal_(self.project.weight, std=config.width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        q = self.query(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        k = self.key(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        v = self.value(x).unflatten(-1, (self.heads, -1)).transpose(-3, -2)
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scale)
        return self.project(out.transpose(-3, -2).flatten(-2))


class FeedForward(nn.Module):
    """x [..., context, width] -> [..., context, width]"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        # bias, input: a = 0, b = 0, c = 0, d = 0, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.up = nn.Linear(config.width, 4 * config.width)
        # hidden: a = 0, b = 1/2, c = 1, d = 1, d[depth] = 1; W·x ~ 1, ΔW·x ~ 1
        self.down = nn.Linear(4 * config.width, config.width, bias=False)

    def reset_parameters(self) -> None:
        config = self.config
        nn.init.normal_(self.up.weight, std=config.width**-0.5)
        nn.init.zeros_(self.up.bias)
        nn.init.normal_(self.down.weight, std=(4 * config.width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class Layer(nn.Module):
    """x [..., context, width] -> [..., context, width]"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = FeedForward(config)
        self.attention_scale = 1 / config.depth_ratio
        self.feed_forward_scale = 1 / config.depth_ratio

    def reset_parameters(self) -> None:
        self.attention.reset_parameters()
        self.feed_forward.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention_scale * self.attention(F.layer_norm(x, x.shape[-1:]))
        y = self.feed_forward_scale * self.feed_forward(F.layer_norm(x, x.shape[-1:]))
        x = x + y
        return x


class DeepGPT(nn.Module):
    """tokens [..., context] -> [..., context, vocab]"""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        # input: a = 0, b = 0, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        # input: a = 0, b = 0, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.position_embedding = nn.Parameter(
            torch.empty(config.context, config.width)
        )
        # output: a = 1, b = 0, c = 0; W·x ~ 1, ΔW·x ~ 1
        self.readout = nn.Linear(config.width, config.vocab, bias=False)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.depth))
        self.readout_scale = 1 / config.width_ratio
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.normal_(self.token_embedding.weight, std=1.0)
        nn.init.normal_(self.position_embedding, std=1.0)
        nn.init.zeros_(self.readout.weight)
        for layer in self.layers:
            layer.reset_parameters()

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[-1] > self.config.context:
            raise ValueError(f"tokens is longer than context = {self.config.context}")
        x = self.token_embedding(tokens) + self.position_embedding[: tokens.shape[-1]]
        for layer in self.layers:
            x = layer(x)
        return self.readout(self.readout_scale * F.layer_norm(x, x.shape[-1:]))


_SPEC = "4d1c5f960ebd5f86"  # hash of the spec, kept in groups and checkpoints
_WRAPPERS = "module _orig_mod _checkpoint_wrapped_module _fsdp_wrapped_module".split()


def param_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Groups of trained parameters, one per law; each `lr` is the spec's * `lr_scale`."""
    config = _inner(model).config
    groups: list[dict[str, Any]] = [
        {
            "name": "input_output",
            "lr": config.lr,
            "lr_scale": 1.0,
            "weight_decay": config.wd,
            "eps": config.eps,
            "params": [
                "token_embedding.weight",
                "position_embedding",
                "readout.weight",
            ],
        },
        {
            "name": "hidden",
            "lr": config.lr / config.width_ratio,
            "lr_scale": 1 / config.width_ratio,
            "weight_decay": config.wd * config.width_ratio,
            "eps": config.eps / config.width_ratio / config.depth_ratio,
            "params": [
                "layers.attention.query.weight",
                "layers.attention.key.weight",
                "layers.attention.value.weight",
                "layers.attention.project.weight",
                "layers.feed_forward.up.weight",
                "layers.feed_forward.down.weight",
            ],
        },
        {
            "name": "input",
            "lr": config.lr,
            "lr_scale": 1.0,
            "weight_decay": config.wd,
            "eps": config.eps / config.depth_ratio,
            "params": [
                "layers.feed_forward.up.bias",
            ],
        },
    ]
    parameters = _parameters(_inner(model))
    for group in groups:
        group["params"] = [p for path in group["params"] for p in parameters[path]]
        group["spec"] = _SPEC
    return groups


def make_optimizer(model: nn.Module) -> torch.optim.AdamW:
    """AdamW over `param_groups(model)`."""
    groups = param_groups(model)
    return torch.optim.AdamW(groups, fused=_fused(groups))


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
    for key, of in ("lr", "lr_scale"), ("weight_decay",) * 2, ("eps",) * 2:
        for own in [one.param_groups for one in several if groups or key == "lr"]:
            held = [(laws[p], g) for g in own for p in g["params"] if p in laws]
            rows = sorted({(w[of], g[key], w["name"]) for w, g in held if of in w})
            for share, value, name, most, top, first in [r + rows[-1] for r in rows]:
                if abs(value * (most or 1) - top * share) > 1e-4 * top * share:
                    raise ValueError(
                        f"{key} of groups {name!r} and {first!r} are as {value} : {top}, must be "
                        f"as {share} : {most}; multiply each, or set each to rate * {of}"
                    )


def _inner(model: nn.Module) -> DeepGPT:
    """The model itself, where it is wrapped or part of another."""
    for module in model.modules():
        if isinstance(module, DeepGPT):
            return module
    raise ValueError("this model was not made here")


def _parameters(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters by name, without the numbers of copies and what wrappers add."""
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        parts = [p for p in name.split(".") if not p.isdigit() and p not in _WRAPPERS]
        found.setdefault(".".join(parts), []).append(parameter)
    return found


def _fused(groups: list[dict[str, Any]]) -> bool | None:
    """True where all devices have fused kernels; None leaves it to PyTorch."""
    devices = {p.device.type for group in groups for p in group["params"]}
    return None if devices - {"cpu", "cuda", "mps", "xpu"} else True
