"""Architectures: the reference says where each is written and tested; depth from no exponents; axes
that grow together and apart.
"""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

import abcparam
from abcparam.coordinate_check.check import coordinate_check
from abcparam.coordinate_check.judging import DISAGREES
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.pipeline import to_source
from abcparam.symbolic.solve.complete import Completed, complete
from abcparam.verdict.check import load
from tests.coordinate_check.test_depth import DEEP, DEPTHS
from tests.support.paths import ROOT

REFERENCE = (ROOT / "docs/language.md").read_text(encoding="utf-8")


def rows() -> list[tuple[str, str]]:
    """Of the reference's table of architectures: what it is, where it is written or tested."""
    (table,) = re.findall(r"^\| architecture .*\n\|[-|]+\n((?:\|.*\n)+)", REFERENCE, re.M)
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()]
    return [(first, last) for first, *_, last in cells]


def test_the_reference_names_every_architecture():
    assert len(rows()) == 36
    assert all(re.search(r"`(examples|tests)/", where) for _, where in rows())


@pytest.mark.parametrize(("what", "where"), rows(), ids=[what for what, _ in rows()])
def test_where_the_reference_sends_one_is_something(what: str, where: str):
    """Files are there, and say what is named after them."""
    text = ""
    for word in re.findall(r"`([^`]+)`", where):
        if word.startswith(("examples/", "tests/")):
            text = (ROOT / word).read_text(encoding="utf-8")
        else:
            assert word in text, word


# Depth

UNKNOWN = """parametrization {
    input  { a = ?, b = ?, c = ? }
    hidden { a = ?, b = ?, c = ?, c[depth] = ? }
    output { a = ?, b = ?, c = ? }
}"""
KNOWN = """parametrization mup { hidden { c[depth] = ? } }"""
OPTIMIZERS = {"adam": "adam { lr = lr, eps = 0 }", "sgd": "sgd { lr = lr }"}


def deep(multiplier: str, optimizer: str, exponents: str) -> str:
    text = re.sub(r"parametrization \{.*?\n\}", exponents, DEEP, flags=re.S)
    text = re.sub(r"optimizer .*", f"optimizer {OPTIMIZERS[optimizer]}", text)
    return text.replace("MULTIPLIER", multiplier)


def values(found: Completed) -> dict[str, Fraction]:
    return {symbol: value.constant for symbol, value in found.solution.values.items()}


RATES = [
    ("adam", "-1", "0", True),  # arXiv 2505.01618, Table 1
    ("adam", "-1/2", "1/2", False),  # arXiv 2310.02244
    ("sgd", "-1", "-1", True),  # arXiv 2603.00541: a rate that grows with the depth
    ("sgd", "-1/2", "0", False),  # arXiv 2310.02244
]


@pytest.mark.parametrize(("optimizer", "power", "rate", "whole"), RATES)
def test_solve_finds_the_rule_of_depth_from_no_exponents(
    optimizer: str, power: str, rate: str, whole: bool
):
    """Those of the width, too; `complete` holds at multipliers of 1/L."""
    found = complete(to_source(deep(f"(depth / base(depth))^({power})", optimizer, UNKNOWN)))
    table = {"adam": (0, 1, 0), "sgd": (-1, 0, -1)}[optimizer]  # arXiv 2203.03466, Table 8
    rates = {f"c_{r}": c for r, c in zip(("input", "hidden", "output"), table, strict=True)}
    scales = {"a_input": 0, "b_input": 0, "a_hidden": 0, "b_hidden": Fraction(1, 2)}
    readout = {"a_output": 1, "b_output": 0}
    wanted = {**rates, **scales, **readout, "c_depth_hidden": Fraction(rate)}
    assert values(found) == wanted
    assert abcparam.check(found.text).judgement.complete == whole


def test_under_sgd_a_rate_that_does_not_grow_leaves_every_branch_behind():
    """arXiv 2603.00541: at a multiplier of 1/L updates fall with the depth."""
    text = deep("(depth / base(depth))^-1", "sgd", KNOWN.replace("?", "0"))
    report = abcparam.check(text).to_dict()
    assert report["verdict"] == "feature-learning"
    slack = {t["name"]: t["slack"]["depth"] for t in report["tensors"]}
    assert slack == {"first": "0", "readout": "0", "layers.layer.up": "1", "layers.layer.down": "1"}


