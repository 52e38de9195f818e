"""How fast weights decay, where that is to change.

Weight decay whose written power of a width makes it wipe weights out, or points the wrong way, is
moved; one that is constant is what many want, and is warned of.
"""

from __future__ import annotations

from abcparam.algebra.sizes import Size
from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.source import START, Span
from abcparam.optimizers.base import rule_of
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.verdict.changes import Change, SettingChange


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
            change = _decay(program, [tensor for tensor, _ in tensors], -tensors[0][1])
            found += [change] if change else []
    return tuple(found)


def _decay(program: Program, tensors: list[Tensor], by: Size) -> SettingChange | None:
    from abcparam.verdict.factors import decay_texts
    from abcparam.verdict.forward_factors import powers_of

    decay = tensors[0].weight_decay
    assert decay is not None
    powers = powers_of(by)
    texts = decay_texts(program, decay.written, powers)
    if texts is None:
        return None
    span, before, after = texts
    paths = tuple(tensor.path for tensor in tensors)
    edits = ((span, after),)
    changed = tuple(powers.items())
    return SettingChange(paths[0], "weight_decay", before, after, paths, edits, changed)
