"""Outputs that are NaN for a factory's example: nothing of such a model is measured."""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import Interpreter, Node

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules.imports import NoNumbers
from abcparam.imports.exported import Exported, quietly, tensors_in
from abcparam.imports.traced import Trace


def no_numbers(exported: Exported, trace: Trace) -> tuple[Diagnostic, ...]:
    """An error where an output is NaN, at the first call that gives NaN; else nothing."""
    lines = {line.node: line for line in trace.lines}
    outputs = {ref.name for _, ref in trace.outputs}
    run = _NaNRun(exported)
    with torch.no_grad(), torch.random.fork_rng(devices=[]), quietly():
        run.run(*exported.inputs())
    bad = [lines[name] for name in run.found if name in lines]
    if not any(line.name in outputs for line in bad):
        return ()
    given = [n.name for n in exported.module.graph.nodes if n.op == "placeholder"]
    inputs = [name for name in given if name in run.found]
    what = f"its input `{inputs[0]}` has NaN" if inputs else f"`{bad[0].target}` gives it first"
    return (NoNumbers.at(bad[0].span, what=what),)


class _NaNRun(Interpreter):
    """Runs a model, and keeps the names of the values that have NaN, in order."""

    def __init__(self, exported: Exported) -> None:
        super().__init__(exported.module)
        self.found: list[str] = []

    def run_node(self, n: Node) -> Any:
        made = super().run_node(n)
        if any(value.is_floating_point() and value.isnan().any() for value in tensors_in(made)):
            self.found.append(n.name)
        return made
