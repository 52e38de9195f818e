"""How much `derive` and `solve` of deep examples ask: no time, so that it is the same everywhere.

A change that makes them ask much more makes them as much slower. Where it has to, the numbers here
and the figures in docs/benchmarks.md change with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from abcparam.pipeline import derive, solve, to_source
from abcparam.symbolic.decision import simplex
from abcparam.symbolic.decision.conditions import Conditions
from abcparam.symbolic.solver import Premises
from benchmarks.symbols import unknown
from tests.support.paths import EXAMPLES

ROOM = 1.2
ASKED = {  # questions, steps of the simplex method, and sets of forms that are pruned
    ("derive", "lora"): (1576, 4300, 3896),
    ("derive", "mixtral"): (2392, 7032, 8886),
    ("solve", "lora"): (323, 756, 494),
    ("solve", "mixtral"): (2065, 6501, 8666),
}


@pytest.mark.parametrize(("command", "name"), list(ASKED))
def test_deep_examples_ask_no_more_than_they_did(
    command: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    asked = Counter[str]()

    def counted(owner: Any, name: str, what: str) -> None:
        function: Callable[..., Any] = getattr(owner, name)

        def counting(*arguments: Any) -> Any:
            asked[what] += 1
            return function(*arguments)

        monkeypatch.setattr(owner, name, counting)

    counted(Conditions, "example", "questions")
    counted(Conditions, "example_or_core", "questions")
    counted(simplex, "spend", "steps")
    counted(Premises, "largest", "pruned")
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    if command == "derive":
        derive(to_source(text), all=True)
    else:
        solve(unknown(text, "adam"))
    found = asked["questions"], asked["steps"], asked["pruned"]
    known = ASKED[command, name]
    assert all(n <= ROOM * most for n, most in zip(found, known, strict=True)), found
