"""Which shipped parametrization a spec is, in another gauge: `identify`, and P0606 of `check`."""

from __future__ import annotations

import json
import os
import random
from fractions import Fraction
from pathlib import Path

import pytest

import abcparam
from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.program.gauge_text import shifted
from abcparam.resolve.parametrizations import SHIPPED, read_parametrizations
from abcparam.resolve.tensors import affine
from abcparam.verdict.identify import Identity, identify
from tests.analysis.test_published import MUP, RATES, standard
from tests.support.emitted import program_of
from tests.support.judging import mlp_of, swapped
from tests.support.paths import SPECS, SUPPORT
from tests.support.random_mlps import GRID, regauge, spec, with_c
from tests.support.running import changed
from tests.support.theorems import MLP, Optimizer

FILES = sorted(Path(SHIPPED).glob("*.param"))
PUBLISHED = {
    item["id"]: tuple(tuple(exponents.values()) for exponents in item["roles"].values())
    for item in json.loads((SUPPORT / "published.json").read_text(encoding="utf-8"))
}
SOURCES = {  # where the shipped exponents are published
    ("mup", "sgd"): MUP["table 8", "sgd"],
    ("mup", "adam"): MUP["table 8", "adam"],
    ("sp", "sgd"): PUBLISHED["tp4-sp-lr-1"],
    ("sp", "adam"): PUBLISHED["tp4b-sp-lr-1"],
    ("ntk", "sgd"): PUBLISHED["tp4-ntp"],
    ("ntk", "adam"): PUBLISHED["tp4b-ntp"],
    ("mfp", "sgd"): tuple(
        (*ab, c)
        for ab, c in zip(
            ((0, 0), ("1/2", 0), (1, 0)), RATES["sgd", "full", "mean field"], strict=True
        )
    ),
    ("mfp", "adam"): PUBLISHED["everett-adam-full-mfp"],
}


def shipped(name: str, optimizer: str) -> tuple[tuple[Fraction, ...], ...]:
    """Exponents a, b, c by role, as the file has them."""
    for offered in read_parametrizations(os.path.join(SHIPPED, f"{name}.param")):
        if not offered.optimizers or optimizer in [o.id for o in offered.optimizers]:
            roles = {r.role.id: {s.key: s.value for s in r.settings} for r in offered.roles}
            return tuple(
                tuple(number(roles[role][letter]) for letter in "abc")
                for role in ("input", "hidden", "output")
            )
    raise AssertionError(name, optimizer)


def number(value: object) -> Fraction:
    exponent = affine(value, frozenset(), "?")
    assert exponent is not None
    return exponent.constant


def found(mlp: MLP) -> Identity | None:
    return identify(program_of(spec(mlp)))


def by_name(name: str, kind: str) -> str:
    """An MLP that takes a shipped parametrization by its name."""
    text = changed(
        SPECS / "mlp.param", ("optimizer sgd", f"parametrization {name}\noptimizer {kind}")
    )
    for keys in ("{ a = -1/2, b = 1/2, c = 0 }", "{ a = 0,    b = 1/2, c = 0 }"):
        text = text.replace(keys, "")
    text = text.replace("{ a = -1/2, b = 1/2, c = 0, init = zeros }", "")
    text = text.replace("{ a = 1/2,  b = 1/2, c = 0 }", "")
    return text.replace("momentum = 0", "momentum = 0" if kind == "sgd" else "eps = 0")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_file_says_first_where_it_is_published(path: Path):
    first, second, *_ = path.read_text(encoding="utf-8").splitlines()
    assert first.startswith("# ") and "arXiv " in first and not first.endswith(".")
    assert second.startswith("# The ")
    assert {(path.stem, kind) for kind in ("sgd", "adam")} <= SOURCES.keys()


@pytest.mark.parametrize(("name", "kind"), SOURCES)
def test_shipped_exponents_are_the_published_ones(name: str, kind: str):
    expected = tuple(tuple(Fraction(str(x)) for x in role) for role in SOURCES[name, kind])
    assert shipped(name, kind) == expected


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_tables_3_and_9_are_the_shipped_mup_in_another_gauge(kind: Optimizer):
    for table, shifts in [("table 3", "0 0 0 -1"), ("table 9", "-1/2 0 0 -1/2")]:
        identity = found(mlp_of(kind, 3, *MUP[table, kind]))
        assert identity is not None
        assert (identity.name, identity.citation) == (
            "mup",
            "Tensor Programs V, arXiv 2203.03466, Table 8",
        )
        thetas = [theta.get("width", Fraction(0)) for theta in identity.shifts.values()]
        assert thetas == [Fraction(x) for x in shifts.split()]


@pytest.mark.parametrize(("name", "kind"), SOURCES)
def test_nothing_is_said_of_what_is_taken_by_name_or_spelled_out(name: str, kind: Optimizer):
    assert identify(program_of(by_name(name, kind))) is None
    assert found(mlp_of(kind, 2, *SOURCES[name, kind])) is None


@pytest.mark.parametrize(("name", "kind"), SOURCES)
def test_random_gauges_are_identified(name: str, kind: Optimizer):
    """20 gauges of each shipped parametrization for SGD and Adam, each again with one exponent
    moved: 320 cases. The mean-field one is µP in another gauge.
    """
    draw = random.Random(f"{name} {kind}")
    plain = mlp_of(kind, 3, *SOURCES[name, kind])
    for _ in range(20):
        shifts = [draw.choice(GRID) for _ in plain.layers]
        shifts[0] = shifts[0] or Fraction(1, 3)
        mlp = regauge(plain, shifts)
        identity = found(mlp)
        assert identity is not None
        assert identity.name == ("mup" if name == "mfp" else name)
        if name != "mfp":
            thetas = [theta.get("width", Fraction(0)) for theta in identity.shifts.values()]
            assert thetas == shifts
        assert found(with_c(mlp, draw.randrange(4), Fraction(1, 8))) is None


