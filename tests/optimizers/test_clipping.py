"""`clip_norm`: the emitted optimizer clips, through copies, scaled gradients and several
optimizers; and its law is measured.
"""

from __future__ import annotations

import copy
import math
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounter

import abcparam
from abcparam.optimizers import optimizers
from tests.support.emitted import load

SPEC = """model MLP
dim width -> inf, base = 64
dim pixels = 12
dim classes = 5
hyper lr = 1e-2
parametrization {{
    input  {{ a = 0, b = 0, c = {c} }}
    hidden {{ a = 0, b = 1/2, c = {c} }}
    output {{ a = 0, b = 1/2, c = {c} }}
}}
tensor first   : input  [width, pixels]
tensor second  : hidden [width, width]
tensor readout : output [classes, width]
forward(x : [pixels]) {{ return readout @ tanh(second @ tanh(first @ x)) }}
{optimizer}
loss cross_entropy
"""
X, LABELS = torch.linspace(-1, 1, 96, dtype=torch.float64).reshape(8, 12), torch.arange(8) % 5


def spec(settings: str = "clip_norm = 0.05", name: str = "sgd", c: str = "1/2") -> str:
    return SPEC.format(optimizer=f"optimizer {name} {{ lr = lr, {settings} }}", c=c)


def made(text: str, folder: Path, width: int = 64, seed: int = 0) -> tuple[nn.Module, Any]:
    module = load(abcparam.compile(text), folder)
    torch.manual_seed(seed)
    model = module.MLP(module.Config(width=width)).double()
    return model, module.make_optimizer(model)


def backward(model: nn.Module) -> torch.Tensor:
    model.zero_grad()
    loss = nn.functional.cross_entropy(model(X), LABELS)
    loss.backward()
    return loss


def same(one: nn.Module, other: nn.Module) -> None:
    for found, wanted in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(optimizers()) - {"muon"}))
def test_every_optimizer_clips_as_pytorch_does(name: str, tmp_path: Path):
    clipped, optimizer = made(spec(name=name), tmp_path)
    plain, other = made(spec("", name).replace("lr, }", "lr }"), tmp_path)
    assert isinstance(optimizer, torch.optim.Optimizer) and optimizer.defaults == other.defaults
    for _ in range(4):
        backward(clipped)
        optimizer.step()
        backward(plain)
        assert nn.utils.clip_grad_norm_(plain.parameters(), 0.05) > 0.05
        other.step()
    same(clipped, plain)


def test_copies_and_closures_clip(tmp_path: Path):
    model, optimizer = made(spec(), tmp_path)
    copied, copied_optimizer = copy.deepcopy((model, optimizer))
    pickled, pickled_optimizer = pickle.loads(pickle.dumps((model, optimizer)))
    closed, closed_optimizer = copy.deepcopy((model, optimizer))
    for one, its in ((model, optimizer), (copied, copied_optimizer), (pickled, pickled_optimizer)):
        backward(one)
        its.step()
    closed_optimizer.step(lambda: backward(closed))
    for other in (copied, pickled, closed):
        same(model, other)


@pytest.mark.parametrize("unscaled", [False, True])
def test_scaled_gradients(unscaled: bool, tmp_path: Path):
    """A GradScaler leaves dividing to fused kernels, so gradients arrive scaled."""
    model, optimizer = made(spec(name="adam"), tmp_path)
    plain, other = copy.deepcopy((model, optimizer))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for _ in range(3):
        model.zero_grad()
        scaler.scale(nn.functional.cross_entropy(model(X), LABELS)).backward()
        if unscaled:
            scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        backward(plain)
        other.step()
    for found, wanted in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_each_of_several_optimizers_clips_its_own(tmp_path: Path):
    several = "optimizer sgd for hidden { lr = lr, clip_norm = 0.01 }\noptimizer adam { lr = lr }"
    model, (sgd, adam) = made(SPEC.format(optimizer=several, c="0"), tmp_path)
    backward(model)
    before = [p.grad.clone() for p in model.parameters()]  # type: ignore[union-attr]
    sgd.step()
    adam.step()
    first, second, readout = (p.grad for p in model.parameters())
    assert second is not None and second.norm() == pytest.approx(0.01, rel=1e-3)
    assert torch.equal(first, before[0]) and torch.equal(readout, before[2])  # type: ignore[arg-type]


