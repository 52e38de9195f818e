"""Numbers of the model's own stand in for factors of the forward, by what they do in its graph."""

from __future__ import annotations

import copy
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
import transformers as library
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import abcparam
from abcparam.imports.result import Audit

transformers: Any = library  # whose types lack what configurations take
VOCABULARY, HEADS = 53, 2
HALF = {"head": Fraction(-1, 2)}


def adafactor(model: nn.Module) -> torch.optim.Optimizer:
    """It has no gauge: no initial scale makes up for a factor."""
    return torch.optim.Adafactor(model.parameters(), lr=1e-3)


def made_of(audit: Audit) -> ModuleType:
    made = ModuleType("adapter")
    exec(compile(abcparam.adapt(audit), "adapter.py", "exec"), made.__dict__)
    return made


class Attention(nn.Module):
    """Queries and keys that are normalized without a gain: nothing takes their scale over."""

    def __init__(self, head: int) -> None:
        super().__init__()
        width = HEADS * head
        self.maps = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(3))
        self.back = nn.Linear(width, width, bias=False)
        self.scaling = 0.125  # of what it gives, not of its logits
        self.unused = head**-0.5
        self.temperature = head**0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = (f(x).unflatten(-1, (HEADS, -1)).transpose(-3, -2) for f in self.maps)
        q, k = (nn.functional.rms_norm(value, value.shape[-1:]) for value in (q, k))
        weights = (q @ k.transpose(-1, -2) / self.temperature).softmax(-1)
        found: torch.Tensor = self.back((weights @ v).transpose(-3, -2).flatten(-2))
        return x + found * self.scaling


class Model(nn.Module):
    """Two layers, and a tied readout behind a norm without a gain."""

    def __init__(self, head: int) -> None:
        super().__init__()
        self.table = nn.Embedding(VOCABULARY, HEADS * head)
        self.layers = nn.ModuleList(Attention(head) for _ in range(2))
        self.readout = 0.125

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        for layer in self.layers:
            x = layer(x)
        x = nn.functional.rms_norm(x, x.shape[-1:])
        return nn.functional.linear(x, self.table.weight) * self.readout


def build(head: int = 16) -> tuple[Any, ...]:
    return Model(head), (torch.randint(VOCABULARY, (5, 7)),)


@pytest.fixture(scope="module")
def audit() -> Audit:
    return abcparam.audit(build, {"head": (16, 32)})


def test_numbers_are_found_by_what_they_do(audit: Audit) -> None:
    """Of numbers that are equal, the one that is the factor; what is divided by is its inverse."""
    assert not audit.remedy.missing
    found = {place: knob.powers for knob in audit.remedy.knobs for place in knob.places}
    assert found == {"layers.*.temperature": {"head": Fraction(1, 2)}, "readout": {"head": -1}}
    assert audit.to_dict()["remedy"]["knobs"][0]["places"] == ["layers.*.temperature"]


def test_the_adapter_sets_them(audit: Audit) -> None:
    """In copies, compiled and by `state_dict`; a second call is refused and changes nothing."""
    text = abcparam.adapt(audit)
    assert 'module.temperature *= r["head"] ** (1 / 2)' in text
    assert 'module.readout *= r["head"] ** -1' in text and "_KINDS" not in text
    adapter = made_of(audit)
    torch.manual_seed(0)
    model, (tokens,) = build(64)
    plain = copy.deepcopy(model)
    state = model.state_dict()
    torch.compiler.reset()
    compiled = torch.compile(model, backend="eager")
    compiled(tokens)
    adapter.scale_(compiled)
    assert [layer.temperature for layer in model.layers] == [16.0, 16.0]
    wanted = model(tokens)
    assert float((wanted - plain(tokens)).detach().abs().max()) > 0.01
    torch.testing.assert_close(compiled(tokens), wanted)
    torch.testing.assert_close(copy.deepcopy(model)(tokens), wanted)
    assert model.state_dict().keys() == state.keys()
    other, _ = build(64)
    adapter.scale_(other)
    other.load_state_dict(state)
    torch.testing.assert_close(other(tokens), wanted)
    with pytest.raises(ValueError, match=r"layers\.0\.temperature is 16, .* makes it 8: scale_"):
        adapter.scale_(model)
    torch.testing.assert_close(model(tokens), wanted)
    del plain.layers
    with pytest.raises(ValueError, match=r"there is no layers\."):
        adapter.scale_(plain)


@pytest.mark.slow
def test_numbers_that_are_set_are_flat(audit: Audit) -> None:
    found = abcparam.coord_check(audit, adapted=True, widths=(16, 32, 64), seeds=3, steps=3)
    assert {row.outcome for row in found.verdict.rows} <= {"agrees", "crossover"}


def decoder(name: str, **settings: Any) -> Callable[..., tuple[Any, ...]]:
    """A decoder of transformers whose heads grow; `settings` may follow them."""

    def make(head: int = 16) -> tuple[Any, ...]:
        width = HEADS * head
        own = {key: value(head) if callable(value) else value for key, value in settings.items()}
        config = getattr(transformers, f"{name}Config")(
            hidden_size=width,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=head,
            num_hidden_layers=2,
            vocab_size=VOCABULARY,
            intermediate_size=2 * width,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            **own,
        )
        model = getattr(transformers, f"{name}ForCausalLM")(config)
        return model, (torch.randint(VOCABULARY, (5, 7)),), {"use_cache": False}

    return make


