"""A user's own model is measured beside its laws, as it is and adapted."""

from __future__ import annotations

import pytest

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
