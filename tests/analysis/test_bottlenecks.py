"""Finitely many numbers inside of a network, behind a norm: verdicts, and what is measured."""

from __future__ import annotations

from collections.abc import Callable
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
    "radam": ("radam { lr = lr, eps = 0 }", "0.02", "0", "1", "0"),
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


GATE = "h = h * sigmoid(up @ silu(down @ h))"


def gate(optimizer: str) -> str:
    text = bottleneck(optimizer).replace("    latent = rmsnorm(down @ h, eps = 1e-12)\n", "")
    return text.replace("h = h + up @ latent", GATE)


def opened_by(what: str) -> str:
    """The gate, opened by something else."""
    text = gate("adam").replace("up @ silu(down @ h)", what)
    return text.replace("tensor mix", beside("adam", what), 1)


def beside(optimizer: str, what: str) -> str:
    """The tensors that it names, at the rate of this optimizer, before the next one."""
    more = [line for name, line in BESIDE.items() if name in what]
    return "\n".join([*more, "tensor mix"]).replace("INPUT", RULES[optimizer][2])


BESIDE = {
    "bias": "tensor bias : input [width] { a = 0, b = 0, c = INPUT, init = zeros }",
    "side": "tensor side : scalar [rank, features] { a = 0, b = 0, c = 0 }",
    "wide": "tensor wide : input [width, features] { a = 0, b = 0, c = INPUT }",
}


@pytest.mark.parametrize("optimizer", RULES)
def test_a_gate_of_what_a_map_contracts_opens_as_it_learns(optimizer: str):
    """The second function reads what starts as small as the first; both then change by Θ(1)."""
    assert abcparam.check(gate(optimizer)).verdict == "maximal-update"


@pytest.mark.parametrize(
    "opened",
    [
        "up @ silu(down @ h) + bias",
        "up @ (silu(down @ h) + tanh(down @ h))",
        "up @ square(down @ h)",
        "up @ (silu(down @ h) * tanh(side @ x))",
        "(up @ silu(down @ h)) * tanh(wide @ x)",
        "up @ (silu(down @ h) * tanh(down @ h))",
        "2 * (up @ silu(down @ h))",
        "-(up @ (silu(down @ h) / 3))",
        "1 + rescale(up @ silu(down @ h), backward = 2)",
    ],
)
def test_gates_of_other_functions_open_too(opened: str):
    assert abcparam.check(opened_by(opened)).verdict == "maximal-update"


@pytest.mark.parametrize(
    "what",
    [
        "rmsnorm(up @ silu(down @ h))",
        "rmsnorm(2 * (up @ (silu(down @ h) * tanh(side @ x))))",
        "rmsnorm((up @ silu(down @ h)) * tanh(wide @ x))",
        "layernorm((width / base(width))^(-1/4) * (up @ silu(down @ h)))",
    ],
)
@pytest.mark.parametrize("optimizer", RULES)
def test_a_norm_behind_maps_from_few_numbers_starts_below_its_change(optimizer: str, what: str):
    """As one of the few numbers themselves does; what a factor shrinks, a norm enlarges again."""
    assert abcparam.check(normed(optimizer, what)).verdict == "maximal-update"


def test_a_bias_added_to_few_numbers_takes_the_first_gradient_whole():
    """That of `up` meets values of n^(-1/2)."""
    report = abcparam.check(normed("sgd", "rmsnorm(up @ silu(down @ h) + bias)"))
    assert [law.path for law in report.judgement.tensors if law.status == "over"] == ["bias"]


def normed(optimizer: str, what: str = "rmsnorm(up @ silu(down @ h))") -> str:
    """The norm of what a gate is made of, added to the stream."""
    text = bottleneck(optimizer).replace("    latent = rmsnorm(down @ h, eps = 1e-12)\n", "")
    text = text.replace("tensor mix", beside(optimizer, what), 1)
    return text.replace("up @ latent", what)


def test_a_norm_of_few_numbers_and_of_the_width_is_held_to_its_start():
    """Of what starts below its change without such a map the first step is all of it."""
    text = normed("adam", "rmsnorm(up @ silu(down @ h) + small @ h)")
    small = "tensor small : hidden [width, width] { a = 0, b = 1, c = 1 }\ntensor mix"
    assert abcparam.check(text.replace("tensor mix", small, 1)).verdict == "unstable"


def test_each_value_of_few_numbers_is_looked_at_once():
    """Sixty sums of two parts have 2^60 paths back to the few numbers."""
    opened = "    y = up @ silu(down @ h)\n" + "    y = tanh(y) + y\n" * 60
    text = gate("adam").replace(f"    {GATE}", f"{opened}    h = h * sigmoid(y)")
    assert abcparam.check(text).verdict == "maximal-update"


def test_factors_of_few_numbers_keep_their_size():
    """A product with something that shrinks starts smaller than the few numbers make it."""
    text = opened_by("(up @ silu(down @ h)) * tanh(wide @ x)")
    wide = "tensor wide : input [width, features] { a = 0, b = "
    text = text.replace(f"{wide}0", f"{wide}1/4")
    assert abcparam.check(text).verdict == "unstable-at-init"


