"""Searches and proofs end with their budget, say so, and leave what was known before as it was."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Timer

import pytest

import abcparam
from abcparam.algebra import budgets
from tests.support.running import MLP, UNSTABLE, Ran, Run

NOT_FURTHER = "not searched further: the budget of"
NONE = "1e-9"  # seconds
STRICT = """model Thirds
dim width -> inf, base = 16
dim features = 3
dim classes = 2
hyper lr = 1e-2
exponent unused
parametrization {
    input  { a = 1/3, b = 0, c = 0 }
    hidden { a = 1/2, b = 1/3, c = 0 }
    output { a = 0, b = 0, c = 0, d = 1/3 }
}
tensor first : [width, features]
tensor second : [width, width]
tensor last : [classes, width]
forward(x : [features]) {
    return last @ (second @ (first @ x))
}
optimizer adam { lr = lr }
loss cross_entropy
assume epsilon = strict
"""
STEPS = """model Steps
dim width -> inf, base = 8
dim depth -> inf after width, base = 2
dim head = 4
dim heads = width / head
dim context = 4
dim features = 3
dim classes = 5
hyper lr = 1e-2
parametrization mup
tensor queries : hidden [heads * head, width]
tensor keys : hidden [heads * head, width]
tensor values : hidden [heads * head, width] { c[depth] = 3/5 }
tensor last : output [classes, width]
tensor first : input [width, features]
forward(x : [context, features]) {
    x = first @ x
    x = attention(queries @ x, keys @ x, values @ x, heads = heads, scale = 1)
    return last @ x
}
optimizer adam { lr = lr }
loss cross_entropy
"""
SYMBOLIC = UNSTABLE.replace("hyper lr", "exponent theta\nhyper lr").replace("b = 1/2", "b = theta")


def test_a_verdict_needs_no_budget_and_a_fix_does(run: Run):
    whole = json.loads(run("check", "-", "--format", "json", stdin=UNSTABLE).out)
    ran = run("check", "-", "--format", "json", "--budget", NONE, stdin=UNSTABLE)
    found = json.loads(ran.out)
    assert ran.status == 1 and found["unfinished"].startswith(NOT_FURTHER)
    assert found["tensors"] == whole["tensors"] and found["verdict"] == whole["verdict"]
    assert any(NOT_FURTHER in diagnostic["help"] for diagnostic in found["diagnostics"])
    ran = run("check", "-", "--all-fixes", "--budget", NONE, stdin=UNSTABLE)
    assert "no fix was found\nnot searched further" in ran.out
    with abcparam.budget(1e-9):
        fixed = abcparam.fix(UNSTABLE)
    assert not fixed.changes and str(fixed.reason).startswith(NOT_FURTHER)
    ran = run("check", "-", "--prove", "--budget", NONE, stdin=UNSTABLE)
    assert NOT_FURTHER in ran.err


def test_proofs_that_take_too_long_say_so(run: Run):
    ran = run("solve", "-", "--budget", "0.1", stdin=STRICT)
    assert ran.status == 1 and NOT_FURTHER in ran.err
    assert "as long as the exponents that are written stay" in ran.err
    ran = run("derive", "-", "--budget", NONE, stdin=SYMBOLIC)
    assert ran.status == 2 and "P0703" in ran.err and NOT_FURTHER in ran.err
    ran = run("map", MLP, MLP, "--format", "json", "--budget", NONE)
    mapped = json.loads(ran.out)
    assert ran.status == 1 and mapped["unfinished"].startswith(NOT_FURTHER)
    assert {corner["verdict"] for corner in mapped["corners"]} == {"maximal-update"}
    assert run("solve", "-", "--budget", "soon", stdin=STRICT).status == 2


class Looks:
    """Counts the looks at a budget, which is spent after some of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looks, self.most = 0, 0
        monkeypatch.setattr(budgets, "PAUSE", 0)
        monkeypatch.setattr(budgets._Budget, "spent", lambda _: self.spent())

    def spent(self) -> str:
        self.looks += 1
        text = budgets.NOT_FURTHER.format(why="the budget of looks is spent")
        return text if self.looks > self.most else ""

    def ended(self, run: Callable[[], Ran], *shares: float) -> list[Ran]:
        """What comes out where looks end after shares of those that it takes, and of all."""
        self.looks, self.most = 0, 10**9
        whole, count = run(), self.looks
        found = []
        for share in shares:
            self.looks, self.most = 0, int(share * count)
            found.append(run())
            assert NOT_FURTHER in found[-1].out + found[-1].err
        return [*found, whole]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    return Looks(monkeypatch)


