"""Our decisions of conditions on exponents beside those of z3: the same questions, in turns.

The questions are those that `derive --all`, `solve` and `check --prove` ask; z3 keeps premises from
question to question as we do, and its terms are made once.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from time import process_time
from typing import Any
from unittest.mock import patch

import z3

from abcparam.commands import cli
from abcparam.symbolic import solver
from abcparam.symbolic.constraints import ALWAYS, SymbolCondition
from abcparam.symbolic.decision.conditions import Conditions
from benchmarks.measure import ROOT, Comparison, Options, alternate, compare
from benchmarks.symbols import unknown
from tests.support.z3_oracle import formula

Premise = tuple[str, SymbolCondition]  # "assume" or "ask"
Log = list[tuple[int, list[Premise]]]  # symbols, and what was assumed and asked in turn

DERIVED = ("examples/gpt", "examples/mlp", "examples/bert")
SOLVED = ("examples/gpt", "tests/specs/lora")
PROVED = ("attention_scale", "constant_epsilon", "standard_parametrization")


def decisions(options: Options) -> list[Comparison]:
    """Processor time of ours over that of z3."""
    found = []
    for name, arguments in _commands():
        log = recorded(arguments)
        pairs = alternate(
            lambda log=log: _replayed(log, Conditions),  # type: ignore[misc]
            lambda log=log: _replayed(log, WithZ3),  # type: ignore[misc]
            options.rounds(5),
        )
        questions = sum(kind == "ask" for _, steps in log for kind, _ in steps)
        labels = (f"ours, {questions} questions", "z3")
        found.append(compare(name, labels, pairs, 1.0))
    return found


def _commands() -> Iterator[tuple[str, list[str]]]:
    for name in DERIVED:
        yield f"questions of derive, {Path(name).name}", ["derive", "--all", f"{name}.param"]
    with tempfile.TemporaryDirectory() as folder:
        for name in SOLVED:
            file = Path(folder) / f"{Path(name).name}.param"
            text = (ROOT / f"{name}.param").read_text(encoding="utf-8")
            file.write_text(unknown(text, "adam"), encoding="utf-8")
            yield f"questions of solve, {file.stem}", ["solve", str(file)]
    for name in PROVED:
        arguments = ["check", "--prove", f"examples/wrong/{name}.param"]
        yield f"questions of check --prove, {name}", arguments


def recorded(arguments: Sequence[str]) -> Log:
    """What a command assumes and asks."""
    log: Log = []

    class Recorded(Conditions):
        def __init__(self, symbols: int) -> None:
            super().__init__(symbols)
            self.steps: list[Premise] = []
            log.append((symbols, self.steps))

        def premise(self, condition: SymbolCondition) -> None:
            self.steps.append(("assume", condition))
            super().premise(condition)

        def example(self, condition: SymbolCondition = ALWAYS) -> Any:
            self.steps.append(("ask", condition))
            return super().example(condition)

    quiet = contextlib.redirect_stdout(io.StringIO())
    with patch.object(solver, "Conditions", Recorded), quiet, contextlib.chdir(ROOT):
        cli.main(list(arguments))
    return log


def _replayed(log: Log, made: Callable[[int], Any]) -> float:
    start = process_time()
    for symbols, steps in log:
        conditions = made(symbols)
        for kind, condition in steps:
            if kind == "assume":
                conditions.premise(condition)
            else:
                conditions.example(condition)
    return process_time() - start


class WithZ3:
    """The same questions to z3."""

    def __init__(self, symbols: int) -> None:
        self.variables = [z3.Real(f"x{index}") for index in range(symbols)]
        self.solver = z3.Solver()
        self.atoms: dict[Any, Any] = {}

    def premise(self, condition: SymbolCondition) -> None:
        self.solver.add(self._formula(condition))

    def example(self, condition: SymbolCondition = ALWAYS) -> Any:
        self.solver.push()
        self.solver.add(self._formula(condition))
        model = self.solver.model() if self.solver.check() == z3.sat else None
        values = model and [model.eval(x, model_completion=True) for x in self.variables]
        self.solver.pop()
        return values

    def _formula(self, condition: SymbolCondition) -> Any:
        if condition not in self.atoms:
            self.atoms[condition] = formula(condition, self.variables)
        return self.atoms[condition]
