"""Megatron-LM's GPT, with `--use-mup` or without it."""

from __future__ import annotations

from fractions import Fraction

from abcparam.diagnostics.rules import recipes as rules
from abcparam.pipeline import exact
from abcparam.recipes.base import HALF, ONE, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.settings import ConfigSettings, text_of, word_for

UNKNOWN = {  # settings of other models, which the recipe has no spec for
    "num_experts": "mixtures of experts",
    "multi_latent_attention": "latent attention",
    "decoupled_lr": "a learning rate of embeddings and outputs by itself",
    "qk_layernorm": "norms of queries and keys",
    "mtp_num_layers": "prediction of several tokens",
    "apply_residual_connection_post_layernorm": "residuals behind norms",
}
POSITIONS = {"learned_absolute": "learned", "rope": "rope", "none": "none"}
NORMS = {"LayerNorm": "layernorm", "RMSNorm": "rmsnorm"}
VOCAB, CONTEXT = 50304, 1024  # a tokenizer's, and where nothing says how many positions there are


class Megatron(ProjectRecipe):
    """Arguments of `pretrain_gpt.py`: as flags, or as keys of YAML."""

    name = "megatron"
    summary = "Megatron-LM's GPT: --use-mup and its flags"
    source = "github.com/NVIDIA/Megatron-LM at d98e8a64ddf34856e74b24714e3bedb2f5a39553"
    subjects = {
        "width": ("mup_base_hidden_size", "hidden_size"),
        "depth": ("num_layers",),
        "heads": ("num_attention_heads",),
        "head": ("kv_channels", "num_attention_heads"),
        "groups": ("num_query_groups",),
        "vocab": ("padded_vocab_size", "vocab_size"),
        "context": ("max_position_embeddings", "seq_length"),
        "lr": ("lr",),
        "init": ("init_method_std",),
        "embedding_init": ("embedding_init_method_std", "init_method_std"),
        "embedding": ("use_mup", "embedding_init_method_std", "init_method_std", "hidden_size"),
        "readout": ("untie_embeddings_and_output_weights",),
        "hidden": ("use_mup", "init_method_std", "hidden_size"),
        "vector": ("use_mup", "hidden_size"),
        "norm": ("normalization",),
        "scale": ("mup_attn_scale_power", "mup_base_head_dim", "use_mup", "num_attention_heads"),
        "attention": ("use_mup", "num_attention_heads"),
        "feed_forward": ("ffn_hidden_size", "swiglu", "squared_relu", "use_mup", "hidden_size"),
        "embedding_mult": ("mup_embedding_mult",),
        "residual": ("use_mup", "num_layers"),
        "output": ("mup_output_mult", "use_mup", "hidden_size"),
        "optimizer": ("adam_eps", "weight_decay", "optimizer", "lr"),
    }

    def decoder(self, found: ConfigSettings) -> Decoder:
        for name, reason in UNKNOWN.items():
            if found.has(name) and found.word(name).lower() not in ("false", "none", "null"):
                raise found.refusal(rules.UnknownPart, name, reason=f"{reason} have no recipe")
        mup = found.flag("use_mup")
        width, heads = found.whole("hidden_size"), found.whole("num_attention_heads")
        head = found.whole("kv_channels", max(width // heads, 1))
        if width != heads * head:
            raise found.refusal(
                rules.UnreadableSetting,
                "kv_channels" if found.has("kv_channels") else "num_attention_heads",
                wanted=f"such that heads are {width} wide in all",
            )
        base = found.whole("mup_base_hidden_size", width) if mup else width
        base_head = found.positive("mup_base_head_dim") if found.has("mup_base_head_dim") else None
        grows = mup and base_head is not None and base_head != head
        if base % (heads if grows else head):
            of = f"{heads} heads" if grows else f"heads of {head}"
            wanted = f"a multiple of {heads if grows else head}, for {of}"
            raise found.refusal(rules.UnreadableSetting, "mup_base_hidden_size", wanted=wanted)
        biased = not found.flag("disable_bias_linear") and found.flag("add_bias_linear", True)
        hidden, vector, output = self._scalings(found, mup)
        untied = found.flag("untie_embeddings_and_output_weights")
        embedding_std = found.positive("embedding_init_method_std", self._std(found))
        number = found.text
        return Decoder(
            "GPT",
            base,
            found.whole("num_layers"),
            heads if grows else base // head,
            base // heads if grows else head,
            head_grows=grows,
            group=self._group(found, heads),
            vocab=found.whole("padded_vocab_size", found.whole("vocab_size", VOCAB)),
            context=found.whole("max_position_embeddings", found.whole("seq_length", CONTEXT)),
            inner=self._inner(found, width),
            activation=self._activation(found),
            norm=found.chosen("normalization", NORMS, "LayerNorm"),
            norm_shift=found.word("normalization", "LayerNorm") == "LayerNorm",
            bias=biased,
            qkv_bias=biased or found.flag("add_qkv_bias"),
            positions=found.chosen("position_embedding_type", POSITIONS, "learned_absolute"),
            tied=not untied,
            init_std=self._std(found),
            embedding_std=text_of(embedding_std),
            scale=self._scale(found, mup, base_head),
            embedding_mult=number("mup_embedding_mult", "1") if mup else "1",
            output_mult=text_of(self._output(found)) if mup else "1",
            output_falls=mup and self._output(found) == 1,
            hidden=hidden,
            vector=vector,
            output=output,
            lr=text_of(found.positive("lr")),
            embedding_decays=not found.has("embedding_init_method_std"),
            optimizer=self._optimizer(found),
            betas=(number("adam_beta1", "0.9"), number("adam_beta2", "0.999")),
            eps=number("adam_eps", "1e-8"),
            momentum=number("sgd_momentum", "0.9"),
            weight_decay=number("weight_decay", "0.01"),
            clip=number("clip_grad", "1.0"),
        )

    def _std(self, found: ConfigSettings) -> str:
        return text_of(found.positive("init_method_std", "0.02"))

    def _output(self, found: ConfigSettings) -> Fraction:
        return found.positive("mup_output_mult", "1")

    def _scalings(self, found: ConfigSettings, mup: bool) -> tuple[Scaling, Scaling, Scaling]:
        """Of hidden maps, of vectors, of a readout that is a tensor of its own."""
        if not mup:
            return Scaling(), Scaling(), Scaling()
        if self._is_sgd(found):
            return Scaling(b=HALF), Scaling(c=-ONE), Scaling(c=-ONE)
        return Scaling(b=HALF, c=ONE, d=ONE), Scaling(), Scaling()

    def _is_sgd(self, found: ConfigSettings) -> bool:
        return found.word("optimizer", "adam") == "sgd"

    def _optimizer(self, found: ConfigSettings) -> str:
        name = found.word("optimizer", "adam")
        if name not in ("adam", "sgd"):
            reason = "only adam and sgd have a recipe"
            raise found.refusal(rules.UnknownPart, "optimizer", reason=reason)
        return "adamw" if name == "adam" and found.flag("decoupled_weight_decay", True) else name

    def _group(self, found: ConfigSettings, heads: int) -> int:
        if not found.flag("group_query_attention"):
            return 1
        return heads // found.part("num_query_groups", heads, f"{heads} heads", 1)

    def _activation(self, found: ConfigSettings) -> str:
        if found.flag("swiglu"):
            return "swiglu"
        return "relu2" if found.flag("squared_relu") else "gelu"

    def _inner(self, found: ConfigSettings, width: int) -> Fraction:
        swiglu = int(4 * width * 2 / 3 / 64) * 64
        default = swiglu if found.flag("swiglu") else 4 * width
        return Fraction(found.whole("ffn_hidden_size", default), width)

    def _scale(
        self, found: ConfigSettings, mup: bool, base_head: Fraction | None
    ) -> tuple[float, Fraction]:
        if not mup:
            return 1.0, -HALF
        power = found.positive("mup_attn_scale_power", "1")
        return 1.0 if base_head is None else float(base_head) ** 0.5, -power

    def written(self, decoder: Decoder, width: int) -> str:
        """Flags of `pretrain_gpt.py`, for this width."""
        head = decoder.head_at(width)
        lines: list[tuple[str, object]] = [
            ("num-layers", decoder.depth),
            ("hidden-size", width),
            ("ffn-hidden-size", int(decoder.inner * width)),
            ("num-attention-heads", width // head),
            ("kv-channels", head),
            ("max-position-embeddings", decoder.context),
            ("seq-length", decoder.context),
            ("vocab-size", decoder.vocab),
            ("position-embedding-type", word_for(POSITIONS, decoder.positions)),
            ("normalization", word_for(NORMS, decoder.norm)),
            ("init-method-std", decoder.init_std),
            ("lr", decoder.lr),
            ("optimizer", "sgd" if decoder.optimizer == "sgd" else "adam"),
            ("weight-decay", decoder.weight_decay),
            ("clip-grad", decoder.clip),
            *self._steps(decoder),
            *self._mup(decoder),
        ]
        if decoder.group > 1:
            lines.append(("num-query-groups", width // head // decoder.group))
        if decoder.embedding_std != decoder.init_std:
            lines.append(("embedding-init-method-std", decoder.embedding_std))
        flags = {
            "use-mup": decoder.output_falls,
            "group-query-attention": decoder.group > 1,
            "untie-embeddings-and-output-weights": not decoder.tied,
            "disable-bias-linear": not decoder.bias,
            "add-qkv-bias": decoder.qkv_bias and not decoder.bias,
            "swiglu": decoder.activation == "swiglu",
            "squared-relu": decoder.activation == "relu2",
        }
        said = [f"--{name}" for name, on in flags.items() if on]
        return "".join(f"{line}\n" for line in [*said, *(f"--{k} {v}" for k, v in lines)])

    def _steps(self, decoder: Decoder) -> list[tuple[str, object]]:
        if decoder.optimizer == "sgd":
            return [("sgd-momentum", decoder.momentum)]
        first, second = decoder.betas
        return [("adam-beta1", first), ("adam-beta2", second), ("adam-eps", decoder.eps)]

    def _mup(self, decoder: Decoder) -> list[tuple[str, object]]:
        if not decoder.output_falls:
            return []
        factor, power = decoder.scale
        found: list[tuple[str, object]] = [
            ("mup-base-hidden-size", decoder.base),
            ("mup-embedding-mult", decoder.embedding_mult),
            ("mup-attn-scale-power", text_of(-power)),
        ]
        if factor != 1:
            found.append(("mup-base-head-dim", text_of(exact(factor) ** 2)))
        return found


RECIPE = Megatron()
