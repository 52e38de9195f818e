"""Tensors that start at zero where that keeps them, or others, from ever learning.

Of two factors that both start at zero neither gets a gradient. The first of them is to start at
random; the last one may stay at zero, as adapters and residual branches have it. A gain that starts
at zero before a `relu`, which passes no gradient there, is to start at one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from abcparam.algebra.budgets import spend
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import ValueNode
from abcparam.calculus.normalize import NormNode
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.model import Program
from abcparam.program.tensors import Init, Tensor, default_init
from abcparam.verdict.changes import Change, SettingChange, applied
from abcparam.verdict.factors import text_at
from abcparam.verdict.settings import declarations

MOST = 12  # declarations that are woken
FAN_IN = "fan_in^(-1/2)"  # the standard deviation that maps start with by default


def stuck(judgement: Judgement) -> frozenset[str]:
    """Trained tensors that are used and never get a gradient, whatever their exponents are."""
    return frozenset(
        law.path
        for law in judgement.tensors
        if law.slack is None and law.status == "under" and law.node is not None
    )


def woken(program: Program, short: Program, judgement: Judgement) -> tuple[Change, ...]:
    """Other starts of tensors, by which all get a gradient; none where that is not how.

    `short`: the program with few copies, on which they are tried.
    """
    left, changes = stuck(judgement), list[SettingChange]()
    if not left:
        return ()
    candidates = _in_order(program, judgement.laws.graph)
    while left:
        change = next((c for c in candidates if not left.isdisjoint(c.paths)), None)
        if change is None or len(changes) == MOST:
            return ()
        changes.append(change)
        candidates.remove(change)
        left = _left(short, changes)
    for change in list(changes):
        fewer = [other for other in changes if other != change]
        if fewer and not _left(short, fewer):
            changes = fewer
    return tuple(changes)


def _left(short: Program, changes: Sequence[Change]) -> frozenset[str]:
    spend()
    return stuck(judgement_of(applied(short, changes)))


def _in_order(program: Program, graph: Graph) -> list[SettingChange]:
    """A change for each declaration of tensors that start at zero.

    Gains of norms, which are usually one, are first; then maps, as the graph uses them; then other
    factors.
    """
    first: dict[str, int] = {}
    for index, node in enumerate(graph.nodes):
        if node.parameter is not None:
            first.setdefault(node.parameter.tensor.path, index)
    gains = _gains(graph)
    ranked: list[tuple[int, int, SettingChange]] = []
    for change in _changes(program):
        path = change.paths[0]
        rank = 1 if len(program.tensors[path].axes) > 1 else gains.get(path)
        if rank is not None:
            ranked.append((rank, min(first.get(p, 0) for p in change.paths), change))
    return [change for _, _, change in sorted(ranked, key=lambda found: found[:2])]


def _gains(graph: Graph) -> dict[str, int]:
    """Tensors that something is multiplied by, coordinate by coordinate: 0 behind norms, else 2."""
    found: dict[str, int] = {}
    for node in graph.nodes:
        if isinstance(node, ProductNode):
            normed = any(isinstance(x, NormNode) for x in node.inputs)
            for x in node.inputs:
                if isinstance(x, ValueNode):
                    path = x.parameter.tensor.path
                    found[path] = min(found.get(path, 2), 0 if normed else 2)
    return found


def _changes(program: Program) -> Iterator[SettingChange]:
    """Per declaration that says `init = zeros`, the change to what it starts at by default."""
    declared: dict[Span, list[Tensor]] = {}
    for tensor in program.tensors.values():
        if tensor.init.is_zero and not tensor.frozen:
            declared.setdefault(tensor.span, []).append(tensor)
    for declaration in declarations(program):
        init = next((s for s in declaration.settings if s.key == "init"), None)
        tensors = [t for name in declaration.names for t in declared.get(name.span, ())]
        if init is not None and tensors:
            yield from _awake(program, declaration, init, tensors)


def _awake(
    program: Program, declaration: syntax.Tensor, init: syntax.Setting, tensors: Sequence[Tensor]
) -> Iterator[SettingChange]:
    first, before = tensors[0], text_at(program, init.span).partition("=")[2].strip()
    start = default_init(len(first.axes), first.table, first.fan_in, program.dims)
    start = Init("ones") if start.is_zero else start
    after = f"normal({1 if first.table else FAN_IN})" if start.argument else start.kind
    if before:
        owner = ", ".join(name.id for name in declaration.names)
        paths = tuple(tensor.path for tensor in tensors)
        edits = ((init.span, f"init = {after}"),)
        yield SettingChange(owner, "init", before, after, paths, edits, init=start)
