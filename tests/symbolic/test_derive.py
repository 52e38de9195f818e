"""`derive`: laws that sympy reads, regions that agree with the evaluator of numbers, LaTeX."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
import sympy

import abcparam
from abcparam.commands.cli import main
from abcparam.pipeline import to_source
from abcparam.program.model import Program
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.derive.text import render_derived
from abcparam.symbolic.judgement import judge_symbolic
from abcparam.symbolic.symbols import all_symbolic
from abcparam.verdict.check import load
from tests.support.paths import ROOT
from tests.symbolic.test_regions import mlp

GPT = (ROOT / "examples/gpt.param").read_text(encoding="utf-8").replace("= 12", "= 2")
THETA = (ROOT / "tests/specs/mlp_theta.param").read_text(encoding="utf-8")
GRID = [Fraction(k, 2) for k in range(-2, 4)]


def test_the_rate_of_features_is_tensor_programs_iv_s():
    """arXiv 2011.14522: r = min(a_o + b_o, 2 a_o + c_o) + min over l of 2 a_l + c_l - [l > 1]."""
    (case,) = abcparam.derive(mlp(2, "sgd")).cases
    symbols = {name: sympy.Symbol(name) for name in abcparam.derive(mlp(2, "sgd")).program.symbols}
    a1, c1, a2, c2 = (symbols[name] for name in ("a1", "c1", "a2", "c2"))
    a3, b3, c3 = (symbols[name] for name in ("a3", "b3", "c3"))
    width = sympy.Symbol("width", positive=True)
    law = case.expressions()["h"]["change"]
    assert law.base == width
    readout = sympy.Min(a3 + b3, 2 * a3 + c3)
    rate = readout + sympy.Min(2 * a1 + c1, 2 * a2 + c2 - 1)
    derived, published = (
        sympy.lambdify(list(symbols.values()), exponent, modules=[{"Max": max, "Min": min}])
        for exponent in (law.exp, -rate)
    )
    draw = random.Random(0)
    for _ in range(200):
        values = [draw.randint(-9, 9) / 4 for _ in symbols]  # which floats hold exactly
        assert derived(*values) == published(*values)


def test_the_rate_of_features_is_said_in_the_letter_of_the_papers():
    text = render_derived(abcparam.derive(mlp(1, "adam")))
    assert "features move like width^(-a1 - c1)" in text
    assert "\nr = a1 + c1, in the papers' letters" in text


@pytest.mark.parametrize("every", [False, True])
def test_json_is_readable_by_sympy(every: bool):
    found = abcparam.derive(GPT if every else THETA, all=every).to_dict(steps=True)
    json.dumps(found)
    for case in found["cases"]:
        for row in (*case["tensors"], *case["activations"]):
            for law in row["laws"].values():
                assert sympy.sympify(law) is not None
        for region in case["regions"].values():
            for clause in region["all"]:
                assert all(sympy.sympify(x) is not None for a in clause for x in a)


def test_verdicts_of_a_transformer_agree_with_the_evaluator_of_numbers():
    """400 points of a grid, of which each verdict but one is drawn at least once."""
    program = all_symbolic(load(to_source(GPT)))
    found, draw, seen = judge_symbolic(program), random.Random(1), set()
    for _ in range(400):
        values = {name: draw.choice(GRID) for name in program.symbols}
        if draw.random() < 0.9:
            values["b_hidden"] = Fraction(1, 2) - values["a_hidden"]
        if draw.random() < 0.5:
            values["c_hidden"] = 1 - values["a_hidden"]
            values["c_output"] = 1 - values["a_output"]
        text = {name: str(value) for name, value in values.items()}
        verdict = judged_at(program, values)
        seen.add(verdict)
        there = [v for v in VERDICTS if holds(found.condition(v), values, program.symbols)]
        assert set(there) == {verdict}, text
    assert len(seen) >= 4, seen


def judged_at(program: Program, values: dict[str, Fraction]) -> str:
    from abcparam.analysis.judge import judgement_of
    from abcparam.program.binding import bind

    return judgement_of(bind(program, values)).verdict


def test_a_gauge_family_is_maximal_for_all_its_values():
    report = abcparam.check(THETA).to_dict()
    assert (report["verdict"], report["complete"]) == ("maximal-update", True)
    assert [tensor["status"] for tensor in report["tensors"]] == ["maximal"] * 4
    other = abcparam.check(THETA.replace("c = 1 - theta", "c = theta")).to_dict()
    assert other["verdict"] is None
    assert other["regions"]["maximal-update"]["all"] == [[["Eq(2*theta, 1)"]]] or other["regions"][
        "maximal-update"
    ]["all"] == [[["Eq(theta, 1/2)"]]]


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "theta.param"
    file.write_text(THETA, encoding="utf-8")
    for options in ([], ["--steps"], ["--markdown"], ["--all"]):
        assert main(["derive", str(file), *options]) == 0
    assert "maximal-update: everywhere" in capsys.readouterr().out
    assert main(["derive", str(file), "--format", "latex"]) == 0
    document = capsys.readouterr().out
    if not shutil.which("pdflatex"):
        pytest.skip("no pdflatex to compile with")
    (tmp_path / "laws.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "laws.tex"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0


GAIN = """model Gain
dim width -> inf, base = 64
dim pixels = 8
dim classes = 3
hyper lr = 0.05
exponent t
tensor first   : input  [width, pixels]  { a = 0, b = 0, c = 0, frozen }
tensor gain    : scalar []               { a = 0, b = 0, c = 0, init = ones }
tensor readout : output [classes, width] { a = 1 + t, b = 0, c = 0 }
forward(x : [pixels]) {
    return readout @ gelu(gain * tanh(first @ x))
}
optimizer lion { lr = lr }
loss cross_entropy
"""


def test_directions_of_changes_are_followed_with_symbols_too():
    """The gain's change does not point along the readout: its update alone moves the output."""
    assert abcparam.check(GAIN, set={"t": 0}).verdict == "feature-learning"
    found = abcparam.check(GAIN)
    assert found.regions is not None and found.regions["maximal-update"].empty
    assert found.regions["feature-learning"].texts() == [[["t = 0"]]]
