"""Searches and proofs end with their budget, say so, and leave what was known before as it was."""

from __future__ import annotations

import json
import signal
from threading import Timer

import pytest

import abcparam
from abcparam.algebra import budgets
from tests.support.running import MLP, UNSTABLE, Run

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
    for command in ("check", "derive"):
        ran = run(command, "-", "--budget", NONE, stdin=SYMBOLIC)
        assert ran.status == 2 and "P0703" in ran.err and NOT_FURTHER in ran.err
    ran = run("map", MLP, MLP, "--format", "json", "--budget", NONE)
    assert ran.status == 2 and "P0703" in ran.err
    assert run("solve", "-", "--budget", "soon", stdin=STRICT).status == 2


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
