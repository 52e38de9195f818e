"""A change that goes through finitely many numbers does not point along the readout: the law, and
the slopes of the emitted models.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import abcparam
from tests.support.running import Run

HEAD = """model M
dim width -> inf, base = 64
dim pixels = 12
dim experts = 3
dim codes = 2
dim classes = 5
hyper lr = 0.02
parametrization mup
"""
TAIL = """
optimizer adam { lr = lr }
loss cross_entropy
"""
SCALAR = """
tensor first   : input  [width, pixels]  { frozen }
tensor second  : hidden [width, width]   { frozen }
tensor readout : output [classes, width] { frozen }
tensor alpha   : scalar []               { init = ones }
forward(x : [pixels]) {
    k = alpha * tanh(second @ tanh(first @ x))
    return readout @ k
}
"""
ROUTER = """
tensor first   : input  [width, pixels]  { frozen }
tensor readout : output [classes, width] { frozen }
tensor router  : output [experts, width] { init = normal(1) }
block Expert(h) {
    tensor inner : hidden [width, width] { frozen }
    return inner @ h
}
forward(x : [pixels]) {
    h = tanh(first @ x)
    k = mixture(router @ h, Expert(h), top = 2)
    return readout @ k
}
"""
DECODER = """
tensor first   : input  [width, pixels]
tensor encoder : output [codes, width]
tensor decoder : input  [width, codes]   { frozen }
tensor readout : output [classes, width] { frozen }
forward(x : [pixels]) {
    k = decoder @ tanh(encoder @ tanh(first @ x))
    return readout @ k
}
"""


@pytest.mark.parametrize("text", [SCALAR, ROUTER, DECODER], ids=["scalar", "router", "decoder"])
def test_the_readout_does_not_see_it_in_full(text: str, run: Run, tmp_path: Path):
    """k changes by Θ(1), the output by n^(-1/2): over widths 64-512, within 0.1 of the law."""
    spec = tmp_path / "spec.param"
    spec.write_text(HEAD + text + TAIL, encoding="utf-8")
    report = abcparam.check(spec)
    assert report.verdict == "trivial"
    (output,) = report.graph.outputs
    changes = {node.name: str(node.d) for node in report.graph.nodes}
    assert changes["k"] == "1" and str(output.d) == "width^(-1/2)"
    options = ("--widths", "64,128,256,512", "--seeds", "4", "--format", "json", "--fresh")
    found = json.loads(run("coord-check", spec, *options).out)
    measured = {r["name"]: r for r in found["rows"] if r["quantity"] == "change"}
    assert measured["k"]["agree"] and measured["output"]["agree"]


@pytest.mark.parametrize("text", [SCALAR, ROUTER, DECODER], ids=["scalar", "router", "decoder"])
def test_training_all_of_it_does(text: str):
    report = abcparam.check(HEAD + text.replace("{ frozen }", "") + TAIL)
    assert report.verdict == "maximal-update"