def test_a_value_of_the_width_beside_few_numbers_is_held_to_its_size():
    text = gate("adam").replace("silu(down @ h))", "silu(down @ h) + side @ h)")
    side = "tensor side : hidden [width, width] { a = 0, b = 1, c = 1 }\ntensor mix"
    report = abcparam.check(text.replace("tensor mix", side, 1))
    assert report.verdict == "unstable-at-init"


def test_few_numbers_that_weigh_a_stream_make_no_few_numbers_of_it():
    """A router gives few numbers, and what experts give by them is as wide as the stream."""
    text = """
model Routed
dim width -> inf, base = 64
tensor first   : input  [width, 8]     { a = 1, b = 0, c = 0 }
tensor router  : output [4, width]     { a = 0, b = 1, c = 1 }
tensor gate    : output [1, width]     { a = 0, b = 1, c = 1 }
tensor readout : output [3, width]     { a = 0, b = 1, c = 1 }
block Expert(x) {
    tensor up : hidden [width, width] { a = 0, b = 3/2, c = 1 }
    return up @ x
}
forward(x : [8]) {
    h = first @ x
    h = h + WEIGHED
    return readout @ tanh(h)
}
optimizer adam { lr = 0.01 }
loss cross_entropy
"""
    for weighed in (
        "mixture(router @ h, Expert(h), top = 2)",
        "(gate @ h) * Expert(h)",
    ):
        report = abcparam.check(text.replace("WEIGHED", weighed))
        assert report.verdict == "unstable-at-init", weighed
        unused, found = report.diagnostics[:2]  # `gate` or `router`, and what is wrong
        assert (unused.code, found.code) == ("P0507", "P0501")
        assert "`h` is of size width^-1 at initialization" in found.message


def test_maps_behind_few_numbers_keep_their_size():
    shrinking = gate("adam").replace(
        "[width, rank]     { a = 0, b = 0,", "[width, rank] { a = 0, b = 1,"
    )
    report = abcparam.check(shrinking)
    assert report.verdict == "unstable-at-init"
    assert report.diagnostics[0].code == "P0501"


def test_exponents_of_a_gate_are_found():
    unknown = gate("adam").replace("{ a = 1, b = 0, c = 0 }", "{ a = ?, b = ?, c = ? }", 1)
    unknown = unknown.replace(
        "[width, rank]     { a = 0, b = 0, c = 0 }", "[width, rank] { a = ?, b = ?, c = ? }"
    )
    solved = abcparam.solve(unknown)
    assert abcparam.check(solved).verdict == "maximal-update"


THROUGH = """h = tanh(down @ tanh(mix @ relu(enter @ x)))
    h = relu(again @ relu(up @ h))"""


def autoencoder(optimizer: str) -> str:
    """All goes through few numbers, which start at n^(-1/2)."""
    text = bottleneck(optimizer).replace("    latent = rmsnorm(down @ h, eps = 1e-12)\n", "")
    text = text.replace("h = enter @ x", THROUGH).replace("    h = h + up @ latent\n", "")
    text = text.replace("readout @ tanh(mix @ tanh(h))", "readout @ h")
    mix = next(line for line in text.splitlines() if line.startswith("tensor mix"))
    return text.replace(mix, f"{mix}\n{mix.replace('mix', 'again')}")


def test_sgd_does_not_leave_a_saddle_of_few_numbers():
    """What they learn in a step is in proportion to what they are, as of `square(down @ h)`.

    The gradient turns as they change, by as much as it is; but a change of few numbers does not
    point along the gradient behind a map back up, and so neither does the turn along the value.
    """
    report = abcparam.check(autoencoder("sgd"))
    assert report.verdict == "trivial"
    updates = {law.path: str(law.update) for law in report.judgement.tensors}
    assert updates["enter"] == updates["mix"] == updates["down"] == "width^(-1/2)"
    assert updates["up"] == updates["again"] == updates["readout"] == "width^-1"
    assert abcparam.check(autoencoder("adam")).verdict == "maximal-update"


@pytest.mark.slow
@pytest.mark.parametrize("make", [bottleneck, gate, normed, autoencoder])
@pytest.mark.parametrize("optimizer", RULES)
def test_it_trains_alike_at_every_width(optimizer: str, make: Callable[[str], str], tmp_path: Path):
    path = tmp_path / "bottleneck.param"
    path.write_text(make(optimizer), encoding="utf-8")
    checked = abcparam.coord_check(path, widths=(128, 512, 2048), steps=3, seeds=4)
    rows = [row for row in checked.verdict.rows if row.quantity != "at_init"]
    assert rows and not [r for r in rows if r.outcome == "disagrees"]


def test_a_logarithm_of_few_numbers_is_no_power_of_the_width():
    """Of n^(-1/2) times a sigmoid it is -1/2 log n: measured, it grows with every width."""
    factor = "(width / base(width))^(-1/2) * "
    text = gate("adam").replace("silu(down @ h)", f"log({factor}sigmoid(down @ h))")
    report = abcparam.check(text)
    assert report.verdict == "unstable-at-init"
    assert "a logarithm must be Θ(1)" in report.diagnostics[0].message
    assert abcparam.check(text.replace(factor, "")).verdict == "maximal-update"
    unknown = text.replace("{ a = 1, b = 0, c = 0 }", "{ a = ?, b = ?, c = ? }", 1)
    derived = abcparam.derive(unknown)
    assert (derived.verdict, derived.elsewhere) == (
        "unstable-at-init",
        ("the input of log must be Θ(1)",),
    )
