"""The recipes that are run scaled down: their models and their batches are what they say."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from abcparam.data.named import data_named
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.source import Source
from abcparam.editing.parametrization import in_form
from abcparam.pipeline import emit_program
from abcparam.tuning.train.training import job_of
from abcparam.verdict.check import judged, load
from examples.reproduce import batches
from examples.reproduce.batches import HIDDEN, IGNORED, MASK, WORDS, masked
from examples.reproduce.recipes import RECIPES, scaled, smallest


def source_of(name: str, form: str) -> Source:
    source = scaled(name, smallest(RECIPES[name]), form)
    return in_form(source, "sp") if form == "sp" else source


def trained(name: str, form: str, width: int) -> tuple[list[Any], torch.Tensor]:
    """Names, rates and decays of all parameters, and the outputs after a step of training."""
    program = load(source_of(name, form), {})
    recipe = RECIPES[name]
    data = data_named(masked) if recipe.data is masked else Synthetic()
    job = job_of(program, emit_program(judged(program)), data, steps=1, batch=2)
    values = {"width": width}
    model = job.model(values, 0).double()
    (optimizer,) = job.optimizers(model)
    batch = next(job.batches(job.config(values), 0)).to("cpu", torch.float64)
    names = {id(p): name for name, p in model.named_parameters()}
    rates = [
        (names[id(p)], group["lr"], group.get("weight_decay"))
        for group in optimizer.param_groups
        for p in group["params"]
    ]
    for _ in range(2):
        outputs = model(*batch.inputs)
        output = outputs[0] if isinstance(outputs, tuple) else outputs
        optimizer.zero_grad()
        output.square().mean().backward()
        optimizer.step()
    return sorted(rates), output.detach()


@pytest.mark.parametrize("name", RECIPES)
def test_both_parametrizations_are_one_model_at_the_width_of_the_proxy(name):
    proxy, target = RECIPES[name].widths[0], RECIPES[name].widths[1]
    (rates, outputs), (standard, others) = (trained(name, form, proxy) for form in ("mup", "sp"))
    assert rates == standard
    torch.testing.assert_close(outputs, others, rtol=1e-6, atol=1e-9)
    (rates, outputs), (standard, others) = (trained(name, form, target) for form in ("mup", "sp"))
    assert rates != standard
    assert not torch.allclose(outputs, others, rtol=1e-3)


@pytest.mark.parametrize("name", RECIPES)
def test_the_scaled_spec_has_the_sizes_of_the_recipe(name):
    recipe = RECIPES[name]
    text = scaled(name, recipe, "mup").text
    assert f"base = {recipe.widths[0]}" in text
    for dim, size in recipe.sizes.items():
        assert re.findall(rf"^dim {dim} = (\d+)$", text, re.MULTILINE) == [str(size)]
    assert "dropout" not in text
    assert judged(load(scaled(name, recipe, "mup"))).verdict == "maximal-update"


def test_masked_words_are_the_ones_that_are_asked_for():
    """Over 20 batches of 64 texts: the words asked for are those of the text, 80 % masked."""
    config = SimpleNamespace(vocab=35, context=32)
    masks, asked, follows = 0, 0, 0.0
    for inputs, targets in itertools.islice(masked(config, 64, 0), 20):
        (tokens, segments, mask), (words, follow) = inputs, targets
        there = words != IGNORED
        assert there.sum(1).unique().tolist() == [round(HIDDEN * 30) or 1]
        assert words[there].min() >= WORDS
        assert tokens.max() < config.vocab
        assert (tokens[:, [0, 16]] < WORDS).all()
        assert not there[:, [0, 16]].any()
        assert mask.all()
        assert segments[0].tolist() == [0] * 17 + [1] * 15
        hidden = tokens[there] == MASK
        masks, asked = masks + int(hidden.sum()), asked + int(there.sum())
        follows += follow.double().mean().item() / 20
    assert masks / asked == pytest.approx(0.8, abs=0.02)
    assert follows == pytest.approx(0.5, abs=0.05)


def test_masked_texts_are_the_same_for_the_same_seed():
    config = SimpleNamespace(vocab=35, context=32)
    first, again, other = (next(masked(config, 4, seed))[0][0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_fashion_is_brought_to_the_size_of_the_model():
    if batches.images() is None:
        pytest.skip("Fashion-MNIST is not installed")
    config = SimpleNamespace(rows=14, columns=28)
    (pixels,), (labels,) = next(batches.fashion(config, 64, 0))
    assert pixels.shape == (64, 1, 14, 28)
    assert labels.shape == (64,)
    kept = list(batches.fashion_held_out(config, 300))
    assert sum(len(labels) for _, (labels,) in kept) == batches.KEPT
