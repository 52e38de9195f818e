"""The terms that a size is the largest of: every step of a derivation, in words."""

from __future__ import annotations

from abcparam.algebra.record import NamedTuple
from abcparam.algebra.sizes import Size
from abcparam.analysis.graph import Graph
from abcparam.analysis.laws import Laws
from abcparam.analysis.trace import label, made_of, passed_on, update_of
from abcparam.calculus.linear import ValueNode
from abcparam.calculus.node import InputNode, Node
from abcparam.program.model import Program


class Term(NamedTuple):
    """Something that contributes to a size, and how much of it there is."""

    size: Size
    text: str


class ActivationTerms(NamedTuple):
    """An activation: its sizes, each with its terms.

    They are its size at initialization, that of its change and that of its gradient.
    """

    name: str
    at_init: Size
    initial: tuple[Term, ...]
    change: Size
    changes: tuple[Term, ...]
    gradient: Size
    gradients: tuple[Term, ...]


def steps_of(laws: Laws) -> tuple[ActivationTerms, ...]:
    """Every activation in the order of the computation.

    Copies of a repeat that say the same are one.
    """
    graph = laws.graph
    gradients = _gradients(graph)
    nodes = [node for node in graph.nodes if not isinstance(node, InputNode)]
    return tuple(dict.fromkeys(_step(graph.program, n, gradients.get(id(n), ())) for n in nodes))


def _step(program: Program, node: Node, gradients: tuple[Term, ...]) -> ActivationTerms:
    initial = tuple(
        Term(size, made_of(program, node, x, how)) for size, x, how in node.initial_sources()
    )
    if isinstance(node, ValueNode):
        initial = (Term(node.s0, f"initial weights of {node.parameter.tensor.path}"),)
    return ActivationTerms(
        label(program, node),
        node.s0,
        initial,
        node.d,
        _changes(program, node),
        node.g,
        gradients,
    )


def _changes(program: Program, node: Node) -> tuple[Term, ...]:
    """What makes up the change of an activation: its tensor's update, and changes of its inputs."""
    found = []
    update = node.update()
    if update.vectors:
        found.append(Term(update, update_of(program, node)))
    for size, x, how in node.sources():
        if size.vectors:
            found.append(Term(size, passed_on(program, node, x, how)))
    return tuple(found)


def _gradients(graph: Graph) -> dict[int, tuple[Term, ...]]:
    """What makes up the gradient of each activation: the loss, and gradients of what uses it."""
    program = graph.program
    outputs = {id(output) for output in graph.outputs}
    found: dict[int, list[Term]] = {id(o): [Term(o.g, "the loss")] for o in graph.outputs}
    for node in graph.nodes:
        for x, g0, gc, gr in node.back():
            size = g0 | gc | gr
            if size.vectors and id(x) not in outputs:
                text = f"the gradient of {label(program, node)} ({node.g})"
                found.setdefault(id(x), []).append(Term(size, text))
    return {key: tuple(terms) for key, terms in found.items()}
