"""Disjoint rows of one map are as independent as two maps: packed queries and keys, gates."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch

import abcparam
from abcparam.algebra.polynomials import ONE, atom
from abcparam.calculus.parts import Rows, are_apart, part
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
        ("tensor qkv : hidden [3 * width, width]",
         "q, kv = split(qkv @ h, (width, 2 * width)); k, v = split(kv, 2)"),
        ("tensor qkv : hidden [3 * width, width]\ntensor U : hidden [3 * width, width]",
         "q, k, v = split(qkv @ h + U @ h, 3)"),
    ],
    ids=["rows", "bias", "factor", "two of three", "twice", "two lengths", "a sum of two maps"],
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


TWICE = """a, b = split(all @ h, 2, heads = heads); q, c = split(b, 2)
 d, e = split(all @ h, 2); v, k = split(d, 2, heads = heads)"""
HEADS = "tensor all : hidden [4 * width, width]"


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ("q, k, v, w = split(all @ h, 4, heads = heads)", "unstable"),
        ("a, b = split(all @ h, 2, heads = heads); q, k = split(a, 2, heads = heads); v = k",
         "unstable"),
        ("a, b = split(all @ h, 2); q, k = split(a, 2, heads = heads); v = k", "unstable"),
        ("a, b = split(all @ h, 2); q, c = split(a, 2, heads = heads); k, v = split(b, 2)",
         "unstable"),
        ("q, b, c, d = split(all @ h, 4, heads = heads); e, k, v, f = split(all @ h, 4)",
         "unstable-at-init"),
        (TWICE, "unstable-at-init"),
    ],
    ids=["by heads", "by heads twice", "plainly, then by heads", "of two halves", "in both ways",
         "in both ways, twice"],
)  # fmt: skip
def test_parts_of_each_head_are_apart_where_no_row_is_in_both(lines: str, verdict: str):
    assert attention(HEADS, lines).verdict == verdict


ROWS = 864


@pytest.mark.parametrize("heads", [12, 24])
def test_parts_that_are_apart_share_no_row(heads: int):
    """Every way to split twice, beside the rows themselves, of a number of heads that grows."""
    number_of_heads = atom("heads")
    found: list[tuple[Rows, frozenset[int]]] = [({}, frozenset(range(ROWS)))]
    for first, second in itertools.product(((1, 0), (2, 0), (2, heads), (3, heads)), repeat=2):
        for i, j in itertools.product(range(first[0]), range(second[0])):
            rows: Rows = {}
            held = list(range(ROWS))
            for index, (count, by) in ((i, first), (j, second)):
                share = Fraction(index, count), Fraction(index + 1, count)
                rows = part(rows, share, number_of_heads if by else ONE, lambda _: True)
                each = len(held) // max(by, 1) // count
                places = range(len(held))
                held = [held[p] for p in places if p // each % count == index]
            found.append((rows, frozenset(held)))
    pairs = [(x, y) for x in found for y in found]
    apart = [(x, y) for x, y in pairs if are_apart(x[0], y[0])]
    assert not any(x[1] & y[1] for x, y in apart)
    assert len(apart) > 0.8 * sum(not x[1] & y[1] for x, y in pairs)


def test_factors_whose_mean_is_not_zero_are_aligned_at_initialization():
    """Measured at widths 128 to 1024: of two `relu`s n, of one with what is centred n^(1/2)."""
    torch.manual_seed(0)
    widths = [128, 256, 512, 1024]
    for left, right, size, exponent in (
        ("relu(a @ h)", "relu(b @ h)", "width", 1.0),
        ("relu(a @ h)", "b @ h", "width^(1/2)", 0.5),
        ("repeat_interleave(c @ h, head)", "repeat_interleave(d @ h, head)", "width", 1.0),
        ("repeat_interleave(c @ h, head)", "b @ h", "width^(1/2)", 0.5),
    ):
        tensors = "tensor a, b : hidden [width, width]\n"
        tensors += "tensor c, d : output [heads, width] { a = 0, b = 1/2, c = 1 }"
        lines = f"q = {left}; k = {right}; v = b @ h\n s = similarity(q, k)"
        law = attention(tensors, lines).judgement.laws.graph.activations["s"]
        assert str(law.s0) == size
        measured = [similarity_of(left, right, width) for width in widths]
        assert abs(slope(widths, measured) - exponent) < 0.15, (left, right)


def similarity_of(left: str, right: str, width: int) -> float:
    """The root mean square of an inner product over the width of values such as are written."""
    found = []
    for text in (left, right):
        h = torch.randn(4 if "repeat" in text else width, 512, dtype=torch.float64)
        h = h.relu() if "relu" in text else h
        found.append(h.repeat_interleave(width // len(h), 0))
    return float((found[0] * found[1]).sum(0).square().mean().sqrt())


def test_norms_of_channels_leave_nothing_of_a_constant():
    """As layer norms: group and batch norms subtract a mean, and what is the same is that."""
    body = """tensor gate : input [width] {{ init = zeros }}
tensor bias : input [width] {{ init = ones }}
forward(x : [features]) {{
 h = first @ x
 y = {norm}
 return readout @ (h + y)
}}
"""
    for norm in (
        "groupnorm(gate * h + bias, groups = heads)",
        "batchnorm(gate * h + bias)",
        "layernorm(repeat_interleave(mean(unsqueeze(h, axis = 0), axis = 1), width))",
    ):
        graph = abcparam.check(HEAD + body.format(norm=norm) + TAIL).judgement.laws.graph
        assert str(graph.activations["y"].s0) == "0", norm