def gpt2(head: int = 16) -> tuple[Any, ...]:
    config = transformers.GPT2Config(
        n_embd=HEADS * head,
        n_head=HEADS,
        n_layer=2,
        vocab_size=VOCABULARY,
        n_positions=8,
        resid_pdrop=0,
        embd_pdrop=0,
        attn_pdrop=0,
    )
    model = transformers.GPT2LMHeadModel(config)
    return model, (torch.randint(VOCABULARY, (5, 7)),), {"use_cache": False}


class Hybrid(nn.Module):
    """The attention of Falcon-H1 between a table and a readout."""

    def __init__(self, head: int) -> None:
        super().__init__()
        falcon = library.models.falcon_h1.modeling_falcon_h1
        width = HEADS * head
        config = transformers.FalconH1Config(
            hidden_size=width,
            num_attention_heads=HEADS,
            num_key_value_heads=HEADS,
            head_dim=head,
            key_multiplier=0.5,
        )
        config._attn_implementation = "sdpa"
        self.table = nn.Embedding(VOCABULARY, width)
        self.attention = falcon.FalconH1Attention(config, 0)
        self.rotary = falcon.FalconH1RotaryEmbedding(config)
        self.readout = nn.Linear(width, VOCABULARY, bias=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        positions = self.rotary(x, torch.arange(tokens.shape[1])[None])
        found: torch.Tensor = self.readout(x + self.attention(x, positions, None)[0])
        return found


def falcon(head: int = 16) -> tuple[Any, ...]:
    return Hybrid(head), (torch.randint(VOCABULARY, (5, 7)),)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*register_pre_backward_hook")
def test_numbers_survive_what_is_done_to_models(audit: Audit, tmp_path: Path) -> None:
    """Copies, compiled, wrapped and sharded, with weights that are saved and loaded."""
    safetensors = pytest.importorskip("safetensors.torch")
    adapter = made_of(audit)
    model, (tokens,) = build(64)
    adapter.scale_(model)
    wanted = model(tokens)

    def holds(other: Any) -> None:
        torch.testing.assert_close(other(tokens), wanted)

    holds(copy.deepcopy(model))
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(model), backend="aot_eager")
    holds(compiled)
    late, _ = build(64)
    assert not any(late.load_state_dict(model.state_dict()))
    late = torch.compile(late, backend="aot_eager")
    late(tokens)  # compiled with the numbers that it had
    adapter.scale_(late)
    holds(late)
    other, _ = build(64)
    adapter.scale_(other)
    safetensors.save_model(model, str(tmp_path / "model.safetensors"))
    safetensors.load_model(other, str(tmp_path / "model.safetensors"))
    holds(other)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    try:
        holds(DistributedDataParallel(copy.deepcopy(model)))
        wrapped, _ = build(64)
        wrapped.load_state_dict(model.state_dict())
        wrapped = DistributedDataParallel(wrapped)
        adapter.scale_(wrapped)
        holds(wrapped)
        sharded, mesh = copy.deepcopy(model), init_device_mesh("cpu", (1,))
        for layer in sharded.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(sharded, mesh=mesh)
        holds(sharded)
        assert len(adapter.param_groups(sharded)) == len(adapter.param_groups(model))
    finally:
        dist.destroy_process_group()


GRANITE = {
    "tie_word_embeddings": True,
    "attention_multiplier": lambda head: head**-0.5,
    "logits_scaling": 8.0,
    "residual_multiplier": 0.22,
    "embedding_multiplier": 12.0,
}
ATTENTION = {"model.layers.*.self_attn.scaling": HALF}
CASES: dict[str, tuple[Callable[..., Any], dict[str, dict[str, Fraction]]]] = {
    "FalconH1": (falcon, {"attention.scaling": HALF}),
    "GPT2": (gpt2, {"transformer.h.*.attn.scaling": HALF}),
    "Granite": (
        decoder("Granite", **GRANITE),
        {**ATTENTION, "config.logits_scaling": {"head": Fraction(1)}},
    ),
    "Llama": (decoder("Llama"), ATTENTION),
    "Qwen3": (decoder("Qwen3"), ATTENTION),
}


def granite_by_its_config(head: int) -> Any:
    """Granite with the numbers as a person would set them, four times the base."""
    settings = {**GRANITE, "attention_multiplier": 1 / head * 4, "logits_scaling": 32.0}
    return decoder("Granite", **settings)(head)[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_models_of_transformers_have_numbers(name: str) -> None:
    """Under an optimizer without a gauge; once they are set, the constants of the graph follow."""
    make, wanted = CASES[name]
    found = abcparam.audit(make, {"head": (16, 32)}, adafactor)
    knobs = {place: knob.powers for knob in found.remedy.knobs for place in knob.places}
    assert knobs == wanted
    assert all(missing.module for missing in found.remedy.missing)
    adapter = made_of(found)
    torch.manual_seed(0)
    model, args, *kwargs = make(64)
    plain = copy.deepcopy(model)
    adapter.scale_(model)
    logits = [called(x, args, *kwargs) for x in (model, plain, copy.deepcopy(model))]
    assert float((logits[0] - logits[1]).abs().max()) > 1e-6
    torch.testing.assert_close(logits[0], logits[2])
    if name == "Granite":
        other = granite_by_its_config(64)
        other.load_state_dict(plain.state_dict())
        torch.testing.assert_close(called(other, args, *kwargs), logits[0])


@torch.no_grad()
def called(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> torch.Tensor:
    found = model(*args, **(kwargs or {}))
    logits: torch.Tensor = getattr(found, "logits", found)
    return logits
