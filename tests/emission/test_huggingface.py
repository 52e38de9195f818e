"""The examples compute what the implementations in Hugging Face's `transformers` compute.

With the same weights copied in, at small random configurations: outputs, and gradients of every
tensor. The examples' bases are set to the width at hand, where every scale factor is 1. In float64
they are held to 1e-9, ViT, whose softmax is theirs in float32, to 1e-7; models whose norms are in
float32 are compared in float32, to 1e-5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from tests.support.emitted import build, load, named_by_tensor
from tests.support.paths import EXAMPLES

transformers = pytest.importorskip("transformers")
Pick = Callable[[Tensor], Tensor]
Pairs = Iterator[tuple[str, str, Pick]]


def same(x: Tensor) -> Tensor:
    return x


def transposed(x: Tensor) -> Tensor:
    return x.T


def third(index: int) -> Pick:
    """One of query, key and value, which GPT-2 keeps side by side and transposed."""
    return lambda x: x.chunk(3, -1)[index].permute(*range(x.dim())[::-1])


def part(expert: int, half: int | None = None) -> Pick:
    """An expert of all, and its gate or up of both."""
    return lambda x: x[expert] if half is None else x[expert].chunk(2)[half]


def pairs(text: str, layers: int = 1, experts: int = 1) -> Pairs:
    """Lines of `ours: theirs`; `{i}` and `{e}` run over layers and experts."""
    for line in filter(str.strip, text.splitlines()):
        ours, theirs = line.strip().split(": ")
        numbers = range(layers) if "{i}" in line else range(1)
        for i in numbers:
            for e in range(experts) if "{e}" in line else range(1):
                yield ours.format(i=i, e=e), theirs.format(i=i, e=e), same


def with_bias(text: str) -> str:
    """Lines of `ours, our bias: theirs` as one line for the weight and one for the bias."""
    found = []
    for line in text.strip().splitlines():
        ours, theirs = line.strip().split(": ")
        weight, bias = ours.split(", ")
        found += [f"{weight}: {theirs}.weight", f"{bias}: {theirs}.bias"]
    return "\n".join(found)


@dataclass(frozen=True)
class Model:
    """Their class and configuration, our sizes, and which tensors are which."""

    example: str
    theirs: Callable[[], nn.Module]
    sizes: dict[str, int]
    pairs: Callable[[], Pairs]
    inputs: Callable[[], tuple[dict[str, Tensor], tuple[Tensor, ...]]]
    outputs: tuple[str, ...] = ("logits",)
    dtype: torch.dtype = torch.float64
    error: float = 1e-9
    edit: tuple[str, str] = ("", "")


LAYERS = 2
EAGER = {"attn_implementation": "eager"}


def tokens(*shape: int) -> Tensor:
    return torch.randint(1, 50, shape)  # BERT learns nothing of 0, which pads


def decoder_inputs() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    x = tokens(3, 9)
    return {"input_ids": x}, (x,)


def gpt2_pairs() -> Pairs:
    plain = """
        embedding: transformer.wte.weight
        position_embedding: transformer.wpe.weight
        layers.{i}.attention.bias: transformer.h.{i}.attn.c_proj.bias
        layers.{i}.feed_forward.up_bias: transformer.h.{i}.mlp.c_fc.bias
        layers.{i}.feed_forward.down_bias: transformer.h.{i}.mlp.c_proj.bias
    """ + with_bias("""
        layers.{i}.attention_norm.gain, layers.{i}.attention_norm.shift: transformer.h.{i}.ln_1
        layers.{i}.ffn_norm.gain, layers.{i}.ffn_norm.shift: transformer.h.{i}.ln_2
        norm.gain, norm.shift: transformer.ln_f
    """)
    yield from pairs(plain, LAYERS)
    turned = """
        layers.{i}.attention.project: transformer.h.{i}.attn.c_proj.weight
        layers.{i}.feed_forward.up: transformer.h.{i}.mlp.c_fc.weight
        layers.{i}.feed_forward.down: transformer.h.{i}.mlp.c_proj.weight
    """
    yield from ((ours, theirs, transposed) for ours, theirs, _ in pairs(turned, LAYERS))
    for i in range(LAYERS):
        for index, name in enumerate(("query", "key", "value")):
            theirs = f"transformer.h.{i}.attn.c_attn"
            yield f"layers.{i}.attention.{name}", f"{theirs}.weight", third(index)
            yield f"layers.{i}.attention.{name}_bias", f"{theirs}.bias", third(index)


LLAMA = """
    embedding: model.embed_tokens.weight
    readout: lm_head.weight
    norm.gain: model.norm.weight
    layers.{i}.attention.query: model.layers.{i}.self_attn.q_proj.weight
    layers.{i}.attention.key: model.layers.{i}.self_attn.k_proj.weight
    layers.{i}.attention.value: model.layers.{i}.self_attn.v_proj.weight
    layers.{i}.attention.project: model.layers.{i}.self_attn.o_proj.weight
    layers.{i}.attention_norm.gain: model.layers.{i}.input_layernorm.weight
