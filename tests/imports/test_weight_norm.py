"""Weights that are made of a parameter: normalised rows, and lengths that are learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune

import abcparam
from tests.imports.trial import gradients_apart, refused, tried

Wrap = Callable[[nn.Module], nn.Module]
weight_norm: Wrap = parametrizations.weight_norm


def old(module: nn.Module) -> nn.Module:
    """Before PyTorch's parametrizations: `weight_g` and `weight_v`."""
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(module)  # type: ignore[no-any-return]


def pruned(module: nn.Module) -> nn.Module:
    return prune.random_unstructured(module, "weight", 0.5)  # type: ignore[no-any-return]


def perceptron(wrap: Wrap) -> Callable[..., Any]:
    def make(width: int = 64) -> Any:
        sizes = ((32, width), (width, width), (width, 10))
        first, second, readout = (wrap(nn.Linear(*fans)) for fans in sizes)
        layers = [first, nn.ReLU(), second, nn.ReLU(), readout]
        return nn.Sequential(*layers), (torch.randn(16, 32),)

    return make


def vocoder(width: int = 64) -> Any:
    """Convolutions of a HiFi-GAN, which scales the columns of transposed ones."""
    layers = (
        weight_norm(nn.Conv1d(8, width, 3, padding=1)),
        weight_norm(nn.ConvTranspose1d(width, width, 4, 2, 1)),
        nn.LeakyReLU(),
        weight_norm(nn.Conv1d(width, 8, 3, padding=1)),
    )
    return nn.Sequential(*layers), (torch.randn(4, 8, 10),)


class Positions(nn.Module):
    """wav2vec 2's map over places, whose kernel has a length for each place of its window."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(16, width), nn.Linear(width, 5)
        convolution = nn.Conv1d(width, width, 8, padding=4, groups=4)
        self.map = parametrizations.weight_norm(convolution, dim=2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        h = h + F.gelu(self.map(h.transpose(1, 2))[:, :, :-1]).transpose(1, 2)
        return self.out(h)


def positions(width: int = 64) -> Any:
    return Positions(width), (torch.randn(4, 10, 16),)


class Demodulated(nn.Module):
    """StyleGAN's: columns times a style, rows over their length, each of an example."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.style = nn.Conv2d(3, width, 1), nn.Linear(8, width)
        self.weight = nn.Parameter(torch.randn(width, width, 3, 3))
        self.out = nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        h, style = self.inner(x), self.style(z) + 1
        weight = self.weight * (self.weight.shape[1] * 9) ** -0.5
        made = F.conv2d(h * style[:, :, None, None], weight, padding=1)
        lengths = (weight[None] * style[:, None, :, None, None]).pow(2).sum((2, 3, 4))
        made = made * torch.rsqrt(lengths + 1e-8)[:, :, None, None]
        return self.out(F.leaky_relu(made, 0.2))


def demodulated(width: int = 32) -> Any:
    return Demodulated(width), (torch.randn(4, 3, 4, 4), torch.randn(4, 8))


class Attention(nn.Module):
    """Queries and keys are made of one value, by different rows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(16, width), nn.Linear(width, 5)
        self.qkv = weight_norm(nn.Linear(width, 3 * width, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.inner(x)).unflatten(-1, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def attention(width: int = 64) -> Any:
    return Attention(width), (torch.randn(8, 7, 16),)


class Directions(nn.Module):
    """Classes by the angle to a direction of each, as ArcFace has them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(16, width), nn.Linear(width, width)
        self.directions = nn.Parameter(torch.randn(10, width) * 0.01)

    def forward(self, x: Tensor) -> Tensor:
        h = self.b(torch.relu(self.a(x)))
        return 16 * F.linear(F.normalize(h), F.normalize(self.directions))


def directions(width: int = 64) -> Any:
    return Directions(width), (torch.randn(16, 16),)


def bottleneck(width: int = 64) -> Any:
    """Few numbers in the middle, of which a function is taken."""
    fans = ((16, width), (width, 4), (4, width), (width, 5))
    maps = [weight_norm(nn.Linear(*f)) for f in fans]
    layers = [layer for m in maps for layer in (m, nn.ReLU())][:-1]
    return nn.Sequential(*layers), (torch.randn(16, 16),)


