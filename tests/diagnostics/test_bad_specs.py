"""Every code from names to findings: a minimal spec that provokes it, and all that is said of it.

`bad/P0301.param` is the spec, `bad/P0301.txt` what a person reads;
`python -m tests.diagnostics.test_bad_specs` writes these anew. The first line of a text is the
verdict where there is one.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import abcparam
from abcparam import Diagnostic, SpecError
from abcparam.diagnostics.diagnostic import DiagnosticRule, render
from abcparam.diagnostics.explain import codes, story
from abcparam.diagnostics.source import Source
from abcparam.storage.atomic import write_atomically, write_generated
from tests.support import paths

BAD = Path(__file__).parent / "bad"
SPECS = sorted(BAD.glob("*.param"))
OF_FILES = ("P0901", "P0902", "P0903", "P0904", "P0905")  # about what is written, not about a spec
OF_GAUGES = ("P0431", "P0432", "P0433", "P0434")  # asked for: test_gauges, test_fold
TIMED_OUT = ("P0514", "P0703")  # about what the solver could not decide
OF_TWO = ("P0706",)  # about two specs
OF_TUNING = tuple(code for code in codes() if code.startswith("P08"))  # about a sweep, its data
OF_IMPORTS = tuple(code for code in codes() if code.startswith("P10"))  # about a model: imports
OF_RECIPES = tuple(code for code in codes() if code.startswith("P11"))  # about a configuration
RULES = {code: rule for code, rule in codes().items() if code >= "P02"}


def said(path: Path) -> str:
    """All that `abcparam check` says of a spec; `solve` or `compile` where the code is theirs."""
    source = Source(path.read_text(encoding="utf-8"), path.name, str(path.parent))
    try:
        if path.stem.startswith("P07"):
            return abcparam.solve(source)
        if path.stem == "P0405":
            return abcparam.compile(source)
        report = abcparam.check(source)
    except SpecError as error:
        return f"{error}\n"
    found = [render(diagnostic, source) for diagnostic in report.diagnostics]
    return "\n\n".join([f"verdict: {report.verdict}", *found]) + "\n"


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_said(path: Path):
    assert said(path) == path.with_suffix(".txt").read_text(encoding="utf-8")


def test_no_code_is_missing():
    assert [path.stem for path in SPECS] == [
        code
        for code in RULES
        if code
        not in (*OF_FILES, *OF_GAUGES, *TIMED_OUT, *OF_TWO, *OF_TUNING, *OF_IMPORTS, *OF_RECIPES)
    ]
    assert [path.stem for path in sorted(BAD.glob("*.txt"))] == [path.stem for path in SPECS]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_a_spec_provokes_its_code_and_little_else(path: Path):
    found = re.findall(r"^\w+\[(P\d{4})\]", said(path), re.M)
    assert path.stem in found
    assert len(set(found)) <= (3 if path.stem > "P05" else 1)
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 20


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_places_lie_in_the_text(path: Path):
    text = path.read_text(encoding="utf-8")
    for diagnostic in diagnostics(text):
        assert_within(diagnostic, text)


def diagnostics(text: str) -> list[Diagnostic]:
    try:
        return list(abcparam.check(text).diagnostics)
    except SpecError as error:
        return list(error.diagnostics)


def assert_within(diagnostic: Diagnostic, text: str) -> None:
    span, lines = diagnostic.span, text.split("\n")
    assert 1 <= span.line <= span.end_line <= len(lines)
    assert 1 <= span.column <= len(lines[span.line - 1]) + 1
    assert 1 <= span.end_column <= len(lines[span.end_line - 1]) + 1
    assert (span.line, span.column) <= (span.end_line, span.end_column)


@pytest.mark.parametrize("code", RULES)
def test_a_rule_explains_itself(code: str):
    rule = RULES[code]
    assert rule.__doc__ and rule.__doc__ != DiagnosticRule.__doc__
    assert rule.message and rule.help
    assert story(code.lower()) == story(code)
    assert (story(code) or "").startswith(f"{code} ({rule.severity}): ")
    for template in (rule.message, rule.label, rule.help):
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
        assert all(name.isidentifier() for name in names)


def test_codes_say_what_they_are():
    severities = {code: rule.severity for code, rule in RULES.items()}
    milder = {c: s for c, s in severities.items() if c > "P10" and s != "error"}
    assert milder == dict.fromkeys(("P1008", "P1011", "P1016", "P1026", "P1029"), "note")
    severities = {code: s for code, s in severities.items() if code not in milder}
    assert {s for c, s in severities.items() if c < "P06" or c > "P07"} == {"error"}
    assert {s for c, s in severities.items() if "P06" < c < "P07"} == {"warning", "note"}


# Files


def refusal(write: Callable[..., None], *arguments: Any) -> str:
    with pytest.raises(SpecError) as caught:
        write(*arguments)
    (diagnostic,) = caught.value.diagnostics
    return f"[{diagnostic.code}] {diagnostic.message}; {diagnostic.help}"


def test_files_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.py").write_text("print(1)\n")
    assert refusal(write_atomically, f"{tmp_path}/none/out.py", "x") == (
        f"[P0901] cannot write `{tmp_path}/none/out.py`: No such file or directory; "
        "choose another place with `-o OUT`; nothing was written"
    )
    assert refusal(write_atomically, f"{tmp_path}/folder", "x").startswith("[P0901]")
    assert refusal(write_generated, f"{tmp_path}/mine.py", "x") == (
        f"[P0902] `{tmp_path}/mine.py` exists and was not written by abcparam; "
        "choose another place with `-o OUT`, or overwrite it with `--force`"
    )
    assert (tmp_path / "mine.py").read_text() == "print(1)\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "mine.py"]


# Several errors in one file

MLP = (paths.SPECS / "mlp.param").read_text(encoding="utf-8")


def changed(*pairs: tuple[str, str]) -> str:
    text = MLP
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def places(text: str) -> list[tuple[str, str]]:
    """Each error's code and the text that its caret underlines, in the order of the report."""
    found, lines = [], text.split("\n")
    for d in diagnostics(text):
        assert d.span.line == d.span.end_line
        found.append((d.code, lines[d.span.line - 1][d.span.column - 1 : d.span.end_column - 1]))
    return found


