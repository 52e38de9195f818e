"""The exponents that make a model that was read maximal-update, from its own graph.

Initial scales follow from what a tensor sums over; each learning rate is as large as the bounds of
the calculus allow. Where the forward would need another factor (a tied readout, attention over
heads that grow), the factor is written into the program, as one that is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.algebra.sizes import Size, numeric
from abcparam.analysis.build import Builder, space_of
from abcparam.analysis.graph import Graph
from abcparam.analysis.judge import judgement_of
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Node
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import SameNode, ScaleNode, SumNode
from abcparam.comparison.degrees import DimPowers
from abcparam.imports.operations import HEADS
from abcparam.imports.seen import amount, power
from abcparam.operations.arithmetic import Factor
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Assign, Expression, Invoke, Return, Statement
from abcparam.program.model import Module, Program
from abcparam.program.signature import is_vector
from abcparam.program.tensors import Tensor

WANTED = Factor()  # a factor that the model's forward has not
MOST_ROUNDS = 6


class Wanted(NamedTuple):
    """A program with the exponents and factors that it should have.

    `lacking` are the calls whose result has a factor that the model's own forward lacks, with the
    powers of it.
    """

    program: Program
    lacking: Mapping[int, DimPowers]  # by the id of a call of `program`


class _Recorder(Builder):
    """Builds a graph and remembers the call that each node is of."""

    def __init__(self, program: Program) -> None:
        super().__init__(program, space_of(program))
        self.calls: dict[int, Apply] = {}

    def apply(self, call: Apply, *rest: object) -> tuple[Node, ...]:
        first = len(self.nodes)
        results = super().apply(call, *rest)  # type: ignore[arg-type]
        for node in self.nodes[first:]:
            self.calls.setdefault(id(node), call)
        return results


def wanted(program: Program) -> Wanted:
    """The program in the maximal update parametrization."""
    recorder = _Recorder(program)
    graph = recorder.run()
    factors = {**_tied(graph, recorder), **_logits(graph, recorder)}
    scales = _scales(program, graph)
    tensors = {
        path: replace(t, exponents={**t.exponents, "a": {}, "b": _exponents(scales[path])})
        if path in scales
        else t
        for path, t in program.tensors.items()
    }
    tensors = {
        path: tensor if tensor.frozen else _at_rates(tensor, graph, path)
        for path, tensor in tensors.items()
    }
    lacking: dict[int, DimPowers] = {}
    root = _with_factors(program.root, factors, lacking)
    made = replace(program, tensors=tensors, root=root)
    settled = _settled(made)
    kept = {path: _decaying(settled, tensor) for path, tensor in settled.tensors.items()}
    return Wanted(replace(settled, tensors=kept), lacking)


def _decaying(program: Program, tensor: Tensor) -> Tensor:
    """With the decay that keeps its product with the learning rate, where the two are multiplied.

    arXiv 2405.13698, section 4.
    """
    decay, rule = tensor.weight_decay, program.optimizers[tensor.optimizer].rule
    if decay is None or not decay.value.terms or not rule.decoupled:
        return tensor
    by = {name: value.constant for name, value in tensor.exponents["c"].items()}
    return replace(tensor, weight_decay=amount(decay.value * power(by)))


def powers(size: Size) -> DimPowers:
    """The powers of the growth dims in a size."""
    return {name: p for name, p in numeric(size).exponents().items() if p}


def _exponents(of: DimPowers) -> dict[str, Affine]:
    """A size as the exponents of a tensor: `n^-b`."""
    return {name: Affine(-p) for name, p in of.items()}


# Initial scales


def _uses(graph: Graph) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        if node.parameter is not None:
            found.setdefault(node.parameter.tensor.path, []).append(node)
    return found


def _scales(program: Program, graph: Graph) -> dict[str, DimPowers]:
    """The size of an entry of each tensor at init, as it should be."""
    found, added, factors = {}, _added(graph), _Factors(graph)
    for path, nodes in _uses(graph).items():
        if program.tensors[path].init.kind in {"zeros", "ones"}:
            continue
        maps = [node for node in nodes if isinstance(node, LinearNode)]
        values = [node for node in nodes if isinstance(node, ValueNode)]
        sizes = [] if values else [_scale(node, factors) for node in maps]
        found[path] = powers(max(sizes)) if sizes else {}
        if not maps and all(id(node) in added for node in values):
            found[path] = powers(values[0].parameter.sigma & graph.context.one)
    return found


def _added(graph: Graph) -> set[int]:
    """The nodes that are added to others and used in no other way: biases may start small."""
    used: dict[int, list[Node]] = {}
    for node in graph.nodes:
        for x in node.inputs:
            used.setdefault(id(x), []).append(node)

    def is_added(node: Node) -> bool:
        uses = used.get(id(node), [])
        return bool(uses) and all(
            is_added(use) if isinstance(use, SameNode) else type(use) is SumNode for use in uses
        )

    vectors = (n for n in graph.nodes if isinstance(n, ValueNode) and not n.lookup)
    return {
        id(node) for node in vectors if is_vector(node.parameter.tensor.shape) and is_added(node)
    }


def _scale(node: LinearNode, factors: _Factors) -> Size:
    """A map has entries of n^(-1/2), one that reads out of n^-1, less what factors beside it do."""
    one = node.context.one
    reads_out = node.rho_in > one and node.rho_out <= one
    return (-node.rho_in if reads_out else -node.rho_in.half()) - factors.beside(node)


class _Factors:
    """The constant factors of the forward that stand right before or behind a map."""

    def __init__(self, graph: Graph) -> None:
        self.one = graph.context.one
        self.readers: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                self.readers.setdefault(id(x), []).append(node)

    def beside(self, node: LinearNode) -> Size:
        """Their product, where it is in what the map sums over."""
        total = self.before(node.inputs[0]) + self.behind(node)
        return total if set(powers(total)) <= set(powers(node.rho_in)) else self.one

    def before(self, node: Node) -> Size:
        match node:
            case ScaleNode(factor=factor):
                return factor + self.before(node.inputs[0])
            case SameNode():
                return self.before(node.inputs[0])
        return self.one

    def behind(self, node: Node) -> Size:
        readers = self.readers.get(id(node), [])
        match readers:
            case [ScaleNode(factor=factor)]:
                return factor + self.behind(readers[0])
            case [SameNode()]:
                return self.behind(readers[0])
        return self.one


# Factors


def _tied(graph: Graph, recorder: _Recorder) -> dict[int, DimPowers]:
    """Tables that are read out as well: their readout wants one over the width."""
    found, factors = {}, _Factors(graph)
    for nodes in _uses(graph).values():
        if not any(isinstance(node, ValueNode) for node in nodes):
            continue
        for node in nodes:
            if isinstance(node, LinearNode) and node.rho_in > node.context.one:
                lacking = powers(-node.rho_in - factors.beside(node))
                if lacking:
                    found[id(recorder.calls[id(node)])] = lacking
    return found


def _logits(graph: Graph, recorder: _Recorder) -> dict[int, DimPowers]:
    """Attention's logits over heads that grow want one over the size of a head."""
    found: dict[int, DimPowers] = {}
    for node in graph.nodes:
        if not isinstance(node, SoftmaxNode):
            continue
        for product_, scale in _products(node.inputs[0], node.context.one):
            total = scale + _before(product_.inputs[0]) + _before(product_.inputs[1])
            lacking = powers(-product_.contracted - total)
            if lacking:
                found[id(recorder.calls[id(product_)])] = lacking
    return found


