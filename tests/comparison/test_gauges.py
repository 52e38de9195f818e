"""`compile --gauge`: the same training in other weights, or a refusal that says why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.pipeline import gauged
from abcparam.verdict.check import judged
from abcparam.verdict.check import load as load_spec
from tests.support.emitted import load
from tests.support.running import Run

SPEC = """model MLP
dim width -> inf, base = 16
dim pixels = 12
dim classes = 5
hyper lr = 1e-3
hyper out_mult = 3
parametrization mup {changes}
tensor first   : input  [width, pixels] {{ lr = 3 * lr }}
tensor bias    : input  [width]
tensor second  : hidden [width, width]  {{ init = uniform(0.3) }}
tensor fixed   : hidden [width, width]  {{ frozen, mult = 2 }}
tensor readout : output [classes, width] {{ mult = out_mult }}
forward(x : [pixels]) {{
    h = fixed @ tanh(second.T @ tanh(second @ tanh(first @ x + bias)))
    return readout @ tanh(h)
}}
optimizer {optimizer}
loss cross_entropy
"""
GPT = """model GPT
dim width -> inf, base = 16
dim depth -> inf after width, base = 2
dim head = 4
dim heads = width / head
dim vocab = 11
dim context = 6
hyper lr = 1e-3
parametrization mup
tensor token   : input [vocab, width]
tensor place   : input [context, width]
tensor readout : output [vocab, width]
tensor last    : input [width] {{ init = ones }}
forward(tokens : index(vocab) [context]) {{
    x = embed(token, tokens) + place
    repeat depth as layers {{
        tensor query, key, value : hidden [width, width]
        tensor project : hidden [width, width]     {{ a[depth] = 1/2, c[depth] = 1/2 }}
        tensor up      : hidden [2 * width, width]
        tensor down    : hidden [width, 2 * width] {{ a[depth] = 1/2, c[depth] = 1/2 }}
        tensor gain, shift : input [width] {{ init = ones }}
        n = layernorm(x, gain = gain, bias = shift)
        y = attention(query @ n, key @ n, value @ n, heads = heads, scale = head^-1, causal = true)
        x = x + project @ y
        x = x + down @ gelu(up @ rmsnorm(x))
    }}
    return readout @ rmsnorm(x, gain = last)
}}
optimizer {optimizer}
loss cross_entropy
"""
X = torch.linspace(-1, 1, 96, dtype=torch.float64).reshape(8, 12).sin()
LABELS = torch.arange(8) % 5
STEPS = 50


def spec(optimizer: str, changes: str = "") -> str:
    return SPEC.format(optimizer=optimizer, changes=changes)


def outputs(text: str, gauge: str, folder: Path) -> tuple[Tensor, list[dict[str, object]]]:
    """What the model says at each of 50 steps at four times its base, and its groups."""
    module = load(abcparam.compile(text, gauge=gauge), folder)
    return trained(module, module.MLP(module.Config(width=64)), X, LABELS)


def trained(
    module: Any, model: nn.Module, inputs: Tensor, labels: Tensor
) -> tuple[Tensor, list[dict[str, object]]]:
    model.double()
    torch.manual_seed(0)
    model.reset_parameters()  # type: ignore[operator]
    made, found = module.make_optimizer(model), []
    optimizers = made if isinstance(made, list | tuple) else [made]
    for _ in range(STEPS):
        y = model(inputs)
        model.zero_grad()
        nn.functional.cross_entropy(y.flatten(0, -2), labels.flatten()).backward()
        for optimizer in optimizers:
            optimizer.step()
        found.append(y.detach())
    for optimizer in optimizers:
        module.check_param_groups(optimizer)
    return torch.stack(found), [group for o in optimizers for group in o.param_groups]


TRAINED = {
    "sgd": "sgd { lr = lr, momentum = 0.9, weight_decay = 0.01 }",
    "adam": "adam { lr = lr, eps = 1e-4, weight_decay = 0.01 }",
    "adamw": "adamw { lr = lr, eps = 1e-4, weight_decay = 0.1 }",
    "nadam": "nadam { lr = 0.1 * lr, eps = 1e-4 }",
    "adamax": "adamax { lr = lr, eps = 1e-4 }",
    "rmsprop": "rmsprop { lr = 0.3 * lr, eps = 1e-4 }",
    "adagrad": "adagrad { lr = lr, eps = 1e-4 }",
    "lion": "lion { lr = 0.1 * lr, weight_decay = 0.1 }",
    "signsgd": "signsgd { lr = 0.1 * lr, momentum = 0.9 }",
    "several": "sgd for hidden { lr = lr, momentum = 0.9 }\noptimizer adam { lr = lr, eps = 1e-4 }",
}


@pytest.mark.parametrize("gauge", ["plain", "unit"])
@pytest.mark.parametrize("name", TRAINED)
def test_training_is_the_same(name: str, gauge: str, tmp_path: Path):
    """To 1e-10 in float64 over 50 steps: momentum, epsilon, weight decay, a shared tensor."""
    text = spec(TRAINED[name])
    wanted, _ = outputs(text, "as-written", tmp_path)
    found, _ = outputs(text, gauge, tmp_path)
    assert (wanted[-1] - wanted[0]).abs().max() > 0.001
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("optimizer", "changes"),
    [
        ("sgd { lr = lr, momentum = 0.9 }", ""),
        ("adam { lr = lr, eps = 0 }", ""),
        ("adamax { lr = lr, eps = 0 }", ""),
        ("nadam { lr = 0.1 * lr, eps = 0 }", ""),
        ("lion { lr = 0.1 * lr }", ""),
        (
            "adam { lr = lr, eps = 1e-4 }",
            "{ input { d = 0 }, hidden { d = -1 }, output { d = 0 } }",
        ),
    ],
)
def test_a_single_group_trains_the_same(optimizer: str, changes: str, tmp_path: Path):
    text = spec(optimizer, changes)
    if changes:
        text = text.replace("{ lr = 3 * lr }", "")
    wanted, several = outputs(text, "as-written", tmp_path)
    found, groups = outputs(text, "single-group", tmp_path)
    assert len(several) > 1 and len(groups) == 1
    assert groups[0]["lr"] in (1e-3, 1e-4) and groups[0]["lr_scale"] == 1
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


GPTS = [
    ("adamw { lr = lr, eps = 1e-4, weight_decay = 0.1 }", "plain"),
    ("adamw { lr = lr, eps = 1e-4, weight_decay = 0.1 }", "unit"),
    ("adam { lr = lr, eps = 0 }", "single-group"),
    ("sgd { lr = lr, momentum = 0.9 }", "single-group"),
    ("sgd for hidden { lr = lr }\noptimizer adam { lr = lr, eps = 0 }", "unit"),
]


@pytest.mark.parametrize(("optimizer", "gauge"), GPTS)
def test_a_transformer_trains_the_same(optimizer: str, gauge: str, tmp_path: Path):
    """Gains and shifts of norms, and exponents of the depth, at twice the width and depth."""
    text = GPT.format(optimizer=optimizer)
    tokens = torch.arange(24).reshape(4, 6).square() % 11
    ran = []
    for name in ("as-written", gauge):
        module = load(abcparam.compile(text, gauge=name), tmp_path)
        model = module.GPT(module.Config(width=32, depth=4))
        ran.append(trained(module, model, tokens, tokens.roll(-1, 1))[0])
    wanted, found = ran
    assert (wanted[-1] - wanted[0]).abs().max() > 0.001
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("gauge", "exponents"), [("plain", "{ a = 1/2, b = 0, c = 1/2 }"), ("unit", "")]
)
def test_weight_decay_follows_a_width_that_is_rounded_up(
    gauge: str, exponents: str, tmp_path: Path
):
    """That of what such a width feeds, over its own value at base (Llama's feed-forward)."""
    text = f"""model MLP
    dim width -> inf, base = 16
    dim inner = round_up(8 * width / 3, 8)
    dim pixels = 12
    dim classes = 5
    parametrization mup
    tensor first   : input  [width, pixels]
    tensor up      : hidden [inner, width]
    tensor down    : hidden [width, inner] {exponents}
    tensor readout : output [classes, width]
    forward(x : [pixels]) {{
        return readout @ tanh(down @ tanh(up @ tanh(first @ x)))
    }}
    optimizer adamw {{ lr = 1e-2, eps = 1e-4, weight_decay = 0.3 }}
    loss cross_entropy
    """
    wanted, _ = outputs(text, "as-written", tmp_path)
    found, _ = outputs(text, gauge, tmp_path)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("gauge", ["plain", "single-group", "unit"])
def test_laws_do_not_depend_on_the_gauge(gauge: str):
    program = load_spec(Source(spec("adam { lr = lr, eps = 0 }")))
    one, other = judged(program), judged(gauged(program, gauge))
    assert one.verdict == other.verdict == "maximal-update"
    for first, second in zip(one.judgement.tensors, other.judgement.tensors, strict=True):
        assert (first.at_init, first.update, first.slack) == (
            second.at_init, second.update, second.slack,
        )  # fmt: skip


def test_weights_are_as_the_gauge_says(tmp_path: Path):
    """`plain` multiplies nothing in `forward`; random weights of `unit` have unit variance."""
    text = spec("adam { lr = lr }")
    assert "_scale *" in abcparam.compile(text) and "scale *" not in abcparam.compile(
        text, gauge="plain"
    )
    module = load(abcparam.compile(text, gauge="unit"), tmp_path)
    model = module.MLP(module.Config(width=256))
    for name in ("first", "second", "fixed", "readout"):
        weight = getattr(model, name)
        weight = weight if isinstance(weight, Tensor) else weight.weight
        assert weight.std().item() == pytest.approx(1, rel=0.1), name


def test_gauges_have_hashes_of_their_own():
    """Weights and optimizer states of one gauge are none of another's."""
    text = spec("adam { lr = lr, eps = 0 }")
    gauges = ("as-written", "plain", "single-group", "unit")
    codes = [abcparam.compile(text, gauge=gauge).splitlines() for gauge in gauges]
    assert len({next(x for x in code if x.startswith("_SPEC")) for code in codes}) == 4


REFUSED = [
    ("adam { lr = lr, eps = 1e-8 }", "single-group", "P0433"),
    ("adamw { lr = lr, eps = 0, weight_decay = 0.1 }", "single-group", "P0433"),
    ("sgd { lr = lr, weight_decay = 0.1 }", "single-group", "P0433"),
    ("sgd { lr = lr, clip_norm = 1 }", "plain", "P0431"),
    ("adafactor { lr = lr }", "plain", "P0432"),
    ("lamb { lr = lr }", "unit", "P0432"),
    ("lars { lr = lr }", "unit", "P0432"),
]


@pytest.mark.parametrize(("optimizer", "gauge", "code"), REFUSED)
def test_what_would_not_be_the_same_is_refused(optimizer: str, gauge: str, code: str):
    with pytest.raises(abcparam.SpecError) as error:
        abcparam.compile(spec(optimizer), gauge=gauge)
    assert {d.code for d in error.value.diagnostics} == {code}


def test_the_command(run: Run, tmp_path: Path):
    path = tmp_path / "mlp.param"
    path.write_text(spec("adam { lr = lr, eps = 0 }"), encoding="utf-8")
    assert run("compile", str(path), "--gauge", "single-group").status == 0
    assert (tmp_path / "mlp.py").read_text(encoding="utf-8").count('"name":') == 1
    path.write_text(spec("adam { lr = lr, eps = 1e-8 }"), encoding="utf-8")
    refused = run("compile", str(path), "--gauge", "single-group")
    assert refused.status == 2 and "have eps 1e-08, d = 1; `first`, 3e-08, d = 0" in refused.err
    with pytest.raises(ValueError, match="no gauge"):
        abcparam.compile(path, gauge="other")