SYNTAX = [("dim classes = 10", "dim classes 10"), ("hyper lr = 0.1", "hyper lr = .1")]
NAMES = [
    ("W2 @ relu(h1)", "W9 @ rellu(h1)"),
    ("[classes, width]", "[klasses, width]"),
    ("optimizer sgd", "optimizer sdg"),
    ("momentum = 0", "momentum = inertia"),
    ("tensor b1 : input ", "tensor b1 : inputs"),
]
SHAPES = [
    ("dim pixels = 784", "dim pixels = 784.5"),
    ("hidden [width, width]   { a = 0,  ", "output [width, width]   { a = lr, "),
    ("+ b1", "+ (1, 2)"),
    ("output [classes, width] { a = 1/2,  b = 1/2, c = 0", "output [classes, width] { a = 1/2"),
    ("{ lr = lr, momentum = 0 }", "{ lr = lr, momentum = b1 }"),
]


def test_every_error_of_the_first_phase_that_fails_is_reported():
    """Syntax, one for each statement; then names and words; then shapes, roles, exponents."""
    assert [code for code, _ in places(changed(*SYNTAX, *NAMES, *SHAPES[:1]))] == ["P0101", "P0106"]
    assert places(changed(*NAMES[:3], *NAMES[4:], *SHAPES[2:3])) == [
        ("P0213", "inputs"),
        ("P0201", "klasses"),
        ("P0201", "W9"),
        ("P0202", "rellu"),
        ("P0213", "sdg"),
    ]
    assert places(changed(*SHAPES)) == [
        ("P0408", "784.5"),
        ("P0307", "output"),
        ("P0402", "a = lr"),
        ("P0401", "W3"),
        ("P0309", "(1, 2)"),
        ("P0407", "b1"),
    ]


