"""Finitely many numbers inside of a network, behind a norm: verdicts, and what is measured."""

from __future__ import annotations

from pathlib import Path

import pytest

import abcparam

BOTTLENECK = """model Bottleneck
dim width -> inf, base = 64
dim features = 8
dim classes = 3
dim rank = 4
hyper lr = RATE
tensor enter   : input  [width, features] { a = 0, b = 0, c = INPUT }
tensor down    : output [rank, width]     { a = 1, b = 0, c = OUTPUT }
tensor up      : input  [width, rank]     { a = 0, b = 0, c = INPUT }
tensor mix     : hidden [width, width]    { a = 0, b = 1/2, c = HIDDEN }
tensor readout : output [classes, width]  { a = 1, b = 0, c = OUTPUT }
forward(x : [features]) {
    h = enter @ x
    latent = rmsnorm(down @ h, eps = 1e-12)
    h = h + up @ latent
    return readout @ tanh(mix @ tanh(h))
}
optimizer OPTIMIZER
loss cross_entropy
"""
RULES = {  # rate; c of input, hidden and output tensors
    "adam": ("adam { lr = lr, eps = 0 }", "0.02", "0", "1", "0"),
    "sgd": ("sgd { lr = lr }", "0.1", "-1", "0", "-1"),
    "muon": ("muon { lr = lr, weight_decay = 0 }", "0.05", "0", "0", "-1/2"),
}


def bottleneck(optimizer: str) -> str:
    rule, rate, first, hidden, last = RULES[optimizer]
    text = BOTTLENECK.replace("RATE", rate).replace("OPTIMIZER", rule)
    return text.replace("INPUT", first).replace("HIDDEN", hidden).replace("OUTPUT", last)


@pytest.mark.parametrize("optimizer", RULES)
def test_a_norm_of_what_a_map_contracts_starts_below_its_change(optimizer: str):
    """Every tensor moves what reads it in full, with the exponents of its shape alone."""
    assert abcparam.check(bottleneck(optimizer)).verdict == "maximal-update"


@pytest.mark.parametrize("b", ["0", "1/4"])
def test_with_larger_weights_it_is_unstable(b: str):
    """The change of h points along its rows: by n^(1/2 - b) too far."""
    text = bottleneck("adam").replace(
        "{ a = 1, b = 0, c = 0 }", f"{{ a = 1/2, b = {b}, c = 1/2 }}", 1
    )
    assert abcparam.check(text).verdict == "unstable"


def test_an_infinite_value_may_not_outgrow_what_it_starts_at():
    """A norm over the width of what starts below its change is held to its start."""
    text = bottleneck("adam").replace("mix @ tanh(h)", "rmsnorm(mix @ tanh(h))")
    text = text.replace("{ a = 0, b = 1/2, c = 1 }", "{ a = 0, b = 1, c = 1 }")
    assert abcparam.check(text).verdict == "unstable"


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", RULES)
def test_it_trains_alike_at_every_width(optimizer: str, tmp_path: Path):
    path = tmp_path / "bottleneck.param"
    path.write_text(bottleneck(optimizer), encoding="utf-8")
    checked = abcparam.coord_check(path, widths=(128, 512, 2048), steps=3, seeds=4)
    rows = [row for row in checked.verdict.rows if row.quantity != "at_init"]
    assert rows and not [r for r in rows if r.outcome == "disagrees"]
