"""nanotron's Llama and Qwen2: the YAML of a run, with `use_mup` or a standard deviation."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.diagnostics.rules import recipes as rules
from abcparam.recipes.base import HALF, HUGGING_FACE_SIZES, ONE, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.settings import ConfigSettings, in_digits, text_of, yaml_of

UNKNOWN = {  # settings of other models, which the recipe has no spec for
    "moe_config": "mixtures of experts have no recipe",
    "sliding_window_size": "sliding windows have no recipe",
    "no_rope_layer": "layers without positions have no recipe",
    "z_loss_enabled": "a loss on the size of logits has no recipe",
}
OPTIMIZERS = {"adamW": "adamw", "sgd": "sgd"}
SCALING = {"NUM_LAYERS": "(2 * depth)^(-1/2)", "NONE": ""}


class Nanotron(ProjectRecipe):
    """The numbers of `scaling/parametrization.py`, which knows the sizes of one width alone.

    With `use_mup` a map starts as the spectral condition has it: at 1 over the root of fan-in, or
    at the root of fan-out over fan-in where that is less. Its learning rate is multiplied by
    fan-out over fan-in, whatever the optimizer is. Queries, keys and values are one map there, and
    so are the gate and the map beside it.
    """

    name = "nanotron"
    summary = "nanotron's Llama and Qwen2: use_mup, or std and scaling_method"
    source = "github.com/huggingface/nanotron at 2411b022a75fb7f7561a1bb4166706da5e1b76de"
    subjects = {
        **HUGGING_FACE_SIZES,
        "groups": ("num_key_value_heads", "num_attention_heads"),
        "lr": ("learning_rate",),
        "init": ("use_mup", "std"),
        "embedding_init": ("use_mup", "std"),
        "embedding": ("use_mup", "std"),
        "readout": ("use_mup", "std"),
        "hidden": ("use_mup", "std"),
        "vector": ("use_mup", "hidden_size"),
        "norm": ("hidden_size",),
        "scale": ("use_mup", "is_qwen2_config", "is_llama_config", "num_attention_heads"),
        "attention": ("use_mup", "num_attention_heads"),
        "feed_forward": ("use_mup", "intermediate_size"),
        "residual": ("use_mup", "num_hidden_layers"),
        "output": ("tie_word_embeddings", "hidden_size"),
        "optimizer": ("optimizer_factory.name", "weight_decay"),
    }

    def decoder(self, found: ConfigSettings) -> Decoder:
        mup, llama = found.flag("use_mup"), found.flag("is_llama_config")
        _require_known(found, mup)
        width = found.whole("hidden_size", 4096)
        heads = found.part("num_attention_heads", width, f"{width}, which is hidden_size", 32)
        several = found.is_on("num_key_value_heads")
        groups = found.part("num_key_value_heads", heads, f"{heads} heads") if several else heads
        plain = Decoder(
            "Llama" if llama else "Qwen2",
            width,
            found.whole("num_hidden_layers", 32),
            heads,
            width // heads,
            group=heads // groups,
            vocab=found.whole("vocab_size", 32000),
            context=found.whole("max_position_embeddings", 2048),
            inner=Fraction(found.whole("intermediate_size", 11008), width),
            activation="swiglu",
            norm="rmsnorm",
            norm_shift=False,
            bias=False,
            qkv_bias=found.flag("attention_bias"),
            positions="rope",
            tied=found.flag("tie_word_embeddings"),
            scale=(1.0, -ONE if mup and llama else -HALF),
            output_falls=False,
            lr=text_of(found.positive("learning_rate")),
            vectors_decay=True,
            optimizer=found.chosen("optimizer_factory.name", OPTIMIZERS, "adamW"),
            betas=(found.text("adam_beta1", "0.9"), found.text("adam_beta2", "0.95")),
            eps=found.text("adam_eps", "1e-8"),
            momentum="0",
            weight_decay=found.text("weight_decay", "0"),
            clip=found.text("clip_grad") if found.is_on("clip_grad") else "0",
        )
        return _spectral(plain) if mup else _random(plain, found)

    def written(self, decoder: Decoder, width: int) -> str:
        """What of a run's YAML decides on the model and its training, at this width."""
        heads = decoder.heads_at(width)
        start = (
            ["use_mup: true"]
            if decoder.hidden.b
            else [f"std: {decoder.init_std}", "scaling_method: NUM_LAYERS"]
        )
        model = {
            "hidden_size": width,
            "intermediate_size": int(decoder.inner * width),
            "is_llama_config" if decoder.scale[1] == -ONE else "is_qwen2_config": True,
            "max_position_embeddings": decoder.context,
            "num_attention_heads": heads,
            "num_hidden_layers": decoder.depth,
            "num_key_value_heads": heads // decoder.group,
            "attention_bias": decoder.qkv_bias and not decoder.hidden.b,
            "tie_word_embeddings": decoder.tied,
            "vocab_size": decoder.vocab,
        }
        adam = {
            "adam_beta1": decoder.betas[0],
            "adam_beta2": decoder.betas[1],
            "adam_eps": decoder.eps,
            "name": "adamW",
        }
        factory = {"name": "sgd"} if decoder.optimizer == "sgd" else adam
        lines = ["model:", "  init_method:", *(f"    {line}" for line in start), "  model_config:"]
        lines += _keys(model, "    ")
        lines += ["optimizer:", f"  clip_grad: {decoder.clip if decoder.clip != '0' else 'null'}"]
        lines += ["  learning_rate_scheduler:", f"    learning_rate: {decoder.lr}"]
        lines += ["  optimizer_factory:", *_keys(factory, "    ")]
        lines += [f"  weight_decay: {decoder.weight_decay}"]
        return "".join(f"{line}\n" for line in lines)


