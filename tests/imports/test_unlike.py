"""Layers that compute the same and are started or trained otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.emission.execute import executed
from abcparam.imports.adapter import adapter_of


class Stream(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(32, width), nn.Linear(width, 8)
        self.layers = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = x + torch.tanh(layer(nn.functional.layer_norm(x, x.shape[-1:])))
        return self.out(x)


def stream(change: Callable[[Stream, int], object]) -> Callable[..., Any]:
    """A stream that was made and changed."""

    def make(width: int = 64, depth: int = 4) -> Any:
        model = Stream(width, depth)
        change(model, width)
        return model, (torch.randn(8, 32),)

    return make


def as_it_is(model: Stream, width: int) -> None:
    pass


def frozen(model: Stream, width: int) -> None:
    for layer in model.layers[:2]:
        layer.requires_grad_(False)


def started(model: Stream, width: int) -> None:
    for number, layer in enumerate(model.layers):
        nn.init.normal_(layer.weight, std=width**-0.5 if number % 2 else 0.1)


def numbered(model: Stream, width: int) -> None:
    for number, layer in enumerate(model.layers):
        nn.init.normal_(layer.weight, std=(number + 1) * width**-0.5)


def layerwise(model: Stream) -> torch.optim.Optimizer:
    """The rate of each layer is half of that of the one behind it."""
    groups: list[dict[str, Any]] = [
        {"params": layer.parameters(), "lr": 1e-3 * 0.5 ** (len(model.layers) - number)}
        for number, layer in enumerate(model.layers)
    ]
    rest = [*model.first.parameters(), *model.out.parameters()]
    return torch.optim.AdamW([*groups, {"params": rest, "lr": 1e-3}])


def adapted(audit: abcparam.Audit, make: Callable[..., Any], **sizes: int) -> Any:
    """The groups of a model's adapter, which has started it."""
    names = executed(adapter_of(audit, "adapt"))
    model = make(**sizes)[0]
    names["init_"](model)
    return model, names["param_groups"](model)


def rates(model: Stream, groups: Iterable[dict[str, Any]]) -> list[float]:
    by_id = {id(p): group["lr"] for group in groups for p in group["params"]}
    return [by_id.get(id(layer.weight), 0.0) for layer in model.layers]


def test_a_stream_of_tied_sizes_divided_by_itself_is_one() -> None:
    """By biases it is 1 ~ width^(-1/2) depth^(1/2); norms enlarged what ties without end."""

    class Block(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(width)
            self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
            nn.init.zeros_(self.down.weight)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = x + self.down(nn.functional.gelu(self.up(self.norm(x))))
            return found

    def make(width: int = 64, depth: int = 4) -> Any:
        blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        ends = nn.LayerNorm(width), nn.Linear(width, 5)
        return nn.Sequential(nn.Linear(16, width), blocks, *ends), (torch.randn(8, 16),)

    audit = abcparam.audit(make, ["width", "depth"])
    assert str(audit.report.graph.activations["3"].d) == "width"
    assert audit.remedy.verdict == "maximal-update"
    rates = {change.path: change.lr for change in audit.remedy.changes if change.lr}
    assert rates == {
        "1.*.up.weight": {"width": -1},
        "1.*.down.weight": {"width": -1, "depth": -1},
        "1.*.down.bias": {"depth": -1},
        "3.weight": {"width": -1},
    }


def test_first_layers_that_are_frozen_do_not_freeze_the_others() -> None:
    audit = abcparam.audit(stream(frozen), ["width"])
    status = {law.path: law.status for law in audit.report.judgement.tensors}
    assert (status["layers.0-1.weight"], status["layers.2-3.weight"]) == ("frozen", "over")
    assert rates(*adapted(audit, stream(frozen), width=128)) == [0, 0, 5e-4, 5e-4]


def test_each_layer_keeps_a_rate_of_its_own() -> None:
    audit = abcparam.audit(stream(as_it_is), ["width"], layerwise)
    found = rates(*adapted(audit, stream(as_it_is), width=128))
    assert found == pytest.approx([1e-3 / 32, 1e-3 / 16, 1e-3 / 8, 1e-3 / 4])


def test_layers_that_start_by_other_powers_have_laws_of_their_own() -> None:
    """What is 0.1 at all widths is made width^(-1/2), and what is that stays so."""
    audit = abcparam.audit(stream(started), ["width"])
    torch.manual_seed(0)
    model, _ = adapted(audit, stream(started), width=1024)
    found = [layer.weight.std().item() for layer in model.layers]
    assert found == pytest.approx([0.025, 1 / 32, 0.025, 1 / 32], rel=0.02)


def test_layers_that_start_at_a_number_each_are_a_loop() -> None:
    audit = abcparam.audit(stream(numbered), ["width"])
    assert "layers.*.weight" in audit.program.tensors
    torch.manual_seed(0)
    model, _ = adapted(audit, stream(numbered), width=1024, depth=6)
    found = [layer.weight.std().item() * 32 for layer in model.layers]
    assert found == pytest.approx([1, 2, 3, 4, 5, 6], rel=0.02)


def test_a_deeper_model_of_unlike_layers_has_no_law_for_them() -> None:
    audit = abcparam.audit(stream(frozen), ["width"])
    with pytest.raises(ValueError, match=r"layers\.4\.weight"):
        adapted(audit, stream(frozen), depth=6)
