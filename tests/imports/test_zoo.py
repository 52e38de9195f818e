"""Models that people use, as their libraries have them: each is read, held to what is measured of
it, and judged as it is, under AdamW at one learning rate.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
import torch
import transformers as library
from torch import nn

import abcparam
from abcparam.imports.exported import Exported
from abcparam.imports.factory import Example
from abcparam.imports.faithful import other_gradients
from abcparam.imports.remedy import Remedy
from tests.imports.models.diffusion import dit, unet
from tests.imports.models.variants import by_heads, grouped, windowed
from tests.imports.trial import refused, tried
from tests.support.paths import ROOT

transformers: Any = library  # whose types lack what configurations take
VOCABULARY, HEAD, DEPTH = 53, 16, 2
GROW = {"width": (64, 128)}


class Case(NamedTuple):
    """A model at a width, and what is said of it."""

    make: Callable[[int], tuple[Any, ...]]
    verdict: str = "unstable-at-init"
    adapted: str = "maximal-update"  # or what is in the way
    spec: str = "yes"  # or the call that has no spelling


def tokens() -> torch.Tensor:
    return torch.randint(VOCABULARY, (5, 7))


def decoder(name: str, **settings: Any) -> Callable[[int], tuple[Any, ...]]:
    """A decoder of transformers, half as many heads of keys as of queries."""

    def make(width: int) -> tuple[Any, ...]:
        grown = {key: value(width) if callable(value) else value for key, value in settings.items()}
        heads = width // HEAD
        config = getattr(transformers, f"{name}Config")(
            hidden_size=width,
            num_attention_heads=heads,
            num_hidden_layers=DEPTH,
            vocab_size=VOCABULARY,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            **{
                "intermediate_size": 4 * width,
                "num_key_value_heads": heads // 2,
                "head_dim": HEAD,
                **grown,
            },
        )
        causal = name.removesuffix("Text")
        model = getattr(transformers, f"{causal}ForCausalLM")(config)
        return model, (tokens(),), {"use_cache": False}

    return make


def gpt2(width: int) -> tuple[Any, ...]:
    config = transformers.GPT2Config(
        n_embd=width,
        n_head=width // HEAD,
        n_layer=DEPTH,
        vocab_size=VOCABULARY,
        n_positions=32,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
    )
    return transformers.GPT2LMHeadModel(config), (tokens(),), {"use_cache": False}


def bert(width: int) -> tuple[Any, ...]:
    config = transformers.BertConfig(
        **layers(width),
        vocab_size=VOCABULARY,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=32,
    )
    return transformers.BertForMaskedLM(config), (tokens(),)


def layers(width: int) -> dict[str, int]:
    """The sizes of an encoder."""
    return {
        "hidden_size": width,
        "num_attention_heads": width // HEAD,
        "num_hidden_layers": DEPTH,
        "intermediate_size": 4 * width,
    }


IMAGES = {"image_size": 16, "patch_size": 4}


def vit(width: int) -> tuple[Any, ...]:
    config = transformers.ViTConfig(
        **layers(width),
        **IMAGES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        num_labels=37,
    )
    return transformers.ViTForImageClassification(config), (torch.randn(5, 3, 16, 16),)


def t5(width: int) -> tuple[Any, ...]:
    config = transformers.T5Config(
        d_model=width,
        d_kv=HEAD,
        d_ff=4 * width,
        num_heads=width // HEAD,
        num_layers=DEPTH,
        vocab_size=VOCABULARY,
        dropout_rate=0.0,
    )
    given = {"input_ids": tokens(), "decoder_input_ids": tokens(), "use_cache": False}
    return transformers.T5ForConditionalGeneration(config), (), given


def whisper(width: int) -> tuple[Any, ...]:
    both = {f"{side}_layers": DEPTH for side in ("encoder", "decoder")}
    both |= {f"{side}_attention_heads": width // HEAD for side in ("encoder", "decoder")}
    both |= {f"{side}_ffn_dim": 4 * width for side in ("encoder", "decoder")}
    config = transformers.WhisperConfig(
        d_model=width,
        **both,
        vocab_size=VOCABULARY,
        num_mel_bins=8,
        max_source_positions=10,
        max_target_positions=12,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        dropout=0.0,
        suppress_tokens=[],
        begin_suppress_tokens=[],
    )
    model = transformers.WhisperForConditionalGeneration(config)
    heard = torch.randn(5, 8, 20)
    given = {"input_features": heard, "decoder_input_ids": tokens(), "use_cache": False}
    return model, (), given


def clip(width: int) -> tuple[Any, ...]:
    both = {**layers(width), "projection_dim": width}
    text = {"vocab_size": VOCABULARY, "max_position_embeddings": 16, "eos_token_id": 2}
    config = transformers.CLIPConfig(
        text_config={**both, **text}, vision_config={**both, **IMAGES}, projection_dim=width
    )
    given = {"input_ids": tokens(), "pixel_values": torch.randn(5, 3, 16, 16)}
    return transformers.CLIPModel(config), (), given


def resnet(width: int) -> tuple[Any, ...]:
    sizes = [width // 4 * 2**i for i in range(4)]
    config = transformers.ResNetConfig(
        embedding_size=sizes[0],
        hidden_sizes=sizes,
        depths=[1] * 4,
        layer_type="basic",
        num_labels=37,
    )
    return transformers.ResNetForImageClassification(config), (torch.randn(5, 3, 32, 32),)


def convnext(width: int) -> tuple[Any, ...]:
    sizes = [width // 4 * 2**i for i in range(4)]
    config = transformers.ConvNextConfig(
        hidden_sizes=sizes, depths=[DEPTH] * 4, image_size=64, num_labels=37
    )
    return transformers.ConvNextForImageClassification(config), (torch.randn(5, 3, 64, 64),)


def encoder(width: int) -> tuple[Any, ...]:
    layer = nn.TransformerEncoderLayer(width, width // HEAD, 4 * width, 0.0, batch_first=True)
    model = nn.Sequential(
        nn.Embedding(VOCABULARY, width),
        nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False),
        nn.Linear(width, VOCABULARY),
    )
    return model, (tokens(),)


def of_timm(module: str) -> Any:
    """The models of timm, which needs a torchvision that is built for this torch."""
    try:
        return importlib.import_module(f"timm.models.{module}")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"no timm: {error}")


def timm_convnext(width: int) -> tuple[Any, ...]:
    sizes = [width // 4 * 2**i for i in range(4)]
    model = of_timm("convnext").ConvNeXt(num_classes=37, depths=[DEPTH] * 4, dims=sizes)
    return model, (torch.randn(5, 3, 64, 64),)


def timm_resnet(width: int) -> tuple[Any, ...]:
    """Its stem has 64 channels whatever the others have."""
    found, sizes = of_timm("resnet"), [width // 4 * 2**i for i in range(4)]
    model = found.ResNet(found.BasicBlock, [1] * 4, num_classes=37, channels=sizes)
    return model, (torch.randn(5, 3, 32, 32),)


def timm_vit(width: int) -> tuple[Any, ...]:
    sizes = {"embed_dim": width, "depth": DEPTH, "num_heads": width // HEAD}
    found = of_timm("vision_transformer")
    model = found.VisionTransformer(img_size=16, patch_size=4, num_classes=37, **sizes)
    return model, (torch.randn(5, 3, 16, 16),)


EXPERTS = {"num_experts_per_tok": 2}


def deepseek(rank: Any) -> Callable[[int], tuple[Any, ...]]:
    """Multi-head latent attention with latents of this rank, experts behind a dense layer."""
    return decoder(
        "DeepseekV3",
        **EXPERTS,
        head_dim=8,
        num_key_value_heads=lambda width: width // HEAD,
        moe_intermediate_size=lambda width: width,
        n_routed_experts=4,
        n_group=2,
        topk_group=1,
        kv_lora_rank=rank,
        q_lora_rank=rank,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=16,
        first_k_dense_replace=1,
    )


ZOO = {
    "BERT": Case(bert),
    "CLIP": Case(clip, "unstable"),
    "ConvNeXt": Case(convnext),
    "DiT": Case(dit, "unstable"),
    "DeepSeek-V3": Case(deepseek(rank=8)),
    "GPT-2": Case(gpt2),
    "Gemma 3": Case(
        decoder(
            "Gemma3Text",
            query_pre_attn_scalar=HEAD,
            sliding_window=4,
            layer_types=["sliding_attention", "full_attention"],
        ),
        adapted="with a factor at the readout",
    ),
    "Granite": Case(decoder("Granite")),
    "Llama": Case(decoder("Llama")),
    "Mistral": Case(decoder("Mistral")),
    "Mixtral": Case(decoder("Mixtral", **EXPERTS, num_local_experts=4)),
    "OLMo 2": Case(decoder("Olmo2")),
    "Phi-3": Case(decoder("Phi3")),
    "Qwen3": Case(decoder("Qwen3")),
    "Qwen3 MoE": Case(
        decoder(
            "Qwen3Moe",
            **EXPERTS,
            num_experts=4,
            moe_intermediate_size=lambda width: 2 * width,
        )
    ),
    "ResNet": Case(resnet, "unstable"),
    "T5": Case(t5),
    "U-Net": Case(unet, "unstable"),
    "ViT": Case(vit),
    "Whisper": Case(whisper),
    "attention by heads": Case(by_heads, "unstable"),
    "grouped attention": Case(grouped, "unstable"),
    "windowed attention": Case(windowed, "unstable"),
    "nn.TransformerEncoder": Case(encoder, "unstable"),
    "timm's ConvNeXt": Case(timm_convnext),
    "timm's ResNet": Case(timm_resnet, "unstable"),
    "timm's ViT": Case(timm_vit),
}
NAMES = [pytest.param(n, marks=[pytest.mark.slow] if "timm" in n else []) for n in ZOO]


@pytest.mark.parametrize("name", NAMES)
def test_models_are_read_as_they_are_measured(name: str):
    case = ZOO[name]
    trial = tried(lambda width: case.make(width), GROW, width=64)
    assert trial.apart == ()
    assert trial.verdict == case.verdict
    assert adapted(trial.remedy) == case.adapted


def adapted(remedy: Remedy) -> str:
    """What the table of the documentation says of a remedy."""
    if remedy.reaches:
        return "with a factor at the readout" if remedy.missing else "maximal-update"
    return "held back by a latent of fixed size" if remedy.narrow else str(remedy.verdict)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_models_are_written_as_specs_or_refused(name: str):
    """A spec is judged as the model is; what has no spelling is at a line of the model's."""
    case = ZOO[name]

    def build(width: int = 64) -> tuple[Any, ...]:
        return case.make(width)

    try:
        found = abcparam.import_model(build, GROW)
    except abcparam.SpecError as error:
        (refusal,) = error.diagnostics
        call = refusal.message.partition(".")[2].partition(".")[0]
        assert (refusal.code, f"no: `{call}`") == ("P1013", case.spec)
        assert refusal.span.file.endswith(".py")
    else:
        assert (case.spec, found.verdict) == ("yes", case.verdict)
        assert all(result.wrong is None for result in found.compared)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["GPT-2", "Mixtral", "ResNet", "ViT"])