def test_no_error_is_told_twice():
    """A block that is called three times, a role that three tensors take, a loop of copies."""
    text = """model Twice
dim width -> inf, base = 64
parametrization {
    hidden { a = 0, b = sqrt(2), c = 1, mult = width, gain = 2 }
}
block Wrong(x) {
    tensor up, down : hidden [width, width]
    return up @ down @ concat(x, x)
}
forward(x : [width]) {
    x = Wrong(x) as first
    x = Wrong(x) as second
    repeat 4 as layers {
        x = x + Wrong(x)
    }
    return x
}
optimizer adam { lr = 1 }
loss mse
"""
    assert places(text) == [("P0212", "gain = 2")]
    assert places(text.replace(", gain = 2", "")) == [
        ("P0402", "b = sqrt(2)"),
        ("P0406", "mult = width"),
        ("P0302", "down @ concat(x, x)"),
    ]


def test_what_follows_from_an_error_is_not_told():
    """Each spec has one mistake, and what depends on it is no mistake of its own."""
    for pair, expected in [
        (("dim pixels = 784", "dim pixels = 1 / 0"), [("P0407", "0")]),
        (("[width, pixels]", "[width, lr]"), [("P0312", "lr")]),
        (("W1 @ x + b1", "W1 @ W1 @ x"), [("P0302", "W1 @ W1 @ x")]),
        (("h1 = W1 @ x + b1", "h1, h0 = W1 @ x"), [("P0415", "h1, h0 = W1 @ x")]),
        (("h1 = W1 @ x + b1", "h1 = relu(x, x)"), [("P0414", "x")]),
    ]:
        assert places(changed(pair)) == expected


HEADS = """model Small
dim width -> inf, base = 256
dim head = 64
dim heads = width / head
dim vocab = 100
dim context = 16
parametrization mup
tensor embedding : input [vocab, width]
tensor query : hidden [heads * head, width]
tensor key, value : hidden [heads * head, width]
tensor project : hidden [width, heads * head]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) {
    x = embed(embedding, tokens)
    y = attention(query @ x, key @ x, value @ x, heads = heads, scale = head^-1)
    return readout @ (x + project @ y)
}
optimizer adam { lr = 0.1 }
loss cross_entropy
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("dim heads = width / head", "dim heads = 4", [("P0307", "hidden")]),
        ("dim width -> inf, base = 256", "dim width = 256", [("P0322", "width")]),
        ("dim vocab = 100", "dim vocab -> inf, base = 100", [("P0323", "vocab")]),
        ("dim context = 16", "dim context -> inf", [("P0323", "context")]),
        ("base = 256", "base = 250", [("P0408", "dim heads = width / head")]),
    ],
)
def test_one_mistake_is_one_error(old: str, new: str, expected: list[tuple[str, str]]):
    assert places(HEADS) == []
    assert places(HEADS.replace(old, new)) == expected


def test_a_base_that_is_no_multiple_is_told_the_nearest():
    (uneven,) = diagnostics(HEADS.replace("base = 256", "base = 250"))
    assert uneven.help == "`width` has to be a multiple of 64: `base = 256`"
    (uneven,) = diagnostics(HEADS.replace("base = 256", "base = 8"))
    assert uneven.help == "`width` has to be a multiple of 64: `base = 64`"


def main() -> None:
    for path in SPECS:
        path.with_suffix(".txt").write_text(said(path), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()


def test_a_text_is_split_into_lines_once():
    """For each of 20,000 findings it took 13 seconds."""
    source = Source("model M\n" + "block A(x) {\n" * 20)
    assert source.lines is Source(source.text, "other").lines
    assert len(source.lines) == 22 and source.lines[-2:] == ["block A(x) {", ""]
