"""What the calculus says of every row of a coordinate check, the smaller terms included."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import reduce
from operator import or_

from abcparam.algebra.record import Record, replace
from abcparam.algebra.sizes import NumericSize, Size, numeric
from abcparam.analysis.build import build_graph, space_of
from abcparam.analysis.graph import Graph
from abcparam.analysis.limits import Violation, violations, violations_at_init
from abcparam.analysis.rounds import start, step
from abcparam.calculus.linear import LinearNode
from abcparam.calculus.node import Node
from abcparam.coordinate_check.plan import VariedDims
from abcparam.coordinate_check.spectrum import SpectralSpace, Spectrum
from abcparam.optimizers.base import rule_behind
from abcparam.program.model import Program
from abcparam.verdict.report import Report

RowKey = tuple[str, str]  # name, quantity

UNSTABLE_AT_INIT = (
    "unstable at init: changes and gradients have no law, nor what comes after a size that is not "
    "as it must be"
)
UNSTABLE = (
    "unstable: changes are held against the law of the first step, and have none after one that "
    "exceeds its bound"
)
AT_INIT, CHANGE, UPDATE, GRADIENT = "at_init", "change", "update", "gradient"
RELATIVE = "relative"  # the update over what there is at initialization, whatever the multiplier

# What updates on their inputs, and initial weights on changes of theirs, give over what they would
# give without alignment.
UPDATE_ALIGNMENT, INPUT_ALIGNMENT = "update_alignment", "input_alignment"


class PredictedLaw(Record):
    """The derived exponent, None for exact zero, and the next smaller ones.

    `divisor`: how far the smaller terms of what it was divided by lie below the largest of that.
    """

    exponent: Fraction | None
    smaller: tuple[Fraction, ...] = ()
    divisor: tuple[Fraction, ...] = ()

    def __str__(self) -> str:
        return "-inf" if self.exponent is None else str(self.exponent)


class AssumedAlignment(Record):
    """Exponents of a sum of products over one of its terms: none and full alignment, the law's."""

    none: Fraction
    full: Fraction
    assumed: Fraction


class PredictedLaws(Record):
    """By name and quantity. `steps`: after how many steps changes obey them; 0 if they have none.

    `left_out` says in words what the calculus gives no law for, `alignments` how far the laws take
    updates and inputs to be aligned.
    """

    rows: dict[RowKey, PredictedLaw]
    steps: int
    left_out: tuple[str, ...]
    alignments: Mapping[RowKey, AssumedAlignment] = {}


def laws_of(report: Report, steps: int, varied: VariedDims) -> PredictedLaws:
    """The laws at initialization and after so many steps; of an unstable program, after one.

    Steps before an optimizer's law holds are not counted, and what moves in as many more has no law
    of exact zero. They are in the dims that are varied.
    """
    program = report.program
    graph = build_graph(program, space_of(program, SpectralSpace))
    rates = varied.rates
    start(graph)
    sound = _sound(graph, violations_at_init(graph))
    rows = {(name, AT_INIT): _law(n.s0, rates) for name, n in _named(graph) if n in sound}
    rows |= {(t, AT_INIT): _law(size, rates) for t, size in _of_tensors(graph, sound, False)}
    if report.verdict == "unstable-at-init":
        return PredictedLaws(rows, 0, (UNSTABLE_AT_INIT,))
    rows |= {(name, GRADIENT): _law(n.g0, rates) for name, n in _named(graph)}
    stable = report.verdict != "unstable"
    for _ in range(steps if stable else 1):
        step(graph)
    sound = _sound(graph, violations(graph))
    moved = _moved(graph, sound, rates)
    aligned = dict(_alignments(graph, rates))
    late = _late(program)
    for _ in range(late):
        step(graph)
    for key, law in _moved(graph, sound, rates).items():
        if moved[key].exponent is None and law.exponent is not None:
            del moved[key]
    rows |= moved
    if stable:
        return PredictedLaws(rows, late + steps, (), aligned)
    return PredictedLaws(rows, late + 1, (UNSTABLE,), aligned)


def _moved(
    graph: Graph, sound: set[Node], rates: dict[str, Fraction]
) -> dict[RowKey, PredictedLaw]:
    """The laws of changes and updates as they are now."""
    changes = {(name, CHANGE): _law(n.d, rates) for name, n in _named(graph) if n in sound}
    updates = {(t, UPDATE): _law(size, rates) for t, size in _of_tensors(graph, sound, True)}
    return changes | updates


