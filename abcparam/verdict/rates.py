"""Learning rates whose written power of a width is to go.

`lr = lr / width` beside exponents that scale rates already divides each of them twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.algebra.polynomials import leading_growth
from abcparam.diagnostics.source import START, Span
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.verdict.changes import SettingChange
from abcparam.verdict.settings import multiplied


def plain_rates(program: Program) -> Iterator[SettingChange]:
    """Per written learning rate that depends on a growing dim, the change to one that does not."""
    written: dict[Span, list[Tensor]] = {}
    for tensor in program.tensors.values():
        if not tensor.frozen and tensor.lr.written.span != START:
            written.setdefault(tensor.lr.written.span, []).append(tensor)
    for tensors in written.values():
        first = tensors[0]
        growth = leading_growth(first.lr.value, program.growth_of, program.growth_order)
        if growth:
            rule = program.optimizers[first.optimizer].rule.name
            owner = "" if "lr" in first.spans else f"optimizer {rule}"
            powers = {name: -power for name, power in growth.items()}
            change = multiplied(program, "lr", tensors, powers, owner)
            if change is not None:
                yield change