def _products(node: Node, scale: Size) -> Iterator[tuple[ProductNode, Size]]:
    """The inner products that a value is a sum of, and the factors behind them."""
    match node:
        case ScaleNode(factor=factor):
            yield from _products(node.inputs[0], scale + factor)
        case ProductNode() if node.contracted > node.context.one:
            yield node, scale
        case SumNode() | SameNode() | PointwiseNode():
            for x in node.inputs:
                yield from _products(x, scale)


def _before(node: Node) -> Size:
    """The constant factors of a query or key, back to the map that made it."""
    one = node.context.one
    match node:
        case ScaleNode(factor=factor):
            return factor + _before(node.inputs[0])
        case SameNode() | SumNode():
            return max((_before(x) for x in node.inputs), default=one)
    return one


def _with_factors(
    module: Module, factors: Mapping[int, DimPowers], lacking: dict[int, DimPowers]
) -> Module:
    """The module with factors behind some of its calls; they are entered in `lacking`."""

    def value(found: Expression) -> Expression:
        if not isinstance(found, (Apply, Invoke)):
            return found
        operands = tuple(None if o is None else value(o) for o in found.operands)
        made = replace(found, operands=operands)
        by = factors.get(id(found))
        if by is None or not isinstance(made, Apply):
            return made
        return _scaled(made, by, lacking)

    def statement(found: Statement) -> Statement:
        match found:
            case Assign(targets=targets, value=inner):
                return Assign(targets, value(inner))
            case Return(values=values):
                return Return(tuple(map(value, values)))
        return found

    return replace(
        module,
        body=tuple(map(statement, module.body)),
        children=tuple(_with_factors(child, factors, lacking) for child in module.children),
    )


