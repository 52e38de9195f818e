"""Held against microsoft/mup (the package of arXiv 2203.03466): one network in both, at base and
at four times the width, has the same initial scales, learning rates and decays, and trains alike.

mup writes µP as Table 8 does, and so does the shipped `mup`: raw weights, not only what is
invariant under a gauge, can be compared. Two of its conventions are not in that table. Its
optimizers keep lr * weight_decay, also where decay is coupled, which a spec has to ask for
(`DECAY`). And its readout divides its input where ours scales its output; the bias of both is left
alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from tests.support.emitted import load, named_by_tensor, program_of

mup = pytest.importorskip("mup")

FEATURES, CLASSES, BASE = 12, 10, 16
RATIO = 4
DECAY = {
    "sgd": "input { weight_decay = 0.1 / (width / base(width)) }\n"
    "output { weight_decay = 0.1 / (width / base(width)) }",
    "adam": "hidden { weight_decay = 0.1 * width / base(width) }",
}
OPTIMIZERS = {
    "sgd": (mup.MuSGD, "sgd { lr = lr, momentum = 0.9, weight_decay = 0.1 }", {"momentum": 0.9}),
    "adam": (mup.MuAdam, "adam { lr = lr, eps = 1e-8, weight_decay = 0.1 }", {"eps": 1e-8}),
    "adamw": (mup.MuAdamW, "adamw { lr = lr, eps = 1e-8, weight_decay = 0.1 }", {"eps": 1e-8}),
}
HEAD = """model M
dim width -> inf, base = 16
dim features = 12
dim classes = 10
dim side = 4
hyper lr = 0.01
"""
MLP = """
tensor first   : input  [width, features]
tensor second  : hidden [width, width]
tensor third   : hidden [2 * width, width]
tensor readout : output [classes, 2 * width]
tensor bias    : input  [width]
tensor shift   : scalar [classes]
forward(x : [features]) {
    h = tanh(first @ x + bias)
    return readout @ tanh(third @ tanh(second @ h)) + shift
}
"""
CNN = """
tensor first   : input  [width, features, 3, 3]
tensor second  : hidden [width, width, 3, 3]
tensor gain    : input  [width] { init = ones }
tensor bias    : input  [width]
tensor readout : output [classes, width]
forward(x : [features, side, side]) {
    h = relu(groupnorm(conv2d(first, x, padding = 1), groups = 4, gain = gain, bias = bias))
    h = relu(conv2d(second, h, padding = 1))
    return readout @ mean(h, axis = (-2, -1))
}
"""
GPT = """
dim depth = 2
dim head = 4
dim heads = width / head
tensor table     : input  [classes, width]  { init = normal(1) }
tensor positions : input  [features, width] { init = normal(1) }
tensor readout   : output [classes, width]  { mult = 3 }
forward(tokens : index(classes) [features]) {
    x = embed(table, tokens) + positions
    repeat depth as layers {
        tensor query, key, value, project : hidden [width, width]
        tensor up   : hidden [4 * width, width]
        tensor down : hidden [width, 4 * width]
        z = layernorm(x)
        y = attention(query @ z, key @ z, value @ z, heads = heads, scale = head^-1, causal = true)
        x = x + project @ y
        x = x + down @ gelu(up @ layernorm(x))
    }
    return readout @ layernorm(x)
}
"""


class Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, width, bias=False)
        self.second = nn.Linear(width, width, bias=False)
        self.third = nn.Linear(width, 2 * width, bias=False)
        self.readout = mup.MuReadout(2 * width, CLASSES, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.shift = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x) + self.bias)
        return self.readout(torch.tanh(self.third(torch.tanh(self.second(h))))) + self.shift


class Convolutions(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(FEATURES, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.gain = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.readout = mup.MuReadout(width, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = nn.functional.group_norm(self.first(x), 4, self.gain, self.bias)
        return self.readout(self.second(h.relu()).relu().mean((-2, -1)))


class Layer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.project = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z = nn.functional.layer_norm(x, x.shape[-1:])
        maps = (self.query, self.key, self.value)
        q, k, v = (f(z).unflatten(-1, (-1, 4)).transpose(-3, -2) for f in maps)
        y = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1 / 4)
        x = x + self.project(y.transpose(-3, -2).flatten(-2))
        z = nn.functional.layer_norm(x, x.shape[-1:])
        return x + self.down(nn.functional.gelu(self.up(z)))


class Transformer(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(CLASSES, width)
        self.positions = nn.Parameter(torch.zeros(FEATURES, width))
        self.layers = nn.ModuleList(Layer(width) for _ in range(2))
        self.readout = mup.MuReadout(width, CLASSES, bias=False, output_mult=3.0)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.table(tokens) + self.positions
        for layer in self.layers:
            x = layer(x)
        return self.readout(nn.functional.layer_norm(x, x.shape[-1:]))


@dataclass(frozen=True)
class Network:
    """The same network in both, and its input."""

    spec: str
    module: Callable[[int], nn.Module]
    shape: tuple[int, ...] = (FEATURES,)
    indices: bool = False

    def inputs(self, draw: torch.Generator) -> Tensor:
        if self.indices:
            return torch.randint(CLASSES, (5, *self.shape), generator=draw)
        return torch.randn(5, *self.shape, generator=draw, dtype=torch.float64)


NETWORKS = {
    "mlp": Network(MLP, Perceptron),
    "cnn": Network(CNN, Convolutions, (FEATURES, 4, 4)),
    "transformer": Network(GPT, Transformer, indices=True),
}
VECTORS = {"bias", "gain", "shift"}


def theirs(network: Network, width: int) -> nn.Module:
    """Under mup, with what PyTorch's users write: std 1/sqrt(fan-in) of the base model."""
    model, base = network.module(width), network.module(BASE)
    mup.set_base_shapes(model, base, delta=network.module(2 * BASE))
    tables = {"table.weight", "positions"}
    for (name, parameter), small in zip(model.named_parameters(), base.parameters(), strict=True):
        if name not in VECTORS:
            std = 1.0 if name in tables else small[0].numel() ** -0.5
            mup.init.normal_(parameter, std=std)
    return model.double()


