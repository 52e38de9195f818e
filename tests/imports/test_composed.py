"""Calls that are several others are what they are written out as, and have the laws of these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abcparam.imports.composed import COMPOSED
from abcparam.imports.exported import Exported
from abcparam.imports.factory import Example
from tests.imports.test_laws import Given, first, law, square

TABLE, VECTOR = torch.randn(11, 6), torch.randn(6)
CALLS: dict[str, Callable[[Tensor], Any]] = {
    "addmv": lambda x: torch.addmv(x[:, 0], x, VECTOR),
    "bilinear": lambda x: F.bilinear(x, 2 * x[:, :3], torch.randn(4, 6, 3).cos(), torch.ones(4)),
    "chain": lambda x: torch.linalg.multi_dot([x, TABLE.T, TABLE]),
    "dot": lambda x: torch.dot(x[0], x[1]),
    "glu": lambda x: F.glu(x),
    "hstack": lambda x: torch.hstack([x, x + 1]),
    "inner": lambda x: torch.inner(x, TABLE),
    "lerp": lambda x: torch.lerp(x, x.cos(), 0.3),
    "mv": lambda x: torch.mv(x, VECTOR),
    "outer": lambda x: torch.outer(x[0], x[1]),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.25])),
    "prelu of channels": lambda x: F.prelu(x[:, :, None, None] - 1, VECTOR),
    "tile": lambda x: x.tile(3),
    "vstack": lambda x: torch.vstack([x, x + 1]),
}


@pytest.mark.parametrize("name", CALLS)
def test_what_is_written_out_computes_the_same(name: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.ones(5, 6))

        def forward(self, x: Tensor) -> Any:
            torch.manual_seed(0)
            return CALLS[name](self.w * x)

    x = torch.randn(5, 6)
    exported = Exported(Example(Model(), (x,), {}))
    assert not [n for n in exported.module.graph.nodes if n.target in COMPOSED]
    torch.manual_seed(0)
    wanted = exported.example.model(x)
    torch.manual_seed(0)
    (found,) = exported.module(*exported.inputs())
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize(
    ("expected", "forward"),
    [
        ("width^(1/2)", lambda m, x: torch.mv(m.b, (x @ m.a)[0, 0])),
        ("width^(1/2)", lambda m, x: torch.inner(x @ m.a, m.b)),
        ("width^(1/2)", lambda m, x: torch.dot((x @ m.a)[0, 0], m.v)),
        ("width", lambda m, x: torch.linalg.multi_dot([x[0] @ m.a, m.b, m.b])),
        ("width^(1/2)", lambda m, x: F.prelu(x[:, 0] @ m.a @ m.b, m.slope)),
        ("1", lambda m, x: (x @ m.a).tile(1, 1, 2)),
        ("1", lambda m, x: torch.vstack([x[0] @ m.a, x[1] @ m.a])),
    ],
)
def test_its_law_is_that_of_the_parts(expected: str, forward: Callable[..., Tensor]) -> None:
    parameters = {"a": first, "b": square, "v": lambda n: (n,), "slope": lambda n: (n,)}
    used = set(forward.__code__.co_names)
    assert law(forward, **{n: shape for n, shape in parameters.items() if n in used}) == expected


def test_a_bilinear_map_sums_over_all_pairs() -> None:
    """Of two values as wide as the model that are drawn anew: width^(2/2) terms at random."""

    def forward(m: Given, x: Tensor) -> Tensor:
        return F.bilinear(x @ m.a, x @ m.c, m.b)

    shapes = {"a": first, "c": first, "b": lambda n: (n, n, n)}
    assert law(forward, **shapes) == "width"


POOLS: list[Callable[[Any, Tensor], Tensor]] = [
    lambda m, x: F.adaptive_max_pool2d(F.conv2d(x, m.a), 2),
    lambda m, x: F.channel_shuffle(F.conv2d(x, m.a), 4),
    lambda m, x: F.avg_pool3d(F.conv3d(x[:, :, None], m.a[:, :, None]), (1, 2, 2)),
    lambda m, x: F.max_pool3d(F.conv3d(x[:, :, None], m.a[:, :, None]), (1, 2, 2)),
    lambda m, x: F.adaptive_avg_pool3d(F.conv3d(x[:, :, None], m.a[:, :, None]), (1, 2, 2)),
]


@pytest.mark.parametrize("forward", POOLS)
def test_pools_and_shuffles_keep_sizes(forward: Callable[..., Tensor]) -> None:
    assert law(forward, "image", a=lambda n: (n, 3, 1, 1)) == "1"


def test_a_transposed_convolution_over_three_axes() -> None:
    def forward(m: Given, x: Tensor) -> Tensor:
        made = F.conv3d(x[:, :, None], m.a)
        return F.conv_transpose3d(made, m.b, stride=2)

    shapes = {"a": lambda n: (n, 3, 1, 1, 1), "b": lambda n: (n, n, 2, 2, 2)}
    assert law(forward, "image", **shapes) == "width^(1/2)"
