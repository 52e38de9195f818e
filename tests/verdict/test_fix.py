"""The way out that `check` proposes: written into the text it makes the spec maximal-update, and it
is no longer than it must be.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from itertools import product

import pytest

import abcparam
from abcparam.verdict.fix import Change
from tests.analysis.test_published import MUP
from tests.analysis.test_transformers import spelled, transformer
from tests.support.judging import judged, mlp_of
from tests.support.paths import EXAMPLES
from tests.support.random_mlps import GRID, regauge, spec

SHIFTS = [Fraction(k, 4) for k in (-4, -2, -1, 1, 2, 4)]
ROLES = ("input", "hidden", "output")


def applied(text: str, changes: tuple[Change, ...]) -> str:
    """The spec with the changes written into it, by role or by tensor."""
    for change in changes:
        name = change.owner.rpartition(".")[2]
        start = rf"^ *{name} " if name in ROLES else rf"^ *tensor {name} :.*?"
        key = f"{change.key} = {change.after}"
        line = re.compile(rf"({start}\{{.*?)\b{change.key} = [^,}}]*?( ?[,}}])", re.M)
        text, found = line.subn(rf"\g<1>{key}\g<2>", text)
        if not found:
            text, found = re.subn(rf"({start}\])( \{{ )?", rf"\1 {{ {key}, ", text, flags=re.M)
            text = text.replace(f"{key}, \n", f"{key} }}\n")
        assert found == 1, (change, text)
    return text


def assert_fixed(text: str, most: int) -> int:
    """The number of changes, at most so many; 0 where the spec is maximal-update all the same."""
    report = abcparam.check(text)
    if report.verdict == "maximal-update":
        assert not report.fix
        return 0
    assert 1 <= len(report.fix) <= most, text
    found = abcparam.check(applied(text, report.fix))
    assert found.verdict == "maximal-update", (text, report.fix)
    told = "the smallest change that makes it maximal-update: " + ", ".join(map(str, report.fix))
    assert any(diagnostic.help == told for diagnostic in report.diagnostics), text
    return len(report.fix)


slow = pytest.mark.slow  # pairs take seconds each
many = pytest.mark.parametrize(
    ("perturbed", "share"), [(1, 1), (2, 5), pytest.param(2, 1, marks=slow)]
)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@many
def test_mlps(perturbed: int, share: int, optimizer: str):
    """100 MLPs in every gauge of µP, with one or two exponents moved; or a fifth of them."""
    draw, lengths = random.Random(f"{perturbed} {optimizer}"), Counter[int]()
    for _ in range(100 // share):
        roles = MUP[f"table {draw.choice([3, 8, 9])}", optimizer]
        mlp = mlp_of(optimizer, draw.randint(1, 3), *roles)  # type: ignore[arg-type]
        mlp = regauge(mlp, [draw.choice(GRID) for _ in mlp.layers])
        layers = list(mlp.layers)
        places = [(index, letter) for index in range(len(layers)) for letter in "abc"]
        for index, letter in draw.sample(places, perturbed):
            moved = getattr(layers[index], letter) + draw.choice(SHIFTS)
            layers[index] = replace(layers[index], **{letter: moved})
        broken = replace(mlp, layers=tuple(layers), zero_readout=draw.random() < 0.3)
        lengths[assert_fixed(spec(broken), perturbed)] += 1
    assert lengths[perturbed] >= 70 // share, lengths


def roles(optimizer: str) -> list[list[str]]:
    table = (
        ["0 0 0", "0 1/2 1", "1 0 0"] if optimizer == "adam" else ["0 0 -1", "0 1/2 0", "1 0 -1"]
    )
    return [exponents.split() for exponents in table]


def alone(text: str) -> str:
    """Every tensor on a line of its own, so that it can be changed alone."""
    names = ("query", "key", "value")
    lines = (f"    tensor {name} : hidden [heads * head, width]\n" for name in names)
    return text.replace(
        "    tensor query, key, value : hidden [heads * head, width]\n", "".join(lines)
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_role_of_a_transformer(optimizer: str):
    """Every exponent of every role moved by every shift: one change of a role suffices.

    Norms forgive a stream that starts and moves by less.
    """
    for role in range(3):
        for letter in range(3):
            for shift in SHIFTS:
                table = roles(optimizer)
                table[role][letter] = str(Fraction(table[role][letter]) + shift)
                text = alone(transformer(spelled(*map(" ".join, table)), optimizer))
                count = assert_fixed(text, most=1)
                assert count == 1 or (role, letter) == (0, 0), (role, letter, shift)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@many
def test_tensors_of_a_transformer(perturbed: int, share: int, optimizer: str):
    """30 transformers with one or two tensors that do not take an exponent from their role; or a
    fifth of them.
    """
    draw = random.Random(f"transformer {perturbed} {optimizer}")
    names = ["query", "key", "value", "project", "up", "down"]
    a, b, c = roles(optimizer)[1]
    for _ in range(30 // share):
        text = alone(transformer(spelled(*map(" ".join, roles(optimizer))), optimizer))
        for name in draw.sample(names, perturbed):
            letter, standard = draw.choice([("a", a), ("b", b), ("c", c)])
            moved = Fraction(standard) + draw.choice(SHIFTS)
            pattern = rf"(tensor {name} : hidden \[.*\])"
            text = re.sub(pattern, rf"\1 {{ {letter} = {moved} }}", text)
        assert_fixed(text, most=perturbed)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("cases", [4, pytest.param(15, marks=slow)])
def test_no_shorter_way_and_no_smaller_move(cases: int, optimizer: str):
    """MLPs with one or two exponents moved, against every single change on a grid of quarters:
    where two are proposed none does it, where one is none smaller does.
    """
    draw = random.Random(f"brute force {optimizer}")
    for _ in range(cases):
        mlp = mlp_of(optimizer, 2, *MUP["table 3", optimizer])  # type: ignore[arg-type]
        places = [(index, letter) for index in range(3) for letter in "abc"]
        layers = list(mlp.layers)
        for index, letter in draw.sample(places, 2):
            moved = getattr(layers[index], letter) + draw.choice(SHIFTS)
            layers[index] = replace(layers[index], **{letter: moved})
        broken = replace(mlp, layers=tuple(layers))
        found = abcparam.check(spec(broken))
        if found.verdict == "maximal-update":
            continue
        least = abs(found.fix[0].after - found.fix[0].before) if len(found.fix) == 1 else 99
        for (index, letter), quarters in product(places, range(-12, 13)):
            by = Fraction(quarters, 4)
            one = replace(layers[index], **{letter: getattr(layers[index], letter) + by})
            tried = replace(broken, layers=(*layers[:index], one, *layers[index + 1 :]))
            if abs(by) < least:
                assert judged(spec(tried))["verdict"] != "maximal-update", (index, letter, by)


DEEP = """model M
dim width -> inf, base = 64
dim depth -> inf after width, base = 4
dim features = 8
dim classes = 4
hyper lr = 1e-3
tensor U : input [width, features] { a = 0, b = 0, c = 0 }
tensor V : output [classes, width] { a = 1, b = 0, c = 0 }
block Layer(x) {
    tensor A : hidden [width, width] { a = 0, b = 1/2, c = 1 }
    return depth^(-1/2) * (A @ relu(x))
}
forward(x : [features]) {
    h = U @ x
    repeat depth as layers {
        h = h + Layer(h)
    }
    return V @ h
}
optimizer adam { lr = lr }
loss cross_entropy
"""


def test_an_exponent_that_is_not_written():
    """Residual branches of depth^-1/2 need learning rates that fall as depth^-1/2 (Tensor Programs
    VI, arXiv 2310.02244).
    """
    (change,) = abcparam.check(DEEP).fix
    assert str(change) == "`layers.layer.A` c[depth] = 0 -> 1/2"


def test_learning_rates_are_changed_before_multipliers():
    """Llama in standard parametrization: two multipliers and scales would do as well."""
    text = (EXAMPLES / "llama.param").read_text(encoding="utf-8")
    found = abcparam.check(text.replace("parametrization mup", "parametrization sp")).fix
    assert [str(change) for change in found] == ["`readout` c = 0 -> 1", "`hidden` c = 0 -> 1"]


def test_nothing_is_proposed_under_another_alignment():
    table = roles("adam")
    table[1][2] = "2"
    text = transformer(spelled(*map(" ".join, table)))
    assert not abcparam.check(f"{text}assume alignment = full\n").fix