def _late(program: Program) -> int:
    """After how many steps every optimizer makes updates as large as its law says."""
    trained = {t.optimizer for t in program.tensors.values() if not t.frozen}
    used = (program.optimizers[index] for index in trained)
    return max((rule_behind(each).late(each.settings) for each in used), default=0)


def relative(laws: PredictedLaws, paths: Collection[str]) -> PredictedLaws:
    """With the ratio of both in place of `W·x` and `ΔW·x` of these tensors, where there is one."""
    rows: dict[RowKey, PredictedLaw] = {}
    for (name, quantity), law in laws.rows.items():
        start, change = (laws.rows.get((name, what)) for what in (AT_INIT, UPDATE))
        ratio = _ratio(change, start) if name in paths and start and change else None
        if ratio is None or quantity not in (AT_INIT, UPDATE):
            rows[name, quantity] = law
        elif quantity == UPDATE:
            rows[name, RELATIVE] = ratio
    return replace(laws, rows=rows)


def _ratio(law: PredictedLaw, by: PredictedLaw) -> PredictedLaw | None:
    """The law of a quotient; None where that is not of two sizes."""
    if law.exponent is None or by.exponent is None:
        return None
    gaps = {smaller - by.exponent for smaller in by.smaller}
    return PredictedLaw(
        law.exponent - by.exponent,
        tuple(smaller - by.exponent for smaller in law.smaller),
        tuple(sorted({*law.divisor, *gaps}, reverse=True)),
    )


def _sound(graph: Graph, broken: Iterable[Violation]) -> set[Node]:
    """The nodes that come from no activation whose size is not as it must be.

    What is beyond saturates, and the calculus only bounds it.
    """
    found: set[Node] = set()
    bad = {violation.node for violation in broken}
    for node in graph.nodes:
        if all(x in found and x not in bad for x in node.inputs):
            found.add(node)
    return found


def _law(size: Size, rates: dict[str, Fraction]) -> PredictedLaw:
    if not size.vectors:
        return PredictedLaw(None)
    size = numeric(size)
    terms = size.terms if isinstance(size, Spectrum) else (size,)
    gaps = size.gaps if isinstance(size, Spectrum) else ()
    leading, *others = (_exponent(term, rates) for term in terms)
    smaller = {exponent for exponent in others if exponent < leading}
    divisor = {gap for gap in (_exponent(gap, rates) for gap in gaps) if gap < 0}
    ranked = (tuple(sorted(found, reverse=True)) for found in (smaller, divisor))
    return PredictedLaw(leading, *ranked)


def _exponent(size: NumericSize, rates: dict[str, Fraction]) -> Fraction:
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


def _of_tensors(graph: Graph, sound: set[Node], updates: bool) -> Iterator[tuple[str, Size]]:
    """The largest over the uses of each tensor, all sound: of `W·x`, or of `ΔW·x`."""
    uses: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.parameter is not None:
            uses.setdefault(node.parameter.tensor.path, []).append(node)
    for path, nodes in uses.items():
        if sound.issuperset(nodes):
            sizes = [node.update() | node.strewn() if updates else node.s0 for node in nodes]
            yield path, reduce(or_, sizes)


def _alignments(
    graph: Graph, rates: dict[str, Fraction]
) -> Iterator[tuple[RowKey, AssumedAlignment]]:
    """Of tensors that sum over what is varied, over the same in each of their uses."""
    maps: dict[str, list[LinearNode]] = {}
    for node in graph.nodes:
        if isinstance(node, LinearNode):
            maps.setdefault(node.parameter.tensor.path, []).append(node)
    for path, nodes in maps.items():
        fans = {_law(node.rho_in, rates).exponent for node in nodes}
        full = fans.pop()
        if fans or not full:
            continue
        for quantity, sizes in (
            (UPDATE_ALIGNMENT, [n.update_alignment() for n in nodes if n.parameter.u.vectors]),
            (INPUT_ALIGNMENT, [n.input_alignment() for n in nodes if n.passes_on]),
        ):
            assumed = _law(reduce(or_, sizes), rates).exponent if sizes else None
            if assumed is not None:
                yield (path, quantity), AssumedAlignment(full / 2, full, assumed)
