"""Published verdicts on architectures, and the traps that papers, code and tables fell into."""

from __future__ import annotations

from typing import Any

import pytest

import abcparam
from tests.support.judging import judged
from tests.support.paths import SPECS
from tests.support.running import changed

RULES = {"adam": "adam { lr = lr, eps = 0 }", "sgd": "sgd { lr = lr, momentum = 0.9 }"}
LAYERS = {
    "pre-norm": "x = x + Attention(layernorm(x))\n        x = x + FeedForward(layernorm(x))",
    "post-norm": "x = layernorm(x + Attention(x))\n        x = layernorm(x + FeedForward(x))",
    "no norm": "x = x + Attention(x)\n        x = x + FeedForward(x)",
}
HEADS = {
    "more heads": "dim head = 64\ndim heads = width / head",
    "larger heads": "dim heads = 4\ndim head = width / heads",
}


def transformer(
    form: str = "mup",
    optimizer: str = "adam",
    layers: str = "pre-norm",
    heads: str = "more heads",
    scale: str = "head^-1",
    readout: str = "",
    output: str = "readout @ layernorm(x)",
) -> str:
    """Two layers on tokens; `form` is a parametrization, `readout` the settings of the readout."""
    return f"""model Transformer
dim width -> inf, base = 256
{HEADS[heads]}
dim vocab = 100
dim context = 16
hyper lr = 1e-3
parametrization {form}
tensor embedding : input [vocab, width]
tensor readout : output [vocab, width] {{ {readout} }}
block Attention(x) {{
    tensor query, key, value : hidden [heads * head, width]
    tensor project : hidden [width, heads * head]
    y = attention(query @ x, key @ x, value @ x, heads = heads, scale = {scale}, causal = true)
    return project @ y
}}
block FeedForward(x) {{
    tensor up : hidden [4 * width, width]
    tensor down : hidden [width, 4 * width]
    return down @ gelu(up @ x)
}}
forward(tokens : index(vocab) [context]) {{
    x = embed(embedding, tokens)
    repeat 2 as layers {{
        {LAYERS[layers]}
    }}
    return {output}
}}
optimizer {RULES[optimizer]}
loss cross_entropy
"""


def verdict(text: str) -> str:
    return str(judged(text)["verdict"])


def of(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(tensor) for tensor in report["tensors"] if tensor["name"] == name)


def spelled(*roles: str) -> str:
    """`parametrization { … }` from "a b c" by role."""
    lines = []
    for role, exponents in zip(("input", "hidden", "output"), roles, strict=True):
        a, b, c = exponents.split()
        lines.append(f"{role} {{ a = {a}, b = {b}, c = {c} }}")
    return "{\n    " + "\n    ".join(lines) + "\n}"


# Transformers