def table(width: int = 64) -> Any:
    """Rows of a table of one length each."""
    hidden = [f for g in (nn.ReLU(), nn.Tanh()) for f in (nn.Linear(width, width), g)]
    tokens = torch.randint(30, (16, 6), generator=torch.Generator().manual_seed(0))
    layers = (weight_norm(nn.Embedding(30, width)), *hidden, nn.Linear(width, 5))
    return nn.Sequential(*layers), (tokens,)


@pytest.mark.parametrize("make", [perceptron(weight_norm), vocoder, attention, directions, table])
def test_sizes_and_gradients_are_those_measured(make: Callable[..., Any]) -> None:
    trial = tried(make, {"width": (32, 256)})
    assert trial.apart == () and gradients_apart(trial) == {}
    assert trial.verdict == "unstable" and trial.remedy.reaches


@pytest.mark.parametrize(
    ("wrap", "gain", "rows"),
    [
        (weight_norm, "parametrizations.weight.original0", "parametrizations.weight.original1"),
        (old, "weight_g", "weight_v"),
    ],
)
def test_lengths_and_directions_have_laws_of_their_own(wrap: Wrap, gain: str, rows: str) -> None:
    """By hand: rows of length 1 have entries of n^(-1/2), which may move by that over the sum.

    The lengths of a readout are n^(-1/2), as its rows, once aligned, make n^(1/2).
    """
    found = abcparam.audit(perceptron(wrap), ["width"])
    changes = {c.path: (dict(c.init), dict(c.lr)) for c in found.remedy.changes if any(c.key)}
    shown = {p: tuple(str(x.get("width", 0)) for x in change) for p, change in changes.items()}
    assert found.verdict == "unstable" and found.remedy.reaches
    assert shown == {
        f"2.{rows}": ("0", "-1"),
        f"4.{gain}": ("-1/2", "-1/2"),
        f"4.{rows}": ("0", "-1/2"),
    }
    start = found.starts[f"2.{gain}"]
    assert start.kind == "constant" and str(start.scale) == "0.57735"


def test_few_numbers_are_released_as_those_of_a_plain_map() -> None:
    found = abcparam.audit(bottleneck, ["width"])
    assert found.verdict == "unstable" and found.remedy.reaches


@pytest.mark.parametrize("make", [positions, demodulated])
def test_rows_over_their_length_in_windows_and_by_example(make: Callable[..., Any]) -> None:
    """Sizes at init are held to what is measured."""
    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable" and found.remedy.verdict == "maximal-update"
    assert found.remedy.reaches and not found.remedy.missing


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        perceptron(weight_norm),
        vocoder,
        attention,
        directions,
        bottleneck,
        positions,
        demodulated,
        table,
    ],
)
def test_adapted_models_have_the_laws_that_are_derived(make: Callable[..., Any]) -> None:
    audit = abcparam.audit(make, ["width"])
    found = abcparam.coord_check(audit, widths=(64, 128, 256, 512), adapted=True, seeds=3)
    outcomes = [row.outcome for row in found.verdict.rows]
    assert "disagrees" not in outcomes and outcomes.count("agrees") >= 12


@pytest.mark.parametrize(
    ("wrap", "what"),
    [
        (parametrizations.spectral_norm, "a weight over its largest singular value"),
        (pruned, "a weight that is computed from parameters"),
    ],
)
def test_what_other_weights_are_made_of_is_refused(wrap: Wrap, what: str) -> None:
    found = refused(perceptron(wrap))
    assert found.code == "P1005" and what in found.message


def test_a_variable_of_the_name_of_a_parameter_has_its_line() -> None:
    """`weight = self.weight * …`: a coordinate check held the one to the law of the other."""
    found = abcparam.audit(demodulated, ["width"])
    titles = set(found.read.titles.values())
    assert "weight" not in titles and any(title.startswith("weight:") for title in titles)


def test_import_says_what_to_do_with_weight_norm() -> None:
    with pytest.raises(abcparam.SpecError, match=r"P1013.*`weight_norm`.*remove_parametrizations"):
        abcparam.import_model(perceptron(parametrizations.weight_norm), ["width"])
