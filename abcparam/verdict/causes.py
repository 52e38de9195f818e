"""What breaks a bound by itself, and what only suffers from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abcparam.analysis.judge import Judgement, TensorLaw
from abcparam.analysis.limits import Violation
from abcparam.analysis.trace import source_of_change
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node


def causes(violations: Sequence[Violation]) -> list[Violation]:
    """Violations in training without those that only pass on another one."""
    exceeding = {id(v.node) for v in violations}
    return [v for v in violations if not _inherited(v.node, exceeding)] or list(violations[:1])


def causes_at_init(violations: Sequence[Violation]) -> list[Violation]:
    """Violations at initialization without those of the size that another one has."""
    exceeding = {id(v.node) for v in violations}
    return [v for v in violations if not _came_in(v.node, exceeding)] or list(violations[:1])


def suffering(judgement: Judgement) -> tuple[TensorLaw, ...]:
    """Tensors that are over, and only because of what is wrong elsewhere.

    By itself none makes more than what it makes at initialization, or more than Θ(1), and no
    violation comes from its update.
    """
    if not (judgement.at_init or judgement.changes):
        return ()
    guilty = 0
    for violation in causes_at_init(judgement.at_init):
        guilty |= violation.node.maps
    for violation in causes(judgement.changes):
        maker = _maker(violation.node)
        guilty |= maker.parameter.bit if maker.parameter is not None else 0
    guilty_paths = {p.tensor.path for p in judgement.laws.graph.parameters if p.bit & guilty}
    guilty_paths |= {p.tensor.path for p in judgement.laws.growing}
    for node in judgement.laws.graph.nodes:
        if node.parameter is not None and _exceeds(node):
            guilty_paths.add(node.parameter.tensor.path)
    return tuple(
        law for law in judgement.tensors if law.status == "over" and law.path not in guilty_paths
    )


def _maker(node: Node) -> Node:
    """Where a change came to be so large: where it grew last, or else at the update it is of."""
    for x in _sources(node):
        if x.d < node.d:
            return node
        node = x
    return node


def _sources(node: Node) -> Iterator[Node]:
    """The nodes that a change comes from, one behind the other, up to the update that made it.

    Those of an infinite repeat may lie on a circle, which is gone around once.
    """
    seen = {id(node)}
    while node.update() < node.d:
        source = source_of_change(node)
        if source is None or id(source[0]) in seen:
            return
        node = source[0]
        seen.add(id(node))
        yield node


def _exceeds(node: Node) -> bool:
    """Whether a tensor's own update makes too much of an input of the size at initialization."""
    made = node.update()
    if isinstance(node, LinearNode):
        x = node.inputs[0]
        if x.s0.vectors and x.s.vectors:
            made = made - x.s + x.s0
    return made > (node.s0 | node.context.one)


def _came_in(node: Node, exceeding: set[int]) -> bool:
    while node.inputs:
        x = max(node.inputs, key=lambda n: n.s0)
        if id(x) in exceeding:
            return True
        node = x
    return False


def _inherited(node: Node, exceeding: set[int]) -> bool:
    return any(id(x) in exceeding for x in _sources(node))
