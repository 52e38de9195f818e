"""Initial weights that are too small to pass a change on: one rule, whatever the map is for."""

from __future__ import annotations

import pytest

import abcparam

ATTENTION = """model Attention
dim width -> inf, base = 128
dim head = 64
dim heads = width / head
dim vocab = 100
dim context = 16
hyper lr = 1e-3
parametrization mup
tensor embedding : input [vocab, width]
tensor query, key : hidden [width, width]
tensor value : hidden [width, width]
tensor project : hidden [width, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) {
    x = embed(embedding, tokens)
    n = layernorm(x)
    y = attention(query @ n, key @ n, value @ n, heads = heads, scale = 1 / head, causal = true)
    x = x + project @ y
    return readout @ layernorm(x)
}
optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


def changed(name: str, settings: str) -> abcparam.Report:
    lines = [
        f"{line} {{ {settings} }}" if line.startswith(f"tensor {name} :") else line
        for line in ATTENTION.splitlines()
    ]
    return abcparam.check("\n".join(lines))


@pytest.mark.parametrize(
    ("name", "small", "right"), [("value", 1, "1/2"), ("project", 1, "1/2"), ("readout", "1/2", 0)]
)
def test_a_map_that_starts_too_small_is_told(name: str, small: object, right: object):
    found = changed(name, f"b = {small}")
    assert found.verdict == "feature-learning"
    assert [d.code for d in found.diagnostics] == ["P0508"]
    assert f"the initial weights of `{name}` pass the change of " in found.diagnostics[0].message
    assert list(map(str, found.fix)) == [f"`{name}` b = {small} -> {right}"]
    for sound in (f"b = {right}", "init = zeros"):
        assert changed(name, sound).verdict == "maximal-update"


def test_what_changes_by_less_is_not_the_fault_of_what_reads_it():
    """An embedding that moves too little: maps behind it are as they should be."""
    found = changed("embedding", "c = 1/2")
    assert found.verdict == "feature-learning"
    assert "P0508" not in {d.code for d in found.diagnostics}


def test_solve_says_so_too():
    text = ATTENTION.replace(
        "value : hidden [width, width]", "value : hidden [width, width] { b = ? }"
    )
    region = abcparam.solutions(text).region.texts()
    assert region == [[["b_value = 1/2"]]]
