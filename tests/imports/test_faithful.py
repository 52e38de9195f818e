"""Gradients of what is traced beside the model's, and parameters that have none."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from abcparam.imports.capture import exported_of, trace_of
from abcparam.imports.exported import Exported
from abcparam.imports.factory import Example
from abcparam.imports.faithful import findings, other_gradients
from abcparam.imports.unused import unused
from tests.imports.trial import tried


class Straight(torch.autograd.Function):
    """Rounds; its gradient is that of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Tensor:
        return gradients[0]  # type: ignore[no-any-return]


class Two(nn.Module):
    """Two maps and a function between them."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(11, 32), nn.Linear(32, 3)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(self.first(x)))  # type: ignore[no-any-return]


def example(function: Any) -> Example:
    return Example(Two(function), (torch.randn(5, 11),), {})


def test_a_backward_pass_of_ones_own_is_found():
    model = example(Straight.apply)
    names = other_gradients(Exported(model))
    assert names == ("first.weight", "first.bias")
    said = findings(names, trace_of(exported_of(model)))
    assert [found.code for found in said] == ["P1015"] * 2
    assert "`first.weight`" in said[0].message


def test_a_hook_on_a_gradient_is_found():
    def halved(x: Tensor) -> Tensor:
        if not torch.compiler.is_exporting():
            x.register_hook(lambda gradient: gradient / 2)
        return x.relu()

    assert other_gradients(Exported(example(halved))) == ("first.weight", "first.bias")


def test_others_are_faithful():
    assert other_gradients(Exported(example(torch.relu))) == ()
    drawn = nn.Sequential(nn.BatchNorm1d(32), nn.Dropout(0.5))
    assert other_gradients(Exported(example(drawn))) == ()


def test_parameters_that_no_output_depends_on():
    class Spare(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(11, width), nn.Linear(width, width)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)  # type: ignore[no-any-return]

    program = tried(lambda width: (Spare(width), torch.randn(5, 11))).program()
    (note,) = unused(program)
    assert (note.code, note.severity) == ("P1011", "note")
    assert note.message == "no output depends on `spare.weight`, `spare.bias`"
