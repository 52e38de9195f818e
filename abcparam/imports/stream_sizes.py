"""What infinite residual streams make of sizes at init, beside copies that are added at random."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.analysis.build import build_graph
from abcparam.analysis.limits import unsettled
from abcparam.analysis.rounds import start
from abcparam.program.model import Program

StreamPowers = Mapping[str, float | None]  # by size; None where no power is the size of a value


def powers_of_streams(program: Program) -> dict[str, StreamPowers]:
    """The exponents, in the number of copies, of what is made of infinite streams, by name.

    Copies that are one after another add up at random, where weights that they share or means of
    one kind make them coherent. Of what comes out of a stream that a copy multiplies by more or
    less than 1, as `x + relu(W x)`, no power is the size.
    """
    graph = build_graph(program)
    start(graph)
    powerless = graph.made_of([violation.node for violation in unsettled(graph)])
    names = {id(node): path.rpartition(".")[2] for (path, _), node in graph.copies.items()}
    found: dict[str, StreamPowers] = {}
    for stream in graph.streams:
        sizes = [name for name, power in stream.rho.exponents().items() if power]
        for node in graph.made_of([stream]):
            powers = {} if node.s0.is_zero else node.s0.exponents()
            exponents = {
                size: None if node in powerless else float(Fraction(str(powers[size])))
                for size in sizes
                if size in powers
            }
            name = names.get(id(node), "")
            found[name] = {**found.get(name, {}), **exponents}
    return found
