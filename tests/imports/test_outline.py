"""Layers that repeat become one, and only those that do."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from abcparam.imports.capture import exported_of, trace_of
from abcparam.imports.factory import Example
from abcparam.imports.outline import Item, Loop, outline


class Layer(nn.Module):
    def __init__(self, width: int, slope: float = 1.0) -> None:
        super().__init__()
        self.up = nn.Linear(width, 3 * width)
        self.down = nn.Linear(3 * width, width)
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.slope * self.up(x)))


class Stack(nn.Module):
    def __init__(self, slopes: list[float], collects: bool = False, injects: bool = False) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.layers = nn.ModuleList(Layer(6, slope) for slope in slopes)
        self.collects = collects
        self.injects = injects

    def forward(self, x: Tensor) -> Tensor:
        start = x = self.first(x)
        found = []
        for layer in self.layers:
            x = layer(x + start if self.injects else x)
            found.append(x)
        return torch.cat(found) if self.collects else x


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 4), *[Layer(4) for _ in range(3)]) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


def items(model: nn.Module) -> tuple[Item, ...]:
    return outline(trace_of(exported_of(Example(model, (torch.randn(5, 4),), {}))))


def loops(found: tuple[Item, ...]) -> list[tuple[str, int, int]]:
    return [(x.path, x.first, x.count) for x in found if isinstance(x, Loop)]


def test_equal_layers_are_one_loop() -> None:
    found = items(Stack([1.0] * 5))
    assert loops(found) == [("layers", 0, 5)]
    (loop,) = [x for x in found if isinstance(x, Loop)]
    assert len(loop.carried) == 1
    assert len(loop.body) == 5


@pytest.mark.parametrize(
    ("slopes", "expected"),
    [
        ([2.0, 1.0, 1.0, 1.0], [("layers", 1, 3)]),
        ([1.0, 1.0, 2.0, 2.0], [("layers", 0, 2), ("layers", 2, 2)]),
        ([1.0, 2.0, 1.0, 2.0], [("layers", 0, 2)]),
        ([1.0, 2.0, 3.0, 1.0], []),
    ],
)
def test_layers_that_differ_stay_apart(slopes: list[float], expected: object) -> None:
    assert loops(items(Stack(slopes))) == expected


def test_what_every_layer_gives_is_used_behind_them() -> None:
    assert loops(items(Stack([1.0] * 4, collects=True))) == []


def test_loops_inside_loops() -> None:
    found = items(Nested())
    assert loops(found) == [("stages", 0, 2)]
    (outer,) = [x for x in found if isinstance(x, Loop)]
    assert loops(outer.body) == [("stages.0", 1, 3)]
