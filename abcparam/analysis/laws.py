"""What training gives: the laws of a graph."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.analysis.graph import Graph
from abcparam.calculus.parameter import Parameter
from abcparam.program.model import Program


class Laws(Record):
    """The laws of a graph: sizes that stand on its nodes and parameters.

    The rounds work on the graph in place, and nothing writes to it once it is in here: whoever
    runs other rounds builds a graph of their own. `growing` are the parameters whose updates grow
    from round to round, if any do. Where they do, no law holds at every step: the laws are then
    those of step `rounds`, the first to exceed a bound.
    """

    graph: Graph
    rounds: int
    growing: tuple[Parameter, ...] = ()

    @property
    def program(self) -> Program:
        return self.graph.program
