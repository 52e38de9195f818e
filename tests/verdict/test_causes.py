"""Findings say what breaks a bound by itself; what only suffers from it is one note."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import abcparam
from abcparam.analysis import judge
from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.diagnostic import SpecError, render
from abcparam.program.model import Program
from abcparam.verdict.causes import suffering
from abcparam.verdict.report_text import render_report
from tests.support.paths import EXAMPLES
from tests.support.running import Run

WRONG = EXAMPLES / "wrong"


def over(report: abcparam.Report) -> set[str]:
    """The tensors that are over by themselves."""
    suffer = {law.path for law in suffering(report.judgement)}
    return {law.path for law in report.judgement.tensors if law.status == "over"} - suffer


def test_of_a_standard_gpt_six_maps_and_the_readout_are_over_by_themselves():
    report = abcparam.check(WRONG / "standard_parametrization.param")
    suffer = [law.path for law in suffering(report.judgement)]
    assert suffer == ["token_embedding", "position_embedding"]
    assert len(over(report)) == 7
    (note,) = report.diagnostics[0].notes
    assert note.startswith("2 tensors are over only because of what these 6 findings say: ")


def test_of_attention_no_tensor_is_to_blame():
    report = abcparam.check(WRONG / "attention_scale.param")
    assert not over(report)
    assert report.diagnostics[0].notes[-1].startswith("14 tensors are over only because of this: ")


def test_a_router_is_to_blame_for_what_it_passes_on():
    text = (EXAMPLES / "mixtral.param").read_text(encoding="utf-8")
    hidden = r"\1 { a = 0, b = 1/2, c = 1 }"
    report = abcparam.check(re.sub(r"(tensor router : output \[.*\]).*", hidden, text))
    assert over(report) == {"layers.mixture.router"}


def test_the_table_says_who_suffers_and_what_its_words_mean():
    report = abcparam.check(WRONG / "standard_parametrization.param")
    text = render_report(report)
    assert re.search(r"^token_embedding .* \(-26\)  suffers$", text, re.M)
    assert text.count("\nslack: ") == text.count("\nsuffers: ") == text.count("\nover: ") == 1
    assert "\nslack: " not in render_report(abcparam.check(EXAMPLES / "gpt.param"))
    statuses = {row["status"] for row in report.to_dict()["tensors"]}
    assert statuses == {"over"}  # JSON says as before what each is


def test_help_that_findings_share_stands_once(run: Run):
    said = run("check", WRONG / "standard_parametrization.param").err
    assert said.count("error[P0502]") == 6
    assert said.count("this makes it maximal-update") == 1


def test_a_step_that_repeats_is_folded():
    notes = abcparam.check(WRONG / "tied_readout.param").diagnostics[0].notes
    assert [note for note in notes if note.endswith("(23 times)")]  # twice in each of 12 layers
    assert len(set(notes)) == len(notes)


def test_a_path_through_all_copies_ends_at_its_cause():
    text = (EXAMPLES / "lora.param").read_text(encoding="utf-8")
    found = abcparam.check(text.replace("alpha / rank * up", "alpha / width * up"))
    notes = found.diagnostics[0].notes
    assert any(note.endswith("times the constant width^-1") for note in notes)
    assert "the update of layers.attention.query.up (1)" in notes[-1]


NORM = """model M
dim width -> inf, base = 64
dim few = 16
hyper lr = 1e-3
parametrization mup
tensor first : input [width, few]
tensor down : output [few, width]
tensor readout : [few, few] { c = 0 }
forward(x : [few]) {
    h = relu(first @ x)
    return readout @ rmsnorm(down @ h)
}
optimizer adam { lr = lr, eps = 1e-12 }
loss mse
"""
WIDE = (
    NORM.replace("[few, width]", "[width, width] { a = 1/2, b = 1/2, c = 1/2 }")
    .replace("down : output", "down : hidden")
    .replace("readout : [few, few] { c = 0 }", "readout : output [few, width]")
)


def test_a_change_that_does_not_grow_is_told_in_words():
    found = abcparam.check(WIDE).diagnostics[0]
    assert "is of size width^(-1/2) and changes by as much as 1" in found.message
    assert "grows like 1" not in found.message
    assert found.label == "may change by width^(-1/2) at most"


def test_what_a_map_contracts_may_start_below_its_change():
    assert abcparam.check(NORM).verdict == "maximal-update"


def test_causes_at_initialization():
    """An input that starts too large, and all that is made of it."""
    text = NORM.replace("rmsnorm(down @ h)", "tanh(down @ tanh(h))")
    found = abcparam.check(text.replace("[width, few]", "[width, few] { a = -1 }", 1))
    assert found.verdict == "unstable-at-init"
    assert [d.code for d in found.diagnostics].count("P0501") == 1


def test_a_message_about_no_line_points_at_none(tmp_path: Path):
    with pytest.raises(SpecError) as raised:
        abcparam.check("model M\n", set={"width": 4})
    (first, *_) = raised.value.diagnostics
    text = render(first, raised.value.source)
    assert "|" not in text and re.search(r"--> \S*$", text.splitlines()[1])


def test_a_thousand_verdicts_look_for_nothing_else(monkeypatch: pytest.MonkeyPatch):
    """Each costs one judgement, and no reason and no fix."""

    def unasked(*_: object) -> object:
        raise AssertionError("nobody asked for it")

    judged = 0

    def judgement_of(program: Program) -> Judgement:
        nonlocal judged
        judged += 1
        return judge.judgement_of(program)

    for name in ("fix.propose", "fix.alternatives", "report.moved_decay", "report.reasons"):
        monkeypatch.setattr(f"abcparam.verdict.{name}", unasked)
    monkeypatch.setattr("abcparam.verdict.check.judgement_of", judgement_of)
    text = (
        (EXAMPLES / "mlp.param").read_text(encoding="utf-8").replace("a = 1/2,  b", "a = 1/4,  b")
    )
    for _ in range(1000):
        found = abcparam.check(text)
        assert found.verdict == "unstable" and not found.as_expected
    assert judged == 1000 and repr(found) == "Report(MLP: unstable)"
    for ask in (lambda: found.diagnostics, lambda: found.fix):
        with pytest.raises(AssertionError, match="nobody asked"):
            ask()


def test_messages_that_newcomers_meet():
    called = NORM.replace("relu(first @ x)", "relu(first(x))")
    with pytest.raises(SpecError, match="`first` is a tensor: apply it as `first @ x`"):
        abcparam.check(called)
    endless = NORM.replace("dim few = 16", "dim few -> inf, base = 16")
    with pytest.raises(SpecError, match="vocabularies, classes and sequences stay finite"):
        abcparam.check(endless)
    assert abcparam.explain("502") == abcparam.explain("p502") == abcparam.explain("P0502")
    assert "{" not in abcparam.explain("P0502").partition("\n")[0]


CIRCLE = """model Circle
dim width -> inf, base = 8
dim depth -> inf, base = 2
dim classes = 5
hyper lr = 1e-2
parametrization mup
tensor last : output [classes, width]
tensor Q : hidden [width, width]
tensor Z : input [width, classes] { init = zeros }
tensor O : output [classes, width]
forward(x : [width]) {
    x = Q @ x
    x = Z @ softmax(O @ x)
    repeat depth as layers {
        tensor own : hidden [width, width]
        x = x + own @ (own @ x)
    }
    return last @ x
}
optimizer sgd { lr = lr }
loss cross_entropy
"""


def test_changes_that_go_around_a_stream_come_to_an_end():
    """A change that passes from copy to copy as it is may come from itself."""
    report = abcparam.check(CIRCLE)
    assert report.verdict == "unstable" and "layers" in str(render_report(report))


SCALAR = """model Scalar
dim width -> inf, base = 8
dim depth -> inf, base = 2
dim pixels = 5
hyper lr = 1e-2
parametrization { input { a = 0, b = 0, c = 1 }, output { a = 0, b = -1, c = 1 } }
tensor U : input [width, pixels]
tensor s : scalar [1] { c[depth] = -1/7, init = ones }
tensor V : output [3, width]
forward(x : [pixels]) {
    return V @ (exp(s) * (U @ x))
}
optimizer sgd { lr = lr }
loss mse
"""


def test_all_fixes_of_a_scalar_whose_exponents_are_of_the_depth(run: Run):
    """It has none of the width, `a` neither."""
    ran = run("check", "-", "--all-fixes", stdin=SCALAR)
    assert ran.status == 1 and "internal error" not in ran.err + ran.out
