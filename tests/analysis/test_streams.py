"""Infinite repeats of a residual stream: verdicts, and sizes at init."""

from __future__ import annotations

import pytest

import abcparam

DEEP = """model Deep
dim width -> inf, base = 64
dim depth -> inf, base = 4
dim features = 8
dim classes = 3
hyper lr = 0.01
parametrization mup
tensor enter   : input  [width, features]
tensor inject  : input  [width, features]
tensor shared  : hidden [width, width]
tensor readout : output [classes, width]
forward(x : [features]) {
    h = enter @ x
    given = inject @ x
    repeat depth as layers {
        tensor A, B : hidden [width, width] { c[depth] = RATE }
        h = h + FACTOR * (BRANCH)
    }
    return readout @ h
}
optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""


def deep(factor: str, branch: str, rate: str = "0") -> abcparam.Report:
    text = DEEP.replace("FACTOR", factor).replace("BRANCH", branch).replace("RATE", rate)
    unused = [name for name in ("shared", "inject") if name not in branch]
    if "given" not in branch:
        text = text.replace("    given = inject @ x\n", "")
        text = text.replace("tensor inject  : input  [width, features]\n", "")
    if "shared" in unused:
        text = text.replace("tensor shared  : hidden [width, width]\n", "")
    text = text if "B @" in branch else text.replace("tensor A, B", "tensor A")
    return abcparam.check(text)


@pytest.mark.parametrize(
    ("factor", "branch", "rate", "verdict", "complete"),
    [
        # arXiv 2310.02244 and 2505.01618
        ("depth^(-1/2)", "B @ tanh(A @ rmsnorm(h))", "1/2", "maximal-update", False),
        ("depth^-1", "B @ tanh(A @ rmsnorm(h))", "0", "maximal-update", True),
        ("depth^(-1/2)", "B @ tanh(A @ rmsnorm(h))", "0", "unstable", False),
        ("depth^-1", "B @ tanh(A @ rmsnorm(h))", "1/2", "feature-learning", False),
        ("1", "A @ tanh(h)", "1/2", "unstable-at-init", False),
        # a function of the stream itself is moved by all blocks, and not by its own
        ("depth^-1", "A @ tanh(h)", "0", "maximal-update", False),
        # a mean that all copies share adds up coherently
        ("depth^(-1/2)", "relu(A @ h)", "1/2", "unstable-at-init", False),
        ("depth^(-1/2)", "A @ tanh(h) + given", "1/2", "unstable-at-init", False),
    ],
)
def test_verdicts_of_branches(factor: str, branch: str, rate: str, verdict: str, complete: bool):
    report = deep(factor, branch, rate)
    assert (report.verdict, report.complete) == (verdict, complete)


@pytest.mark.parametrize(
    ("branch", "size"),
    [
        ("A @ rmsnorm(h)", "depth^(1/2)"),
        ("relu(A @ rmsnorm(h))", "depth"),
        ("A @ rmsnorm(h) + given", "depth"),
        ("layernorm(relu(A @ rmsnorm(h)))", "depth^(1/2)"),
    ],
)
def test_branches_add_up_as_the_root_of_their_number_and_means_as_their_number(
    branch: str, size: str
):
    assert str(deep("1", branch).graph.activations["h"].s0) == size
