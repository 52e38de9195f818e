"""Blocks that call themselves are found, and long chains of blocks that do not are no work."""

from __future__ import annotations

import pytest

from abcparam.diagnostics.source import Source
from abcparam.language import syntax
from abcparam.language.parser import parse
from abcparam.resolve import circles as module
from abcparam.resolve.circles import circles


def blocks(calls: dict[str, str]) -> dict[str, syntax.Block]:
    """Each block calls those whose names stand beside it."""
    lines = ["model M"]
    for name, called in calls.items():
        body = " + ".join(["x", *(f"{other}(x)" for other in called.split())])
        lines.append(f"block {name}(x) {{ return {body} }}")
    spec = parse(Source("\n".join(lines) + "\n"))
    return {d.name.id: d for d in spec.declarations if isinstance(d, syntax.Block)}


@pytest.mark.parametrize(
    ("calls", "found"),
    [
        ({"A": "A"}, ["A A"]),
        ({"A": "B relu", "B": "C B", "C": "A"}, ["A B C A"]),
        ({"A": "B", "B": "A", "C": "D", "D": "C"}, ["A B A", "C D C"]),
        ({"A": "B C", "B": "A", "C": "A"}, ["A B A", "C A C"]),
        ({"Above": "A", "A": "A Between", "Between": "B", "B": "B Below", "Below": ""},
         ["A A", "B B"]),
        ({"A": "B C", "B": "D", "C": "D", "D": ""}, []),
    ],
)  # fmt: skip
def test_circles(calls: dict[str, str], found: list[str]):
    assert [" ".join(path) for path in circles(blocks(calls))] == found


@pytest.mark.parametrize("step", [1, -1])
def test_chains_are_not_walked_along(step: int, monkeypatch: pytest.MonkeyPatch):
    """Neither from each block that is declared before those it calls, nor from each behind."""
    names = [f"B{n}" for n in range(3000)]
    chain = dict(zip(names, [*names[1:], ""], strict=True))
    monkeypatch.setattr(module, "_path", None)
    assert not list(circles(blocks(dict(list(chain.items())[::step]))))
