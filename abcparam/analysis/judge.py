"""Slack and the verdict: what a parametrization is, from the laws of its graph."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.record import Record, field
from abcparam.algebra.sizes import Size
from abcparam.analysis.bounds import Bounds, bound
from abcparam.analysis.build import Builder, build_graph, space_of
from abcparam.analysis.graph import Graph
from abcparam.analysis.laws import Laws
from abcparam.analysis.limits import (
    Powerless,
    Violation,
    powerless,
    violations,
    violations_at_init,
)
from abcparam.analysis.rounds import Snapshot, train, train_while_stable
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import MeanNode
from abcparam.program.binding import bind
from abcparam.program.model import Program


class TensorLaw(Record):
    """What is known of a tensor, over all its copies and uses.

    `slack` None: frozen, or never moved.
    """

    path: str
    parameter: Parameter
    at_init: Size
    update: Size
    slack: Size | None
    status: str | None  # None: it depends on symbols
    node: Node | None  # the use with the least slack

    @property
    def sizes(self) -> str:
        """Of what it computes at initialization, and of the change that its updates make."""
        return sizes_text(self.at_init, self.update)


def sizes_text(at_init: Size, update: Size) -> str:
    return f"W·x ~ {at_init}, ΔW·x ~ {update}"


class Judgement(Record):
    """The verdict and all that it rests on.

    An empty verdict, and completeness None: it depends on symbols.
    """

    laws: Laws = field(repr=False)
    bounds: Bounds = field(repr=False)
    verdict: str
    complete: bool | None
    tensors: tuple[TensorLaw, ...]
    at_init: tuple[Violation, ...]
    changes: tuple[Violation, ...]
    features: tuple[Node, ...]
    partial: tuple[LinearNode, ...]  # maps that pass the change of their input on in part

    @property
    def powerless(self) -> Powerless:
        """What no power is the size of, as it grows or fades from copy to copy."""
        return powerless(self.laws.graph) if "unstable" in self.verdict else Powerless()


def judgement_of(program: Program) -> Judgement:
    """The judgement of a program whose exponents are numbers."""
    laws = train(build_graph(program))
    return judge(laws, bound(laws))


def judgement_if_stable(program: Program) -> Judgement | None:
    """The same, None where it is unstable, which is known sooner."""
    return _judged_if_stable(build_graph(program))


def verdict_of(program: Program) -> str:
    """The verdict of a program whose exponents are numbers; an unstable one is known sooner."""
    graph = build_graph(program)
    return _verdict(graph, _judged_if_stable(graph))


class Evaluator:
    """Verdicts of a program at values of its symbols, all of one graph.

    A judgement is that of the graph, and lasts until the next one.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self._built: tuple[Builder, Graph, Snapshot] | None = None
        self._known: dict[tuple[Fraction, ...], str] = {}
        self._at: tuple[Fraction, ...] | None = None  # where `_last` is the judgement
        self._last: Judgement | None = None

    def verdict(self, values: Mapping[str, Fraction]) -> str:
        """The verdict at values of all symbols."""
        key = tuple(values.values())
        if key not in self._known:
            graph = self._judge(values)
            self._known[key] = _verdict(graph, self._last)
        return self._known[key]

    def judgement_if_stable(self, values: Mapping[str, Fraction]) -> Judgement | None:
        """The judgement at values of all symbols; None where it is unstable."""
        if self._at != tuple(values.values()):
            self._judge(values)
        return self._last

    def _judge(self, values: Mapping[str, Fraction]) -> Graph:
        graph = self._graph(values)
        self._at, self._last = tuple(values.values()), _judged_if_stable(graph)
        return graph

    def _graph(self, values: Mapping[str, Fraction]) -> Graph:
        program = bind(self.program, values)
        if self._built is None or program.open_powers:  # factors are parts of the graph
            builder = Builder(program, space_of(program))
            graph = builder.run()
            self._built = builder, graph, Snapshot(graph, 0)
            return graph
        builder, graph, fresh = self._built
        fresh.restore()
        return builder.rebound(graph, program)


def _judged_if_stable(graph: Graph) -> Judgement | None:
    laws = train_while_stable(graph)
    return None if laws is None else judge(laws, bound(laws))


def _verdict(graph: Graph, found: Judgement | None) -> str:
    if found is not None:
        return found.verdict
    return "unstable-at-init" if violations_at_init(graph) else "unstable"


def judge(laws: Laws, bounds: Bounds) -> Judgement:
    """The verdict of laws that have settled (or have not)."""
    graph = laws.graph
    tensors = tensor_laws(laws, bounds)
    at_init, changes = violations_at_init(graph), tuple(violations(graph))
    features = features_of(graph)
    partial = tuple(
        n for n in graph.nodes if isinstance(n, LinearNode) and _passes_in_part(n, bounds)
    )
    stable = not (at_init or changes or laws.growing)
    if at_init:
        verdict = "unstable-at-init"
    elif not stable:
        verdict = "unstable"
    else:
        verdict = _stable_verdict(graph, tensors, features, partial)
    complete = stable and all(moves_in_full(x) for x in nonlinear_inputs(graph))
    return Judgement(laws, bounds, verdict, complete, tensors, at_init, changes, features, partial)