@pytest.mark.parametrize("readout", ["", "init = zeros"])
@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("layers", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("optimizer", RULES)
def test_mup_is_maximal(optimizer: str, layers: str, heads: str, readout: str):
    """Tensor Programs V (arXiv 2203.03466), Table 8 and Definition 4.1."""
    report = judged(transformer("mup", optimizer, layers, heads, readout=readout))
    assert (report["verdict"], report["complete"]) == ("maximal-update", True)
    assert {tensor["status"] for tensor in report["tensors"]} == {"maximal"}
    assert report["output"]["at_init"]["width"] == ("-inf" if readout else "-1/2")


@pytest.mark.parametrize("layers", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("optimizer", RULES)
def test_standard_parametrization_is_unstable(optimizer: str, layers: str):
    """Tensor Programs V, Figure 5: logits and attention logits blow up with the width."""
    report = judged(transformer("sp", optimizer, layers))
    assert report["verdict"] == "unstable"
    assert report["output"]["change"] == {"width": "1"}


@pytest.mark.parametrize("layers", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("optimizer", RULES)
def test_the_neural_tangent_parametrization_is_a_kernel(optimizer: str, layers: str):
    assert verdict(transformer("ntk", optimizer, layers)) == "kernel"


@pytest.mark.parametrize("layers", ["pre-norm", "post-norm"])
@pytest.mark.parametrize("optimizer", RULES)
def test_mean_field_has_mups_laws(optimizer: str, layers: str):
    """Its hidden multiplier is a gauge away from µP."""
    ours, theirs = (judged(transformer(form, optimizer, layers)) for form in ("mfp", "mup"))
    for report in (ours, theirs):
        for tensor in report["tensors"]:
            for letter in "abcd":
                del tensor[letter]
    assert ours == theirs


def test_sp_with_all_rates_falling_like_1_over_n_has_logits_like_sqrt_n():
    text = transformer("sp", readout="").replace("lr = lr,", "lr = lr * width^-1,")
    report = judged(text)
    assert report["verdict"] == "unstable"
    assert report["output"]["change"] == {"width": "1/2"}


@pytest.mark.parametrize("optimizer", RULES)
def test_attention_with_growing_heads_wants_1_over_d(optimizer: str):
    """Queries and keys align, so that 1/√d lets logits grow like √d. Where heads keep their size
    either scale is a constant.
    """
    report = abcparam.check(
        transformer(optimizer=optimizer, heads="larger heads", scale="head^(-1/2)")
    )
    assert report.verdict == "unstable"
    logits = [n for n in report.graph.nodes if n.name == "attention logits"]
    assert [str(n.s0) for n in logits] == ["1"] * 2
    assert max(n.d for n in logits) >= report.graph.context.one
    assert any("attention logits" in d.message for d in report.diagnostics)
    steady = transformer(optimizer=optimizer, heads="more heads", scale="head^(-1/2)")
    assert verdict(steady) == "maximal-update"


def test_a_tied_readout_needs_its_multiplier():
    """The embedding is Θ(1), so `embedding.T @ x` sums n aligned terms: 1/n, whoever learns it."""
    tied = {"readout": "frozen", "output": "{}embedding.T @ layernorm(x)"}
    without = transformer(**{**tied, "output": tied["output"].format("")})
    with_it = transformer(**{**tied, "output": tied["output"].format("width^-1 * ")})
    drop = "tensor readout : output [vocab, width] { frozen }\n"
    assert verdict(without.replace(drop, "")) == "unstable-at-init"
    assert verdict(with_it.replace(drop, "")) == "maximal-update"
    half = with_it.replace("width^-1 *", "width^(-1/2) *").replace(drop, "")
    assert verdict(half).startswith("unstable")


def test_transformers_without_norms_obey_the_same_rules():
    assert verdict(transformer(layers="no norm")) == "maximal-update"
    assert verdict(transformer("sp", layers="no norm")) == "unstable"


# Architectures


@pytest.mark.parametrize("name", ["bert", "gpt", "gpt_depth", "lora", "lstm", "mlp", "rnn"])
def test_architectures_are_maximal(name: str):
    report = abcparam.check(SPECS / f"{name}.param")
    assert (report.verdict, report.complete) == ("maximal-update", True)
    assert report.as_expected


@pytest.mark.parametrize("name", ["lstm", "rnn"])
def test_recurrences_under_the_standard_parametrization_are_unstable(name: str):
    text = changed(SPECS / f"{name}.param", ("parametrization mup", "parametrization sp"))
    assert verdict(text) == "unstable"


def test_berts_tied_head_needs_its_multiplier():
    text = changed(SPECS / "bert.param", ("width^-1 * (embedding", "1 * (embedding"))
    assert verdict(text) == "unstable-at-init"


LORA = SPECS / "lora.param"
DOWN = "tensor down   : output [rank, inner] { a = 0, b = 1, c = 1, frozen = false }"


def test_lora_plus_rates():
    """LoRA+ (arXiv 2402.12354): B learns at Θ(1), A at Θ(1/n); one rate for both leaves one of them
    behind or is unstable.
    """
    path = "layers.attention.query.{}"
    report = judged(LORA.read_text(encoding="utf-8"))
    statuses = [of(report, path.format(name))["status"] for name in ("down", "up", "weight")]
    assert statuses == ["maximal", "maximal", "frozen"]
    slow = judged(changed(LORA, ("c = 0, init = zeros", "c = 1, init = zeros")))
    assert slow["verdict"] != "maximal-update"
    assert of(slow, path.format("up"))["status"] == "under"
    assert verdict(changed(LORA, (DOWN, DOWN.replace("c = 1", "c = 0")))) == "unstable"


def test_loras_a_is_an_output_map():
    """With b = 1/2 in more than one layer its initial weights pass changes on like √n (0.42 was
    measured); b = 1 or zero is sound.
    """
    half = DOWN.replace("b = 1,", "b = 1/2,")
    assert verdict(changed(LORA, (DOWN, half))) == "unstable"
    zero = DOWN.replace("b = 1,", "b = 1/2, init = zeros,")
    assert verdict(changed(LORA, (DOWN, zero))) != "unstable"
    text = changed(LORA, (DOWN, half), ("dim depth   = 12", "dim depth = 1"))
    assert verdict(text) != "unstable-at-init"


def test_keys_and_values_with_a_fixed_number_of_heads_are_output_maps():
    text = transformer().replace("dim vocab", "dim kv_heads = 2\ndim vocab")
    text = text.replace("heads = heads,", "heads = heads, kv_heads = kv_heads,")
    tensors = "tensor query, key, value : hidden [heads * head, width]"
    grouped = "tensor query : hidden [heads * head, width]\n    "
    grouped += "tensor key, value : {} [kv_heads * head, width]"
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.check(text.replace(tensors, grouped.format("hidden")))
    assert {d.code for d in caught.value.diagnostics} == {"P0307"}
    assert verdict(text.replace(tensors, grouped.format("output"))) == "maximal-update"
    half = grouped.format("output") + " { a = 0, b = 1/2, c = 1 }"
    assert verdict(text.replace(tensors, half)).startswith("unstable")


# Maps that contract, and depth

CONTRACTION = """model Contraction
dim width -> inf, base = 64
dim root = round_up(width^(1/2), 1)
dim features = 8
dim classes = 3
tensor U : input [width, features] { a = 0, b = 0, c = 0 }
tensor W : hidden [root, width] { a = 0, b = BETA, c = 1 }
tensor V : output [classes, root] { a = 1, b = 0, c = 0 }
forward(x : [features]) {
    h = W @ tanh(U @ x)
    return V @ tanh(h)
}
optimizer adam { lr = 0.1, eps = 0 }
loss cross_entropy
"""


def test_a_contraction_to_sqrt_n_wants_three_quarters():
    """With b = 1/2 the change of its input grows like n^(1/4) on its way (0.26 was measured)."""
    half = judged(CONTRACTION.replace("BETA", "1/2"))
    assert half["verdict"] == "unstable"
    (h,) = [a for a in half["activations"] if a["name"] == "h"]
    assert h["change"] == {"width": "1/4"}
    assert verdict(CONTRACTION.replace("BETA", "3/4")) == "maximal-update"


DEPTH = SPECS / "gpt_depth.param"


def deep(residual: str, rate: str) -> dict[str, Any]:
    """GPT with residual branches times L^-residual, hidden learning rate L^-rate."""
    text = DEPTH.read_text(encoding="utf-8").replace(
        "base(depth))^-1", f"base(depth))^-({residual})"
    )
    text = text.replace("c[depth] = 0,", f"c[depth] = {rate},")
    text = text.replace("input  [4 * width] {", f"input  [4 * width] {{ c[depth] = {rate},")
    return judged(
        text.replace("expect maximal-update, complete", "").replace("eps = 1e-16", "eps = 0")
    )


@pytest.mark.parametrize(
    ("residual", "rate", "complete"),
    [("1", "0", True), ("3/4", "1/4", False), ("1/2", "1/2", False)],
)
def test_depth_rules(residual: str, rate: str, complete: bool):
    """Depth-µP (arXiv 2310.02244) at L^(-1/2), CompleteP (arXiv 2505.01618) at L^-1: all stable and
    maximal, but only the last one learns completely inside its blocks.
    """
    report = deep(residual, rate)
    assert (report["verdict"], report["complete"]) == ("maximal-update", complete)


def test_residual_branches_without_a_factor_are_not_stable_in_depth():
    assert deep("0", "0")["verdict"].startswith("unstable")
    assert deep("1/2", "0")["verdict"] == "unstable"