def test_muon_clips_its_matrices(tmp_path: Path):
    """Muon's own update hides the length of a gradient; its momentum buffer shows it."""
    several = "optimizer muon for hidden { lr = lr, clip_norm = 0.01 }\noptimizer adam { lr = lr }"
    model, (muon, _) = made(SPEC.format(optimizer=several, c="0"), tmp_path)
    buffers = []
    for _ in range(2):
        backward(model)
        muon.step()
        (second,) = muon.param_groups[0]["params"]
        assert second.grad.norm() == pytest.approx(0.01, rel=1e-3)
        buffers.append(second.grad.clone())
    buffer = muon.state[second]["momentum_buffer"]
    torch.testing.assert_close(buffer, 0.05 * (0.95 * buffers[0] + buffers[1]))


def test_a_compiled_step_clips(tmp_path: Path):
    """And makes no new graph from step to step."""
    model, optimizer = made(spec(name="adam"), tmp_path)
    plain, other = copy.deepcopy((model, optimizer))
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"], dtype=torch.float64)
    torch._dynamo.reset()
    graphs = CompileCounter()
    step = torch.compile(optimizer.step, backend=graphs)
    for _ in range(4):
        backward(model)
        step()
        backward(plain)
        other.step()
    same(model, plain)
    assert graphs.frame_count == 1


@pytest.mark.parametrize("value", ["0", "-1", "(1, 2)"])
def test_what_is_no_norm(value: str):
    with pytest.raises(abcparam.SpecError):
        abcparam.check(spec(f"clip_norm = {value}"))


# The law

WIDTHS = (128, 256, 512, 1024)


def slopes(text: str, folder: Path) -> list[float]:
    """Of the size of an entry of each tensor's first update, over four widths and three seeds."""
    sizes: dict[int, list[float]] = {}
    for width in WIDTHS:
        total = [0.0] * 3
        for seed in range(3):
            model, optimizer = made(text, folder, width, seed)
            start = [p.detach().clone() for p in model.parameters()]
            backward(model)
            optimizer.step()
            for index, (p, w) in enumerate(zip(model.parameters(), start, strict=True)):
                total[index] += math.log((p - w).square().mean().sqrt().item()) / 3
        sizes[width] = total
    reach = math.log(WIDTHS[-1] / WIDTHS[0])
    return [(b - a) / reach for a, b in zip(sizes[WIDTHS[0]], sizes[WIDTHS[-1]], strict=True)]


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ("clip_norm = 1e-3", {"first": "-3/2", "second": "-3/2", "readout": "-1"}),
        (
            "clip_norm = 1e-3 * (width / base(width))^(1/2)",
            {"first": "-1", "second": "-1", "readout": "-1/2"},
        ),
    ],
)
def test_the_law_is_measured(settings: str, wanted: dict[str, str], tmp_path: Path):
    """Gradients grow like width^(1/2) in norm here; clipping takes that from every update, a limit
    that grows like it gives it back.
    """
    laws = {law.path: law.parameter for law in abcparam.check(spec(settings)).judgement.tensors}
    assert {path: p.entry.to_dict()["width"] for path, p in laws.items()} == wanted
    exact = [int(x) / int(y or 1) for x, _, y in (w.partition("/") for w in wanted.values())]
    assert slopes(spec(settings), tmp_path) == pytest.approx(exact, abs=0.1)


def test_clipping_changes_the_verdict():
    """Learning rates of n^-1/2 under SGD are too large for the readout, and not where the norm of
    the gradients, which grows like n^1/2, is divided out.
    """
    settings = "clip_norm = 1", "momentum = 0"
    assert [abcparam.check(spec(s)).verdict for s in settings] == ["kernel", "unstable"]


CLIPPED = ["-3/2", "-1/2", "1/2"]


@pytest.mark.parametrize(("setting", "rates"), [("", ["-1", "0", "1"]), ("clip_norm = 1", CLIPPED)])
def test_solve_finds_the_rates_of_sgd(setting: str, rates: list[str]):
    """Clipping divides gradients by the largest, the readout's, whose norm grows as n^(1/2)."""
    text = spec(setting, c="?").replace("output { a = 0, b = 1/2,", "output { a = 0, b = 1,")
    solved = abcparam.solve(text.replace("lr, }", "lr }"))
    laws = abcparam.check(solved).judgement.tensors
    assert [str(law.parameter.c.exponents()["width"]) for law in laws] == rates
