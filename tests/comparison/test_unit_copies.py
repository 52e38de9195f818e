"""The gauge `unit` at depth: copies of a repeat have factors of their own for their gradients."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import abcparam
from abcparam.comparison.unit_scaling import told_apart
from abcparam.coordinate_check.ranges import outside
from abcparam.data.batch import loss_of
from abcparam.data.random import Random
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import load as load_spec
from tests.comparison.test_unit_gauge import DECODER
from tests.support.emitted import load, outputs_of
from tests.support.paths import EXAMPLES
from tests.support.random_specs import written

GPT = """model GPT
dim width -> inf, base = 32
dim depth = 6
dim head = 8
dim heads = width / head
dim vocab = 23
dim context = 6
hyper lr = 1e-3
parametrization mup
tensor token   : input [vocab, width] {{ init = normal(0.02) }}
tensor place   : input [context, width] {{ init = normal(0.02) }}
tensor offsets : input [context, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) {{
    x = embed(token, tokens) + place
    beside = relu(offsets)
    repeat depth as layers {{
        tensor query, key, value, project : hidden [width, width]
        tensor bias : input [width]
        tensor up   : hidden [2 * width, width]
        tensor down : hidden [width, 2 * width]
        n = layernorm(x)
        q = query @ n + bias
        y = attention(q, key @ n, value @ n, heads = heads, scale = head^-1, causal = true)
        x = x + project @ y
        x = x + down @ gelu(up @ (rmsnorm(x) + beside))
    }}
    repeat 2 as last {{
        tensor mix : hidden [width, width]
        x = x + mix @ tanh(rmsnorm(x))
    }}
    return readout @ rmsnorm(x)
}}
optimizer {optimizer}
loss cross_entropy
"""
ADAMW = "adamw { lr = lr, eps = 1e-4, weight_decay = 0.1 }"
SGD = "sgd { lr = lr, momentum = 0.9, weight_decay = 0.01 }"
TOKENS = torch.arange(24).reshape(4, 6).square() % 23


def trained(module: Any, depth: int) -> tuple[Tensor, Any]:
    """What the model says at each of 20 steps, twice as wide as at base."""
    model = module.GPT(module.Config(width=64, depth=depth)).double()
    torch.manual_seed(0)
    model.reset_parameters()
    optimizer, found = module.make_optimizer(model), []
    for _ in range(20):
        y = model(TOKENS)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(y.flatten(0, 1), TOKENS.roll(-1, 1).flatten()).backward()
        optimizer.step()
        found.append(y.detach())
    module.check_param_groups(optimizer, module.param_groups(model))
    return torch.stack(found), model


@pytest.mark.parametrize("depth", [1, 3, 6, 9])
@pytest.mark.parametrize("optimizer", [ADAMW, SGD])
def test_training_is_the_same_at_every_depth(optimizer: str, depth: int, tmp_path: Path):
    """Epsilon, decay and rates follow copy by copy, less deep and deeper than the spec says."""
    text = GPT.format(optimizer=optimizer)
    codes = [abcparam.compile(text, gauge=gauge) for gauge in ("as-written", "unit")]
    assert "_by_copy(copy, (0, " in codes[1] and "_by_copy" not in codes[0]
    (wanted, _), (found, _) = (trained(load(code, tmp_path), depth) for code in codes)
    assert (wanted[-1] - wanted[0]).abs().max() > 0.001
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


ROUNDED = ("soap", "signsgd", "lion", "normuon")  # they make much of what is zero but for rounding


def steps(text: str, gauge: str, folder: Path) -> Tensor:
    """What a random spec's model says at each of five steps, at twice its base."""
    program = load_spec(Source(text))
    module = load(abcparam.compile(text, gauge=gauge), folder)
    model = getattr(module, program.name)(module.Config(width=16)).double()
    torch.manual_seed(0)
    model.reset_parameters()
    made, found = module.make_optimizer(model), []
    optimizers = made if isinstance(made, list) else [made]
    batch = next(Random().batches(program, model.config, 3, 0))
    for _ in range(5):
        outputs = outputs_of(model(*batch.inputs))
        loss_of(program, outputs, batch.targets).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        found.append(torch.cat([y.detach().flatten() for y in outputs]))
    return torch.stack(found)


@pytest.mark.slow
def test_random_models_train_the_same(tmp_path: Path):
    ran = 0
    for text in written(700, seed=7):
        if "repeat" not in text or any(name in text for name in ROUNDED):
            continue
        text = re.sub(r"dropout\(([^,()]*), [^)]*\)", r"dropout(\1, 0)", text)
        text = text.replace("eps = 1e-12", "eps = 1e-4").replace(
            "-> inf\n", "-> inf, base = 8\n", 1
        )
        try:
            wanted, found = (steps(text, gauge, tmp_path) for gauge in ("as-written", "unit"))
        except SpecError:
            continue
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-8 * float(wanted.abs().max()))
        ran += 1
    assert ran > 50


def test_each_parameter_is_in_one_group(tmp_path: Path):
    """Of a tensor whose copies are trained apart, too."""
    module = load(abcparam.compile(GPT.format(optimizer=ADAMW), gauge="unit"), tmp_path)
    for depth in (2, 8):
        model = module.GPT(module.Config(depth=depth))
        groups = module.param_groups(model)
        held = [p for group in groups for p in group["params"]]
        assert len(held) == len(set(held)) == len(list(model.parameters()))
        of = {p: group for group in groups for p in group["params"]}
        first, last = (of[model.layers[i].bias]["eps"] for i in (0, -1))
        assert depth == 2 or first < last  # gradients of the first layer are larger


def test_sizes_of_all_copies_lie_in_range():
    """Though the table starts at 0.02: the stream grows fiftyfold in the first layer."""
    found = abcparam.coord_check(
        DECODER,
        gauge="unit",
        widths=(32, 64, 128),
        seeds=1,
        steps=1,
        set={"depth": 8, "start": "0.02"},
        tokens=96,
    )
    assert not list(outside(found.ranges))
    assert len(found.ranges) > 140


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt", "gpt2", "llama"])
def test_sizes_of_twelve_layers_lie_in_range(name: str):
    found = abcparam.coord_check(
        EXAMPLES / f"{name}.param",
        gauge="unit",
        widths=(128, 256, 512),
        seeds=1,
        steps=1,
        set={"depth": 12, "context": 64, "vocab": 256},
        tokens=256,
    )
    assert not list(outside(found.ranges))


def apart(text: str) -> tuple[str, ...]:
    return told_apart(load_spec(Source(text)))


def test_which_repeats_are_told_apart():
    """Those of as many copies at every width that have tensors, one inside another neither."""
    text = GPT.format(optimizer=ADAMW)
    assert apart(text) == ("layers", "last")
    growing = text.replace("dim depth = 6", "dim depth -> inf after width, base = 2")
    assert apart(growing) == ("last",)
    nested = text.replace(
        "x = x + mix @ tanh(rmsnorm(x))",
        "repeat 2 as inner {\n tensor mix2 : hidden [width, width]\n x = x + mix2 @ rmsnorm(x)\n }",
    )
    assert apart(nested) == ("layers",)
    assert apart(text.replace("repeat 2 as last", "repeat 1 as last")) == ("layers",)
    assert apart((EXAMPLES / "t5.param").read_text(encoding="utf-8")) == ("encoder", "decoder")
    assert apart((EXAMPLES / "rnn.param").read_text(encoding="utf-8")) == ()
