"""EleutherAI's nanoGPT-mup: `config/*.py` and arguments of `train.py`."""

from __future__ import annotations

from fractions import Fraction

from abcparam.diagnostics.rules import recipes as rules
from abcparam.recipes.base import HALF, ONE, ZERO, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.settings import ConfigSettings, text_of


class NanoGPT(ProjectRecipe):
    """Defaults are those of its `train.py`; PyTorch's AdamW has its own epsilon."""

    name = "nanogpt"
    summary = "nanoGPT-mup: mup_width_multiplier, mup_input_alpha, …"
    source = "github.com/EleutherAI/nanoGPT-mup at b2a5e60948d2e11885dc76c1355af98705f54a70"
    subjects = {
        "width": ("mup_width_multiplier", "n_embd"),
        "depth": ("n_layer",),
        "heads": ("n_head",),
        "head": ("n_head", "n_embd"),
        "vocab": ("vocab_size",),
        "context": ("block_size",),
        "lr": ("learning_rate",),
        "init": ("init_std",),
        "embedding_init": ("init_std",),
        "embedding": ("init_std", "n_embd"),
        "hidden": ("mup_disable_hidden_lr_scaling", "mup_enabled", "init_std", "n_embd"),
        "vector": ("n_embd",),
        "norm": ("bias", "n_embd"),
        "scale": ("mup_disable_attention_scaling", "mup_enabled", "n_head"),
        "attention": ("mup_disable_hidden_lr_scaling", "mup_enabled", "n_head"),
        "feed_forward": ("mup_disable_hidden_lr_scaling", "mup_enabled", "n_embd"),
        "embedding_mult": ("mup_input_alpha",),
        "residual": ("mup_disable_hidden_lr_scaling", "mup_enabled", "n_layer"),
        "output": ("mup_output_alpha", "mup_enabled", "n_embd"),
        "optimizer": ("weight_decay", "learning_rate"),
    }

    def decoder(self, found: ConfigSettings) -> Decoder:
        mup = found.flag("mup_enabled")
        width = found.whole("n_embd", 768)
        heads = found.part("n_head", width, f"{width}, which is n_embd", 12)
        head = width // heads
        base = width / found.positive("mup_width_multiplier", "1") if mup else width
        if base != int(base) or int(base) % head:
            wanted = (
                f"{width} / base, a base that is a multiple of {head}, which is n_embd / n_head"
            )
            raise found.refusal(rules.UnreadableSetting, "mup_width_multiplier", wanted=wanted)
        bias = found.flag("bias")
        std = text_of(found.positive("init_std", "0.02"))
        number = found.text
        return Decoder(
            "GPT",
            int(base),
            found.whole("n_layer", 12),
            int(base) // head,
            head,
            vocab=found.whole("vocab_size", 50304),
            context=found.whole("block_size", 1024),
            norm_shift=bias,
            bias=bias,
            qkv_bias=bias,
            init_std=std,
            embedding_std=std,
            scale=self._scale(found, mup),
            embedding_mult=number("mup_input_alpha", "1") if mup else "1",
            output_mult=number("mup_output_alpha", "1") if mup else "1",
            output_falls=mup,
            hidden=self._hidden(found, mup),
            lr=text_of(found.positive("learning_rate", "6e-4")),
            betas=(number("beta1", "0.9"), number("beta2", "0.95")),
            weight_decay=number("weight_decay", "0.1"),
            clip=number("grad_clip", "1.0"),
        )

    def _scale(self, found: ConfigSettings, mup: bool) -> tuple[float, Fraction]:
        plain = not mup or found.flag("mup_disable_attention_scaling")
        return 1.0, -HALF if plain else -ONE

    def _hidden(self, found: ConfigSettings, mup: bool) -> Scaling:
        if not mup:
            return Scaling()
        return Scaling(b=HALF, c=ZERO if found.flag("mup_disable_hidden_lr_scaling") else ONE)

    def written(self, decoder: Decoder, width: int) -> str:
        """A `config/*.py`, for this width."""
        mup = decoder.output_falls
        found: dict[str, object] = {
            "n_layer": decoder.depth,
            "n_head": decoder.heads_at(width),
            "n_embd": width,
            "vocab_size": f"{decoder.vocab}  # of the data set: train.py takes it from meta.pkl",
            "block_size": decoder.context,
            "bias": decoder.bias,
            "init_std": decoder.init_std,
            "learning_rate": decoder.lr,
            "weight_decay": decoder.weight_decay,
            "beta1": decoder.betas[0],
            "beta2": decoder.betas[1],
            "grad_clip": decoder.clip,
            "mup_enabled": mup,
        }
        if mup:
            found |= {
                "mup_width_multiplier": width / decoder.base,
                "mup_input_alpha": decoder.embedding_mult,
                "mup_output_alpha": decoder.output_mult,
                "mup_disable_hidden_lr_scaling": not decoder.hidden.c,
                "mup_disable_attention_scaling": decoder.scale[1] == -HALF,
            }
        return "".join(f"{name} = {value}\n" for name, value in found.items())


RECIPE = NanoGPT()
