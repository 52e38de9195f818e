"""`config.json` of a model of Hugging Face's with multipliers: Granite."""

from __future__ import annotations

import json
from fractions import Fraction

from abcparam.diagnostics.rules import recipes as rules
from abcparam.recipes.base import HALF, HUGGING_FACE_SIZES, ONE, ZERO, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.settings import ConfigSettings, text_of


class TransformersConfig(ProjectRecipe):
    """Granite's forward as its config has it; initial scales and learning rates as µP's.

    What logits are divided by grows with the width. A config says nothing of another width than its
    own, which is the base here, nor how weights start and are trained there.
    """

    name = "transformers"
    summary = "Granite's config.json: logits_scaling, attention_multiplier, …"
    source = "transformers 5.24.0, models/granite/modeling_granite.py"
    subjects = {
        **HUGGING_FACE_SIZES,
        "groups": ("num_key_value_heads",),
        "init": ("initializer_range",),
        "embedding_init": ("initializer_range",),
        "embedding": ("vocab_size", "hidden_size"),
        "readout": ("tie_word_embeddings", "hidden_size"),
        "hidden": ("hidden_size",),
        "vector": ("hidden_size",),
        "scale": ("attention_multiplier",),
        "attention": ("num_attention_heads",),
        "feed_forward": ("intermediate_size",),
        "embedding_mult": ("embedding_multiplier",),
        "residual": ("residual_multiplier",),
        "output": ("logits_scaling",),
        "lr": (),  # nothing says how it is trained
        "optimizer": (),
    }

    def decoder(self, found: ConfigSettings) -> Decoder:
        kind = found.word("model_type")
        if kind != "granite":
            raise found.refusal(rules.UnknownPart, "model_type", reason="only granite has a recipe")
        width = found.whole("hidden_size", 4096)
        heads = found.part("num_attention_heads", width, f"{width}, which is hidden_size", 32)
        groups = found.part("num_key_value_heads", heads, f"{heads} heads", heads)
        std = found.text("initializer_range", "0.02")
        return Decoder(
            "Granite",
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
            qkv_bias=False,
            positions="rope",
            tied=found.flag("tie_word_embeddings"),
            init_std=std,
            embedding_std=std,
            project_std="",
            scale=(float(found.positive("attention_multiplier", "1")), ZERO),
            embedding_mult=found.text("embedding_multiplier", "1"),
            residual_mult=found.text("residual_multiplier", "1"),
            output_mult=text_of(1 / found.positive("logits_scaling", "1")),
            hidden=Scaling(b=HALF, c=ONE),
        )

    def written(self, decoder: Decoder, width: int) -> str:
        """Some keys of a `config.json`, for this width."""
        ratio = Fraction(width, decoder.base)
        scaling = ratio / Fraction(decoder.output_mult)
        found: dict[str, object] = {
            "model_type": "granite",
            "hidden_size": width,
            "intermediate_size": int(decoder.inner * width),
            "num_hidden_layers": decoder.depth,
            "num_attention_heads": width // decoder.head,
            "num_key_value_heads": width // decoder.head // decoder.group,
            "vocab_size": decoder.vocab,
            "max_position_embeddings": decoder.context,
            "tie_word_embeddings": decoder.tied,
            "initializer_range": float(decoder.init_std),
            "attention_multiplier": decoder.scale_at(width),
            "embedding_multiplier": float(decoder.embedding_mult),
            "residual_multiplier": float(decoder.residual_mult),
            "logits_scaling": float(scaling),
        }
        return json.dumps(found, indent=2) + "\n"


RECIPE = TransformersConfig()
