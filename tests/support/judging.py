"""Judging random and published MLPs: what the tests of theorems and of published facts share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Any

from abcparam import Report
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.source import Source
from abcparam.optimizers import optimizers
from abcparam.verdict.check import load
from tests.support.random_mlps import random_mlps, spec
from tests.support.theorems import MLP, Layer, Optimizer, is_stable


def judged(text: str) -> dict[str, Any]:
    """What `abcparam.check` says, less its diagnostics: looking for a way out takes its time."""
    return Report(judgement_of(load(Source(text))), ()).to_dict()


def stable_mlps(seed: int, count: int) -> list[MLP]:
    return [mlp for mlp in random_mlps(seed, 2 * count) if is_stable(mlp)][:count]


def mlp_of(optimizer: Optimizer, hidden_layers: int, *roles: Sequence[object]) -> MLP:
    """An MLP from (a, b, c) by role: input, hidden, output."""
    first, hidden, last = (Layer(*(Fraction(str(x)) for x in exponents)) for exponents in roles)
    return MLP(optimizer, (first, *[hidden] * (hidden_layers - 1), last))


def per_tensor(report: dict[str, Any], key: str) -> list[str]:
    return [tensor[key]["width"] for tensor in report["tensors"]]


def statuses(report: dict[str, Any]) -> list[str]:
    return [tensor["status"] for tensor in report["tensors"]]


def numbers(report: dict[str, Any], key: str) -> list[Fraction]:
    return [Fraction(exponent) for exponent in per_tensor(report, key)]


def printed(exponents: Iterable[Fraction | None]) -> list[str]:
    return ["-inf" if exponent is None else str(exponent) for exponent in exponents]


def explain(wrong: list[tuple[str, object, object]]) -> str:
    """The first few specs in full, with what the compiler and the theorem say of each."""
    shown = (
        f"{text}# compiler: {ours}\n# theorem:  {theirs}\n" for text, ours, theirs in wrong[:3]
    )
    return f"{len(wrong)} mismatches\n\n" + "\n".join(shown)


def assert_agreement(
    mlps: Iterable[MLP], expected: Callable[[MLP], object], actual: Callable[[str], object]
) -> None:
    wrong = []
    for mlp in mlps:
        text = spec(mlp)
        ours, theirs = actual(text), expected(mlp)
        if ours != theirs:
            wrong.append((text, ours, theirs))
    assert not wrong, explain(wrong)


def with_words() -> list[tuple[str, str]]:
    """Every optimizer, and with each other word: `("muon", ", adjust = spectral")`."""
    found = []
    for name, rule in optimizers().items():
        found.append((name, ""))
        for key, (_, *others) in rule.words.items():
            found += [(name, f", {key} = {word}") for word in others]
    return found


def swapped(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)
