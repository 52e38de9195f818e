"""Models that are too large to be made with values: what is read of them, and what that takes."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.imports import made_models
from abcparam.imports.audit import audited
from abcparam.imports.capture import exported_of, trace_of, trace_without_values
from abcparam.imports.empty import SMALL, empty_weights
from abcparam.imports.exported import NeedsValuesError
from abcparam.imports.factory import Example, Factory
from abcparam.imports.made_models import MadeModels
from abcparam.imports.result import Audit
from abcparam.imports.settings import settings_of, small_settings
from tests.imports.models import nanogpt

GROW = {"width": (64, 128, 256)}


def factory_of(make: Callable[..., Any], **sizes: int) -> Factory:
    return Factory(make, __file__, make.__name__, sizes)


# Empty weights


class Scaled(nn.Module):
    """A map, a gain and a buffer, all written after they are registered."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)
        self.gain = nn.Parameter(torch.empty(1))
        self.register_buffer("mask", torch.empty(width, width))
        nn.init.constant_(self.gain, 3.0)
        nn.init.constant_(self.map.weight, 12345.0)
        self.get_buffer("mask").fill_(2.0)


def test_large_weights_are_not_written():
    with empty_weights():
        model = Scaled(2048)
    assert not bool((model.map.weight == 12345).all())
    assert float(model.gain.detach()) == 3.0 and bool((model.get_buffer("mask") == 2).all())
    assert SMALL < 2048**2
    outside = Scaled(64)
    assert bool((outside.map.weight == 12345).all())


def test_memory_that_was_given_back_is_written_again():
    with empty_weights():
        for _ in range(20):
            nn.Linear(64, 64)  # its memory is free for the next
            data = torch.full((64, 64), 7.0)
            assert bool((data == 7).all())


def test_what_wrote_weights_is_known_all_the_same():
    found = MadeModels(factory_of(lambda width: (Scaled(width), torch.ones(1)))).at({"width": 4096})
    assert not found.filled and isnan(found.starts["map.weight"].rms)
    assert found.starts["map.weight"].write.drawn.mean == 12345
    assert found.starts["map.bias"].write.drawn.family == "uniform"


# Small settings


def deep(width: int = 256, head: int = 64, depth: int = 32, vocab: int = 1024) -> Any:
    return nanogpt.make(width, head, depth, vocab)


def test_sizes_that_count_most_are_halved():
    models = MadeModels(factory_of(deep, width=256, head=64, depth=32, vocab=1024))
    settings = settings_of(models, {"width": (256, 512, 1024)})
    small = small_settings(models, settings, ["width"])
    depth, vocab = 2, 1024
    assert small == [
        {"width": width, "head": 64, "depth": depth, "vocab": vocab} for width in (64, 128, 256)
    ]
    assert all(models.is_small(sizes) for sizes in small)


def test_small_models_are_measured_as_they_are():
    models = MadeModels(factory_of(deep, width=64, head=16, depth=2, vocab=65))
    settings = settings_of(models, GROW)
    assert small_settings(models, settings, ["width"]) == settings[:3]


# Reading


def without_times(audit: Audit) -> object:
    """What is found, but for the settings that it was found at."""
    return {name: x for name, x in audit.to_dict().items() if name != "settings"}


@pytest.mark.parametrize("make", [nanogpt.make, nanogpt.few_heads])
def test_the_same_is_read(make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    whole = audited(make, GROW)
    monkeypatch.setattr(made_models, "LIMIT", 150_000)
    empty = audited(make, GROW)
    assert len(empty.settings) > len(whole.settings)
    assert without_times(empty) == without_times(whole)


def example(width: int) -> Example:
    model, args = nanogpt.make(width)
    return Example(model, args, {})


def test_traces_without_values_are_those_with():
    filled = example(64)
    with empty_weights():
        empty = example(64)
    whole, found = trace_of(exported_of(filled)), trace_without_values(exported_of(empty))
    assert found == whole
    assert all(isnan(size) for line in found.lines for size in line.sizes)


class Hard(nn.Module):
    """A map whose output is multiplied by what its signs are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.map(x)
        return y * (y > 0).float()


def test_data_that_are_made_of_values_are_computed(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(NeedsValuesError):
        trace_without_values(exported_of(Example(Hard(64), (torch.randn(5, 64),), {})))

    def make(width: int = 64) -> Any:
        return Hard(width), torch.randn(5, width)

    whole = audited(make, GROW)
    monkeypatch.setattr(made_models, "LIMIT", 20_000)
    assert without_times(audited(make, GROW)) == without_times(whole)


class Alternating(nn.Module):
    """Layers of two kinds, three and three: half as many are another model."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        kinds = [nn.Tanh, nn.Tanh, nn.Tanh, nn.Sigmoid, nn.Sigmoid, nn.Sigmoid]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), kinds[i % 6]()) for i in range(depth)
        )
        self.out = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        out: Tensor = self.out(x)
        return out


