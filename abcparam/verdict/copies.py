"""Sizes at base of gradients, of what each copy of a repeat has and of what lies outside of them.

For a gauge that scales gradients. As `magnitudes`, a number is right up to a factor of three.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from math import sqrt

from abcparam.algebra.record import Record
from abcparam.analysis.graph import Graph, Home
from abcparam.calculus.bilinear import AttendedNode
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.emission.lowering.gradients import ATTENDED, HIDDEN
from abcparam.program.model import Program
from abcparam.verdict.magnitudes import OUT_OF_RANGE, GradientsAtBase, ends


class FlowSizes(Record):
    """Root mean squares at init of gradients, at outputs, at queries and keys, at other maps.

    And of the values that attention gives. `copies` are those of maps in the copies of repeats, by
    kind and by the path of the repeat, `tensors` those of each copy of a tensor. `carried` are
    sizes of values, by the path of a repeat and the name: before it, then behind each copy.
    """

    outputs: float
    attended: float
    hidden: float
    mixed: float
    repeats: Collection[str]
    copies: Mapping[str, Mapping[str, Sequence[float]]]
    tensors: Mapping[str, Sequence[float]]
    carried: Mapping[str, Mapping[str, Sequence[float]]]


def flows_at_base(program: Program, batch: int, repeats: Collection[str]) -> FlowSizes | None:
    """Of so many examples; None where some number is out of range.

    Of repeats whose paths are given the copies are told apart: other values are those outside of
    them, and what the readouts take is one of these.
    """
    try:
        return _Flows(GradientsAtBase(program, batch), repeats).sizes()
    except OUT_OF_RANGE:
        return None


class _Flows:
    """Sizes in the graph of a program, after the steps in which all tensors get gradients."""

    def __init__(self, gradients: GradientsAtBase, repeats: Collection[str]) -> None:
        self.gradients = gradients
        self.repeats = repeats
        self.graph = gradients.graph
        self.homes = dict(zip(self.graph.nodes, self.graph.homes, strict=True))
        self.outside: dict[str, list[float]] = {HIDDEN: [], ATTENDED: []}
        self.copies: dict[str, dict[str, dict[int, list[float]]]] = {HIDDEN: {}, ATTENDED: {}}

    def sizes(self) -> FlowSizes:
        first = self.gradients.first()
        tensors: dict[str, list[float]] = {}
        for parameter in sorted(first, key=lambda parameter: parameter.copy):
            tensors.setdefault(parameter.tensor.path, []).append(first[parameter])
        for path, found in tensors.items():
            if len(found) < self.gradients.seen[path]:
                tensors[path] = [middle(found)]  # some copies have none
        self.gradients.settle()
        for node, kind in self._maps():
            size = self._size(node)
            if size > 0:
                self._note(node, kind, size)
        outputs = middle([x for node in self.graph.outputs if (x := self._size(node)) > 0])
        copies = {kind: dict(self._by_copy(kind)) for kind in self.copies}
        hidden = self._usual(HIDDEN, copies, outputs)
        given = [n for n in self.graph.nodes if isinstance(n, AttendedNode)]
        mixed = [sqrt(self.gradients.values[node].square) for node in given]
        return FlowSizes(
            outputs=outputs,
            attended=self._usual(ATTENDED, copies, hidden),
            hidden=hidden,
            mixed=middle(mixed) if mixed else 1.0,
            repeats=self.repeats,
            copies=copies,
            tensors=tensors,
            carried={path: dict(self._carried(path)) for path in self.repeats},
        )

    def _carried(self, repeat: str) -> Iterator[tuple[str, list[float]]]:
        values = self.gradients.values
        for name, nodes in self.gradients.builder.carried.get(repeat, {}).items():
            yield name, [sqrt(values[node].square) for node in nodes]

    def _size(self, node: Node) -> float:
        flow = self.gradients.last.get(node)
        return sqrt(flow.square) if flow is not None and flow.square > 0 else 0.0

    def _maps(self) -> Iterator[tuple[Node, str]]:
        """What maps give, but for readouts, of which it is what they take."""
        attended, last = attended_nodes(self.graph), ends(self.graph)
        for node in self.graph.nodes:
            if not isinstance(node, LinearNode):
                continue
            if node not in last:
                yield node, ATTENDED if node in attended else HIDDEN
            elif self.repeats:
                yield node.inputs[0], HIDDEN

    def _note(self, node: Node, kind: str, size: float) -> None:
        home: Home = self.homes[node]
        path = home.repeats[0].path if home.repeats else ""
        if path in self.repeats:
            self.copies[kind].setdefault(path, {}).setdefault(home.copies[0], []).append(size)
        else:
            self.outside[kind].append(size)

    def _by_copy(self, kind: str) -> Iterator[tuple[str, list[float]]]:
        for path, found in self.copies[kind].items():
            yield path, [middle(found[copy]) for copy in sorted(found)]

    def _usual(
        self, kind: str, copies: Mapping[str, Mapping[str, Sequence[float]]], default: float
    ) -> float:
        """That of what is outside of copies, or else of the last copy."""
        if self.outside[kind]:
            return middle(self.outside[kind])
        lasts = [sizes[-1] for sizes in copies[kind].values()]
        return middle(lasts) if lasts else default


def middle(sizes: Sequence[float]) -> float:
    """Halfway between the smallest and the largest."""
    return sqrt(min(sizes) * max(sizes))


def attended_nodes(graph: Graph) -> set[Node]:
    """Queries and keys, back to what maps give them."""
    found: set[Node] = set()
    for node in reversed(graph.nodes):
        if isinstance(node, AttendedNode):
            found |= {node.query, node.key}
        elif node in found and node.parameter is None:
            found.update(node.inputs)
    return found
