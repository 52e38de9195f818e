"""The family between two specs, and the plane of its verdicts."""

from __future__ import annotations

import json
import random
import re
import sys
import xml.etree.ElementTree as ElementTree
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

import abcparam
from abcparam import SpecError
from abcparam.comparison.family import Family
from abcparam.comparison.plane import Plane, PlanePart, PlanePoint, plane
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import judged as report_of
from abcparam.verdict.check import load
from tests.analysis.test_published import MUP
from tests.support.judging import judged, mlp_of
from tests.support.random_mlps import GRID, random_mlps, regauge, spec
from tests.support.running import GPT, Run
from tests.support.theorems import MLP

SP = ((0, 0, 0), (0, "1/2", 0), (0, "1/2", 0))
NTK = ((0, 0, 0), ("1/2", 0, 0), ("1/2", 0, 0))


def between(a: MLP, b: MLP) -> Family:
    return abcparam.interpolate(spec(a), spec(b))


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_corners(optimizer: str):
    """30 pairs of random MLPs: the corners are the two, exactly, in the gauge of the first."""
    found = [m for m in random_mlps(11, 900) if m.optimizer == optimizer and len(m.layers) == 3]
    pairs = list(pairwise(m for m in found if not m.zero_readout))[:30]
    assert len(pairs) == 30
    for a, b in pairs:
        first, second = (abcparam.interpolate(spec(a), spec(b), x, x) for x in (0, 1))
        assert abcparam.diff(str(first), spec(a)).same == "exactly"
        assert not any(g.text for g in abcparam.diff(str(first), spec(a)).gauge.values())
        assert abcparam.diff(str(second), spec(b)).same == "exactly"
        assert first.report.verdict == judged(spec(a))["verdict"]
        assert second.report.verdict == judged(spec(b))["verdict"]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_other_corners(optimizer: str):
    """With s alone the initial scales are B's and the learning rates A's."""
    a, b = mlp_of(optimizer, 2, *SP), mlp_of(optimizer, 2, *MUP["table 3", optimizer])
    text = str(abcparam.interpolate(spec(a), spec(b), init=1, lr=0))
    by_name = {t["name"]: t for t in judged(text)["tensors"]}
    for x, y, name in zip(a.layers, b.layers, ("W1", "W2", "W3"), strict=True):
        assert Fraction(by_name[name]["b"].get("width", 0)) == y.b
        assert Fraction(by_name[name]["c"].get("width", 0)) == x.c


@pytest.mark.parametrize("table", [3, 8, 9])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_from_standard_to_maximal(optimizer: str, table: int):
    """Maximal updates at µP alone, whatever gauge it is written in; the standard parametrization
    is unstable (arXiv 2011.14522, 2308.01814).
    """
    a = mlp_of(optimizer, 2, *SP)
    found = between(a, mlp_of(optimizer, 2, *MUP[f"table {table}", optimizer]))
    regions = found.report.regions
    assert regions is not None and found.report.verdict is None
    assert regions["maximal-update"].texts() == [[["s = 1"]], [["t = 1"]]]
    drawn = plane(found, ("sp", "mup"))
    assert [corner.verdict for corner in drawn.corners] == ["unstable", "maximal-update"]


def test_from_kernel_to_maximal():
    """From the NTK parametrization: kernel all the way, in learning rates and initial scales
    (arXiv 2011.14522, the uniform parametrizations between the two).
    """
    ntk, mup = mlp_of("sgd", 2, *NTK), mlp_of("sgd", 2, *MUP["table 9", "sgd"])
    found = between(ntk, mup)
    drawn = plane(found, ("ntk", "mup"))
    assert [corner.verdict for corner in drawn.corners] == ["kernel", "maximal-update"]
    assert abcparam.interpolate(spec(ntk), spec(mup), 0.5, 0.5).report.verdict == "kernel"


