"""Why a size is what it is.

It is the path of the terms that won, from an activation back to an update or an init.
"""

from __future__ import annotations

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import LargestNode
from abcparam.optimizers.base import rule_of
from abcparam.program.model import Program

MOST_STEPS = 12


class TraceStep(NamedTuple):
    """One step of a derivation: the node, and how its size came about from the next one's.

    `times`: how often it stands, copy by copy, one behind the other.
    """

    node: Node
    text: str
    times: int = 1


def label(program: Program, node: Node) -> str:
    """What to call an activation: its name, or the text that computes it."""
    if node.name:
        return node.name
    span = node.span
    lines = program.source.holding(span).lines
    if span.line == span.end_line and span.line <= len(lines) and span.end_column > span.column:
        text = lines[span.line - 1][span.column - 1 : span.end_column - 1]
        return text if len(text) <= 60 else f"{text[:57]}..."
    return node.title


def why_change(program: Program, node: Node) -> list[TraceStep]:
    """The path that made the change of an activation, outermost first."""
    steps: list[TraceStep] = []
    seen: set[int] = set()  # of an infinite repeat they may lie on a circle
    while len(steps) < MOST_STEPS and id(node) not in seen:
        seen.add(id(node))
        if node.update() >= node.d:
            steps.append(TraceStep(node, update_of(program, node)))
            return steps
        source = source_of_change(node)
        if source is None:
            return steps
        x, how = source
        if node.name or not _plain(node):
            _take(program, steps, TraceStep(node, passed_on(program, node, x, how)), "d")
        node = x
    return steps


def _take(program: Program, steps: list[TraceStep], step: TraceStep, size: str) -> None:
    """Adds a step, or counts it with the last one, where that says the same of another copy."""

    def says(of: TraceStep) -> tuple[str, ...]:
        return of.text, label(program, of.node), str(getattr(of.node, size))

    if steps and says(steps[-1]) == says(step):
        steps[-1] = steps[-1]._replace(times=steps[-1].times + 1)
    else:
        steps.append(step)


def _plain(node: Node) -> bool:
    """Whether changes pass a node as they are."""
    return all(gain == node.context.one for gain in node.gains())


def source_of_change(node: Node) -> tuple[Node, str] | None:
    """Where the change of a node comes from, and how it reaches it."""
    sources = node.sources()
    if not sources:
        return None
    _, x, how = max(sources, key=lambda source: source[0])
    return x, how


def passed_on(program: Program, node: Node, x: Node, how: str) -> str:
    source, size = label(program, x), x.d
    if isinstance(node, LinearNode):
        growth = node.gains()[0] - node.parameter.sigma
        over = "aligned" if growth > node.rho_in.half() else "summed at random"
        if over == "aligned" and node.aligned_in_part:
            over = f"of which {x.along_to(node)} is aligned"
        where = f", {over} over {node.rho_in}" if node.rho_in > node.context.one else ""
        weights = f"{node.parameter.tensor.path} ({node.parameter.sigma})"
        return f"{weights} applied to the change of {source} ({size}){where}"
    return f"the change of {source} ({size}), {how}"


def update_of(program: Program, node: Node) -> str:
    parameter = node.parameter
    if parameter is None:
        return "no update reaches it"
    made = why_update(program, parameter)
    if isinstance(node, ValueNode):
        return f"the update of {parameter.tensor.path} ({parameter.u}): {made}"
    x = node.inputs[0]
    over = (
        f", aligned over {node.rho_in}"
        if isinstance(node, LinearNode) and node.rho_in > x.context.one
        else ""
    )
    source = label(program, x)
    size = f"{parameter.tensor.path} ({parameter.u})"
    return f"the update of {size} applied to {source} ({x.s}){over}: {made}"


def why_update(program: Program, parameter: Parameter) -> str:
    """Where the size of an update comes from: learning rate, gradient, multiplier."""
    optimizer = rule_of(program, parameter)
    parts = [f"learning rate {-parameter.c}"]
    if optimizer.gauge == 2:
        parts.append(f"gradient {parameter.gamma}")
    if program.strict_epsilon and optimizer.epsilon and parameter.meets_epsilon:
        parts.append(f"gradient {parameter.gamma} over epsilon {-parameter.d}")
    if parameter.a != parameter.a.space.one:
        parts.append(f"multiplier {-parameter.a}")
    return f"{optimizer.name}, " + " times ".join(parts)


def why_initial(program: Program, node: Node) -> list[TraceStep]:
    """The path that made the size of an activation at initialization, outermost first."""
    steps: list[TraceStep] = []
    seen: set[int] = set()
    while len(steps) < MOST_STEPS and node.inputs and id(node) not in seen:
        seen.add(id(node))
        _, x, how = max(node.initial_sources(), key=lambda source: (source[0], source[1].m0))
        if node.name or node.s0 != x.s0:
            _take(program, steps, TraceStep(node, made_of(program, node, x, how)), "s0")
        node = x
    return steps


def source_of_mean(node: Node) -> Node:
    """Where the mean of a value comes from: what is given to its copy, or what made it there."""
    while node.draws.of and not isinstance(node, (PointwiseNode, SoftmaxNode, LargestNode)):
        x = max(node.inputs, key=lambda n: n.m0)
        if x.m0.is_zero:
            break
        node = x
    return node


def made_of(program: Program, node: Node, x: Node, how: str) -> str:
    source = label(program, x)
    if isinstance(node, LinearNode):
        over = f", summed over {node.rho_in}" if node.rho_in > x.context.one else ""
        weights = f"{node.parameter.tensor.path} ({node.parameter.sigma})"
        return f"{weights} applied to {source} ({x.s0}){over}"
    return f"{source} ({x.s0}), {how}"
