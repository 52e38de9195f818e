"""Starts at zero that keep tensors from ever learning, and the start that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import abcparam
from abcparam.verdict.changes import in_words
from tests.support.paths import EXAMPLES

PAIR = """model Pair
dim width -> inf, base = 64
parametrization {rules}
tensor first  : input  [width, 20]
tensor down   : hidden [width, width] {{ init = zeros }}
tensor up     : hidden [width, width] {{ init = zeros }}  # as adapters start
tensor last   : output [5, width]
forward(x : [20]) {{
    h = first @ x
    h = h + up @ tanh(down @ layernorm(h))
    return last @ h
}}
optimizer adam {{ lr = 1e-3 }}
loss cross_entropy
"""
RANDOM = "init = normal(fan_in^(-1/2)) (now `zeros`)"


def changed(text: str) -> str:
    return in_words(abcparam.check(text).fix)


def with_zeros(name: str, *declarations: str) -> str:
    """An example in which these declarations of tensors start at zero."""
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    for declaration in declarations:
        lines = [line for line in text.splitlines() if line.strip().startswith(declaration)]
        assert len(lines) == 1
        text = text.replace(lines[0], f"{lines[0]} {{ init = zeros }}")
    return text


def test_of_two_factors_at_zero_the_first_starts_at_random():
    text = PAIR.format(rules="mup")
    report = abcparam.check(text)
    assert report.verdict == "feature-learning"
    stuck = [d for d in report.diagnostics if d.code == "P0507"]
    assert [d.message.split("`")[1] for d in stuck] == ["down", "up"]
    assert f"`down` {RANDOM}; where two factors start at zero" in stuck[0].help
    found = abcparam.fix(text)
    before = "tensor down   : hidden [width, width] { init = zeros }"
    assert found.text == text.replace(before, before.replace("zeros", "normal(fan_in^(-1/2))"))
    assert found.report.verdict == "maximal-update"


def test_neither_has_a_gradient_and_then_both_learn(tmp_path: Path):
    """Of the emitted model, by PyTorch: exact zeros for as long as both are zero."""
    import torch

    from tests.support.emitted import build, make

    text = PAIR.format(rules="mup")
    learns = []
    for spec in (text, abcparam.fix(text).text):
        program, module = build(spec, tmp_path)
        torch.manual_seed(0)
        model = make(program, module, {"width": 16})
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(8, 20)).square().sum().backward()
            optimizer.step()
        gradients: dict[str, Any] = {n.split(".")[0]: p.grad for n, p in model.named_parameters()}
        learns.append([bool(gradients[name].any()) for name in ("down", "up")])
    assert learns == [[False, False], [True, True]]


def test_exponents_are_mended_beside_it():
    assert changed(PAIR.format(rules="sp")) == (
        f"`down` {RANDOM}, `hidden` c = 0 -> 1, `last` b = 1/2 -> 1, `last` c = 0 -> 1"
    )


@pytest.mark.parametrize(
    ("name", "zeros", "mended"),
    [
        ("mixtral", ("tensor gate, up", "tensor down"), f"`gate, up` {RANDOM}"),
        ("mixtral", ("tensor gate, up",), f"`gate, up` {RANDOM}"),  # a product of the two
        ("gpt2", ("tensor query, key, value  ",), f"`query, key, value` {RANDOM}"),
        ("rnn", ("tensor U", "tensor W"), f"`U` {RANDOM}"),
        ("mixtral", ("tensor down",), ""),  # one of them may
        ("gpt2", ("tensor project  ",), ""),
    ],
)
def test_examples_with_maps_at_zero(name: str, zeros: tuple[str, ...], mended: str):
    assert changed(with_zeros(name, *zeros)) == mended


@pytest.mark.parametrize("name", ["llama", "vit", "bert", "qwen3", "resnet18", "wide_resnet"])
def test_gains_of_norms_start_at_one(name: str):
    """Though a readout that starts at random would be enough for some."""
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    mended = changed(text.replace("init = ones", "init = zeros"))
    assert mended == "`gain` init = ones (now `zeros`)"


def test_nothing_is_claimed_to_be_proved():
    report = abcparam.prove(PAIR.format(rules="mup"))
    assert report.proof and report.proof.outcome.startswith("not proved smallest")
    assert changed(PAIR.format(rules="mup")) == in_words(report.fix)


def test_a_budget_that_is_spent_ends_the_search():
    """It is told of, as of any other fix; the verdict stands."""
    with abcparam.budget(1e-9):
        report = abcparam.check(PAIR.format(rules="mup"))
        assert report.verdict == "feature-learning" and not report.fix
    assert "not searched further" in report.unfinished