def ours(network: Network, kind: str, width: int, folder: Path) -> tuple[nn.Module, Any]:
    decay = DECAY["sgd" if kind == "sgd" else "adam"]
    text = f"{HEAD}parametrization mup {{ {decay} }}\n{network.spec}"
    text += f"optimizer {OPTIMIZERS[kind][1]}\nloss cross_entropy\n"
    report = abcparam.check(text)
    assert (report.verdict, report.complete) == ("maximal-update", True)
    module = load(abcparam.compile(text), folder)
    model = module.M(module.Config(width=width)).double()
    model.tensors = named_by_tensor(program_of(text), dict(model.named_parameters()))
    return model, module.make_optimizer(model)


def named(model: Any) -> dict[str, nn.Parameter]:
    """Parameters by the names of tensors: PyTorch's layers call theirs `weight`."""
    if hasattr(model, "tensors"):
        return model.tensors  # type: ignore[no-any-return]
    return {name.removesuffix(".weight"): p for name, p in model.named_parameters()}


def settings(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    """Learning rate and decay of each parameter."""
    names = {id(parameter): name for name, parameter in named(model).items()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def fill(tensor: Tensor, mean: float = 0.0, std: float = 1.0, **_: object) -> Tensor:
    """Stands in for `normal_`, so that a standard deviation can be read off exactly."""
    return tensor.fill_(std)


@pytest.fixture(
    params=[(n, k, w) for n in NETWORKS for k in OPTIMIZERS for w in (BASE, RATIO * BASE)]
)
def pair(request, tmp_path, monkeypatch) -> Any:
    """Both models and optimizers, their normal tensors filled with their standard deviations."""
    name, kind, width = request.param
    monkeypatch.setattr(Tensor, "normal_", fill)
    model, optimizer = ours(NETWORKS[name], kind, width, tmp_path)
    other = theirs(NETWORKS[name], width)
    make, _, given = OPTIMIZERS[kind]
    monkeypatch.undo()
    return (
        NETWORKS[name],
        (model, optimizer),
        (other, make(other.parameters(), lr=0.01, weight_decay=0.1, **given)),
    )


def test_initial_scales_rates_and_decays_are_equal(pair):
    _, (model, optimizer), (other, their_optimizer) = pair
    mine, them = named(model), named(other)
    assert mine.keys() == them.keys()
    for name in mine:
        torch.testing.assert_close(mine[name], them[name], rtol=1e-6, atol=0, msg=name)
    wanted = settings(other, their_optimizer)
    for name, found in settings(model, optimizer).items():
        assert found == pytest.approx(wanted[name], rel=1e-9), name


def test_the_same_weights_compute_and_train_alike(pair):
    """Outputs before and after three steps: multipliers, rates, momenta and decay, all at once."""
    network, (model, optimizer), (other, their_optimizer) = pair
    draw = torch.Generator().manual_seed(0)
    for parameter in other.parameters():
        noise = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        parameter.data.mul_(noise)
    pairs = [(name, mine, named(other)[name]) for name, mine in named(model).items()]
    for _, mine, them in pairs:
        mine.data.copy_(them)
    for _ in range(3):
        x = network.inputs(draw)
        outputs = [made(x) for made in (model, other)]
        torch.testing.assert_close(*outputs, rtol=1e-9, atol=1e-9)
        targets = torch.randint(CLASSES, outputs[0].shape[:-1], generator=draw).flatten()
        for output, made in zip(outputs, (optimizer, their_optimizer), strict=True):
            made.zero_grad()
            nn.functional.cross_entropy(output.flatten(0, -2), targets).backward()
            made.step()
    for name, mine, them in pairs:
        torch.testing.assert_close(mine, them, rtol=1e-8, atol=1e-10, msg=name)