def contains(part: PlanePart, point: PlanePoint) -> bool:
    """Whether a polygon without its edges, a segment without its ends, or a point holds a point."""
    if len(part.points) == 1:
        return part.points[0] == point
    turns = [_turn(a, b, point) for a, b in pairwise((*part.points, part.points[0]))]
    if len(part.points) > 2:
        return all(turn > 0 for turn in turns)
    return turns[0] == 0 and min(part.points) < point < max(part.points)


def _turn(a: PlanePoint, b: PlanePoint, c: PlanePoint) -> Fraction:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def area(cell: PlanePart) -> Fraction:
    edges = pairwise((*cell.points, cell.points[0]))
    return sum(((a[0] * b[1] - b[0] * a[1]) / 2 for a, b in edges), Fraction(0))


def assert_right(drawn: Plane, points: list[PlanePoint]) -> None:
    """The parts cover the window once, and say what numbers say."""
    low, high = drawn.window
    assert sum(map(area, drawn.cells)) == (high - low) ** 2
    for x, y in points:
        at = {"s": x, "t": y}
        values = {symbol: at[symbol] for symbol in drawn.family.program.symbols}
        verdict = report_of(load(Source(drawn.family.text), values)).verdict
        holding = {p.verdict for p in drawn.cells if contains(p, (x, y))}
        for parts in (drawn.segments, drawn.points):  # the smallest part decides
            holding = {p.verdict for p in parts if contains(p, (x, y))} or holding
        assert holding <= {verdict}, (x, y, drawn.family.text)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_planes(optimizer: str):
    """12 planes between random MLPs and µP, at 81 points each of a grid of quarters."""
    draw = random.Random(f"plane {optimizer}")
    grid = [(Fraction(i, 4), Fraction(j, 4)) for i in range(-2, 7) for j in range(-2, 7)]
    found = [m for m in random_mlps(12, 800) if m.optimizer == optimizer and len(m.layers) == 3]
    starts = [m for m in found if not m.zero_readout][:12]
    assert len(starts) == 12
    for a in starts:
        b = mlp_of(optimizer, 2, *MUP["table 3", optimizer])
        b = regauge(b, [draw.choice(GRID) for _ in b.layers])
        assert_right(plane(between(a, b), ("a", "b")), grid)


def test_a_transformer():
    """From one learning rate for all to µP under AdamW: unstable on the way. The readout starts at
    zero, so initial scales do not matter.
    """
    text = GPT.read_text(encoding="utf-8")
    sp, mup = (re.sub(r"(?s)(?<=parametrization ).*?\n}", x, text) for x in ("sp", "mup"))
    found = abcparam.interpolate(sp, mup)
    assert found.report.regions is not None
    assert found.report.regions["unstable"].texts() == [[["t < 1"]]]
    assert found.report.regions["maximal-update"].texts() == [[["t = 1"]]]
    assert "output { b = 1/2 + 1/2 * s, c = t, d = -t }" in found.text


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dim pixels = 784", "dim pixels = 785", "the shape of W1"),
        ("tanh(h1)", "((width / base(width))^-1 * tanh(h1))", "the forward of h2"),
        ("optimizer adam { lr = lr", "optimizer adam { lr = lr * width^-1", "the c + a of W1"),
        ("optimizer adam { lr = lr, eps = 0 }", "optimizer sgd { lr = lr }", "the "),
    ],
)
def test_what_differs_in_more_is_refused(old: str, new: str, said: str):
    text = spec(mlp_of("adam", 2, *SP))
    assert old in text
    with pytest.raises(SpecError) as refused:
        abcparam.interpolate(text, text.replace(old, new))
    (error,) = refused.value.diagnostics
    assert error.code == "P0706"
    assert said in error.message


def test_constants_are_those_of_the_first():
    a, b = (spec(mlp_of("adam", 2, *x)) for x in (SP, MUP["table 8", "adam"]))
    found = abcparam.interpolate(a, b.replace("hyper lr = 0.1", "hyper lr = 0.3"), 1, 1)
    assert "hyper lr = 0.1" in found.text
    assert abcparam.diff(found.text, b).same == "exactly"


