"""A user's own model is measured beside its laws, as it is and adapted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.algebra.record import replace
from abcparam.commands.cli import main
from tests.imports.models import MODELS, perceptron

WIDTHS = (64, 128, 256)


def test_an_adapted_gpt_agrees_with_its_laws() -> None:
    """Flat but for the last norm, which has the readout's 1/width, and the readout's crossover."""
    found = abcparam.audit(f"{MODELS}/nanogpt.py:make", ["width"])
    check = abcparam.coord_check(found, adapted=True, widths=WIDTHS, seeds=2, steps=3)
    assert check.agree
    rows = {(row.name, row.quantity): row for row in check.verdict.rows}
    assert len(rows) == 45
    assert str(rows["transformer.ln_f", "change"].law) == "-1"
    for layer in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"):
        row = rows[f"transformer.h.0.{layer}", "change"]
        assert str(row.law) == "0"
        assert row.measured is not None
        assert abs(row.measured.value) < 0.15


def test_a_model_as_it_is_agrees_with_its_laws() -> None:
    """Its own initial scales and its own groups are the maximal update parametrization."""
    found = abcparam.audit(perceptron.scaled, ["width"], perceptron.groups)
    check = abcparam.coord_check(found, widths=WIDTHS, seeds=3)
    assert found.verdict == "maximal-update"
    assert check.agree


def test_all_outputs_are_trained_and_measured() -> None:
    """One of them is a parameter as it stands, which is measured before it is trained."""
    found = abcparam.audit(perceptron.agent, ["width"])
    check = abcparam.coord_check(found, adapted=True, widths=WIDTHS, seeds=3)
    assert check.agree
    rows = {(row.name, row.quantity): row for row in check.verdict.rows}
    assert {name for name, _ in rows} >= {"actor.2.mean", "critic.2", "expand_as"}
    assert str(rows["expand_as", "at_init"].law) == "-inf"


def test_another_rate_than_the_derived_one_is_seen() -> None:
    """Laws of the groups above, and a model that is trained by one rate: it grows as the width."""
    found = abcparam.audit(perceptron.scaled, ["width"], perceptron.groups)
    other = abcparam.audit(perceptron.scaled, ["width"])
    wrong = replace(found, optimizer=other.optimizer)
    check = abcparam.coord_check(wrong, widths=WIDTHS, seeds=3)
    assert not check.agree


def test_what_goes_with_specs_alone_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    model = f"{MODELS}/perceptron.py:scaled"
    assert main(["coord-check", model, "--grow", "width", "--compile"]) == 2
    assert "--compile is for specs" in capsys.readouterr().err


class Blocks(nn.Module):
    """N-BEATS: each block takes off what it explains, and adds to the forecast."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.ModuleList(nn.Linear(24, width) for _ in range(3))
        self.outer = nn.ModuleList(nn.Linear(width, 24 + 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        forecast = torch.zeros(len(x), 6)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            back, fore = outer(torch.relu(inner(x))).split([24, 6], -1)
            x, forecast = x - back, forecast + fore
        return forecast


class Ensemble(nn.Module):
    """What a loop gives is the output."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Linear(24, width)
        self.heads = nn.ModuleList(nn.Linear(width, 6) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        h, found = torch.relu(self.body(x)), torch.zeros(len(x), 6)
        for head in self.heads:
            found = found + head(h)
        return found


@pytest.mark.parametrize("kind", [Blocks, Ensemble])
def test_an_output_that_layers_carry_is_measured(kind: type[nn.Module]) -> None:
    """What nothing reads, the last block's rest, asks nothing of its map's initial weights."""

    def make(width: int = 64) -> Any:
        return kind(width), (torch.randn(64, 24),)

    found = abcparam.audit(make, ["width"])
    assert found.remedy.reaches
    check = abcparam.coord_check(found, adapted=True, widths=(64, 128, 256), seeds=2)
    assert "disagrees" not in {row.outcome for row in check.verdict.rows}


class Cancelling(nn.Module):
    """A softmax ignores what all its logits share: a bias of keys has no gradient, but rounding."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body, self.key = nn.Linear(24, width), nn.Linear(width, width)
        self.score, self.head = nn.Linear(width, 1), nn.Linear(width, 6)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.body(x))
        shared = self.score(h.mean(1, keepdim=True)).squeeze(-1)
        weights = (self.score(self.key(h)).squeeze(-1) + shared).softmax(-1)
        return self.head((weights[..., None] * h).sum(1))


def test_what_is_zero_but_for_rounding_disagrees_with_nothing() -> None:
    def make(width: int = 64) -> Any:
        return Cancelling(width), (torch.randn(64, 7, 24),)

    audit = abcparam.audit(make, ["width"])
    check = abcparam.coord_check(audit, adapted=True, widths=(64, 128, 256), seeds=2)
    rows = {(row.name, row.quantity): row for row in check.verdict.rows}
    assert "disagrees" not in {row.outcome for row in rows.values()}
    assert rows["shared", "gradient"].note.startswith("below rounding")


class Mixed(nn.Module):
    """Weighs a value and the first one, as modded-nanogpt does: by 1 and by 0 at init."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, width), nn.Linear(width, width)
        self.out, self.lambdas = nn.Linear(width, 4), nn.Parameter(torch.tensor([1.0, 0.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = torch.relu(self.first(x))
        h = torch.relu(self.second(first))
        return self.out(self.lambdas[0] * h + self.lambdas[1] * first)


def mixed(width: int = 32) -> tuple[Mixed, tuple[torch.Tensor]]:
    return Mixed(width), (torch.randn(8, 8),)


def test_nothing_is_said_at_init_of_a_part_of_a_parameter_that_is_zero() -> None:
    audit = abcparam.audit(mixed, ["width"])
    found = abcparam.coord_check(audit, adapted=True, widths=(32, 64, 128), seeds=2, steps=2)
    outcomes = {row.outcome for row in found.verdict.rows}
    assert "disagrees" not in outcomes and "agrees" in outcomes