def test_a_derivation_that_is_ended_has_the_laws_that_were_found(run: Run, looks: Looks):
    command = ("derive", "-", "--all", "--format")
    found = looks.ended(lambda: run(*command, "json", stdin=UNSTABLE), 0, 0.3, 0.6, 0.95)
    assert [ran.status for ran in found] == [2, 1, 1, 1, 0]
    *partly, whole = [json.loads(ran.out) for ran in found[1:]]
    wanted = [tensor["laws"] for tensor in whole["cases"][0]["tensors"]]
    for read in partly:
        assert read["verdict"] is None and read["unfinished"].startswith(NOT_FURTHER)
        assert [tensor["laws"] for tensor in read["cases"][0]["tensors"]] == wanted
    for format in ("text", "latex", "markdown"):
        [ran, _] = looks.ended(partial(run, *command, format, stdin=UNSTABLE), 0.5)
        assert ran.status == 1 and "erdict: not known" in ran.out and not ran.err


def test_what_is_written_of_a_derivation_is_simplified_within_the_budget(run: Run, looks: Looks):
    command = ("derive", "-", "--all", "--steps", "--format")
    ended, whole = looks.ended(partial(run, *command, "json", stdin=STEPS), 0.999)
    assert (ended.status, ended.err, whole.status) == (1, "", 0)
    found, wanted = json.loads(ended.out), json.loads(whole.out)
    assert found.pop("unfinished").startswith(NOT_FURTHER)
    assert {**found, "cases": 0} == {**wanted, "cases": 0}


def test_a_verdict_in_symbols_that_is_not_known_is_said_for_some_values(run: Run, looks: Looks):
    text = STEPS.replace("hyper lr", "exponent theta\nhyper lr")
    text = text.replace("c[depth] = 3/5", "b = theta")
    check = ("check", "-", "--format")
    found = looks.ended(lambda: run(*check, "json", stdin=text), 0, 0.5, 0.9)
    *partly, whole = [json.loads(ran.out) for ran in found]
    at_zero = json.loads(run(*check, "json", "--set", "theta=0", stdin=text).out)
    for read in partly:
        assert read["verdict"] is read["complete"] is None
        assert read["unfinished"].startswith(NOT_FURTHER)
        first, *others = read["diagnostics"]
        assert first["code"] == "P0514" and at_zero["verdict"] in first["label"]
        assert len(others) == len(at_zero["diagnostics"])
    assert partly[0]["tensors"] == at_zero["tensors"]
    assert partly[-1]["activations"] == whole["activations"] != at_zero["activations"]
    for format in ("text", "html", "sarif"):
        [ran, _] = looks.ended(partial(run, *check, format, stdin=text), 0.5)
        assert ran.status == 1 and "not known" in ran.out


def test_a_plane_that_is_ended_has_both_specs_and_the_cells_that_were_judged(
    run: Run, looks: Looks, tmp_path: Path
):
    (tmp_path / "other.param").write_text(UNSTABLE, encoding="utf-8")
    command = ("map", MLP, tmp_path / "other.param", "--format")
    found = looks.ended(lambda: run(*command, "json"), 0, 0.5, 0.99)
    assert [ran.status for ran in found] == [1, 1, 1, 0]
    first, _, last, whole = [json.loads(ran.out) for ran in found]
    assert first["corners"] == last["corners"] == whole["corners"]
    assert not first["regions"] and not first["cells"]
    assert last["regions"] == whole["regions"] and last["cells"]
    assert last["unfinished"].startswith(NOT_FURTHER)


def test_a_solution_that_is_found_is_given_without_the_others(run: Run, looks: Looks):
    text = MLP.read_text(encoding="utf-8").replace("c = 0 }", "c = ? }")
    command = ("solve", "-", "--format")
    found = looks.ended(lambda: run(*command, "json", stdin=text), 0, 0.98)
    assert [ran.status for ran in found] == [2, 0, 0]
    [partly, whole] = [json.loads(ran.out) for ran in found[1:]]
    assert partly["spec"] == whole["spec"] and partly["unfinished"].startswith(NOT_FURTHER)
    assert len(partly["family"]["all"]) == len(partly["unknowns"])
    [ran, _] = looks.ended(lambda: run("solve", "-", stdin=text), 0.98)
    assert f"other solutions were {NOT_FURTHER}" in ran.err


def test_memory_is_counted_too(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(budgets, "MEGABYTES", -1)
    ran = run("derive", "-", stdin=SYMBOLIC)
    assert ran.status == 2 and "not searched further: the search takes more than" in ran.err


def test_a_symbol_that_nothing_depends_on_is_no_matter_in_a_plane():
    assert len(abcparam.map(STRICT, STRICT).cells) == 1


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals here")
def test_an_interrupt_is_one_line(run: Run):
    stop = Timer(0.3, signal.raise_signal, [signal.SIGINT])
    stop.start()
    ran = run("solve", "-", stdin=STRICT)
    stop.join()
    assert (ran.status, ran.out, ran.err) == (130, "", "abcparam: interrupted\n")
