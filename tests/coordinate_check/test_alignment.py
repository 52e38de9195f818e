"""Alignment that is measured beside what the laws assume (arXiv 2407.05872)."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.coordinate_check.alignment import AS_ASSUMED, MORE
from abcparam.coordinate_check.laws import INPUT_ALIGNMENT, UPDATE_ALIGNMENT
from abcparam.coordinate_check.measure.aligning import AlignmentMeasure, ChangeContext, TakeUse
from abcparam.coordinate_check.output.page import page
from abcparam.coordinate_check.output.text import render_check, render_csv
from tests.support.markup import stands_alone
from tests.support.running import changed

SPEC = changed(
    Path(__file__).with_name("perceptron.param"), ("lr = 0.01", "lr = 0.1"), ("adam", "sgd")
)
WIDTHS = (64, 128, 256, 512)


def test_slopes_are_those_of_full_alignment_and_of_none():
    """An update points along its input; initial weights meet a change of theirs at random."""
    found = abcparam.coord_check(SPEC, widths=WIDTHS, seeds=2, steps=2, alignment=True)
    rows = {(row.name, row.quantity, row.step): row for row in found.alignment}
    assert {name for name, *_ in rows} == {"second", "readout"}  # `first` has no growing fan-in
    assert {step for *_, step in rows} == {1, 2}
    assert all(row.outcome == AS_ASSUMED for row in found.alignment)
    for step in (1, 2):
        update, change = (rows["second", of, step] for of in (UPDATE_ALIGNMENT, INPUT_ALIGNMENT))
        assert (str(update.law.assumed), str(change.law.assumed)) == ("1", "1/2")
        assert update.measured and abs(update.measured.value - 1) < 0.1
        assert change.measured and abs(change.measured.value - 0.5) < 0.05
        assert update.ratio and change.ratio and update.ratio > 3 * change.ratio
        # The rows of a readout that contracts are what its input has learnt to point along.
        along = rows["readout", INPUT_ALIGNMENT, step]
        assert along.law.assumed == 1 and along.measured and abs(along.measured.value - 1) < 0.1
    assert len(found.to_dict()["alignment"]) == len(rows) == 8
    text, table = render_check(found), list(csv.DictReader(io.StringIO(render_csv(found))))
    assert "ΔW·x  1     1 " in text
    assert sum(line["quantity"] == UPDATE_ALIGNMENT for line in table) == 4
    drawn = page([found])
    assert "<h2>Alignment</h2>" in drawn
    stands_alone(drawn)


def test_where_none_is_assumed_the_measured_alignment_parts_from_it():
    text = SPEC.replace("parametrization mup", "parametrization mup\nassume alignment = none")
    found = abcparam.coord_check(text, widths=WIDTHS[:3], seeds=2, steps=1, alignment=True)
    row = next(r for r in found.alignment if (r.name, r.quantity) == ("second", UPDATE_ALIGNMENT))
    assert (str(row.law.assumed), row.outcome) == ("1/2", MORE)
    assert any("aligned more than assumed" in note and "second" in note for note in found.notes)


def test_a_ratio_is_that_of_norms():
    """`‖ΔW x‖ / (‖ΔW‖ ‖x‖)` over the root of the fan-in, but for the signs that are drawn."""
    n = 256
    x, other = torch.randn(2, n, generator=torch.Generator().manual_seed(1))
    weight = torch.nn.Parameter(torch.zeros(n, n))
    start = {weight: torch.randn(n, n, generator=torch.Generator().manual_seed(2))}
    inputs = [x]

    def apply(given: object, change: ChangeContext | None, take: TakeUse) -> None:
        assert change is not None
        with change():
            take("W", weight.data @ inputs[0], True)
            take("b", weight.data[0], False)

    measure = AlignmentMeasure(apply, (), start, 0)
    measure.begin()
    weight.data = start[weight] + torch.outer(other, x)
    assert {of: ratio for _, of, ratio in measure.measure()} == {
        UPDATE_ALIGNMENT: pytest.approx(n**0.5, rel=0.1),
        INPUT_ALIGNMENT: 0,  # its input is as it was
    }
    inputs[0] = x + other
    found = {(path, of): ratio for path, of, ratio in measure.measure()}
    assert found["W", INPUT_ALIGNMENT] == pytest.approx(1, rel=0.2)
    assert {path for path, _ in found} == {"W"}


def test_an_orthogonal_update_is_aligned_in_full_while_its_rank_is_that_of_a_batch(tmp_path: Path):
    text = SPEC.replace("optimizer sgd { lr = lr }", "optimizer muon { lr = lr }")
    found = abcparam.coord_check(
        text, widths=WIDTHS[:3], seeds=2, steps=1, tokens=4, alignment=True, plot=tmp_path
    )
    row = next(r for r in found.alignment if (r.name, r.quantity) == ("second", UPDATE_ALIGNMENT))
    assert (str(row.law.assumed), row.outcome) == ("1", AS_ASSUMED)
    assert (tmp_path / "alignment.svg").exists()
