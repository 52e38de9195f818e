"""Rounds of training: gradients, updates, forward, backward, until nothing grows any more.

A law at a fixed point is the law after any finite number of steps. Each round stands for a step;
the size of a tensor's update is the largest so far.
"""

from __future__ import annotations

from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.analysis.laws import Laws
from abcparam.analysis.limits import violations, violations_at_init
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.stream import LeaveNode
from abcparam.optimizers.base import rule_of
from abcparam.program.model import Program

PATIENCE = 8  # rounds after which an unstable program need not settle any more
MOST = 100  # rounds in which what still grows has to settle, or to exceed a bound


def train(graph: Graph) -> Laws:
    """Runs the rounds on a graph that was just built, which then belongs to its laws."""
    start(graph)
    laws = _rounds(graph)
    assert laws is not None
    return laws


def train_while_stable(graph: Graph) -> Laws | None:
    """The same laws; None as soon as the graph is known to be unstable."""
    start(graph)
    return None if violations_at_init(graph) else _rounds(graph, only_stable=True)


def _rounds(graph: Graph, only_stable: bool = False) -> Laws | None:
    """Rounds until nothing grows or turns; of what exceeds a bound the laws at the first round."""
    limit = 3 + sum(not p.tensor.frozen for p in graph.parameters)
    growing: tuple[Parameter, ...] = ()
    first: Snapshot | None = None
    grew = 0  # rounds; others only turn changes further along what reads them
    for count in range(1, 2 * limit + 1):
        turning = turns(graph)
        growing = step(graph)
        if not growing and not turning:
            return Laws(graph, count)
        grew += bool(growing)
        if first is None and next(violations(graph), None) is not None:
            if only_stable:
                return None
            first = Snapshot(graph, count)
        if grew == limit and first is None and (settled := _settled(graph, count)):
            return Laws(graph, settled)
        if grew == limit or (first is not None and count >= max(PATIENCE, 2 * first.rounds)):
            break
    if first is not None:
        first.restore()
    return Laws(graph, count if first is None else first.rounds, growing)


def _settled(graph: Graph, count: int) -> int:
    """In how many rounds it settles after all below its bounds; 0, and as it was, if it does not.

    Of gradients below an epsilon that counts each round is larger, by little, until it is passed.
    """
    reached = Snapshot(graph, count)
    while count < MOST and next(violations(graph), None) is None:
        count += 1
        turning = turns(graph)
        if not step(graph) and not turning:
            return count
    reached.restore()
    return 0


class Snapshot:
    """The sizes of a graph as they are after so many rounds."""

    def __init__(self, graph: Graph, rounds: int) -> None:
        self.rounds = rounds
        held: tuple[Node | Parameter, ...] = (*graph.nodes, *graph.parameters)
        self.states = [(x, x.state()) for x in held]

    def restore(self) -> None:
        """Gives every node and parameter the sizes that it had."""
        for x, state in self.states:
            x.restore(state)


def start(graph: Graph) -> None:
    """Sizes at initialization, and the first gradients."""
    for _ in graph.passes():
        for node in graph.nodes:
            node.begin()
    backward(graph)


def step(graph: Graph) -> tuple[Parameter, ...]:
    """One round from gradients to gradients; returns the parameters whose updates grew."""
    grown = update(graph)
    if grown or turns(graph):
        forward(graph)
        backward(graph)
    return grown


def turns(graph: Graph) -> bool:
    """Whether the gradients at hand turn a change further along what reads it."""
    parted = any(node.parts_grew for node in graph.parted)
    return parted or any(node.turns() for node in graph.forks)


def forward(graph: Graph) -> None:
    """Changes of every activation, from the sizes of updates."""
    for _ in graph.passes():
        for node in graph.nodes:
            node.move()


def backward(graph: Graph) -> None:
    """Gradients of every activation and parameter."""
    zero = graph.context.zero
    parted = [merge for merge in graph.merges if merge.weigh()]
    uneven = parted or any(node.inputs[0].strays_from(node) for node in graph.turning)
    for _ in graph.passes():
        for node in graph.nodes:
            node.g0 = node.gc = node.gr = node.gm = node.gn = zero
            node.galong = zero if uneven else None
        for node in graph.forks:
            node.through = dict.fromkeys(node.through or (), zero)
        for parameter in graph.parameters:
            parameter.gamma = zero
        seed(graph)
        for node in reversed(graph.nodes):
            if node.g0.vectors or node.gc.vectors or node.gr.vectors:
                _pass_back(node)
        for stream in graph.streams:
            stream.collect()
    for node in graph.parted:
        node.part()


def _pass_back(node: Node) -> None:
    zero = node.context.zero
    for x, g0, gc, gr in node.back():
        if g0 is not zero:
            x.g0 = x.g0 | g0
        if gc is not zero:
            x.gc = x.gc | gc
        if gr is not zero:
            x.gr = x.gr | gr
        if x.through is not None and node in x.through:
            x.through[node] = x.through[node] | g0 | gc | gr
    if node.galong is not None:
        for x, along in node.back_aligned():
            x.galong = along if x.galong is None else x.galong | along
    if node.gm.vectors or node.gn.vectors or isinstance(node, LeaveNode):
        for x, gm, gn in node.back_mean():
            x.gm = x.gm | gm
            x.gn = x.gn | gn
    parameter = node.parameter
    if parameter is not None:
        gradient = node.gradient_of_copies()
        scaled = gradient if parameter.factor is None else gradient + parameter.factor
        parameter.gamma = parameter.gamma | (scaled - parameter.a)


def seed(graph: Graph) -> None:
    """The loss gradient: Θ(1) where it is bounded, for squared error the error's own size."""
    one = graph.context.one
    for loss in graph.program.losses:
        output, initial = graph.outputs[loss.output], one
        match loss.gradient:
            case "error":
                initial, change = one | output.s0, output.d
            case "bounded":
                change = output.d & one
            case _:
                change = graph.context.zero
        output.g0 = output.g0 | initial
        output.gc = output.gc | change
        if output.galong is not None:
            output.galong = output.galong | change


def update(graph: Graph) -> tuple[Parameter, ...]:
    """Sizes of updates, from gradients; returns those that grew."""
    limits = _clipping(graph)
    grown = []
    for parameter in graph.parameters:
        clipped = limits.get(parameter.tensor.optimizer, graph.context.one)
        entry = _entry(graph.program, graph.context, parameter, clipped)
        size = parameter.u | (entry - parameter.a)
        if size > parameter.u:
            grown.append(parameter)
            parameter.entry = parameter.entry | entry
            parameter.u = size
    return tuple(grown)


def _entry(program: Program, context: Context, parameter: Parameter, clipped: Size) -> Size:
    gamma = parameter.gamma
    if parameter.tensor.frozen or gamma.is_zero:
        return context.zero
    rule = rule_of(program, parameter)
    strict = program.strict_epsilon and parameter.has_epsilon and rule.counts_epsilon(parameter)
    return (rule.strict if strict else rule.entry)(parameter, gamma - clipped)


def _clipping(graph: Graph) -> dict[int, Size]:
    """What clipping takes from every gradient of an optimizer, where it clips.

    That is max(0, the largest Frobenius norm of its tensors' gradients over the limit).
    """
    largest: dict[int, Size] = {}
    for parameter in graph.parameters:
        if parameter.clip is not None and not parameter.tensor.frozen:
            entries = parameter.rho_in + parameter.rho_out + parameter.rho_copies
            norm = parameter.gamma + entries.half() - parameter.clip
            index = parameter.tensor.optimizer
            largest[index] = largest.get(index, graph.context.one) | norm
    return largest
