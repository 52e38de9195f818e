"""Frozen networks beside trained ones: what no training reaches is not asked to move."""

from __future__ import annotations

from pathlib import Path

import pytest

import abcparam

STUDENT = """model Student
dim width -> inf, base = 64
dim pixels = 16
dim classes = 10
hyper lr = 0.01
parametrization mup
tensor enter   : input  [width, pixels]
tensor mid     : hidden [width, width]
tensor readout : output [classes, width]
tensor first   : input  [width, pixels]  { frozen, a = 0, b = 0 }
tensor second  : hidden [width, width]   { frozen, a = 0, b = 1/2 }
tensor last    : output [classes, width] { frozen, a = 0, b = 1/2 }
forward(x : [pixels]) {
    h = relu(mid @ relu(enter @ x))
    t = relu(second @ relu(first @ x))
    return RESULT
}
optimizer adam { lr = lr, eps = 0 }
loss mse
"""
DISTILLED = STUDENT.replace("RESULT", "readout @ h - last @ t")


def test_a_teacher_does_not_move():
    """A frozen target, of Θ(1), and a student that learns as it would without it."""
    report = abcparam.check(DISTILLED)
    assert (report.verdict, report.judgement.complete) == ("maximal-update", True)
    assert [law.status for law in report.judgement.tensors] == ["maximal"] * 3 + ["frozen"] * 3


def test_a_trained_readout_of_frozen_features_is_as_maximal_as_it_can_be():
    text = STUDENT.replace("RESULT", "readout @ h + last @ t").replace(
        "classes, width] { frozen, a = 0, b = 1/2 }", "classes, width]"
    )
    assert abcparam.check(text).verdict == "maximal-update"


@pytest.mark.parametrize("result", ["last @ t + shift", "(readout @ t) + (last @ t)"])
def test_features_of_a_network_that_is_frozen_whole_make_it_lazy(result: str):
    text = STUDENT.replace("RESULT", result)
    text = text.replace("tensor first", "tensor shift : scalar [classes]\ntensor first")
    for unused in ("enter   : input  [width, pixels]", "mid     : hidden [width, width]"):
        text = text.replace(f"tensor {unused}\n", "")
    text = text.replace("    h = relu(mid @ relu(enter @ x))\n", "")
    assert abcparam.check(text).verdict == "kernel"


def test_features_that_training_reaches_still_have_to_move():
    text = DISTILLED.replace("[width, pixels]\n", "[width, pixels] { c = 1 }\n", 1)
    text = text.replace("[width, width]\n", "[width, width] { c = 3/2 }\n", 1)
    assert abcparam.check(text).verdict == "kernel"


@pytest.mark.slow
def test_emitted_models_agree(tmp_path: Path):
    path = tmp_path / "student.param"
    path.write_text(DISTILLED, encoding="utf-8")
    checked = abcparam.coord_check(path, widths=(64, 256, 1024), steps=3, seeds=3)
    assert not [row for row in checked.verdict.rows if row.outcome == "disagrees"]
