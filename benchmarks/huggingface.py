"""A training step of emitted models beside Hugging Face's `transformers` of the same configuration.

Both are in evaluation mode, so that neither drops out, and have the same optimizer: AdamW, with the
kernels that the emitted module asks for. Theirs has its default attention, torch's fused one.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

import torch
from torch import nn

import abcparam
from abcparam.emission.execute import executed
from benchmarks.measure import ROOT, Comparison, Options, SkippedError, alternate, compare, seconds
from benchmarks.steps import SIZES, Step, no_garbage_collection, training_step

WIDTH, DEPTH, CONTEXT, VOCAB = (SIZES[name] for name in ("width", "depth", "context", "vocab"))
HEAD, WARM_UP = 64, 5
THEIRS: dict[str, tuple[str, str, dict[str, int]]] = {
    "gpt2": (
        "GPT2LMHeadModel",
        "GPT2Config",
        {
            "n_embd": WIDTH,
            "n_layer": DEPTH,
            "n_head": WIDTH // HEAD,
            "vocab_size": VOCAB,
            "n_positions": CONTEXT,
        },
    ),
    "llama": (
        "LlamaForCausalLM",
        "LlamaConfig",
        {
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": WIDTH // HEAD,
            "num_key_value_heads": WIDTH // HEAD,
            "intermediate_size": 768,
            "vocab_size": VOCAB,
            "max_position_embeddings": CONTEXT,
        },
    ),
}


def beside_huggingface(options: Options) -> list[Comparison]:
    """GPT-2 and Llama, eager."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise SkippedError(f"{error}; `pip install transformers`") from None
    return [_versus(name, transformers, options) for name in THEIRS]


def _versus(name: str, transformers: ModuleType, options: Options) -> Comparison:
    torch.set_num_threads(options.threads)
    ours, theirs = _our_model(name), _their_model(name, transformers)
    _same_size(ours[0], theirs)
    steps = (_step(*ours), _step(_Logits(theirs), _their_optimizer(theirs, ours[1])))
    for step in steps * WARM_UP:
        step()
    with no_garbage_collection():
        pairs = alternate(lambda: seconds(steps[0]), lambda: seconds(steps[1]), options.rounds(50))
    labels = ("emitted", "transformers")
    return compare(f"step of {name}, eager, beside transformers", labels, pairs, 1.0)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> Step:
    return training_step(model.eval(), optimizer, compiled=False)


def _our_model(name: str) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The example at the sizes of both, which are its base too."""
    text = (ROOT / "examples" / f"{name}.param").read_text(encoding="utf-8")
    (model,) = re.findall(r"^model (\w+)", text, re.M)
    emitted = executed(abcparam.compile(text))
    torch.manual_seed(0)
    made: nn.Module = emitted[model](emitted["Config"](**SIZES, head=HEAD))
    return made, emitted["make_optimizer"](made)


def _their_model(name: str, transformers: ModuleType) -> nn.Module:
    model, config, settings = THEIRS[name]
    torch.manual_seed(0)
    made: nn.Module = getattr(transformers, model)(getattr(transformers, config)(**settings))
    return made


def _their_optimizer(model: nn.Module, ours: torch.optim.Optimizer) -> torch.optim.Optimizer:
    kept = ("betas", "weight_decay", "fused", "foreach")
    return torch.optim.AdamW(
        model.parameters(), lr=1e-3, **{key: ours.defaults[key] for key in kept}
    )


def _same_size(ours: nn.Module, theirs: nn.Module) -> None:
    """Raise unless both train equally many numbers; tests hold that they compute the same."""
    counts = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
    if counts[0] != counts[1]:
        raise AssertionError(f"not the same model: {counts[0]:,} and {counts[1]:,} parameters")


class _Logits(nn.Module):
    """Their model as a function from tokens to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> Any:
        return self.model(tokens, use_cache=False).logits
