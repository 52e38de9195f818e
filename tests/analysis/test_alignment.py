"""Of a change, the part that points along what reads it: the law, and slopes of emitted models.

It is all of it but where the change goes through finitely many numbers, and where the gradient that
made it came through other readers.
"""

from __future__ import annotations

import json
from fractions import Fraction
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


SIDE = """model Side
dim width -> inf, base = 64
dim pixels = 12
dim codes = 3
dim classes = 5
hyper lr = 0.1
tensor first : input  [width, pixels]  {{ a = 0, b = 0, c = {c} }}
tensor main  : output [classes, width] {{ a = 1, b = 0, c = {c}{start} }}
tensor side  : output [codes, width]   {{ a = 5/4, b = 0, c = 0, frozen }}
forward(x : [pixels]) {{
    h = first @ x
    y = main @ tanh(h)
    s = side @ h
    return y, s
}}
optimizer {optimizer} {{ lr = lr }}
loss cross_entropy(y) + cross_entropy(s)
"""
UNREAD = """
tensor first   : input  [width, pixels]
tensor encoder : output [codes, width]
tensor decoder : input  [width, codes]
tensor readout : output [classes, width]
forward(x : [pixels]) {
    h = first @ x
    k = encoder @ tanh(h)
    unread = h + decoder @ k
    return readout @ gelu(h)
}
"""
BESIDE = """model Beside
dim width -> inf, base = 64
dim pixels = 12
dim codes = 3
dim classes = 5
hyper lr = 0.1
tensor first   : input  [width, pixels]  { a = 0, b = 0, c = -1 }
tensor encoder : output [codes, width]   { a = 1, b = 0, c = -1, frozen }
tensor decoder : input  [width, codes]   { a = 0, b = 0, c = 0 }
tensor readout : output [classes, width] { a = 1, b = 0, c = -1 }
forward(x : [pixels]) {
    h = first @ x
    k = encoder @ tanh(h)
    y = h + decoder @ k
    return readout @ silu(y)
}
optimizer sgd { lr = lr }
loss cross_entropy
"""


def changes_of(text: str) -> dict[str, str]:
    return {node.name: str(node.d) for node in abcparam.check(text).graph.nodes}


def side(optimizer: str, c: int, start: str = "") -> str:
    return SIDE.format(optimizer=optimizer, c=c, start=start)


@pytest.mark.parametrize(("optimizer", "c"), [("sgd", -1), ("adam", 0), ("adafactor", 0)])
def test_a_change_points_along_a_reader_as_far_as_its_gradient_came_through_it(
    optimizer: str, c: int
):
    """n^(-5/4) of n^-1 came through `side`: n^(-1/4) of the change is aligned over n."""
    changes = changes_of(side(optimizer, c))
    assert changes["h"] == "1" and changes["s"] == "width^(-1/2)"


def test_so_it_is_in_the_emitted_model(run: Run, tmp_path: Path):
    spec = tmp_path / "spec.param"
    spec.write_text(side("sgd", -1), encoding="utf-8")
    options = ("--widths", "128,256,512,1024", "--seeds", "6", "--format", "json", "--fresh")
    found = json.loads(run("coord-check", spec, *options).out)
    (row,) = [r for r in found["rows"] if (r["name"], r["quantity"]) == ("s", "change")]
    assert row["agree"] and row["measured"] == pytest.approx(-0.5, abs=0.15)


def test_a_change_is_made_by_the_gradient_of_its_own_step():
    """Behind a main readout that starts at zero the first step's gradient is all from `side`."""
    changes = changes_of(side("adam", 0, ", init = zeros"))
    assert changes["s"] == "width^(-1/4)"


def test_a_reader_without_a_gradient_is_met_at_random():
    changes = changes_of(HEAD + UNREAD + TAIL)
    assert changes["h"] == "1" and changes["k"] == "width^(-1/2)"


def test_a_gradient_changes_along_a_term_as_far_as_it_is_of_the_sum():
    """`decoder @ k` is n^(-1/2) of y, so that what the readout learns meets the decoder's columns
    no better than at random, and h gets n^(-3/2) of its n^-1 through the bottleneck.
    """
    report = abcparam.check(BESIDE)
    nodes = {node.name: node for node in report.graph.nodes}
    assert str(nodes["k"].g) == "width^(-1/2)" and str(nodes["k"].d) == "width^(-1/2)"
    (decoder,) = [t for t in report.judgement.tensors if t.path == "decoder"]
    assert str(decoder.update) == "width^-2"


SHARED = """
tensor first   : input  [width, pixels]
tensor inner   : hidden [width, width]
tensor readout : output [classes, width] { frozen }
forward(x : [pixels]) {
    h = first @ x
    early = readout @ h
    late = readout @ (h + width^(1/2) * tanh(inner @ h))
    return early, late
}
optimizer adam { lr = lr }
loss cross_entropy(early) + cross_entropy(late)
"""


