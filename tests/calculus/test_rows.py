"""Disjoint rows of one map are as independent as two maps: packed queries and keys, gates."""

from __future__ import annotations

import math

import pytest
import torch

import abcparam
from abcparam.verdict.report import Report

HEAD = """model M
dim width -> inf, base = 64
dim heads = 4
dim head = width / heads
dim features = 16
dim classes = 10
parametrization mup
tensor first : input [width, features]
tensor readout : output [classes, width]
"""
TAIL = "optimizer adam { lr = 1e-3, eps = 1e-12 }\nloss cross_entropy\n"


def judged(tensors: str, body: str) -> Report:
    forward = f"forward(x : [features]) {{\n h = relu(first @ x)\n{body}\n}}\n"
    return abcparam.check(f"{HEAD}{tensors}\n{forward}{TAIL}")


ATTENTION = """dim context = 8
{tensors}
forward(x : [context, features]) {{
 h = first @ x
 {lines}
 y = attention(q, k, v, heads = heads, scale = head^(-1/2), causal = true)
 return readout @ y
}}
"""
PACKED = "tensor qkv : hidden [3 * width, width]", "q, k, v = split(qkv @ h, 3)"
APART = "tensor a, b, c : hidden [width, width]", "q = a @ h; k = b @ h; v = c @ h"


def attention(tensors: str, lines: str) -> Report:
    return abcparam.check(HEAD + ATTENTION.format(tensors=tensors, lines=lines) + TAIL)


@pytest.mark.parametrize(
    "packed",
    [
        PACKED,
        ("tensor qkv : hidden [3 * width, width]\ntensor bias : input [3 * width]",
         "q, k, v = split(qkv @ h + bias, 3)"),
        ("tensor qkv : hidden [3 * width, width]", "q, k, v = split(2 * (qkv @ h), 3)"),
        ("tensor qk : hidden [2 * width, width]\ntensor value : hidden [width, width]",
         "q, k = split(qk @ h, 2); v = value @ h"),
        ("tensor all : hidden [4 * width, width]",
         "qk, vw = split(all @ h, 2); q, k = split(qk, 2); v, w = split(vw, 2)"),
        ("tensor qkv : hidden [3 * width, width]\ntensor U : hidden [3 * width, width]",
         "q, k, v = split(qkv @ h + U @ h, 3)"),
    ],
    ids=["rows", "bias", "factor", "two of three", "twice", "a sum of two maps"],
)  # fmt: skip
def test_packed_attention_is_as_that_of_three_maps(packed: tuple[str, str]):
    """It starts as it should with 1/sqrt(head), and outgrows that in training, as with three."""
    found, apart = attention(*packed), attention(*APART)
    assert found.verdict == apart.verdict == "unstable"
    laws = {law.path: law for law in found.judgement.tensors}
    (first,) = [law for law in apart.judgement.tensors if law.path == "a"]
    for path, law in laws.items():
        if path not in {"first", "readout", "bias", "value"}:
            assert (law.at_init, law.update, law.slack) == (
                first.at_init,
                first.update,
                first.slack,
            )


@pytest.mark.parametrize(
    ("tensors", "lines"),
    [
        ("tensor qkv : hidden [3 * width, width]", "q, k, v = split(qkv @ h, 3); k = q"),
        ("tensor w : hidden [width, width]", "q, k, v = split(concat(w @ h, w @ h, w @ h), 3)"),
        ("tensor qkv : hidden [3 * width, width]",
         "q, k, v = split(qkv @ h, 3); s = q + k; k = s"),
        ("tensor w : hidden [width, width]",
         "q = w @ h; k = w @ h; v = w @ h"),
    ],
    ids=["the same part", "the same rows side by side", "a part of the other", "one map twice"],
)  # fmt: skip
def test_what_shares_rows_is_not_independent(tensors: str, lines: str):
    assert attention(tensors, lines).verdict == "unstable-at-init"


def test_parts_along_another_axis_share_all_rows():
    text = HEAD + """dim context = 8
tensor w : hidden [width, width]
forward(x : [2 * context, features]) {
 q, k = split(w @ (first @ x), 2, axis = 0)
 y = attention(q, k, k, heads = heads, scale = head^(-1/2))
 return readout @ y
}
""" + TAIL  # fmt: skip
    assert abcparam.check(text).verdict == "unstable-at-init"


def test_inner_products_of_parts_obey_the_central_limit():
    """Measured at widths 64 to 1024: of two parts n^(1/2), of a part with itself n."""
    torch.manual_seed(0)
    widths, two, same = [64, 128, 256, 512, 1024], [], []
    for width in widths:
        h = torch.randn(width, 64, dtype=torch.float64)
        found = torch.randn(3 * width, width, dtype=torch.float64) @ h / width**0.5
        q, k, _ = found.chunk(3)
        two.append(float((q * k).sum(0).square().mean().sqrt()))
        same.append(float((q * q).sum(0).square().mean().sqrt()))
    assert abs(slope(widths, two) - 0.5) < 0.1
    assert abs(slope(widths, same) - 1.0) < 0.05


def slope(widths: list[int], sizes: list[float]) -> float:
    x, y = [math.log(w) for w in widths], [math.log(s) for s in sizes]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread


def test_gates_and_values_of_one_map():
    """A gated feed-forward with one map for both, and the cell of an LSTM, keep their verdict."""
    gated = judged(
        "tensor up : hidden [2 * width, width]\ntensor down : hidden [width, width]",
        " a, b = split(up @ h, 2)\n return readout @ relu(down @ (silu(a) * b))",
    )
    assert gated.verdict == "maximal-update"
    cell = judged(
        "tensor W : hidden [4 * width, width]",
        " i, f, g, o = split(W @ h, 4)\n c = sigmoid(i) * tanh(g)\n"
        " return readout @ (sigmoid(o) * tanh(c))",
    )
    assert cell.verdict == "maximal-update"


def test_sums_that_share_their_summands_are_gone_through_once():
    """60 sums of a value with itself: 2^60 ways to its map, of which one is taken."""
    doubled = "\n".join([" s = w @ h", *[" s = s + relu(s)"] * 60])
    tensors = "tensor w : hidden [2 * width, width]"
    report = judged(tensors, f"{doubled}\n a, b = split(s, 2)\n return readout @ (a * b)")
    assert report.verdict
