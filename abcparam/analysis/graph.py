"""The forward graph of a program.

Blocks are inlined, finite repeats unrolled, infinite ones kept as one copy.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.shares import SharedNode
from abcparam.calculus.stream import EnterNode
from abcparam.calculus.structure import SumNode
from abcparam.diagnostics.source import Span
from abcparam.program.model import Module, Program


class Home(NamedTuple):
    """Where a node was made: in which calls, and in which copies of which repeats."""

    calls: tuple[Span, ...] = ()
    repeats: tuple[Module, ...] = ()
    copies: tuple[int, ...] = ()

    def called(self, span: Span) -> Home:
        return self._replace(calls=(*self.calls, span))

    def copy_of(self, body: Module, index: int) -> Home:
        return Home(self.calls, (*self.repeats, body), (*self.copies, index))


class Graph(NamedTuple):
    """Nodes in topological order, parameters, outputs, and the names (last assigned)."""

    program: Program
    context: Context
    nodes: list[Node]
    parameters: list[Parameter]
    outputs: tuple[Node, ...]
    activations: dict[str, Node]
    streams: tuple[EnterNode, ...] = ()  # infinite repeats
    forks: tuple[Node, ...] = ()  # those whose change is followed reader by reader
    merges: tuple[SumNode, ...] = ()  # whose gradient's change is followed input by input
    turning: tuple[Node, ...] = ()  # whose input's change turns a gradient that is followed
    parted: tuple[SharedNode, ...] = ()  # of tensors that copies share, whose update is parted
    copies: Mapping[tuple[str, tuple[int, ...]], Node] = {}  # the names, copy by copy
    homes: Sequence[Home] = ()  # of the nodes

    def made_of(self, nodes: Collection[Node]) -> set[Node]:
        """These, and all that is made of them."""
        found = set(nodes)
        for _ in self.passes() if found else ():
            for node in self.nodes:
                inputs = node.branches if isinstance(node, EnterNode) else ()
                if any(x in found for x in (*node.inputs, *inputs)):
                    found.add(node)
        return found

    def passes(self) -> range:
        """How often a pass over the nodes is made: sizes go round in an infinite repeat."""
        return range(2 + len(self.streams) if self.streams else 1)
