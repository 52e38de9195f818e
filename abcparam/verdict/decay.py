"""How fast weights decay, where that is to change.

Weight decay whose written power of a width makes it wipe weights out, or points the wrong way, is
moved; one that is constant is what many want, and is warned of.
"""

from __future__ import annotations

from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.source import START, Span
from abcparam.optimizers.base import rule_of
from abcparam.program.tensors import Tensor
from abcparam.verdict.changes import Change
from abcparam.verdict.forward_factors import powers_of
from abcparam.verdict.settings import multiplied


def moved_decay(judgement: Judgement) -> tuple[Change, ...]:
    """Weight decay with the power of the width that keeps `lr * weight_decay`, where it is wrong.

    That is where the product grows, or where decay is written to fall though the product vanishes.
    """
    program = judgement.laws.program
    one = judgement.laws.graph.context.one
    written: dict[Span, list[tuple[Tensor, Size]]] = {}
    wrong: set[Span] = set()
    for law in judgement.tensors:
        p, decay = law.parameter, law.parameter.tensor.weight_decay
        rule = rule_of(program, p)
        if decay is None or p.tensor.frozen or not p.has_decay or not rule.adds_decay:
            continue
        size, span = rule.decays(p), decay.written.span
        written.setdefault(span, []).append((p.tensor, size))
        if p.decay != one and (size > one or (size < one and p.decay < one)):
            wrong.add(span)
    found = []
    for span, tensors in written.items():
        if span in wrong and span != START and len({size for _, size in tensors}) == 1:
            moved = [tensor for tensor, _ in tensors]
            change = multiplied(program, "weight_decay", moved, powers_of(-tensors[0][1]))
            found += [change] if change else []
    return tuple(found)