def _scaled(call: Apply, by: DimPowers, lacking: dict[int, DimPowers]) -> Expression:
    if call.operation is HEADS:
        scale = call.settings["scale"]
        assert isinstance(scale, Amount)
        settings = {**call.settings, "scale": amount(scale.value * power(by))}
        made = replace(call, settings=settings)
    else:
        settings = {"by": amount(power(by))}
        made = Apply(WANTED, (call,), settings, call.shapes, call.span)
    lacking[id(made)] = by
    return made


# Learning rates


def _at_rates(tensor: Tensor, graph: Graph, path: str) -> Tensor:
    """Where the search for a learning rate starts: that of Adam."""
    nodes = [node for node in graph.nodes if isinstance(node, LinearNode)]
    maps = [node for node in nodes if node.parameter.tensor.path == path]
    looked_up = any(
        isinstance(node, ValueNode) and node.parameter.tensor.path == path for node in graph.nodes
    )
    size = max((-node.rho_in for node in maps), default=graph.context.one)
    by = {} if looked_up else powers(size)
    return replace(tensor, exponents={**tensor.exponents, "c": _exponents(by)})


def _settled(program: Program) -> Program:
    """The program with every learning rate as large as its bound, round by round."""
    for _ in range(MOST_ROUNDS):
        found = judgement_of(program)
        slack = {
            law.path: powers(law.slack)
            for law in found.tensors
            if law.slack is not None and powers(law.slack)
        }
        if not slack:
            return program
        tensors = {
            path: _slower(tensor, slack[path]) if path in slack else tensor
            for path, tensor in program.tensors.items()
        }
        program = replace(program, tensors=tensors)
    return program


def _slower(tensor: Tensor, slack: DimPowers) -> Tensor:
    before = tensor.exponents["c"]
    names = {**before, **slack}
    after = {
        name: before.get(name, Affine(Fraction(0))) + Affine(-slack.get(name, Fraction(0)))
        for name in names
    }
    return replace(tensor, exponents={**tensor.exponents, "c": after})


def left_out(lacking: Mapping[int, DimPowers]) -> Callable[[Apply], bool | DimPowers]:
    """What the model's forward lacks of the factors of the program that is wanted."""

    def dropped(call: Apply) -> bool | DimPowers:
        return lacking.get(id(call), False)

    return dropped