def _stable_verdict(
    graph: Graph,
    tensors: tuple[TensorLaw, ...],
    features: tuple[Node, ...],
    partial: tuple[LinearNode, ...],
) -> str:
    if all(output.d < graph.context.one for output in graph.outputs):
        return "trivial"
    moving = [moves_in_full(feature) for feature in features]
    if features and not any(moving):
        return "kernel"
    maximal = all(law.status in {"maximal", "frozen"} for law in tensors)
    return "maximal-update" if maximal and all(moving) and not partial else "feature-learning"


def moves_in_full(node: Node) -> bool:
    """Whether an activation is moved by its own size by the tensors of its own block."""
    own = node.dc | node.strewn()
    return not own.is_zero and own >= node.s


# Tensors, features, maps


def tensor_laws(laws: Laws, bounds: Bounds) -> tuple[TensorLaw, ...]:
    """The law of each tensor, in the order of the program."""
    graph = laws.graph
    uses: dict[str, list[Node]] = {path: [] for path in graph.program.tensors}
    for node in graph.nodes:
        if node.parameter is not None:
            uses[node.parameter.tensor.path].append(node)
    return tuple(
        _tensor_law(graph, path, nodes, bounds) if nodes else _unused(graph, path)
        for path, nodes in uses.items()
    )


def _unused(graph: Graph, path: str) -> TensorLaw:
    """The law of a tensor that nothing uses."""
    parameter = next(p for p in graph.parameters if p.tensor.path == path)
    zero = graph.context.zero
    return TensorLaw(path, parameter, zero, zero, None, _status(parameter, None), None)


def _tensor_law(graph: Graph, path: str, nodes: list[Node], bounds: Bounds) -> TensorLaw:
    at_init = update = graph.context.zero
    slack: Size | None = None
    tightest = nodes[0]
    for node in nodes:
        at_init = at_init | node.s0
        for contribution, most in bounds.of_updates(node):
            update = update | contribution
            if not contribution.vectors:
                continue
            left = most - contribution
            if slack is None or left < slack:
                tightest = node
            slack = left if slack is None else slack & left
    parameter = tightest.parameter
    assert parameter is not None
    if parameter.tensor.frozen or (slack is not None and not slack.is_bound):
        slack = None
    return TensorLaw(path, parameter, at_init, update, slack, _status(parameter, slack), tightest)


def _status(parameter: Parameter, slack: Size | None) -> str:
    if parameter.tensor.frozen:
        return "frozen"
    if slack is None:
        return "under"
    one = slack.space.one
    return "maximal" if slack == one else "under" if slack > one else "over"


def features_of(graph: Graph) -> tuple[Node, ...]:
    """The infinite inputs of the maps that produce outputs: those that training reaches, if any."""
    found = dict.fromkeys(f for output in graph.outputs for f in _features_of(output))
    reached = _reached(graph)
    return tuple(f for f in found if f in reached) or tuple(found)


def _reached(graph: Graph) -> set[Node]:
    """What trained tensors make; a frozen network beside them, such as a teacher, is not."""
    trained = (n for n in graph.nodes if n.parameter and not n.parameter.tensor.frozen)
    return graph.made_of(list(trained))


def _features_of(output: Node) -> list[Node]:
    found: list[Node] = []
    seen: set[int] = set()
    todo = [output]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if _sums(node):
            found += node.inputs
        else:
            todo += node.inputs
    return found


def _sums(node: Node) -> bool:
    """Whether a node sums over something infinite."""
    one = node.context.one
    if isinstance(node, LinearNode):
        return node.rho_in > one
    if isinstance(node, ProductNode):
        return node.contracted > one
    return isinstance(node, MeanNode) and node.rho > one


def _passes_in_part(node: LinearNode, bounds: Bounds) -> bool:
    """Whether the initial weights of a map pass a change of their input on only in part.

    That is of a change as large as the input: one that changes by less is not their fault. Nor is
    one that points along none of their rows, as behind a gradient that is stopped.
    """
    x = node.inputs[0]
    if not node.passes_on or x.d.is_zero or x.along_to(node).is_zero:
        return False
    return node.gains()[0] + x.s < bounds.coherent[node]


def nonlinear_inputs(graph: Graph) -> list[Node]:
    """Those of functions and softmaxes that training reaches."""
    reached = _reached(graph)
    found = (n for n in graph.nodes if isinstance(n, (PointwiseNode, SoftmaxNode)))
    nonlinear = (n for n in found if not (isinstance(n, SoftmaxNode) and n.of_one))
    return [n.inputs[0] for n in nonlinear if n.inputs[0] in reached]