def test_where_small_models_are_other_ones(monkeypatch: pytest.MonkeyPatch):
    """They are measured as large as they are."""

    def make(width: int = 64, depth: int = 6) -> Any:
        return Alternating(width, depth), torch.randn(5, width)

    whole = audited(make, GROW)
    monkeypatch.setattr(made_models, "LIMIT", 200_000)
    empty = audited(make, GROW)
    assert without_times(empty) == without_times(whole)


def test_weights_that_only_values_tell(monkeypatch: pytest.MonkeyPatch):
    def make(width: int = 64) -> Any:
        model = nn.Sequential(nn.Linear(width, width), nn.Linear(width, 10))
        with torch.no_grad():
            model[0].weight.copy_(torch.randn(width, width).sin() / width)
        return model, torch.randn(5, width)

    whole = audited(make, GROW).starts["0.weight"]
    monkeypatch.setattr(made_models, "LIMIT", 10_000)
    found = audited(make, GROW).starts["0.weight"]
    assert (found.kind, found.note) == (whole.kind, whole.note)
    assert found.scale is not None and whole.scale is not None
    assert found.scale.powers == whole.scale.powers


def test_optimizers_that_go_by_values_are_refused(monkeypatch: pytest.MonkeyPatch):
    """What a model without values is trained by may not depend on what is in memory."""

    def make(width: int = 64) -> Any:
        return nn.Sequential(nn.Linear(width, width), nn.Linear(width, 10)), torch.randn(5, width)

    def by_norm(model: nn.Module) -> torch.optim.Optimizer:
        groups = [
            {"params": [p], "lr": 1e-3 * float(p.detach().norm()) ** 0} for p in model.parameters()
        ]
        return torch.optim.AdamW(groups)

    def by_shape(model: nn.Module) -> torch.optim.Optimizer:
        for p in model.parameters():
            p.new_zeros(3), p.new_empty(p.shape), p.new_ones(2), p.new_full((2,), 1.0)
        like = [(p, torch.zeros_like(p).sum() == 0) for p in model.parameters()]
        large = [p for p, there in like if there and p.detach().dim() > 1]
        return torch.optim.AdamW([{"params": large}, {"params": [p for p, _ in like[1::2]]}])

    assert audited(make, GROW, by_norm).rates["0.weight"].rule == "adamw"
    monkeypatch.setattr(made_models, "LIMIT", 10_000)
    assert audited(make, GROW, by_shape).rates["0.weight"].rule == "adamw"
    with pytest.raises(abcparam.SpecError) as raised:
        audited(make, GROW, by_norm)
    (refusal,) = raised.value.diagnostics
    assert (refusal.code, "`0.weight`" in refusal.message) == ("P1027", True)


def test_a_spec_is_proved_on_small_models(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(made_models, "LIMIT", 150_000)
    found = abcparam.import_model(nanogpt.make, GROW)
    assert {result.sizes["width"] for result in found.compared} == {16, 64}
    assert "dim width   -> inf, base = 64" in found.text


@pytest.mark.slow
def test_a_model_of_one_gigabyte():
    """Its verdict and its adapter, from what small ones tell."""

    def make(width: int = 512, head: int = 64, depth: int = 8, vocab: int = 4096) -> Any:
        return nanogpt.make(width, head, depth, vocab)

    audit = abcparam.audit(make, {"width": (512, 1024, 2048)})
    assert audit.verdict == "unstable-at-init"
    assert audit.remedy.verdict == "maximal-update"
