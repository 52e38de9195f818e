"""The forward graph of a program.

Blocks are inlined, finite repeats unrolled, infinite ones kept as one copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from abcparam.calculus.node import Context, Node
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.stream import EnterNode
from abcparam.calculus.structure import SumNode
from abcparam.program.model import Program


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
    copies: Mapping[tuple[str, tuple[int, ...]], Node] = {}  # the names, copy by copy

    def passes(self) -> range:
        """How often a pass over the nodes is made: sizes go round in an infinite repeat."""
        return range(2 + len(self.streams) if self.streams else 1)