"""
LLAMA_FEED_FORWARD = """
    layers.{i}.ffn_norm.gain: model.layers.{i}.post_attention_layernorm.weight
    layers.{i}.feed_forward.gate: model.layers.{i}.mlp.gate_proj.weight
    layers.{i}.feed_forward.up: model.layers.{i}.mlp.up_proj.weight
    layers.{i}.feed_forward.down: model.layers.{i}.mlp.down_proj.weight
"""
HEAD_NORMS = """
    layers.{i}.attention.query_norm.gain: model.layers.{i}.self_attn.q_norm.weight
    layers.{i}.attention.key_norm.gain: model.layers.{i}.self_attn.k_norm.weight
"""
EXPERTS = 4


def mixtral_pairs() -> Pairs:
    yield from pairs(LLAMA, LAYERS)
    for i in range(LAYERS):
        ours, theirs = f"layers.{i}", f"model.layers.{i}"
        yield f"{ours}.expert_norm.gain", f"{theirs}.post_attention_layernorm.weight", same
        yield f"{ours}.mixture.router", f"{theirs}.mlp.gate.weight", same
        for e in range(EXPERTS):
            expert = f"{ours}.mixture.expert.{e}"
            both = f"{theirs}.mlp.experts.gate_up_proj"
            yield f"{expert}.gate", both, part(e, 0)
            yield f"{expert}.up", both, part(e, 1)
            yield f"{expert}.down", f"{theirs}.mlp.experts.down_proj", part(e)


def bert_pairs() -> Pairs:
    layer = "bert.encoder.layer.{i}"
    yield from pairs("""
        embedding: bert.embeddings.word_embeddings.weight
        position_embedding: bert.embeddings.position_embeddings.weight
        type_embedding: bert.embeddings.token_type_embeddings.weight
        word_bias: cls.predictions.bias
    """)
    yield from pairs(
        with_bias(f"""
        embedding_norm.gain, embedding_norm.shift: bert.embeddings.LayerNorm
        pooler, pooler_bias: bert.pooler.dense
        transform, transform_bias: cls.predictions.transform.dense
        transform_norm.gain, transform_norm.shift: cls.predictions.transform.LayerNorm
        next_readout, next_bias: cls.seq_relationship
        layers.{{i}}.layer.query, layers.{{i}}.layer.query_bias: {layer}.attention.self.query
        layers.{{i}}.layer.key, layers.{{i}}.layer.key_bias: {layer}.attention.self.key
        layers.{{i}}.layer.value, layers.{{i}}.layer.value_bias: {layer}.attention.self.value
        layers.{{i}}.layer.project, layers.{{i}}.layer.project_bias: {layer}.attention.output.dense
        layers.{{i}}.layer.up, layers.{{i}}.layer.up_bias: {layer}.intermediate.dense
        layers.{{i}}.layer.down, layers.{{i}}.layer.down_bias: {layer}.output.dense
        layers.{{i}}.layer.attention_norm.gain, layers.{{i}}.layer.attention_norm.shift: {layer}.attention.output.LayerNorm
        layers.{{i}}.layer.output_norm.gain, layers.{{i}}.layer.output_norm.shift: {layer}.output.LayerNorm
    """),  # noqa: E501
        LAYERS,
    )


def bert_inputs() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    x, types, mask = tokens(3, 9), torch.randint(2, (3, 9)), torch.ones(3, 9, dtype=torch.long)
    mask[1, 5:] = 0
    return {"input_ids": x, "token_type_ids": types, "attention_mask": mask}, (x, types, mask)


def vit_pairs() -> Pairs:
    yield (
        "patch_embedding",
        "vit.embeddings.patch_embeddings.projection.weight",
        lambda x: x.flatten(1),
    )
    yield "class_token", "vit.embeddings.cls_token", lambda x: x[0]
    yield "position_embedding", "vit.embeddings.position_embeddings", lambda x: x[0]
    yield "patch_bias", "vit.embeddings.patch_embeddings.projection.bias", same
    text = """
        norm.gain, norm.shift: vit.layernorm
        readout, bias: classifier
        layers.{i}.attention_norm.gain, layers.{i}.attention_norm.shift: vit.layers.{i}.layernorm_before
        layers.{i}.ffn_norm.gain, layers.{i}.ffn_norm.shift: vit.layers.{i}.layernorm_after
        layers.{i}.attention.query, layers.{i}.attention.query_bias: vit.layers.{i}.attention.q_proj
        layers.{i}.attention.key, layers.{i}.attention.key_bias: vit.layers.{i}.attention.k_proj
        layers.{i}.attention.value, layers.{i}.attention.value_bias: vit.layers.{i}.attention.v_proj
        layers.{i}.attention.project, layers.{i}.attention.project_bias: vit.layers.{i}.attention.o_proj
        layers.{i}.feed_forward.up, layers.{i}.feed_forward.up_bias: vit.layers.{i}.mlp.fc1
        layers.{i}.feed_forward.down, layers.{i}.feed_forward.down_bias: vit.layers.{i}.mlp.fc2
    """  # noqa: E501
    yield from pairs(with_bias(text), LAYERS)


def image_inputs() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    image = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    return {"pixel_values": image}, (image,)


def t5_pairs() -> Pairs:
    yield from pairs("""
        embedding: shared.weight
        readout: lm_head.weight
        encoder_norm.gain: encoder.final_layer_norm.weight
        norm.gain: decoder.final_layer_norm.weight
        encoder_bias: encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
        decoder_bias: decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight
    """)
    crossing = ("cross_norm", "cross", "EncDecAttention")
    parts = {
        "encoder": [("attention_norm", "self", "SelfAttention")],
        "decoder": [("self_norm", "self", "SelfAttention"), crossing],
    }
    for side, attentions in parts.items():
        for index, (norm, ours, theirs) in enumerate(attentions):
            their = f"{side}.block.{{i}}.layer.{index}"
            lines = [f"{side}.{{i}}.{norm}.gain: {their}.layer_norm.weight"]
            for name, short in (("query", "q"), ("key", "k"), ("value", "v"), ("project", "o")):
                lines.append(f"{side}.{{i}}.{ours}.{name}: {their}.{theirs}.{short}.weight")
            yield from pairs("\n".join(lines), LAYERS)
        their = f"{side}.block.{{i}}.layer.{len(attentions)}"
        yield from pairs(
            f"""
            {side}.{{i}}.ffn_norm.gain: {their}.layer_norm.weight
            {side}.{{i}}.feed_forward.up: {their}.DenseReluDense.wi.weight
            {side}.{{i}}.feed_forward.down: {their}.DenseReluDense.wo.weight
        """,
            LAYERS,
        )


def t5_inputs() -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    x, y = tokens(3, 30), tokens(3, 20)
    return {"input_ids": x, "decoder_input_ids": y}, (x, y)


def convolution(ours: str, number: int, theirs: str, norm: str) -> Pairs:
    yield f"{ours}.conv{number}".removesuffix(".conv0"), f"{theirs}.convolution.weight", same
    for name, word in (("gain", "weight"), ("shift", "bias")):
        yield f"{norm}.{name}", f"{theirs}.normalization.{word}", same


def resnet_pairs(depths: tuple[int, ...], convolutions: int) -> Pairs:
    yield from convolution("stem", 0, "resnet.embedder.embedder", "stem_norm")
    yield "readout", "classifier.1.weight", same
    yield "bias", "classifier.1.bias", same
    for stage, depth in enumerate(depths):
        first = convolutions == 2 and stage == 0
        for block in range(depth):
            ours = f"stage{stage + 1}_down" if block == 0 else f"stage{stage + 1}"
            if first:
                ours = f"stage1.{block}.basic"
            elif block and convolutions == 3:
                ours = f"stage{stage + 1}.{block - 1}.bottleneck"
            theirs = f"resnet.encoder.stages.{stage}.layers.{block}"
            for index in range(convolutions):
                norm = f"{ours}.norm{index + 1}"
                yield from convolution(ours, index + 1, f"{theirs}.layer.{index}", norm)
            if block == 0 and not first:
                yield f"{ours}.shortcut", f"{theirs}.shortcut.convolution.weight", same
                norm = f"{ours}.norm{convolutions + 1}"
                for name, word in (("gain", "weight"), ("shift", "bias")):
                    yield f"{norm}.{name}", f"{theirs}.shortcut.normalization.{word}", same


def resnet(kind: str, depths: tuple[int, ...], wide: int) -> nn.Module:
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8 * wide * 2**i for i in range(4)],
        depths=list(depths),
        layer_type=kind,
        num_labels=5,
    )
    return transformers.ResNetForImageClassification(config)


def make(name: str, config: str, **settings: Any) -> nn.Module:
    """A model of theirs, with no dropout."""
    made = getattr(transformers, config)(**settings, **EAGER)
    return getattr(transformers, name)(made).eval()


def untied(name: str, config: str, **settings: Any) -> nn.Module:
    """A model with a readout of its own, as T5 1.1 has; theirs ties it whatever one asks for."""
    made: Any = make(name, config, **settings)
    made.lm_head.weight = nn.Parameter(made.lm_head.weight.detach().clone())
    return made  # type: ignore[no-any-return]


SMALL = {"width": 32, "depth": LAYERS, "head": 8, "vocab": 50, "context": 12}
RESNET = {"width": 8, "rows": 32, "columns": 32, "classes": 5}
MODELS = {
    "gpt2": Model(
        "gpt2",
        lambda: make(
            "GPT2LMHeadModel", "GPT2Config",
            n_embd=32, n_layer=LAYERS, n_head=4, vocab_size=50, n_positions=12,
        ),
        SMALL, gpt2_pairs, decoder_inputs,
    ),
    "llama": Model(
        "llama",
        lambda: make(
            "LlamaForCausalLM", "LlamaConfig",
            hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4, head_dim=8,
            num_key_value_heads=2, intermediate_size=256, vocab_size=50, rms_norm_eps=1e-5,
        ),
        {**SMALL, "group": 2}, lambda: pairs(LLAMA + LLAMA_FEED_FORWARD, LAYERS), decoder_inputs,
        dtype=torch.float32, error=1e-5,
    ),
    "qwen3": Model(
        "qwen3",
        lambda: make(
            "Qwen3ForCausalLM", "Qwen3Config",
            hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4, head_dim=8,
            num_key_value_heads=2, intermediate_size=96, vocab_size=50, rms_norm_eps=1e-6,
            rope_theta=1000000.0,
        ),
        {**SMALL, "group": 2}, lambda: pairs(LLAMA + LLAMA_FEED_FORWARD + HEAD_NORMS, LAYERS),
        decoder_inputs, dtype=torch.float32, error=1e-5,
    ),
    "mixtral": Model(
        "mixtral",
        lambda: make(
            "MixtralForCausalLM", "MixtralConfig",
            hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4, head_dim=8,
            num_key_value_heads=2, intermediate_size=112, vocab_size=50, rms_norm_eps=1e-5,
            num_local_experts=EXPERTS, num_experts_per_tok=2,
        ),
        {**SMALL, "group": 2, "experts": EXPERTS}, mixtral_pairs, decoder_inputs,
        dtype=torch.float32, error=1e-5,
    ),
    "bert": Model(
        "bert",
        lambda: make(
            "BertForPreTraining", "BertConfig",
            hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4,
            intermediate_size=128, vocab_size=50, max_position_embeddings=12,
        ),
        SMALL, bert_pairs, bert_inputs,
        outputs=("prediction_logits", "seq_relationship_logits"),
    ),
    "vit": Model(
        "vit",
        lambda: make(
            "ViTForImageClassification", "ViTConfig",
            hidden_size=32, num_hidden_layers=LAYERS, num_attention_heads=4,
            intermediate_size=128, image_size=32, patch_size=8, num_labels=5,
        ),
        {**SMALL, "rows": 32, "columns": 32, "patch": 8, "classes": 5}, vit_pairs, image_inputs,
        error=1e-7,
    ),
    "t5": Model(
        "t5",
        lambda: untied(
            "T5ForConditionalGeneration", "T5Config",
            d_model=32, d_kv=8, d_ff=128, num_layers=LAYERS, num_heads=4, vocab_size=50,
            relative_attention_num_buckets=8, relative_attention_max_distance=20,
            tie_word_embeddings=False,
        ),
        {**SMALL, "source": 32, "target": 32, "buckets": 8}, t5_pairs, t5_inputs,
        dtype=torch.float32, error=1e-5,
        edit=("max_distance = 128", "max_distance = 20"),
    ),
    "resnet18": Model(
        "resnet18",
        lambda: resnet("basic", (2, 2, 2, 2), 1),
        RESNET, lambda: resnet_pairs((2, 2, 2, 2), 2), image_inputs,
    ),
    "resnet50": Model(
        "resnet50",
        lambda: resnet("bottleneck", (3, 4, 6, 3), 4),
        RESNET, lambda: resnet_pairs((3, 4, 6, 3), 3), image_inputs,
    ),
}  # fmt: skip


def ours_of(model: Model, folder: Path) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """The example with its base at the width at hand, emitted; T5's attention has no scale.

    With its parameters by the names of tensors.
    """
    text = (EXAMPLES / f"{model.example}.param").read_text(encoding="utf-8")
    text = re.sub(r"base = \d+", f"base = {model.sizes['width']}", text)
    for dim, size in model.sizes.items():
        text = re.sub(rf"^(dim {dim} +=) \d+", rf"\1 {size}", text, flags=re.M)
    if model.example == "t5":
        text = text.replace("scale = head^(-1/2)", "scale = 1")
    program, module = build(text.replace(*model.edit), folder)
    made = getattr(module, program.name)(module.Config())
    return made, named_by_tensor(program, dict(made.named_parameters()))


CASES = [(name, False) for name in MODELS] + [("resnet18", True), ("resnet50", True)]


@pytest.mark.parametrize(("name", "training"), CASES)
def test_the_same_numbers(name: str, training: bool, tmp_path: Path):
    """Outputs and every gradient; of batch norm in training mode too, with what it remembers."""
    torch.manual_seed(0)
    model = MODELS[name]
    theirs, (ours, mine) = model.theirs(), ours_of(model, tmp_path)
    for parameter in theirs.parameters():  # what starts at zeros or ones would hide mistakes
        nn.init.normal_(parameter, std=0.1 if parameter.dim() < 4 else parameter[0].numel() ** -0.5)
    theirs, ours = (m.to(model.dtype).train(training) for m in (theirs, ours))
    mapped = list(model.pairs())
    source = dict(theirs.named_parameters())
    assert sorted(ours for ours, _, _ in mapped) == sorted(mine)
    assert {their for _, their, _ in mapped} == source.keys()
    with torch.no_grad():
        for own, their, pick in mapped:
            mine[own].copy_(pick(source[their]))
    named, positional = model.inputs()
    named = {k: v.to(model.dtype) if v.is_floating_point() else v for k, v in named.items()}
    positional = tuple(v.to(model.dtype) if v.is_floating_point() else v for v in positional)
    expected = [getattr(theirs(**named), output) for output in model.outputs]
    found = ours(*positional)
    found = list(found) if isinstance(found, tuple) else [found]
    for x, y in zip(found, expected, strict=True):
        assert float((x - y).abs().max()) <= model.error * max(1.0, float(y.abs().max()))
    directions = [torch.randn_like(y) for y in expected]
    sum((x * v).sum() for x, v in zip(found, directions, strict=True)).backward()  # type: ignore[union-attr]
    sum((x * v).sum() for x, v in zip(expected, directions, strict=True)).backward()  # type: ignore[union-attr]
    for own, their, pick in mapped:
        gradient, wanted = mine[own].grad, source[their].grad
        assert gradient is not None and wanted is not None
        wanted, scale = pick(wanted), max(1.0, float(wanted.abs().max()))
        assert float((gradient - wanted).abs().max()) <= model.error * scale, own
    if training:
        state = dict(theirs.named_buffers())
        mean = state["resnet.embedder.embedder.normalization.running_mean"]
        torch.testing.assert_close(dict(ours.named_buffers())["stem_norm.gain.running_mean"], mean)


PUBLISHED = [  # example, sizes, parameters
    ("gpt2", {"width": 768, "depth": 12}, 124_439_808),
    ("gpt2", {"width": 1024, "depth": 24}, 354_823_168),
    ("gpt2", {"width": 1280, "depth": 36}, 774_030_080),
    ("gpt2", {"width": 1600, "depth": 48}, 1_557_611_200),
    ("llama", {"width": 4096}, 6_738_415_616),
    ("bert", {"width": 768}, 110_106_428),
    ("bert", {"width": 1024, "depth": 24}, 336_226_108),
    ("vit", {"width": 768}, 86_567_656),
    ("resnet18", {}, 11_689_512),
    ("resnet50", {}, 25_557_032),
    ("mixtral", {"width": 4096}, 46_702_792_704),
    ("qwen3", {"width": 4096}, 8_190_735_360),
]


def count(example: str, sizes: dict[str, int], folder: Path) -> int:
    module = load(abcparam.compile(EXAMPLES / f"{example}.param"), folder)
    classes = {n for n in module.__all__ if isinstance(getattr(module, n), type)}
    (name,) = classes - {"Config"}
    with torch.device("meta"):
        model = getattr(module, name)(module.Config(**sizes))
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("example", "sizes", "parameters"), PUBLISHED)
def test_published_sizes(example: str, sizes: dict[str, int], parameters: int, tmp_path: Path):
    assert count(example, sizes, tmp_path) == parameters


@pytest.mark.parametrize(
    ("example", "sizes", "billions"),
    [
        ("gpt3", {"width": 4096, "head": 128}, "6.7"),
        ("gpt3", {"width": 256}, "0.04"),
        ("bert", {"width": 256}, "0.02"),
        ("wide_resnet", {"width": 160}, "0.04"),
    ],
)
def test_rounded_sizes(example: str, sizes: dict[str, int], billions: str, tmp_path: Path):
    """As the papers round them: GPT-3 6.7B and its proxy of 40M, WRN-28-10 of 36.5M."""
    found = count(example, sizes, tmp_path) / 1e9
    assert f"{found:.{len(billions.partition('.')[2])}f}" == billions
