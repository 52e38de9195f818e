"""`coord-check --vary`: laws in a limit after the first, of residual streams that grow deeper."""

from __future__ import annotations

import json

import pytest

from abcparam.coordinate_check.check import CoordCheckResult, coordinate_check
from abcparam.coordinate_check.judging import DISAGREES
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.source import Source
from abcparam.pipeline import compile
from abcparam.verdict.check import load
from tests.support.running import MLP, Run

DEPTHS = CheckOptions(widths=(4, 8, 16, 32), seeds=2, steps=2, vary="depth")
DEEP = """model Deep
dim width -> inf, base = 32
dim depth -> inf after width, base = 4
dim pixels = 16
dim classes = 8
hyper lr = 0.003

parametrization {
    input  { a = 0, b = 0,   c = 0 }
    hidden { a = 0, b = 1/2, c = 1, c[depth] = RATE }
    output { a = 1, b = 0,   c = 0 }
}

tensor first   : input [width, pixels]
tensor readout : output [classes, width]

block Layer(x) {
    tensor up   : hidden [width, width]
    tensor down : hidden [width, width]
    return down @ relu(up @ layernorm(x))
}

forward(x : [pixels]) {
    h = first @ x
    repeat depth as layers {
        h = h + MULTIPLIER * Layer(h)
    }
    return readout @ layernorm(h)
}

optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""
COMPLETE = ("(depth / base(depth))^-1", "0")
HALF = ("(depth / base(depth))^(-1/2)", "1/2")
BARE = ("1", "0")


def deep(rule: tuple[str, str]) -> str:
    """A residual network with this multiplier of its branches and exponent of their rate."""
    return DEEP.replace("MULTIPLIER", rule[0]).replace("RATE", rule[1])


def checked(text: str, code: str | None = None) -> CoordCheckResult:
    return coordinate_check(load(Source(text)), DEPTHS, code=code)


def derived(found: CoordCheckResult) -> dict[tuple[str, str], str]:
    return {(row.name, row.quantity): str(row.law) for row in found.verdict.rows}


@pytest.mark.parametrize("rule", [COMPLETE, HALF], ids=["CompleteP", "depth-muP"])
def test_depth_rules_agree(rule: tuple[str, str]):
    """CompleteP (arXiv 2505.01618) and Tensor Programs VI (2310.02244): the stream and its change
    stay, and a layer's own update is as large as its branch's multiplier leaves room for.
    """
    found = checked(deep(rule))
    assert found.agree, found.verdict.of(DISAGREES)
    assert found.widths == [4, 8, 16, 32]
    laws = derived(found)
    assert (laws["h", "at_init"], laws["h", "change"]) == ("0", "0")
    assert laws["layers.layer.up", "update"] == ("0" if rule is COMPLETE else "-1/2")
    assert any("only depth is varied, at width = 32" in said for said in found.notes)


def test_a_stream_without_a_multiplier_blows_up_as_derived():
    found = checked(deep(BARE))
    assert found.report.verdict == "unstable"
    assert found.agree, found.verdict.of(DISAGREES)
    rows = {(row.name, row.quantity): row for row in found.verdict.rows}
    assert str(rows["h", "at_init"].law) == "1/2"
    slope = rows["h", "at_init"].slope
    assert slope is not None and slope.value > 0.3


@pytest.mark.parametrize(("law", "trained"), [(COMPLETE, BARE), (HALF, BARE), (HALF, COMPLETE)])
def test_another_depth_rule_is_caught(law: tuple[str, str], trained: tuple[str, str]):
    """What is trained is another rule than the laws are of."""
    found = checked(deep(law), compile(deep(trained)))
    assert not found.agree
    assert {row.name for row in found.verdict.of(DISAGREES)} >= {"h"}


def test_the_command_varies_what_it_is_told(run: Run):
    arguments = ("--widths", "4,8,16", "--seeds", "1", "--steps", "1", "--format", "json")
    ran = run("coord-check", "-", "--vary", "depth", *arguments, stdin=deep(HALF))
    found = json.loads(ran.out)
    assert (found["vary"], found["widths"]) == ("depth", [4, 8, 16])
    text = run("coord-check", "-", "--vary", "depth", *arguments[:6], stdin=deep(HALF)).out
    assert text.startswith("Deep (-), depth 4, 8, 16\n")


def test_what_does_not_grow_is_not_varied(run: Run):
    ran = run("coord-check", MLP, "--vary", "pixels")
    assert (ran.status, ran.out) == (2, "")
    assert "pixels is no dim that goes to infinity; those are width" in ran.err
