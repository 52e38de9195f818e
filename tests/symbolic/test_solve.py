"""`solve` finds the published rules from no exponents at all, and says why where there are none."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from itertools import product
from operator import le
from pathlib import Path

import pytest

import abcparam
from abcparam.analysis.judge import Evaluator
from abcparam.commands.cli import main
from abcparam.pipeline import to_source
from abcparam.symbolic.solve.complete import complete, gauge_order
from abcparam.symbolic.solve.text import render_solution
from abcparam.symbolic.symbols import substituted
from abcparam.verdict.check import load
from tests.support.judging import swapped
from tests.support.paths import ROOT

ROLES = """parametrization {
    input  { a = ?, b = ?, c = ? }
    hidden { a = ?, b = ?, c = ? }
    output { a = ?, b = ?, c = ? }
}"""
MLP = (ROOT / "tests/specs/mlp_unknown.param").read_text(encoding="utf-8")
DEPTH = (ROOT / "tests/specs/gpt_depth.param").read_text(encoding="utf-8")
GPT = (ROOT / "examples/gpt.param").read_text(encoding="utf-8")
MIXED = """model MLP
dim width -> inf, base = 128
dim pixels = 784
dim classes = 10
hyper lr = 1e-3
parametrization mup
tensor first : input [width, pixels]
tensor second : hidden [width, width]
tensor readout : output [classes, width]
forward(x : [pixels]) {
    h = relu(first @ x)
    h = relu(second @ h)
    return readout @ h
}
optimizer adam { lr = lr }
loss cross_entropy
"""
WITH_ROLES = ("bert", "lora", "lstm", "rnn")


def unknown(spec: str) -> str:
    """The spec with `?` for every exponent of a role."""
    text = re.sub(r"parametrization \{.*?\n\}", ROLES, spec, flags=re.S)
    return re.sub(r"parametrization mup.*", ROLES, text)


def solved(spec: str, **options: str) -> dict[str, Fraction]:
    found = complete(to_source(spec), order=gauge_order(options.get("gauge", "mup").split()) or ())
    assert abcparam.check(found.text).verdict == "maximal-update"
    return {symbol: value.constant for symbol, value in found.solution.values.items()}


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_transformer_gets_table_8(optimizer: str):
    """Tensor Programs V (arXiv 2203.03466), Table 8."""
    spec = unknown(GPT.replace("depth   = 12", "depth = 2"))
    spec = re.sub(r"optimizer adamw .*", f"optimizer {optimizer} {{ lr = lr }}", spec)
    rates = {"adamw": (0, 1, 0), "sgd": (-1, 0, -1)}[optimizer]
    found = solved(spec)
    assert [found[f"c_{role}"] for role in ("input", "hidden", "output")] == list(rates)
    assert [found["a_input"], found["b_input"]] == [0, 0]
    assert [found["a_hidden"], found["b_hidden"]] == [0, Fraction(1, 2)]
    assert [found["a_output"], found["b_output"]] == [1, 0]


@pytest.mark.parametrize("name", WITH_ROLES)
def test_architectures_get_the_rule_that_they_are_published_with(name: str):
    spec = (ROOT / f"tests/specs/{name}.param").read_text(encoding="utf-8")
    found = solved(unknown(spec))
    assert [found["c_input"], found["c_hidden"], found["c_output"]] == [0, 1, 0]
    assert found["b_hidden"] == Fraction(1, 2)


def test_complete_p_from_unknown_rates():
    """arXiv 2505.01618: hidden learning rates n^-1 L^0 at a residual multiplier of 1/L."""
    assert solved(DEPTH.replace("c = 1, c[depth] = 0", "c = ?, c[depth] = ?")) == {
        "c_hidden": 1,
        "c_depth_hidden": 0,
    }


def test_the_gauge_of_one_learning_rate():
    spec = re.sub(r"\b([abc]) = (0|1/2)", r"\1 = ?", MLP)
    found = solved(spec, gauge="c=0")
    assert {found[f"c_W{i}"] for i in (1, 2, 3)} == {0}
    assert found["a_W1"] == -Fraction(1, 2) and found["a_W3"] == Fraction(1, 2)


def test_a_spec_without_exponents_gets_a_parametrization():
    spec = re.sub(r"parametrization \{.*?\n\}\n\n", "", GPT, flags=re.S)
    assert abcparam.solve(spec) == GPT.replace("                     # exponents by role", "")


def test_only_unknowns_change():
    spec = GPT.replace("b = 1/2, c = 1 }", "b = ?,   c = ? } # found")
    assert abcparam.solve(spec) == GPT.replace("c = 1 }", "c = 1 } # found")


TIED = """model Tied
dim width -> inf, base = 64
dim vocab = 61
dim context = 8
tensor table : input [vocab, width] { a = 0, b = ?, c = ? }
tensor last : input [width] { a = 0, b = ?, c = ?, init = ones }
tensor up, down : hidden [width, width] { a = 0, b = 1/2, c = 1 }
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    x = x + down @ relu(up @ rmsnorm(x))
    return table.T @ rmsnorm(x, gain = last)
}
optimizer adam { lr = 0.001, eps = 0 }
loss cross_entropy
"""


def test_a_table_that_reads_out_too_keeps_its_share_of_the_stream():
    """Of the family, b + c_last = 1, the member where the embedding is as large as the branch."""
    found = solved(TIED)
    assert [found["b_table"], found["c_table"]] == [0, 0]
    assert [found["b_last"], found["c_last"]] == [1, 1]


def test_kernel_and_stable():
    assert (
        abcparam.check(
            abcparam.solve(MLP.replace("b = 1/2, c = 0", "b = ?, c = ?"), "kernel")
        ).verdict
        == "kernel"
    )
    sp = MLP.replace("a = ?, b = 1/2, c = 0", "a = 0, b = 1/2, c = ?")
    stable = complete(to_source(sp), "stable")
    assert "every solution in which each update is as large as its bound:" in render_solution(
        stable
    )
    assert not str(abcparam.check(abcparam.solve(sp, "stable")).verdict).startswith("unstable")


def test_stable_solutions_are_those_whose_updates_reach_their_bounds():
    """Under SGD layers may move faster where the readout moves less: stable too, and trivial."""

    def spec(*rates: str) -> str:
        b = iter(("0", "1/2", "1"))
        c = iter(rates)
        text = re.sub(r"a = .*? }", lambda _: f"a = 0, b = {next(b)}, c = {next(c)} }}", MLP)
        return text.replace("hyper", "assume alignment = none\nhyper")

    found = complete(to_source(spec("?", "?", "?")), "stable")
    assert [str(value) for value in found.solution.values.values()] == ["-1/2", "0", "1/2"]
    assert "every solution in which each update is as large as its bound:" in render_solution(found)
    assert found.verdict == abcparam.check(spec("-1/2", "0", "1/2")).verdict == "feature-learning"
    assert abcparam.check(spec("-1", "-1/2", "1")).verdict == "trivial"


def test_all_corners_of_stable_learning_rates_are_listed():
    """Of a grid, what no stable rates exceed lies between the corners, and nothing else."""
    b = iter(("0", "1/2", "1"))
    text = re.sub(r"a = .*? }", lambda _: f"a = 0, b = {next(b)}, c = ? }}", MLP)
    found = complete(to_source(text.replace("hyper", "assume alignment = none\nhyper")), "stable")
    assert found.corners is not None
    first, second = (tuple(corner.rates.values()) for corner in found.corners)
    assert [*map(str, first)] == ["-1", "-1/2", "1"]
    assert [*map(str, second)] == ["-1/2", "0", "1/2"]
    assert [corner.verdict for corner in found.corners] == ["trivial", "feature-learning"]
    assert found.corners[0].maximal == ("W1", "W2")
    assert found.corners[0].short == (("W3", "width^(1/2)"),) and not found.corners[1].short
    said = render_solution(found).splitlines()
    assert said[-2].strip().startswith("c_W1 = -1, c_W2 = -1/2, c_W3 = 1: trivial; as large as")
    assert said[-2].endswith("W1, W2; smaller: W3 by width^(1/2)")
    assert found.to_dict()["family"]["corners"][1]["rates"]["c_W3"] == "1/2"

    program, rates = found.solution.program, list(found.corners[0].rates)
    known = {s: v for s, v in found.solution.values.items() if s not in rates}
    judged = Evaluator(substituted(program, known))
    grid = [Fraction(k, 4) for k in range(-5, 6)]
    stable = [
        point
        for point in product(grid, repeat=3)
        if not judged.verdict(dict(zip(rates, point, strict=True))).startswith("unstable")
    ]
    largest = {x for x in stable if not any(y != x and all(map(le, y, x)) for y in stable)}
    quarters = (Fraction(k, 2) for k in range(3))
    between = {
        tuple(t * x + (1 - t) * y for x, y in zip(first, second, strict=True)) for t in quarters
    }
    assert largest == between


def test_corners_are_of_stable_solutions_alone():
    assert complete(to_source(MLP)).corners == ()
    assert "corners" not in complete(to_source(MLP)).to_dict()["family"]


def test_solutions_in_the_symbols_of_the_spec():
    spec = MLP.replace("dim classes = 10", "dim classes = 10\nexponent theta")
    spec = swapped(spec, "[width, width]   { a = 0", "[width, width]   { a = theta")
    found = complete(to_source(spec))
    values = {symbol: str(value) for symbol, value in found.solution.values.items()}
    assert values["b_W2"] == "1/2 - theta" and values["c_W2"] == "-2 * theta"
    assert abcparam.check(found.text).verdict == "maximal-update"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "mlp.param"
    file.write_text(MLP, encoding="utf-8")
    assert main(["solve", str(file), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verdict"] == "maximal-update"
    assert "Eq(b_W1, 0)" in [clause[0][0] for clause in found["family"]["all"]]
    assert main(["solve", "-w", str(file)]) == 0
    assert main(["check", str(file)]) == 0
    file.write_text(MLP.replace("a = ?, b = 1/2", "a = 0, b = 1/2"), encoding="utf-8")
    capsys.readouterr()
    assert main(["solve", str(file)]) == 1
    error = capsys.readouterr().err
    assert error.count("^^^^") == 1
    assert "as long as `a` of `W3` is 0 and `b` of `W3` is 1/2" in error
    assert "note: line 8: `b` of `W3` is 1/2" in error
    assert main(["solve", str(file), "--gauge", "x=1"]) == 2


def test_what_a_tensor_says_itself_comes_before_what_its_parametrization_says():
    """A newcomer wrote `b = 0` there, and `mup` once."""
    text = MIXED.replace("[width, width]", "[width, width] { b = 0, c = ? }")
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.solve(text)
    (error,) = caught.value.diagnostics
    assert error.code == "P0701"
    assert error.message.endswith("as long as `b` of `second` is 0 and `a` of `hidden` is 0")
    assert text.splitlines()[error.span.line - 1].startswith("tensor second")
    assert error.notes == ("line 6: `a` of `hidden` is 0",)


def test_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = tmp_path / "gpt.param"
    file.write_text(GPT.replace("c = 1 }", "c = 0 }"), encoding="utf-8")
    assert main(["check", "--fix", str(file)]) == 0
    assert file.read_text(encoding="utf-8") == GPT
    assert load(to_source(file)).name == "GPT"
