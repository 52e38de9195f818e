"""The gradients of what was traced, beside those of the model.

Laws are those of the calls that were traced, so their gradients have to be the model's: a backward
pass of the user's own is in none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.fx import Interpreter
from torch.utils import _pytree

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import START, Span
from abcparam.imports.exported import Exported, in_one_precision, quietly
from abcparam.imports.traced import Trace, Weight

if TYPE_CHECKING:
    pass

TOLERANCE = 1e-3  # of the root mean square of a gradient: float32, and sums in another order
TINY = 1e-6  # of the largest gradient: no more than rounding


def other_gradients(exported: Exported) -> tuple[str, ...]:
    """The parameters whose gradient is not that of the graph, by their first names."""
    example, inputs = exported.example, exported.inputs()
    model = example.model.train()
    own = _gradients(model, lambda: model(*example.args, **example.kwargs))
    traced = _gradients(model, lambda: Interpreter(exported.module).run(*inputs))
    largest = max((_rms(g) for g in own.values()), default=0.0)
    return tuple(
        name
        for name, gradient in own.items()
        if _rms(gradient - traced[name]) > TOLERANCE * _rms(gradient) + TINY * largest
    )


def findings(names: Iterable[str], trace: Trace) -> tuple[Diagnostic, ...]:
    """What is said of these parameters, where they are first used."""
    lines: dict[str, Span] = {}
    for line in trace.lines:
        for operand in line.operands():
            if isinstance(operand, Weight):
                lines.setdefault(operand.name, line.span)
    return tuple(rules.OtherGradient.at(lines.get(name, START), name=name) for name in names)


def _gradients(model: torch.nn.Module, run: Callable[[], Any]) -> Mapping[str, Tensor]:
    """The gradients of one sum of the outputs, zero where there is none."""
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), quietly(), in_one_precision():
        torch.manual_seed(0)
        outputs = [x for x in _pytree.tree_leaves(run()) if _counts(x)]
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not outputs:
            return {name: torch.zeros_like(p) for name, p in trained.items()}
        torch.manual_seed(1)
        total = torch.stack([(x * torch.randn_like(x)).sum() for x in outputs]).sum()
        found = torch.autograd.grad(total, list(trained.values()), materialize_grads=True)
    return dict(zip(trained, found, strict=True))


def _counts(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad and value.is_floating_point()


def _rms(gradient: Tensor) -> float:
    return float(gradient.double().square().mean().sqrt()) if gradient.numel() else 0.0