def _keys(found: Mapping[str, object], indent: str) -> list[str]:
    return [f"{indent}{name}: {yaml_of(value)}" for name, value in found.items()]


def _require_known(found: ConfigSettings, mup: bool) -> None:
    for name, reason in UNKNOWN.items():
        if inside := found.within(name):
            raise found.refusal(rules.UnknownPart, inside[0], reason=reason)
        if found.is_on(name):
            raise found.refusal(rules.UnknownPart, name, reason=reason)
    if found.within("weight_decay_exclude_named_params"):
        reason = "weights without decay by pattern have no recipe"
        raise found.refusal(rules.UnknownPart, "weight_decay_exclude_named_params", reason=reason)
    if mup and found.flag("attention_bias"):
        reason = "with use_mup nanotron itself cannot start biases"
        raise found.refusal(rules.UnknownPart, "attention_bias", reason=reason)


def _spectral(plain: Decoder) -> Decoder:
    """With the spectral condition's deviations, and fan-out over fan-in times the learning rate."""
    width, inner = Fraction(plain.base), plain.inner
    attention, up, readout = 1 + Fraction(2, plain.group), 2 * inner, plain.vocab / width
    return replace(
        plain,
        init_std=_digits(plain.base**-0.5),
        embedding_std="1",
        project_std="",
        up_std=_digits(min(1.0, float(up) ** 0.5)),
        down_std=_digits(float(inner) ** -0.5 * min(1.0, float(inner) ** -0.5)),
        # beyond a width of `vocab` it falls like one over the width
        readout_std=_digits(plain.base**-0.5 * min(1.0, float(readout) ** 0.5)),
        attention_rates=text_of(attention),
        up_rates=text_of(up),
        down_rates=text_of(1 / inner),
        readout_rates=text_of(readout),
        hidden=Scaling(b=HALF),
        output=Scaling(b=ONE, c=ONE),
    )


def _random(plain: Decoder, found: ConfigSettings) -> Decoder:
    """With one deviation, which maps into the stream have over the root of twice the depth."""
    std = found.text("std")
    by_depth = found.word("scaling_method", "NUM_LAYERS").upper()
    if by_depth not in SCALING:
        wanted = " or ".join(SCALING)
        raise found.refusal(rules.UnreadableSetting, "scaling_method", wanted=wanted)
    return replace(plain, init_std=std, embedding_std=std, project_std=SCALING[by_depth])


def _digits(value: float) -> str:
    return text_of(in_digits(value))


RECIPE = Nanotron()