def test_what_has_no_effect_is_not_compared():
    text = spec(mlp_of("adam", 2, *MUP["table 9", "adam"]))
    zero = swapped(text, "a = 1/2, b = 1/2, c = 1/2 }", "a = 1/2, b = 7, c = 1/2, init = zeros }")
    assert identify(program_of(zero)) is not None
    frozen = swapped(text, "a = 0, b = 1/2, c = 1 }", "a = 0, b = 1/2, c = 8, frozen }")
    assert identify(program_of(frozen)) is not None
    scaled = swapped(text, "lr = lr", "lr = lr * width^-1")
    assert identify(program_of(scaled)) is None
    moved = scaled.replace("c = 1/2", "c = -1/2").replace("c = 1 }", "c = 0 }")
    assert identify(program_of(moved)) is not None


def test_other_dims_symbols_and_optimizers_are_not_identified():
    theta = (SPECS / "mlp_theta.param").read_text(encoding="utf-8")
    assert identify(program_of(theta)) is not None  # 1/2
    with_symbol = program_of(theta)
    w1 = with_symbol.tensors["W1"]
    symbolic = replace(
        w1, exponents={**w1.exponents, "a": {"": Affine(Fraction(0), (("t", Fraction(1)),))}}
    )
    tensors = {**with_symbol.tensors, "W1": symbolic}
    assert identify(replace(with_symbol, tensors=tensors)) is None
    roleless = {**with_symbol.tensors, "W1": replace(w1, role=None)}
    assert identify(replace(with_symbol, tensors=roleless)) is None
    depth = swapped(theta, "exponent", "dim depth -> inf after width, base = 2\nexponent")
    assert identify(program_of(depth)) is not None
    deep = swapped(depth, "c = 1 - theta,", "c = 1 - theta, c[depth] = 1,")
    assert identify(program_of(deep)) is None
    gauged = swapped(
        depth, "c = 1 - theta,", "c = 1 - theta, a[depth] = 1, b[depth] = -1, c[depth] = -1,"
    )
    identity = identify(program_of(gauged))
    assert identity is not None
    assert identity.shifts["W2"] == {"width": Fraction(1, 2), "depth": Fraction(1)}


def notes(text: str) -> list[str]:
    return [d.message for d in abcparam.check(text).diagnostics if d.code == "P0606"]


def test_check_says_so():
    (note,) = notes(spec(mlp_of("adam", 3, *MUP["table 9", "adam"])))
    assert note == (
        "this is the shipped mup (Tensor Programs V, arXiv 2203.03466, Table 8) in another gauge: "
        "`W1`, `W4` a - 1/2, b + 1/2, c + 1/2"
    )
    ntk = regauge(mlp_of("sgd", 2, *SOURCES["ntk", "sgd"]), [Fraction(1), Fraction(0), Fraction(0)])
    (note,) = notes(f"{spec(ntk)}expect kernel\n")
    assert note.startswith("this is the shipped ntk (Jacot, ") and note.endswith(
        "`W1` a + 1, b - 1, c - 2"
    )
    sp = regauge(standard("adam", 2, 0), [Fraction(0), Fraction(1), Fraction(1, 2)])
    (note,) = notes(spec(sp))
    assert note.endswith("`W2` a + 1, b - 1, c - 1; `W3` a + 1/2, b - 1/2, c - 1/2")


def test_check_does_not_say_so_of_what_is_not_maximal_update():
    text = spec(mlp_of("adam", 2, *MUP["table 9", "adam"]))
    assert notes(text)
    broken = swapped(text, "W2 @ tanh(h1)", "width * W2 @ tanh(h1)")
    assert abcparam.check(broken).verdict == "unstable-at-init"
    assert notes(broken) == []


def test_long_lists_are_cut_short():
    draw = random.Random(1)
    mlp = mlp_of("sgd", 7, *MUP["table 8", "sgd"])
    shifts = [Fraction(draw.randint(1, 9), 7 + i) for i in range(8)]
    (note,) = notes(spec(regauge(mlp, shifts)))
    assert note.endswith("; …") and note.count("a +") == 4
    (note,) = notes(spec(regauge(mlp, [Fraction(1)] * 8)))
    assert note.endswith("`W1`, `W2`, `W3`, `W4`, `W5`, `W6` and 2 more a + 1, b - 1, c - 2")


def test_shifts_in_words():
    program = program_of((SPECS / "gpt_depth.param").read_text(encoding="utf-8"))
    tensor = program.tensors["layers.attention.query"]
    half, theta = Affine(Fraction(1, 2)), Affine(Fraction(-1), (("theta", Fraction(2)),))
    letters = {"a": 1, "b": -1, "c": -2}
    assert shifted(program, tensor, {"width": half}, letters) == "a + 1/2, b - 1/2, c - 1"
    assert shifted(program, tensor, {"depth": half}, letters) == (
        "a[depth] + 1/2, b[depth] - 1/2, c[depth] - 1"
    )
    assert shifted(program, tensor, {"width": theta}, {"a": 1, "c": 0}) == "a + (-1 + 2 * theta)"