def test_a_symbol_that_is_taken_is_refused():
    text = spec(mlp_of("adam", 2, *SP))
    with pytest.raises(SpecError) as refused:
        abcparam.interpolate(text, spec(mlp_of("adam", 2, *MUP["table 8", "adam"])), "width", "t")
    assert "`width`" in refused.value.diagnostics[0].message


def test_a_name_that_nobody_chose_gives_way():
    """A tensor called `t` was "declared twice"."""
    ends = (spec(mlp_of("adam", 2, *x)) for x in (SP, MUP["table 8", "adam"]))
    a, b = (re.sub(r"\bW1\b", "t", text) for text in ends)
    assert "tensor t " in a
    assert (abcparam.interpolate(a, b).init, abcparam.interpolate(a, b).lr) == ("s", "t_")
    assert abcparam.map(a, b).to_dict()["coordinates"] == {"init": "s", "lr": "t_"}


# The command


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `sp.param` and `mup.param`, and the place where commands run."""
    for name, exponents in (("sp", SP), ("mup", MUP["table 8", "adam"])):
        (tmp_path / f"{name}.param").write_text(
            spec(mlp_of("adam", 2, *exponents)), encoding="utf-8"
        )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_map(run: Run, two: Path):
    found = run("map", "sp.param", "mup.param")
    assert found.status == 0
    assert "maximal-update:\n    s = 1\n    t = 1\n" in found.out
    assert found.out.rstrip().endswith("verdict: sp: unstable; mup: maximal-update")
    assert found.err == "MLP -> sp-mup.svg\nMLP -> sp-mup.png\n"
    root = ElementTree.fromstring((two / "sp-mup.svg").read_text(encoding="utf-8"))
    assert root.tag.endswith("svg")
    assert (two / "sp-mup.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_plane_makes_the_same_bytes(run: Run, two: Path):
    for name in ("one.svg", "two.svg"):
        assert run("map", "sp.param", "mup.param", "-o", name).err == f"MLP -> {name}\n"
    assert (two / "one.svg").read_bytes() == (two / "two.svg").read_bytes()
    assert not (two / "one.svg.png").exists()


def test_map_as_data(run: Run, two: Path):
    arguments = ("--format", "json", "--window", "0", "2", "--init", "sigma", "--lr", "rate")
    found = run("map", "sp.param", "mup.param", *arguments)
    assert (found.status, found.err) == (0, "")
    assert not list(two.glob("*.svg"))
    data = json.loads(found.out)
    assert data["coordinates"] == {"init": "sigma", "lr": "rate"}
    assert data["window"] == ["0", "2"]
    assert data["points"] == [{"verdict": "maximal-update", "points": [["1", "1"]]}]
    assert {cell["verdict"] for cell in data["cells"]} == {"unstable", "trivial"}
    assert abcparam.check(data["spec"]).verdict is None


def test_a_spec_and_itself(run: Run, two: Path):
    """Nothing changes along the way."""
    found = run("map", "mup.param", "mup.param", "--format", "json")
    data = json.loads(found.out)
    assert [cell["verdict"] for cell in data["cells"]] == ["maximal-update"]
    assert (data["a"], data["b"], data["segments"], data["points"]) == ("A", "B", [], [])


@pytest.mark.parametrize(
    "arguments",
    [
        ("-", "-"),
        ("sp.param", "mup.param", "--window", "1", "0"),
        ("sp.param", "mup.param", "--lr", "s"),
    ],
)
def test_usage(run: Run, two: Path, arguments: tuple[str, ...]):
    assert run("map", *arguments).status == 2


def test_without_matplotlib(run: Run, two: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    found = run("map", "sp.param", "mup.param")
    assert found.status == 2
    assert "error[P0903]: nothing can be drawn: matplotlib is not installed" in found.err
    assert not list(two.glob("sp-mup*"))