@pytest.mark.parametrize("rate", ["-1", "0"])
def test_depth_under_sgd_is_as_derived(rate: str):
    """Measured at depths of 4 to 32: with a rate that grows the stream changes by as much at every
    depth, without by 1/L.
    """
    text = deep("(depth / base(depth))^-1", "sgd", KNOWN.replace("?", rate))
    found = coordinate_check(load(Source(text)), DEPTHS)
    assert not found.verdict.of(DISAGREES)
    updates = {
        row.name: row for row in found.verdict.rows if row.quantity == "update" and "." in row.name
    }
    assert len(updates) == 2
    for row in updates.values():
        assert str(row.law) == {"-1": "0", "0": "-1"}[rate]
        slope = row.slope
        assert slope is not None and abs(slope.value + (rate == "0")) < 0.4, slope


@pytest.mark.parametrize(("optimizer", "multiplier"), [("adam", "1"), ("sgd", "1/2")])
def test_solve_finds_a_multiplier_of_the_branches(optimizer: str, multiplier: str):
    """Where it is an exponent of the last tensor: 1/L for Adam, L^(-1/2), with rates that do not
    depend on the depth, for SGD.
    """
    own = "hidden [width, width] { a[depth] = ?, c[depth] = ? }"
    text = deep("1", optimizer, KNOWN).replace("down : hidden [width, width]", f"down : {own}")
    wanted = {"c_depth_hidden": 0, "c_depth_down": 0, "a_depth_down": Fraction(multiplier)}
    assert values(complete(to_source(text))) == wanted


def test_solve_keeps_to_what_the_spec_expects_of_depth():
    """With `complete` the multiplier under SGD is 1/L, and rates grow (arXiv 2603.00541)."""
    own = "hidden [width, width] { a[depth] = ?, c[depth] = ? }"
    text = deep("1", "sgd", KNOWN).replace("down : hidden [width, width]", f"down : {own}")
    text += "expect maximal-update, complete\n"
    found = complete(to_source(text))
    assert values(found)["a_depth_down"] == 1
    assert abcparam.check(found.text).as_expected
    with pytest.raises(SpecError) as failed:
        complete(to_source(text.replace("a[depth] = ?", "a[depth] = 1/2")))
    assert "maximal-update, complete" in failed.value.diagnostics[0].message


# Axes that grow together and apart

HEAD = """model Wide
dim width -> inf, base = 64
dim features = 16
dim classes = 8
hyper lr = 0.01
tensor enter   : input  [width, features]
tensor readout : output [classes, width]
"""
TAIL = """forward(x : [features]) {
    h = enter @ x
    repeat 2 as layers { h = h + Branch(layernorm(h)) }
    return readout @ layernorm(h)
}
optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""
LORA = (
    HEAD
    + """dim rank = width / 8
parametrization mup { input { frozen }, hidden { frozen }, output { frozen } }
block Branch(x) {
    tensor weight : hidden [width, width]
    tensor down   : hidden [rank, width] { a = 0, b = ?, c = ?, frozen = false }
    tensor up     : hidden [width, rank] { a = 0, b = 0, c = ?, init = zeros, frozen = false }
    return weight @ x + up @ down @ x
}
"""
    + TAIL
)


def test_adapters_whose_rank_grows_are_hidden_maps():
    """Not the output and input maps of LoRA+: both rates are 1/n. Measured, too; ranks of 8 to 64
    are few, and some slopes are crossovers.
    """
    found = complete(to_source(LORA))
    assert values(found) == {"b_down": Fraction(1, 2), "c_down": 1, "c_up": 1}
    checked = coordinate_check(
        load(Source(found.text)), CheckOptions(widths=(64, 128, 256, 512), seeds=2, steps=2)
    )
    assert not checked.verdict.of(DISAGREES)


def test_the_initial_size_of_what_starts_at_zero_is_left_at_zero():
    """In another dim, too, of which nothing is preferred."""
    text = LORA.replace("dim rank = width / 8", "dim rank -> inf after width, base = 8")
    found = complete(
        to_source(text.replace("b = 0, c = ?, init", "b = 0, b[width] = ?, c = ?, init"))
    )
    assert found.solution.free == ("b_width_up",) and values(found)["b_width_up"] == 0


APART = (
    HEAD
    + """dim inner -> inf after width, base = 64
parametrization mup
block Branch(x) {
    tensor up   : hidden [inner, width] { b = ?, b[inner] = ?, c = ?, c[inner] = ? }
    tensor down : hidden [width, inner] { b = ?, b[width] = ?, c = ?, c[width] = ? }
    return down @ relu(up @ x)
}
"""
    + TAIL
)


def test_axes_that_grow_apart_want_the_spectral_condition():
    """arXiv 2310.17813: entries are of size sqrt(min(1, out / in) / in), rates of 1 / in."""
    assert values(complete(to_source(APART))) == {
        "b_up": 1,
        "b_inner_up": Fraction(-1, 2),
        "c_up": 1,
        "c_inner_up": 0,
        "b_down": Fraction(1, 2),
        "b_width_down": 0,
        "c_down": 1,
        "c_width_down": 0,
    }
