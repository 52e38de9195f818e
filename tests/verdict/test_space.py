"""Everything that searches for a change or proves it does so in one space."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import pytest

import abcparam
from abcparam.analysis.judge import judgement_if_stable
from abcparam.symbolic.symbols import ExponentPlace, OpenPower
from abcparam.verdict.changes import Change, ExponentChange, SettingChange, applied
from abcparam.verdict.factors import factor_change
from abcparam.verdict.laziness import lazy_tensors, mended
from abcparam.verdict.space import SearchSpace
from tests.support.paths import EXAMPLES

WRONG = sorted((EXAMPLES / "wrong").glob("*.param"))
GRID = [Fraction(k, 2) for k in range(-4, 5) if k]


@pytest.mark.parametrize("file", WRONG, ids=lambda file: file.stem)
def test_what_is_proposed_is_in_the_space(file: Path):
    report = abcparam.check(file)
    space = SearchSpace(report.program)
    for fix in report.fixes:
        for change in fix.changes:
            assert isinstance(change, SettingChange) or space.holds(change), change
    factor = next(iter(space.factors.values()))
    assert space.holds(factor.times("name"))
    assert not space.holds(ExponentChange("nothing", "b", Fraction(0), Fraction(1), ("nothing",)))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("attention_scale", ["`scale = head^-1` (now `head^(-1/2)`)"]),
        ("tied_readout", ["`out_mult * base(width) / width` for the factor `out_mult`"]),
        pytest.param(
            "constant_epsilon",
            [f"`{role}` d = 0 -> 1" for role in ("input", "readout", "hidden")],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_factors_and_epsilons_are_proved_as_exponents_are(name: str, changes: list[str]):
    found = abcparam.prove(EXAMPLES / "wrong" / f"{name}.param")
    assert found.proof is not None
    assert list(map(str, found.proof.changes)) == changes
    assert "(proved smallest: no fewer" in found.diagnostics[0].help


TIED = """model M
dim width -> inf, base = 64
dim vocab = 100
hyper lr = 1e-3
tensor table : [vocab, width] { a = 0, b = 0, c = 0 }
tensor up : hidden [width, width] { a = 0, b = 1/2, c = 1/2 }
forward(token : index(vocab) []) {
    h = up @ relu(embed(table, token))
    return table.T @ layernorm(h)
}
optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


def test_brute_force_finds_no_fewer_changes_where_factors_are_among_them():
    """A rate and a factor that is missing: neither alone, nor any other place on a grid."""
    found = abcparam.prove(TIED)
    assert found.proof is not None and found.proof.outcome.endswith("no fewer changes do it")
    assert sorted(type(change).__name__ for change in found.fix) == [
        "ExponentChange",
        "FactorChange",
    ]
    assert mends(found, found.fix)
    space = SearchSpace(found.program)
    places = [*space.wide(), *space.apart(), *space.powers()]
    assert {type(place) for place in places} == {ExponentPlace, OpenPower}
    for place in places:
        for by in GRID:
            assert not mends(found, [changed(space, place, by)]), (place, by)


def changed(space: SearchSpace, place: ExponentPlace | OpenPower, by: Fraction) -> Change:
    if isinstance(place, OpenPower):
        return factor_change(space.program, space.factors[place.name], {place.dim: by})
    exponents = space.program.tensors[place.paths[0]].exponents[place.letter]
    before = exponents[place.dim].constant if place.dim in exponents else Fraction(0)
    return ExponentChange(place.owner, place.key, before, before + by, place.paths)


def mends(report: abcparam.Report, changes: Iterable[Change]) -> bool:
    found = judgement_if_stable(applied(report.program, changes))
    return mended(found, lazy_tensors(report.judgement))
