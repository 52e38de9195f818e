"""Factories of Hugging Face's models, from a `config.json` or the name of a class of configs.

Nothing is downloaded, and no code that lies beside a config is run.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import NoConfig

WIDTHS = ("hidden_size", "n_embd", "d_model")
HEADS = (
    "num_attention_heads",
    "n_head",
    "num_heads",
    "encoder_attention_heads",
    "decoder_attention_heads",
)
KEYS = ("num_key_value_heads",)
HEAD_SIZES = ("head_dim", "d_kv")
LATENT_HEADS = {  # of latent attention, where `head_dim` is that of rotations
    "qk_rope_head_dim": 8,
    "head_dim": 8,
    "qk_nope_head_dim": 16,
    "v_head_dim": 16,
}
INNER = (
    "intermediate_size",
    "moe_intermediate_size",
    "n_inner",
    "d_ff",
    "encoder_ffn_dim",
    "decoder_ffn_dim",
    "q_lora_rank",
    "kv_lora_rank",
)
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "encoder_layers", "decoder_layers")
EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts")
DEPTH, VOCAB, HEAD, FEW = 2, 64, 16, 4
BATCH, CONTEXT = 5, 7
FINE, COARSE = 16, 8  # parts of the width that inner sizes are made of


class ConfigReference(Record):
    """A config, and what it is called."""

    config: Any
    name: str
    file: str


def is_config(reference: str) -> bool:
    """Whether a reference is a config, the folder of one, or the name of a class of configs."""
    path = Path(reference)
    if path.name == "config.json" or (path.is_dir() and (path / "config.json").exists()):
        return True
    return reference.isidentifier() and reference.endswith("Config")


def config_of(reference: str) -> ConfigReference:
    """The config that a reference names. Raises `SpecError` where there is none."""

    def refuse(problem: str) -> SpecError:
        return SpecError.about(reference, NoConfig, reference=reference, problem=problem)

    try:
        import transformers
    except ImportError:
        raise refuse("it needs transformers: pip install transformers") from None
    if reference.isidentifier() and not os.path.isdir(reference):
        found = getattr(transformers, reference, None)
        if found is None:
            raise refuse("transformers has no class of this name")
        return ConfigReference(found(), reference.removesuffix("Config"), reference)
    folder = reference if os.path.isdir(reference) else os.path.dirname(reference) or "."
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise refuse(str(error).splitlines()[0]) from None
    name = (config.architectures or [type(config).__name__.removesuffix("Config")])[0]
    return ConfigReference(config, name, os.path.join(folder, "config.json"))


def sizes_of(config: Any) -> dict[str, int]:
    """Small sizes to read a model at: `width`, in heads of size `head`, `depth` and `vocab`."""
    heads = _first(config, HEADS)
    found = {"width": 64, "depth": DEPTH}
    if heads is not None:
        keys = _first(config, KEYS) or heads
        found = {"width": HEAD * max(FEW, heads // keys * 2), "head": HEAD, "depth": DEPTH}
    if isinstance(getattr(config, "vocab_size", None), int):
        found["vocab"] = VOCAB
    return found


def _first(config: Any, names: tuple[str, ...]) -> int | None:
    return next((value for name, value in _set(config, names)), None)


def _set(config: Any, names: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """The fields of these names that a config has."""
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            yield name, value


def made(config: Any, sizes: Mapping[str, int]) -> Any:
    """The model of a config at these sizes, and what it is called with."""
    small = resized(config, sizes)
    return _model(small), *_inputs(small)


def resized(config: Any, sizes: Mapping[str, int]) -> Any:
    """A config of another width: there are as many heads as fit, and what depends on it follows."""
    small = copy.deepcopy(config)
    width, before = sizes["width"], _first(config, WIDTHS) or 64
    heads, count = _first(config, HEADS) or 1, max(1, width // sizes.get("head", width))
    for name, _ in _set(config, WIDTHS):
        setattr(small, name, width)
    for name, _ in _set(config, HEADS):
        setattr(small, name, count)
    for name, keys in _set(config, KEYS):
        setattr(small, name, max(1, count * keys // heads))
    for name, inner in _set(config, INNER):
        setattr(small, name, max(1, int(width * share_of(inner, before))))
    for name, _ in _set(config, HEAD_SIZES):
        setattr(small, name, sizes["head"])
    if hasattr(config, "qk_rope_head_dim"):
        for name, _ in _set(config, tuple(LATENT_HEADS)):
            setattr(small, name, LATENT_HEADS[name])
    for name, experts in _set(config, EXPERTS):
        setattr(small, name, min(experts, max(FEW, getattr(config, "num_experts_per_tok", 1))))
    for name, _ in _set(config, LAYERS):
        setattr(small, name, sizes["depth"])
    for name, dense in _set(config, ("first_k_dense_replace",)):
        setattr(small, name, min(dense, sizes["depth"] - 1))
    for name, groups in _set(config, ("n_group",)):
        if groups > 1:  # two of four, each of two experts
            setattr(small, name, FEW)
            small.n_routed_experts, small.topk_group, small.num_experts_per_tok = 2 * FEW, 2, 2
    if "vocab" in sizes:
        small.vocab_size = sizes["vocab"]
    _tidy(small, sizes)
    return small


def share_of(inner: int, width: int) -> Fraction:
    """How large an inner size is beside the width, so that small widths have whole ones."""
    exact = Fraction(inner, width)
    if FINE % exact.denominator == 0:
        return exact
    return Fraction(max(1, round(COARSE * exact)), COARSE)


def _tidy(config: Any, sizes: Mapping[str, int]) -> None:
    """Without dropout, and with what the sizes leave out of range brought back."""
    for name, value in vars(config).items():
        if "drop" in name and isinstance(value, float):
            setattr(config, name, 0.0)
        out = (
            name.endswith("token_id") and isinstance(value, int) and value >= sizes.get("vocab", 0)
        )
        if out and "vocab" in sizes:
            setattr(config, name, 0)
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[: sizes["depth"]]
    config.use_cache = False


def _model(config: Any) -> Any:
    import transformers

    names = config.architectures or []
    found = next((getattr(transformers, n) for n in names if hasattr(transformers, n)), None)
    if found is not None:
        return found(config)
    for auto in ("AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModel"):
        try:
            return getattr(transformers, auto).from_config(config)
        except ValueError:
            continue
    raise ValueError(f"transformers has no model of {type(config).__name__}")


def _inputs(config: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a model is called with: tokens, or images."""
    import torch

    if isinstance(getattr(config, "image_size", None), int) and not hasattr(config, "vocab_size"):
        side = config.image_size
        images = torch.randn(BATCH, getattr(config, "num_channels", 3), side, side)
        return (), {"pixel_values": images}
    tokens = torch.randint(config.vocab_size, (BATCH, CONTEXT))
    given = {"input_ids": tokens}
    if getattr(config, "is_encoder_decoder", False):
        given["decoder_input_ids"] = tokens
    if hasattr(config, "use_cache"):
        return (), {**given, "use_cache": False}
    return (), given
