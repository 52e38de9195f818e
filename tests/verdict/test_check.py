"""`abcparam.check` and its JSON, to the letter."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import abcparam
from abcparam import Diagnostic, Report, SpecError
from abcparam.program.vocabulary import VERDICTS
from abcparam.verdict.report_text import render_report
from tests.support.paths import SPECS
from tests.support.running import GPT, INVALID, MLP, UNSTABLE, changed

DATA = Path(__file__).parent
TOP = "schema file model verdict complete expected alignment tensors activations output diagnostics"
TENSOR = "name role shape optimizer a b c d at_init update slack status"
DIAGNOSTIC = "code severity message help span label notes edit"
READABLE = ["bert", "gpt", "lora", "lstm", "mlp", "rnn"]


def as_json(path: Path) -> str:
    report = abcparam.check(path.read_text(encoding="utf-8"))
    return json.dumps(report.to_dict(), indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("path", [GPT, MLP], ids=lambda path: path.stem)
def test_json(path: Path, pytestconfig: pytest.Config):
    golden = DATA / f"check_{path.stem}.json"
    if pytestconfig.getoption("--update-golden"):
        golden.write_text(as_json(path), encoding="utf-8")
    assert as_json(path) == golden.read_text(encoding="utf-8")


def assert_exponents(exponents: Any, dims: Iterable[str] | None = None) -> None:
    """A map from growth dims to exact exponents; those of sizes name every dim."""
    assert dims is None or list(exponents) == list(dims)
    for name, exponent in exponents.items():
        assert isinstance(name, str)
        assert exponent == "-inf" or str(Fraction(exponent)) == exponent


def assert_tensor(tensor: dict[str, Any], dims: list[str]) -> None:
    assert list(tensor) == TENSOR.split()
    assert tensor["role"] in {"input", "hidden", "output", "scalar"}
    assert tensor["status"] in {"maximal", "under", "over", "frozen"}
    assert all(isinstance(axis, str) for axis in tensor["shape"])
    for letter in "abcd":
        assert_exponents(tensor[letter])
        assert "0" not in tensor[letter].values()
    for size in ("at_init", "update"):
        assert_exponents(tensor[size], dims)
    if tensor["slack"] is not None:
        assert_exponents(tensor["slack"], dims)


def assert_in_order(diagnostics: list[dict[str, Any]]) -> None:
    """Errors before warnings, each in the order of the source."""
    rank = ["error", "warning", "note"]
    keys = []
    for diagnostic in diagnostics:
        assert list(diagnostic) == DIAGNOSTIC.split()
        assert list(diagnostic["span"]) == ["line", "column", "end_line", "end_column"]
        span = diagnostic["span"]
        keys.append((rank.index(diagnostic["severity"]), span["line"], span["column"]))
    assert keys == sorted(keys)


@pytest.mark.parametrize("name", READABLE)
def test_report(name: str):
    report = abcparam.check(SPECS / f"{name}.param").to_dict()
    assert list(report) == TOP.split()
    assert report["schema"] == 1
    assert report["file"] == str(SPECS / f"{name}.param")
    assert report["verdict"] in VERDICTS
    assert isinstance(report["complete"], bool)
    for tensor in report["tensors"]:
        assert_tensor(tensor, ["width"])
    for activation in report["activations"]:
        assert list(activation) == ["name", "at_init", "change"]
        assert_exponents(activation["at_init"], ["width"])
        assert_exponents(activation["change"], ["width"])
    assert list(report["output"]) == ["at_init", "change"]
    assert_in_order(report["diagnostics"])
    assert json.loads(json.dumps(report)) == report


def test_sizes_name_every_growth_dim_and_exponents_leave_zeros_out():
    report = abcparam.check(SPECS / "gpt_depth.param").to_dict()
    for tensor in report["tensors"]:
        assert_tensor(tensor, ["width", "depth"])
    query = next(t for t in report["tensors"] if t["name"] == "layers.attention.query")
    assert (query["a"], query["b"], query["c"]) == ({}, {"width": "1/2"}, {"width": "1"})
    assert query["d"] == {"width": "1", "depth": "1"}


def test_tensors_are_called_by_their_path_in_the_order_of_the_program():
    names = [t["name"] for t in abcparam.check(GPT).to_dict()["tensors"]]
    assert names == [
        "token_embedding",
        "position_embedding",
        "readout",
        *(f"layers.attention.{name}" for name in ("query", "key", "value", "project")),
        *(f"layers.feed_forward.{name}" for name in ("up", "down")),
    ]


def test_an_activation_that_is_assigned_again_counts_as_last_assigned():
    text = changed(MLP, ("h2 = W2 @ relu(h1)", "h1 = 0 * h1\n    h2 = W2 @ relu(h1)"))
    (h1,) = [a for a in abcparam.check(text).to_dict()["activations"] if a["name"] == "h1"]
    assert h1 == {"name": "h1", "at_init": {"width": "-inf"}, "change": {"width": "-inf"}}


def test_c_is_the_total():
    """A scaled learning rate counts, of the optimizer and of the tensor."""
    text = changed(MLP, ("{ lr = lr, momentum", "{ lr = lr * width^(-1/2), momentum"))
    assert {json.dumps(t["c"]) for t in abcparam.check(text).to_dict()["tensors"]} == {
        '{"width": "1/2"}'
    }


def test_a_tensor_that_nothing_uses_is_listed():
    text = changed(MLP, ("forward", "tensor spare : scalar [classes]\nforward"))
    report = abcparam.check(text).to_dict()
    (spare,) = [t for t in report["tensors"] if t["name"] == "spare"]
    assert (spare["slack"], spare["status"]) == (None, "under")
    assert spare["update"] == {"width": "-inf"}
    assert report["verdict"] == "feature-learning"


def test_an_invalid_spec_has_no_verdict():
    with pytest.raises(SpecError) as caught:
        abcparam.check(INVALID)
    first, second = (d.to_dict() for d in caught.value.diagnostics)
    assert first == {
        "code": "P0201",
        "severity": "error",
        "message": "unknown name `klasses`",
        "help": "declare it before it is used. Did you mean `classes`?",
        "span": {"line": 10, "column": 21, "end_line": 10, "end_column": 28},
        "label": "not declared",
        "notes": [],
        "edit": [
            {
                "span": {"line": 10, "column": 21, "end_line": 10, "end_column": 28},
                "text": "classes",
            }
        ],
    }
    assert second["span"] == {"line": 14, "column": 10, "end_line": 14, "end_column": 12}


# The Python API


def test_a_text_and_a_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    text = MLP.read_text(encoding="utf-8")
    report = abcparam.check(text)
    assert isinstance(report, Report)
    assert (report.verdict, report.complete) == ("maximal-update", True)
    assert report.to_dict()["file"] == "-"
    (tmp_path / "mlp.param").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert abcparam.check(Path("mlp.param")).to_dict()["file"] == "mlp.param"
    with pytest.raises(SpecError):
        abcparam.check("mlp.param")


def test_errors_are_values():
    with pytest.raises(SpecError) as caught:
        abcparam.check(INVALID)
    error = caught.value
    assert isinstance(error.diagnostics, list)
    assert all(isinstance(diagnostic, Diagnostic) for diagnostic in error.diagnostics)
    assert str(error).count("error[") == len(error.diagnostics) == 2
    with pytest.raises(SpecError, match="P0141"):
        abcparam.check(Path("nowhere.param"))


def test_overrides():
    theta = SPECS / "mlp_theta.param"
    assert abcparam.check(theta, theta="1/2").verdict == "maximal-update"
    assert abcparam.check(theta, theta=0.25).verdict == "maximal-update"
    code = abcparam.compile(MLP, width=512, lr=0.25)
    assert "width: int = 512" in code and "lr: float = 0.25" in code
    with pytest.raises(SpecError, match="`widht` is not a dim"):
        abcparam.compile(MLP, widht=512)


def test_expectations():
    for expected, as_expected in [
        ("unstable", True),
        ("maximal-update", False),
        ("kernel", False),
        ("unstable, complete", False),
    ]:
        report = abcparam.check(f"{UNSTABLE}expect {expected}\n")
        assert (report.verdict, report.as_expected) == ("unstable", as_expected)
        assert report.to_dict()["expected"] == expected
        severities = {d.severity for d in report.diagnostics if d.code < "P06"}
        assert severities == ({"note"} if as_expected else {"error"} | severities)
    assert abcparam.check(f"{MLP.read_text()}expect complete\n").to_dict()["expected"] == (
        "maximal-update, complete"
    )


def test_the_order_of_verdicts():
    report = abcparam.check(UNSTABLE)
    assert [report.reaches(verdict) for verdict in VERDICTS] == [True, True, *[False] * 4]


@pytest.mark.parametrize("name", ["gpt", "bert"])
def test_reports_do_not_depend_on_the_hash_seed(name: str):
    path = str(SPECS / f"{name}.param")
    outputs = set()
    for seed in ("0", "1", "2", "3"):
        command = [sys.executable, "-m", "abcparam", "check", "--format", "json", path]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(command, capture_output=True, env=environment, check=True)
        outputs.add(ran.stdout)
    assert len(outputs) == 1


def test_fixes_do_not_depend_on_the_hash_seed(tmp_path: Path):
    text = (SPECS / "gpt_depth.param").read_text(encoding="utf-8")
    text, count = re.subn(r"(: hidden \[[^]]*\])$", r"\1 { c = 5/4 }", text, flags=re.M)
    assert count == 4
    path, outputs = tmp_path / "wrong.param", set()
    path.write_text(text, encoding="utf-8")
    for seed in ("0", "1", "2", "3"):
        command = [sys.executable, "-m", "abcparam", "check", "--all-fixes", str(path)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run(command, capture_output=True, env=environment).stdout)
    assert len(outputs) == 1 and b"fixes, each judged" in outputs.pop()


def test_slacks_that_tie_are_all_shown():
    """Whether V may learn more depends on which of two dims grows a little faster."""
    report = abcparam.check(
        """model Two
dim width -> inf, base = 64
dim inner -> inf, base = 64
dim few = 4
hyper lr = 1e-2
tensor A : input [width, few] { a = 0, b = 0, c = 0 }
tensor B : input [inner, few] { a = 0, b = 0, c = 0 }
tensor W : hidden [inner, width] { a = 0, b = 1/2, c = 0, c[width] = 1 }
tensor V : output [few, width] { a = 1, b = 0, c = 0 }
tensor U : output [few, inner] { a = 1, b = 0, c = 0 }

forward(x : [few]) {
    y = tanh(W @ tanh(A @ x))
    z = tanh(W.T @ tanh(B @ x))
    return U @ y + V @ z
}

optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""
    )
    slacks = {line.split()[0]: line for line in render_report(report).splitlines() if line}
    assert "1/2 width, -1/2 inner ~ 0" in slacks["V"]
    assert "1 width, -1 inner ~ 0" in slacks["W"]
