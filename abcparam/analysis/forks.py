"""Where directions of changes are followed: what several nodes read, and sums of several values.

A gradient is the sum of those that come through the readers of an activation, and a change that it
makes points along what reads it no further than the reader's part of the sum goes. Backwards, a
change of the gradient points along a term of a sum no further than the term's part of it goes. Both
hold where updates keep the proportions of what they are made of, and where a map's rows or columns
come into them by no other way. So neither is followed

* where an optimizer enlarges small parts of a gradient, as Muon does;
* where a tensor that several nodes share comes between with no other map before or after it, since
  its other uses make its change too, or point along its rows;
* where an activation is read in part: the parts have gradients of their own, which Adam and its
  like make equally large.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.pointwise import PointwiseNode
from abcparam.calculus.structure import SelectNode, SumNode

Readers = dict[Node, dict[Node, None]]


class Followed(NamedTuple):
    """Nodes that are made ready for it, and those whose gradient turns as their input changes."""

    forks: tuple[Node, ...] = ()
    merges: tuple[SumNode, ...] = ()
    turning: tuple[Node, ...] = ()


def followed(
    nodes: Sequence[Node], outputs: Collection[Node], grows: Callable[[Node], bool]
) -> Followed:
    """Of which nodes the change is followed, and of which the gradient's; `grows`: of any size."""
    readers = _readers(nodes)
    several = [n for n in nodes if len(readers[n]) + (n in outputs) > 1 and grows(n)]
    sums = [n for n in nodes if type(n) is SumNode and grows(n)]
    rotated = _rotated(nodes)
    bent = () if rotated else tuple(n for n in nodes if isinstance(n, (PointwiseNode, NormNode)))
    if not several and not sums:
        return Followed((), (), bent)
    uses = Counter(id(node.parameter) for node in nodes if node.parameter is not None)
    shared = {node for node in nodes if uses[id(node.parameter)] > 1}
    after, before = _after(nodes, shared), _before(nodes, shared, readers)
    forks = [
        node
        for node in several
        if not (node in rotated or node in after or any(map(_selects, readers[node])))
        and _open(node, [reader for reader in readers[node] if reader not in before])
    ]
    merges = [
        node
        for node in sums
        if not (rotated or node in before)
        and _weighed(node, [x for x in node.inputs if x not in after])
    ]
    return Followed(tuple(forks), tuple(merges), bent)


def _readers(nodes: Iterable[Node]) -> Readers:
    found: Readers = {node: {} for node in nodes}
    for node in found:
        for x in node.inputs:
            found[x][node] = None
    return found


def _selects(node: Node) -> bool:
    return isinstance(node, SelectNode)


def _open(node: Node, readers: Sequence[Node]) -> bool:
    if readers:
        node.through = dict.fromkeys(readers, node.context.zero)
        node.toward = dict(node.through)
    return bool(readers)


def _weighed(node: SumNode, inputs: Sequence[Node]) -> bool:
    """Inputs without inputs of their own have nothing behind them."""
    inputs = [x for x in inputs if x.inputs]
    if inputs:
        node.shares = dict.fromkeys(inputs, node.context.zero)
    return bool(inputs)


def _after(nodes: Iterable[Node], shared: Collection[Node]) -> set[Node]:
    """The shared maps and values, and what is made of them without another map."""
    found: set[Node] = set()
    for node in nodes:
        passed = not isinstance(node, LinearNode) and any(x in found for x in node.inputs)
        if node in shared or passed:
            found.add(node)
    return found


def _before(nodes: Sequence[Node], shared: Collection[Node], readers: Readers) -> set[Node]:
    """The shared maps, and what comes to them without another map."""
    found: set[Node] = set()
    for node in reversed(nodes):
        passed = not isinstance(node, LinearNode) and any(r in found for r in readers[node])
        if (node in shared and isinstance(node, LinearNode)) or passed:
            found.add(node)
    return found


def _rotated(nodes: Iterable[Node]) -> set[Node]:
    """What is made by a tensor whose updates enlarge small parts of their gradients."""
    found: set[Node] = set()
    for node in nodes:
        parameter = node.parameter
        trained = parameter is not None and not parameter.tensor.frozen and parameter.rotates
        if trained or any(x in found for x in node.inputs):
            found.add(node)
    return found