def test_it_is_all_of_the_change_where_it_cannot_be_told():
    """Muon enlarges small parts of gradients; a readout that is used twice is learnt of twice."""
    assert changes_of(side("muon", 0))["s"] == "width^(-1/4)"
    early = {node.name: node for node in abcparam.check(HEAD + SHARED).graph.nodes}["early"]
    assert str(early.d) == "1"


WEIGHTS = """tensor enter   : input [width, pixels]
tensor mid     : [width, width] {{ a = 0, b = 0, c = {c} }}
tensor readout : output [classes, width]
forward(x : [pixels]) {{
    h = unsqueeze(relu(enter @ x), axis = 0)
    y = (base(width) / width)^(1/2) * similarity(h, {weights})
    return readout @ relu(flatten(y))
}}
optimizer {optimizer}
loss cross_entropy
"""


def weighed(weights: str, optimizer: str = "adam { lr = lr, eps = 0 }", c: str = "1/4") -> str:
    """A map whose weights are made of a tensor; `c` is of its width, n^2 as nothing is summed."""
    return HEAD + WEIGHTS.format(weights=weights, optimizer=optimizer, c=c)


@pytest.mark.parametrize(
    "weights", ["mid", "rmsnorm(mid)", "layernorm(mid)", "tanh(mid)", "softsign(rmsnorm(mid) / 2)"]
)
def test_weights_made_of_a_tensor_are_those_of_a_map(weights: str):
    """Norms of rows, and entries that are bent: a change of x points along rows as those of W."""
    assert abcparam.check(weighed(weights)).verdict == "maximal-update"
    assert abcparam.check(weighed(weights, c="1/8")).verdict == "unstable"
    sgd = weighed(weights, "sgd { lr = lr }", "-1/2")
    assert abcparam.check(sgd).verdict == "maximal-update"


@pytest.mark.parametrize("weights", ["relu(mid)", "mid + shift", "concat(part, part, axis = 0)"])
def test_of_rows_that_are_alike_it_is_all_of_the_change(weights: str):
    """They share a direction, along which the change may point: n^(1/2) more."""
    shift = "tensor shift : input [width] { init = normal(1) }"
    part = "tensor part : [width / 2, width] { c = 1/4 }"
    text = weighed(weights).replace("tensor mid", f"{shift}\n{part}\ntensor mid")
    assert abcparam.check(text).verdict in ("unstable", "unstable-at-init")


def test_weights_that_are_normalised_in_the_emitted_model(run: Run, tmp_path: Path):
    path = tmp_path / "weights.param"
    path.write_text(weighed("rmsnorm(mid)"), encoding="utf-8")
    checked = abcparam.coord_check(path, widths=(64, 256, 1024), steps=3, seeds=3)
    assert checked.report.verdict == "maximal-update"
    assert not [row for row in checked.verdict.rows if row.outcome == "disagrees"]


BESIDE_ADAM = "{} for mid {{ lr = lr }}\noptimizer adam {{ lr = lr, eps = 0 }}"


@pytest.mark.parametrize(
    ("optimizer", "c"),
    [("muon", "-1/4"), ("normuon", "-1/4"), ("shampoo", "-1/4"), ("soap", "1/4")],
)
def test_weights_that_a_sum_reads_are_those_of_a_map_under_any_optimizer(optimizer: str, c: str):
    """Updates of a spectral norm are met as a map's: they were said to be n^(1/2) too large."""
    rule = BESIDE_ADAM.format(optimizer)
    assert abcparam.check(weighed("mid", rule, c)).verdict == "maximal-update"
    larger = weighed("mid", rule, str(Fraction(c) - Fraction(1, 8)))
    assert abcparam.check(larger).verdict == "unstable"


def test_a_square_of_positions_moves_by_the_matrix_that_is_stored():
    """Muon moves it by n^(-1/2), measured -0.48: n^2 rows of one column were taken for it."""
    text = """tensor enter : input [width, pixels]
tensor places : input [width, width] { a = 0, b = 0, c = 0 }
tensor readout : output [classes, width]
forward(x : [width, pixels]) {
    return mean(readout @ relu(tanh(enter @ x) + places), axis = 0)
}
loss cross_entropy
"""
    for adjust in ("original", "spectral"):
        rule = f"muon for places {{ lr = lr, adjust = {adjust} }}\noptimizer adam {{ lr = lr }}"
        tensors = abcparam.check(f"{HEAD}{text}optimizer {rule}\n").judgement.tensors
        assert {str(t.update) for t in tensors if t.path == "places"} == {"width^(-1/2)"}


@pytest.mark.parametrize("weights", ["(1 + shift) * rmsnorm(mid)", "relu(shift) * tanh(mid)"])
def test_entries_at_random_are_those_of_a_map_whatever_multiplies_them(weights: str):
    """A fixed gain `1 + g` was taken for rows that share a direction, n^(1/2) too far."""
    shift = "tensor shift : input [width] { init = normal(1), frozen }"
    text = weighed(weights).replace("tensor mid", f"{shift}\ntensor mid")
    assert abcparam.check(text).verdict == "maximal-update"


def test_what_is_made_of_the_same_entries_may_share_a_direction():
    text = weighed("relu(mid) * mid")
    assert abcparam.check(text).verdict != "maximal-update"
