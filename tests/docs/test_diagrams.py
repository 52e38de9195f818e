"""The diagrams of the documentation: drawn again they are the same, what they state is computed,
and no two texts meet.
"""

from __future__ import annotations

import ast
import itertools
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

import abcparam
from docs.diagrams import factors, gains, pipeline, specs, stream
from docs.diagrams.__main__ import FIGURES, FOLDER, main

MODULES = sorted((FOLDER / "diagrams").glob("*.py"))
SVG = "{http://www.w3.org/2000/svg}"
WIDE, HIGH = 0.64, 0.76  # of a letter and of a line, of the size of a font: wide fonts
STATES = re.compile(r"\d|\^|unstable|maximal|kernel|trivial|feature-learning|as expected|width_")


def tree(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(FIGURES[name]())


def values(svg: str) -> dict[str, str]:
    """What a figure states, by name; exponents after `^`."""
    found = {}
    for span in ElementTree.fromstring(svg).iter(f"{SVG}tspan"):
        if span.get("class") == "value":
            found[span.get("data-of", "")] = stated(span)
    return found


def stated(span: ElementTree.Element) -> str:
    text = span.text or ""
    for part in span:
        shift = part.get("dy") or ""
        text += ("^" if shift.startswith("-") else "") + (part.text or "") + (part.tail or "")
    return text.replace("−", "-")


@pytest.mark.parametrize("name", FIGURES)
def test_drawn_again_a_diagram_is_the_committed_one(name):
    committed = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    assert FIGURES[name]() == committed, f"docs/{name}.svg: run `python -m docs.diagrams`"


def test_the_script_writes_every_diagram(tmp_path, monkeypatch):
    monkeypatch.setattr("docs.diagrams.__main__.FOLDER", tmp_path)
    main()
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert written == {f"{name}.svg": (FOLDER / f"{name}.svg").read_bytes() for name in FIGURES}


# What is stated is computed


@pytest.mark.parametrize("name", FIGURES)
def test_words_state_no_value(name):
    """A number, a power, a verdict or code stands in a span that says what it is the value of."""
    for text in tree(name).iter(f"{SVG}text"):
        inside = list(text.iter(f"{SVG}tspan"))
        values = [span for span in inside if span.get("class") == "value"]
        words = [text.text or "", *((span.tail or "") for span in values)]
        typed = [word for word in words if STATES.search(word)]
        assert not typed, f"{name}: {typed} is typed, not computed"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_no_value_is_typed(module):
    """What makes a value of text is never given a literal: only f-strings and literals name it."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in MAKERS:
            _, *given = node.args
            assert not any(map(is_literal, given)), f"{module.name}:{node.lineno}"


MAKERS = {"law", "exponent", "powers", "computed", "written", "Value"}


def is_literal(node: ast.expr) -> bool:
    """Whether an expression is nothing but constants."""
    names = (ast.Name, ast.Attribute, ast.Call)
    return not any(isinstance(inner, names) for inner in ast.walk(node))


@pytest.mark.parametrize("form", ["sp", "mup", "ntk"])
def test_gains_are_those_of_the_report(form, monkeypatch):
    """Whatever the parametrization is: with another spec, other numbers."""
    monkeypatch.setattr(gains, "FORMS", ((form, "a form"),))
    found = values(gains.draw())
    report = abcparam.check(specs.mlp(form)).to_dict()
    assert found[f"{form} verdict"] == report["verdict"]
    for tensor in report["tensors"]:
        name = f"{form} {tensor['name']}"
        assert power(found[f"{name} update"]) == tensor["update"]["width"]
        assert found[f"{name} slack"] == tensor["slack"]["width"]
        assert found[f"{name} status"] == tensor["status"]
    for row in report["activations"]:
        assert power(found[f"{form} {row['name']} at init"]) == row["at_init"]["width"]
        assert power(found[f"{form} {row['name']} change"]) == row["change"]["width"]


def test_gains_by_hand():
    """Standard under Adam: updates of 1 on n features, the readout's n^-1/2 aligned over n."""
    found = values(FIGURES["gains"]())
    assert found["sp f gain"] == "n^1/2"
    assert found["sp h2 bound gain"] == found["sp f bound gain"] == "n"
    bounds = [found[f"sp {name} bound"] for name in ("h1", "y1", "h2", "y2", "f")]
    assert bounds == ["n^-2", "n^-2", "n^-1", "n^-1", "1"]
    ours = {value for name, value in found.items() if re.match("mup .*gain", name)}
    assert ours == {"1"}


def power(value: str) -> str:
    """The exponent of a power of n."""
    base, _, exponent = value.partition("^")
    return exponent or {"n": "1", "1": "0"}[base]


def test_alignments_by_hand():
    """The central limit, the law of large numbers, and the operator norm from RMS to RMS."""
    found = values(FIGURES["alignments"]())
    assert found == {"at random": "n^1/2", "update": "n", "square": "n^1/2", "readout": "n"}


def test_the_stream_by_hand():
    """x = x + L^-alpha f(x): at random L^1/2, coherently L."""
    found = values(FIGURES["stream"]())
    assert [found[f"{case} multiplier"] for case in ("whole", "root", "bare")] == [
        "L^-1",
        "L^-1/2",
        "L^-1/2",
    ]
    assert found["whole init stream"] == "L^-1/2" and found["root init stream"] == "1"
    assert found["whole coherent stream"] == found["root coherent stream"] == "1"
    assert found["bare coherent stream"] == "L^1/2"
    assert found["whole gelu"] == "1" and found["root gelu"] == "L^-1/2"


def test_the_stream_is_judged_by_its_specs(monkeypatch):
    """A multiplier of 1 in place of L^-1: the picture says so and that it is unstable."""
    monkeypatch.setattr(stream, "CASES", (("none", specs.transformer("0")),))
    found = values(stream.draw())
    assert found["none multiplier"] == "1" and found["none verdict 0"] == "unstable"
    assert found["none coherent stream"] == "L"


def test_the_pipeline_is_that_of_its_spec(monkeypatch):
    monkeypatch.setattr(pipeline, "mlp", lambda: specs.mlp("sp"))
    found = values(pipeline.draw())
    assert found["verdict"] == "unstable" and found["expected"] == "not as expected"
    assert found["change of f"] == "n^2"


def test_factors_are_those_of_the_emitted_code(monkeypatch):
    """What is left after the cancelling is what the emitted module multiplies by."""
    found = values(FIGURES["factors"]())
    assert found["product 0"] == "2" and found["product 3"].split("\u2009·\u2009") == [
        "r^-1",
        "out_mult",
    ]
    assert "self.readout_scale = config.out_mult / config.width_ratio" in found.values()
    other = specs.FACTORS.replace("tanh(2 * ", "tanh(3 * ").replace("{ a = 1, ", "{ a = 1/2, ")
    monkeypatch.setattr(factors, "FACTORS", other)
    changed = values(factors.draw())
    assert changed["product 0"] == "3" and changed["product 3"].startswith("r^-1/2")
    assert "h = torch.tanh(self.first(3 * x))" in changed.values()


# Legible


class Extent(NamedTuple):
    """Where a text lies, in a wide font."""

    text: str
    left: float
    right: float
    top: float
    bottom: float

    def meets(self, other: Extent) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def extents(root: ElementTree.Element) -> list[Extent]:
    return [extent(element) for element in root.iter(f"{SVG}text")]


def extent(element: ElementTree.Element) -> Extent:
    size = float(element.get("font-size", ""))
    text = "".join(element.itertext())
    small = sum(len(s.text or "") for s in element.iter(f"{SVG}tspan") if s.get("font-size"))
    width = WIDE * size * (len(text) - 0.25 * small)
    x, y = float(element.get("x", "")), float(element.get("y", ""))
    left = x - {"start": 0.0, "middle": width / 2, "end": width}[element.get("text-anchor", "")]
    return Extent(text, left, left + width, y - HIGH * size, y)


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_meets_another_or_leaves_the_picture(name):
    root = tree(name)
    placed = extents(root)
    for one, other in itertools.combinations(placed, 2):
        assert not one.meets(other), f"{name}: {one.text!r} over {other.text!r}"
    width, height = float(root.get("width", "")), float(root.get("height", ""))
    for one in placed:
        assert one.left >= 0 and one.right <= width and one.bottom <= height, f"{name}: {one.text}"


@pytest.mark.parametrize("name", FIGURES)
def test_diagrams_are_800_wide_on_white_and_shown_in_a_document(name):
    root = tree(name)
    assert root.get("width") == "800"
    paper = next(root.iter(f"{SVG}rect"))
    assert (paper.get("width"), paper.get("fill")) == ("800", "#ffffff")
    sizes = {float(text.get("font-size", "")) for text in root.iter(f"{SVG}text")}
    assert min(sizes) >= 11
    pages = "".join(page.read_text(encoding="utf-8") for page in Path(FOLDER).glob("*.md"))
    assert f"]({name}.svg)" in pages
