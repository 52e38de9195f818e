"""Cerebras Model Zoo's GPT-2 and GPT-3: the YAML of a trainer, with `mup_base_*` or without."""

from __future__ import annotations

from fractions import Fraction

from abcparam.diagnostics.rules import recipes as rules
from abcparam.imports.drawn import truncated
from abcparam.recipes.base import HALF, ONE, ZERO, ProjectRecipe
from abcparam.recipes.decoder import Decoder, Scaling
from abcparam.recipes.settings import ConfigSettings, in_digits, text_of, word_for, yaml_of

MODELS = {"gpt2", "gpt3"}
UNKNOWN = {  # settings of other models, which the recipe has no spec for
    "output_logits_scale": "a factor of logits, in place of mup_base_hidden_size, has no recipe",
    "embedding_layer_norm": "a norm of embeddings has no recipe",
    "attention_qk_norm_layer": "norms of queries and keys have no recipe",
    "attention_inner_dim": "attention of another width has no recipe",
    "attention_logit_softcapping": "capped logits have no recipe",
    "final_logit_softcapping": "capped logits have no recipe",
    "scale_qk_dot_by_layer_idx": "attention scaled by layer has no recipe",
    "norm_first_sandwich": "norms behind branches have no recipe",
    "use_bias_in_output": "a bias of logits has no recipe",
    "memory_tokens_enabled": "memory tokens have no recipe",
    "use_sink_token": "sink tokens have no recipe",
}
BLOCKS = {
    "adjust_learning_rate": "learning rates of groups by themselves have no recipe",
    "lr_adjustment_groups": "learning rates of groups by themselves have no recipe",
    "moe": "mixtures of experts have no recipe",
    "moe_params": "mixtures of experts have no recipe",
}
POSITIONS = {"learned": "learned", "rotary": "rope", "null": "none", "None": "none"}
NORMS = {"layernorm": "layernorm", "biasless-layernorm": "layernorm", "rmsnorm": "rmsnorm"}
ACTIVATIONS = {"gelu": "gelu", "swiglu": "swiglu", "squared_relu": "relu2"}
BY_DEPTH = "(2 * depth)^(-1/2)"
STARTS = ("initializer.std", "initializer_range", "hidden_size")
RATES = ("initial_learning_rate", "learning_rate", "end_learning_rate")


