"""What the calculus says of every row of a coordinate check, the smaller terms included."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from abcparam.calculus.graph import Graph, build_graph, space_of
from abcparam.calculus.node import Node
from abcparam.calculus.rounds import start, step
from abcparam.coordinates.spectrum import SpectralSpace, Spectrum
from abcparam.program import Program
from abcparam.record import Record
from abcparam.report import Report
from abcparam.sizes import Size

Key = tuple[str, str]  # name, quantity

AT_INIT, CHANGE, UPDATE, GRADIENT = "at_init", "change", "update", "gradient"


class Law(Record):
    """The derived exponent, None for exact zero, and the next smaller ones."""

    exponent: Fraction | None
    smaller: tuple[Fraction, ...] = ()

    def __str__(self) -> str:
        return "-inf" if self.exponent is None else str(self.exponent)


class Laws(Record):
    """By name and quantity. `steps`: after how many steps changes obey them; 0 if they have none.

    `left_out` says in words what the calculus gives no law for.
    """

    rows: dict[Key, Law]
    steps: int
    left_out: tuple[str, ...]


def laws_of(report: Report, steps: int) -> Laws:
    """The laws at initialization and after so many steps; of an unstable program, after one."""
    program = report.program
    graph = build_graph(program, space_of(program, SpectralSpace))
    rates = _varied(program)
    start(graph)
    rows = {(name, AT_INIT): _law(node.s0, rates) for name, node in _named(graph)}
    rows |= {(t, AT_INIT): _law(size, rates) for t, size in _of_tensors(graph, False)}
    if report.verdict == "unstable-at-init":
        said = "sizes at initialization are not as they must be: gradients and changes have no law"
        return Laws(rows, 0, (said,))
    rows |= {(name, GRADIENT): _law(node.g0, rates) for name, node in _named(graph)}
    stable = report.verdict != "unstable"
    for _ in range(steps if stable else 1):
        step(graph)
    rows |= {(name, CHANGE): _law(node.d, rates) for name, node in _named(graph)}
    rows |= {(t, UPDATE): _law(size, rates) for t, size in _of_tensors(graph, True)}
    if stable:
        return Laws(rows, steps, ())
    return Laws(rows, 1, ("unstable: changes are held against the law of the first step",))


def _varied(program: Program) -> dict[str, Fraction]:
    """The growth dims that are varied, those of the first limit, with their rates."""
    dims = [d for d in program.dims.values() if d.infinite and not d.derived]
    first = min(d.group for d in dims)
    return {d.name: d.rate for d in dims if d.group == first}


def _law(size: Size, rates: dict[str, Fraction]) -> Law:
    if not size.vectors:
        return Law(None)
    terms = size.terms if isinstance(size, Spectrum) else (size,)
    found = dict.fromkeys(_exponent(term, rates) for term in terms)
    leading, *smaller = sorted(found, reverse=True)
    return Law(leading, tuple(smaller))


def _exponent(size: Size, rates: dict[str, Fraction]) -> Fraction:
    exponents = size.exponents()
    return sum((rate * exponents[name] for name, rate in rates.items()), Fraction(0))


def _named(graph: Graph) -> Iterator[tuple[str, Node]]:
    """Named activations, copies but the last ones by their number, and outputs."""
    yield from graph.activations.items()
    for (path, copy), node in graph.copies.items():
        if node is not graph.activations[path]:
            yield copy_name(graph.program, path, copy), node
    for name, node in zip(graph.program.outputs, graph.outputs, strict=True):
        if name not in graph.activations:
            yield name, node


def copy_name(program: Program, path: str, copy: tuple[int, ...]) -> str:
    """`layers.0.x`: the path with the numbers of the copies, as in a state_dict."""
    repeats = {module.path for module in program.root.walk() if module.count is not None}
    numbers, parts, made = list(copy), path.split("."), []
    for index, part in enumerate(parts):
        made.append(part)
        if ".".join(parts[: index + 1]) in repeats and numbers and index < len(parts) - 1:
            made.append(str(numbers.pop(0)))
    return ".".join(made)


def _of_tensors(graph: Graph, updates: bool) -> Iterator[tuple[str, Size]]:
    """The largest over the uses of each tensor: of `W·x`, or of `ΔW·x`."""
    found: dict[str, Size] = {}
    for node in graph.nodes:
        if node.parameter is not None:
            path = node.parameter.tensor.path
            size = node.update() if updates else node.s0
            found[path] = found[path] | size if path in found else size
    return iter(found.items())
