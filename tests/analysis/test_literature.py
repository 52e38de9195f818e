"""Claims of the literature of 2023 to 2026 on small specs: the table of docs/theory.md."""

from __future__ import annotations

import pytest

import abcparam

MODEL = """model Small
dim width -> inf, base = 64
dim vocab = 100
dim context = 8
dim experts = 8
parametrization mup
tensor table : input [vocab, width] TABLE
tensor up, down : hidden [width, width] HIDDEN
tensor readout : output [vocab, width]
block Expert(x) {
    tensor into, out : hidden [width, width]
    return out @ relu(into @ x)
}
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    x = x + down @ gelu(up @ layernorm(x))
    return readout @ layernorm(x)
}
OPTIMIZER
optimizer adam { lr = 0.01, eps = 0 }
loss cross_entropy
"""
ADAPTER = """model RankStabilized
dim rank -> inf, base = 8
dim width = 64
dim pixels = 16
dim classes = 4
tensor enter : scalar [width, pixels] { frozen }
tensor weight : scalar [width, width] { frozen }
tensor A : input [rank, width] { a = 0, b = 0, c = 0 }
tensor B : output [width, rank] { a = 0, b = 0, c = 0, init = zeros }
tensor readout : scalar [classes, width] { frozen }
forward(x : [pixels]) {
    h = tanh(enter @ x)
    h = weight @ h + (rank / base(rank))^(POWER) * (B @ (A @ h))
    return readout @ tanh(h)
}
optimizer OPTIMIZER { lr = 0.01 }
loss cross_entropy
"""


def verdict(table: str = "", hidden: str = "", optimizer: str = "", mixture: str = "") -> str:
    text = MODEL.replace("TABLE", table).replace("HIDDEN", hidden).replace("OPTIMIZER", optimizer)
    router = f"tensor router : output [experts, width] {mixture}"
    if mixture:
        text = text.replace("block Expert", f"{router}\nblock Expert")
        routed = "z = layernorm(x)\n    x = x + mixture(router @ z, Expert(z), top = 2)"
        text = text.replace("    return readout", f"    {routed}\n    return readout")
    return str(abcparam.check(text).verdict)


@pytest.mark.parametrize(
    ("adjust", "c", "expected"),
    [
        ("spectral", "0", "maximal-update"),  # arXiv 2310.17813, 2409.20325
        ("original", "0", "maximal-update"),
        ("match_rms_adamw", "1/2", "maximal-update"),
        ("match_rms_adamw", "1", "feature-learning"),  # AdamW's own rate: arXiv 2502.16982
    ],
)
def test_muon_for_matrices_beside_adam(adjust: str, c: str, expected: str):
    optimizer = f"optimizer muon for up, down {{ lr = 0.02, weight_decay = 0, adjust = {adjust} }}"
    assert verdict(hidden=f"{{ a = 0, b = 1/2, c = {c} }}", optimizer=optimizer) == expected


def test_a_rate_of_embeddings_that_falls_with_the_width():
    """arXiv 2407.17465 finds n^(-1/2): what the table learns is then n^(-1/2) of the stream."""
    assert verdict(table="{ a = 0, b = 0, c = 1/2 }") == "feature-learning"


def test_routers_of_finitely_many_experts_are_readouts():
    """arXiv 2508.09752: as a hidden tensor, its initial weights meet what x learns in full."""
    assert verdict(mixture="{ a = 1, b = 0, c = 0 }") == "maximal-update"
    assert verdict(mixture="{ a = 0, b = 1/2, c = 1 }") == "unstable"


@pytest.mark.parametrize(
    ("optimizer", "power", "expected"),
    [
        ("sgd", "-1/2", "kernel"),  # stable; A moves by 1 / rank
        ("sgd", "0", "unstable"),
        ("adam", "-1/2", "unstable"),
        ("adam", "-1", "maximal-update"),
    ],
)
def test_adapters_of_growing_rank(optimizer: str, power: str, expected: str):
    """arXiv 2312.03732, with one rate for A and B; its root is SGD's, not Adam's."""
    text = ADAPTER.replace("POWER", power).replace("OPTIMIZER", optimizer)
    assert abcparam.check(text).verdict == expected


def test_a_number_of_experts_that_grows_is_refused_with_the_reason():
    text = MODEL.replace("dim experts = 8", "dim experts -> inf, base = 8")
    for name in ("TABLE", "HIDDEN", "OPTIMIZER"):
        text = text.replace(name, "")
    routed = "tensor router : hidden [experts, width]\nblock Expert"
    text = text.replace("block Expert", routed)
    text = text.replace("x = x + down", "x = x + mixture(router @ x, Expert(x), top = 2) + down")
    with pytest.raises(abcparam.SpecError, match="P0306") as caught:
        abcparam.check(text)
    assert "another power" in str(caught.value.diagnostics[0].help)