class Cerebras(ProjectRecipe):
    """Defaults are those of `GPT2LMHeadModelConfig`; the rate is the last schedule's first one.

    Under µP what maps out of a feed-forward network starts as `ffn_output_layer_initializer` says,
    else as `initializer_range`: `output_layer_initializer` is that of attention alone.
    """

    name = "cerebras"
    summary = "Cerebras Model Zoo's GPT: mup_base_hidden_size, mup_base_filter_size, …"
    source = "github.com/Cerebras/modelzoo at f1fd1e091dc67917b91ec213ecd63e48fd144477"
    subjects = {
        "width": ("mup_base_hidden_size", "hidden_size"),
        "depth": ("num_hidden_layers",),
        "heads": ("num_heads",),
        "head": ("num_heads", "hidden_size"),
        "groups": ("extra_attention_params.num_kv_groups", "attention_module"),
        "vocab": ("vocab_size",),
        "context": ("max_position_embeddings",),
        "lr": RATES,
        "init": STARTS,
        "embedding_init": ("embedding_initializer.std", "initializer_range"),
        "embedding": ("embedding_initializer.std", "hidden_size"),
        "readout": ("share_embedding_weights", "initializer_range"),
        "hidden": ("mup_base_hidden_size", *STARTS),
        "vector": ("hidden_size",),
        "norm": ("norm_type", "hidden_size"),
        "scale": ("scale_qk_dot_by_d", "attention_type", "attention_logits_alpha", "num_heads"),
        "attention": ("mup_base_hidden_size", "num_heads"),
        "feed_forward": ("mup_base_filter_size", "filter_size", "hidden_size"),
        "embedding_mult": ("embeddings_scale",),
        "residual": ("mup_base_hidden_size", "num_hidden_layers", "hidden_size"),
        "output": (
            "scale_output_logits_by_d",
            "output_logits_alpha",
            "mup_base_hidden_size",
            "hidden_size",
        ),
        "optimizer": ("adamw.weight_decay", "optimizer.adamw"),
    }

    def decoder(self, found: ConfigSettings) -> Decoder:
        self._require_known(found)
        mup = found.is_on("mup_base_hidden_size") or found.is_on("mup_base_filter_size")
        width = found.whole("hidden_size", 768)
        heads = found.part("num_heads", width, f"{width}, which is hidden_size", 12)
        head = width // heads
        base = found.whole("mup_base_hidden_size") if mup else width
        grows = base % head != 0  # there is no base with heads as large
        if base % (heads if grows else head):
            wanted = f"a multiple of {head}, which is hidden_size / num_heads, or of {heads}"
            raise found.refusal(rules.UnreadableSetting, "mup_base_hidden_size", wanted=wanted)
        inner = Fraction(found.whole("filter_size", 3072), width)
        if mup and found.whole("mup_base_filter_size") != inner * base:
            wanted = f"{inner * base}, filter_size / hidden_size times the base's"
            raise found.refusal(rules.UnreadableSetting, "mup_base_filter_size", wanted=wanted)
        bias = found.flag("use_ffn_bias", True)
        if found.flag("use_ffn_bias_in_attention", True) != bias:
            raise found.refusal(
                rules.UnknownPart,
                "use_ffn_bias_in_attention",
                reason="biases of attention alone, or of all but that, have no recipe",
            )
        norm = found.word("norm_type", "layernorm")
        start, up, project, down = self._starts(found, mup)
        default = _default(found)
        return Decoder(
            "GPT",
            base,
            found.whole("num_hidden_layers", 12),
            heads if grows else base // head,
            base // heads if grows else head,
            head_grows=grows,
            group=self._group(found, heads),
            vocab=found.whole("vocab_size", 50257),
            context=found.whole("max_position_embeddings", 1024),
            inner=inner,
            activation=found.chosen("nonlinearity", ACTIVATIONS, "gelu"),
            norm=found.chosen("norm_type", NORMS, "layernorm"),
            norm_shift=norm == "layernorm",
            bias=bias,
            qkv_bias=found.flag("use_projection_bias_in_attention", True),
            positions=found.chosen("position_embedding_type", POSITIONS, "learned"),
            tied=found.flag("share_embedding_weights", True),
            init_std=text_of(start),
            embedding_std=text_of(_start(found, "embedding_initializer") or default),
            up_std=_times(up / start) or "1",
            project_std=project,
            down_std=down,
            readout_std=found.text("initializer_range", "0.02"),
            scale=self._scale(found),
            embedding_mult=text_of(found.positive("embeddings_scale", "1")),
            output_mult=self._output(found) if mup else "1",
            output_falls=mup,
            output_power=ONE if found.flag("scale_output_logits_by_d", True) else HALF,
            hidden=Scaling(b=HALF, c=ONE) if mup else Scaling(),
            lr=self._rate(found),
            betas=(found.text("betas.0", "0.9"), found.text("betas.1", "0.999")),
            eps=found.text("adamw.eps", "1e-6"),
            weight_decay=found.text("adamw.weight_decay", "0"),
            clip=found.text("max_gradient_norm", "0"),
        )

    def _require_known(self, found: ConfigSettings) -> None:
        for name, reason in UNKNOWN.items():
            if found.is_on(name):
                raise found.refusal(rules.UnknownPart, name, reason=reason)
        for block, reason in BLOCKS.items():
            for name in found.within(block):
                raise found.refusal(rules.UnknownPart, name, reason=reason)
        for name in found.within("optimizer"):
            if not found.written[name].text and name != "optimizer.adamw":
                raise found.refusal(rules.UnknownPart, name, reason="only AdamW has a recipe")
        if found.word("model.name", "gpt3") not in MODELS:
            reason = "only gpt2 and gpt3 have a recipe"
            raise found.refusal(rules.UnknownPart, "model.name", reason=reason)

    def _starts(
        self, found: ConfigSettings, mup: bool
    ) -> tuple[Fraction, Fraction, str, str | None]:
        """What queries start at; what maps up do; what `project` and `down` do, in the first."""
        default, every = _default(found), _start(found, "initializer")
        output = _start(found, "output_layer_initializer")
        down = _start(found, "ffn_output_layer_initializer")
        start = every or default
        up = _start(found, "ffn_initializer") or start
        if mup:
            project = _times((output or default) / start, BY_DEPTH)
            return start, up, project, _times((down or default) / start, BY_DEPTH)
        if output is None and every is None:
            project, last = BY_DEPTH, BY_DEPTH
        else:
            # without any, attention's own and the feed-forward network's first
            project = _times((output or start) / start)
            last = _times((output or up) / start)
        return start, up, project, last if down is None else _times(down / start)

    def _scale(self, found: ConfigSettings) -> tuple[float, Fraction]:
        alpha = float(found.positive("attention_logits_alpha", "1"))
        kind = found.word("attention_type", "scaled_dot_product")
        if kind not in ("dot_product", "scaled_dot_product"):
            wanted = "dot_product or scaled_dot_product"
            raise found.refusal(rules.UnreadableSetting, "attention_type", wanted=wanted)
        if kind == "dot_product":
            return alpha, ZERO
        return alpha, -ONE if found.is_on("scale_qk_dot_by_d") else -HALF

    def _group(self, found: ConfigSettings, heads: int) -> int:
        if found.word("attention_module", "aiayn_attention") == "aiayn_attention":
            return 1
        name = "extra_attention_params.num_kv_groups"
        return heads // found.part(name, heads, f"{heads} heads", 1)

    def _output(self, found: ConfigSettings) -> str:
        return found.text("output_logits_alpha") if found.is_on("output_logits_alpha") else "1"

    def _rate(self, found: ConfigSettings) -> str:
        name = next((name for name in RATES if found.has(name) and found.number(name)), RATES[1])
        return text_of(found.positive(name))

    def written(self, decoder: Decoder, width: int) -> str:
        """What of a trainer's YAML decides on the model and its training, at this width."""
        lines = ["trainer:", "  init:", "    model:", "      name: gpt3"]
        lines += [f"      {name}: {yaml_of(value)}" for name, value in self._model(decoder, width)]
        for name, std in self._initializers(decoder):
            lines += [f"      {name}:", "        name: normal", f"        std: {yaml_of(std)}"]
        first, second = decoder.betas
        lines += ["    optimizer:", "      AdamW:", f"        betas: [{first}, {second}]"]
        lines += [f"        eps: {decoder.eps}", f"        weight_decay: {decoder.weight_decay}"]
        lines += ["    schedulers:", "    - ConstantLR:", f"        learning_rate: {decoder.lr}"]
        if decoder.clip != "0":
            lines += ["    precision:", f"      max_gradient_norm: {decoder.clip}"]
        return "".join(f"{line}\n" for line in lines).replace(": \n", ":\n")

    def _model(self, decoder: Decoder, width: int) -> list[tuple[str, object]]:
        head, (factor, power) = decoder.head_at(width), decoder.scale
        norm = "layernorm" if decoder.norm_shift else "biasless-layernorm"
        found: list[tuple[str, object]] = [
            ("vocab_size", decoder.vocab),
            ("hidden_size", width),
            ("filter_size", int(decoder.inner * width)),
            ("num_hidden_layers", decoder.depth),
            ("num_heads", width // head),
            ("max_position_embeddings", decoder.context),
            ("position_embedding_type", word_for(POSITIONS, decoder.positions)),
            ("share_embedding_weights", decoder.tied),
            ("nonlinearity", word_for(ACTIVATIONS, decoder.activation)),
            ("norm_type", "rmsnorm" if decoder.norm == "rmsnorm" else norm),
            ("use_projection_bias_in_attention", decoder.qkv_bias),
            ("use_ffn_bias_in_attention", decoder.bias),
            ("use_ffn_bias", decoder.bias),
            ("initializer_range", decoder.embedding_std),
            ("embeddings_scale", decoder.embedding_mult),
            ("attention_type", "scaled_dot_product" if power else "dot_product"),
            ("scale_qk_dot_by_d", power == -ONE),
            ("attention_logits_alpha", factor),
        ]
        if decoder.group > 1:
            groups = width // head // decoder.group
            found.append(("attention_module", "multiquery_attention"))
            found.append(("extra_attention_params", f"\n        num_kv_groups: {groups}"))
        if decoder.output_falls:
            found += [
                ("mup_base_hidden_size", decoder.base),
                ("mup_base_filter_size", int(decoder.inner * decoder.base)),
                ("output_logits_alpha", decoder.output_mult),
            ]
        return found

    def _initializers(self, decoder: Decoder) -> list[tuple[str, object]]:
        std, last = decoder.init_std, float(Fraction(decoder.init_std))
        if not decoder.output_falls:  # depth has no place then but in the number
            last *= (2 * decoder.depth) ** -0.5
        ends = ("output_layer_initializer", "ffn_output_layer_initializer")
        return [
            ("embedding_initializer", decoder.embedding_std),
            ("initializer", std),
            *((name, std if decoder.output_falls else f"{last:.12g}") for name in ends),
        ]


def _default(found: ConfigSettings) -> Fraction:
    """The truncated normal's deviation where no initializer is written."""
    sigma = found.positive("initializer_range", "0.02")
    return _kept(sigma, -2 * sigma, 2 * sigma)


def _kept(sigma: Fraction, low: Fraction, high: Fraction) -> Fraction:
    """The deviation of a normal distribution between two bounds, in digits that files have."""
    return in_digits(truncated(0.0, float(sigma), float(low), float(high)).spread)


def _start(found: ConfigSettings, name: str) -> Fraction | None:
    """The deviation of what an initializer draws; none where it is not written."""
    if not found.within(name):
        if found.is_on(name):
            wanted = "a block of `name` and `std`, each on its line"
            raise found.refusal(rules.UnreadableSetting, name, wanted=wanted)
        return None
    kind, mean = found.word(f"{name}.name"), f"{name}.mean"
    if kind not in ("normal", "truncated_normal"):
        reason = "only normal and truncated_normal are scaled by µP, and have a recipe"
        raise found.refusal(rules.UnknownPart, f"{name}.name", reason=reason)
    if found.has(mean) and found.number(mean):
        raise found.refusal(rules.UnreadableSetting, mean, wanted="0")
    sigma = found.positive(f"{name}.std", "0.05")
    if kind == "normal":
        return sigma
    low, high = (
        _bound(found, f"{name}.{end}", by * 2 * sigma) for end, by in (("a", -1), ("b", 1))
    )
    if low != -high or high <= 0:
        end = next(f"{name}.{end}" for end in "ab" if found.has(f"{name}.{end}"))
        raise found.refusal(rules.UnreadableSetting, end, wanted="as far from 0 as the other bound")
    return _kept(sigma, low, high)


def _bound(found: ConfigSettings, name: str, default: Fraction) -> Fraction:
    return found.number(name) if found.has(name) else default


def _times(*factors: Fraction | str) -> str:
    """A product as the language writes it, without ones; nothing where that is 1."""
    texts = (
        text_of(in_digits(float(part))) if isinstance(part, Fraction) else part for part in factors
    )
    return " * ".join(text for text in texts if text != "1")


RECIPE = Cerebras()