def test_adapted_models_are_flat(name: str):
    """Values at init, in their change and gradients, of the model itself as it is trained."""

    def build(width: int = 64) -> tuple[Any, ...]:
        return ZOO[name].make(width)

    options: dict[str, Any] = {"widths": (64, 128, 256), "seeds": 3, "steps": 3}
    found = abcparam.coord_check(abcparam.audit(build, GROW), adapted=True, **options)
    outcomes = [row.outcome for row in found.verdict.rows]
    assert len(outcomes) > 40 and set(outcomes) <= {"agrees", "crossover", "unresolved"}
    assert outcomes.count("unresolved") <= (3 if name == "Mixtral" else 0)


def test_the_documentation_has_a_row_for_each_model():
    text = (ROOT / "docs" / "audit.md").read_text(encoding="utf-8")
    _, _, table = text.partition("## Models that were read")
    rows = re.findall(r"^\| (.+?) \| ([\w-]+) \| (.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert rows == [(name, x.verdict, x.adapted, x.spec) for name, x in ZOO.items()]


def test_latents_that_grow_hold_nothing_back():
    model = deepseek(rank=lambda width: width // 4)
    trial = tried(lambda width: model(width), {"width": (64, 128, 256)}, width=64)
    assert adapted(trial.remedy) == "maximal-update"


@pytest.mark.parametrize("name", ["Mixtral", "ResNet", "T5"])
def test_gradients_of_what_is_traced_are_those_of_the_model(name: str):
    model, args, *rest = ZOO[name].make(64)
    assert other_gradients(Exported(Example(model, args, *rest or ({},)))) == ()


def mamba2(width: int) -> tuple[Any, ...]:
    config = transformers.Mamba2Config(
        hidden_size=width,
        num_hidden_layers=1,
        vocab_size=VOCABULARY,
        num_heads=width // 8,
        head_dim=16,
        state_size=8,
        n_groups=1,
        chunk_size=4,
    )
    return transformers.Mamba2ForCausalLM(config), (tokens(),), {"use_cache": False}


def test_state_space_models_are_refused_at_their_scan():
    found = refused(mamba2, {"width": (64, 128, 256)}, width=64)
    assert found.code == "P1005"
    assert found.span.file.endswith("modeling_mamba2.py")
    assert "as in state space models" in found.message
