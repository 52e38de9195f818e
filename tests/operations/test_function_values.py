"""What laws know of functions of a number: their values, and where they are flat, are PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from abcparam.calculus.pointwise import FunctionTraits
from abcparam.operations import operations
from abcparam.operations.pointwise import Pointwise

POINTS = [Fraction(k, 2) for k in range(-14, 15)]
OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "log": lambda x: x.abs().clamp(min=1e-2).log(),
}


def functions() -> dict[str, FunctionTraits]:
    found = {n: o.traits for n, o in operations().items() if isinstance(o, Pointwise)}
    return {name: traits for name, traits in found.items() if traits.value is not None}


def torch_function(name: str) -> Callable[[Tensor], Tensor]:
    if name in OTHERS:
        return OTHERS[name]
    found = getattr(torch, name, None) or getattr(functional, name)
    assert callable(found)
    return found  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", list(functions()))
def test_values_are_those_of_torch(name: str):
    traits = functions()[name]
    x = torch.tensor([float(point) for point in POINTS], dtype=torch.float64)
    wanted = torch_function(name)(x)
    assert traits.value is not None
    given = torch.tensor([traits.value(float(point)) for point in POINTS], dtype=torch.float64)
    torch.testing.assert_close(given, wanted, rtol=1e-9, atol=1e-12)
    exact = [(traits.exactly(point), float(y)) for point, y in zip(POINTS, wanted, strict=True)]
    assert all(ours is None or abs(float(ours) - y) < 1e-12 for ours, y in exact)


@pytest.mark.parametrize("name", list(functions()))
def test_where_they_are_flat_torch_passes_no_gradient(name: str):
    """At all of these points, the ends among them, and only there; `flat_at_zero` is of zero.

    Left out are the lowest point of hardswish, which is flat in itself alone, and log's pole.
    """
    traits = functions()[name]
    points = [p for p in POINTS if (name, p) not in (("hardswish", Fraction(-3, 2)), ("log", 0))]
    x = torch.tensor([float(point) for point in points], dtype=torch.float64, requires_grad=True)
    torch_function(name)(x).sum().backward()
    assert x.grad is not None
    for point, slope in zip(points, x.grad.tolist(), strict=True):
        if point:
            assert traits.saturated(point) == (slope == 0), point
        else:
            assert (traits.saturated(point) or traits.flat_at_zero) == (slope == 0)
