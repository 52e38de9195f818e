"""The constant factors of a forward, and those that the maximal update parametrization wants.

Attention over heads that grow wants one over the size of a head, a readout that is tied to a table
that is looked up one over the width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.sizes import Size, numeric
from abcparam.analysis.build import Builder, space_of
from abcparam.analysis.graph import Graph
from abcparam.calculus.bilinear import ProductNode, QuotientNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import InputNode, Node
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.pointwise import PointwiseNode, SoftmaxNode
from abcparam.calculus.structure import LargestNode, MeanNode, SameNode, ScaleNode, SumNode
from abcparam.program.expressions import Apply
from abcparam.program.model import Program


class CallRecorder(Builder):
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


def powers_of(size: Size) -> dict[str, Fraction]:
    """The powers of the growth dims in a size, those that are not 0; none of exact zero."""
    if not size.vectors:
        return {}
    return {name: p for name, p in numeric(size).exponents().items() if p}


def largest(sizes: Iterable[Size], default: Size | None = None) -> Size:
    """The largest size; the default where there is none, which must then be given."""
    found = max(sizes, key=lambda size: numeric(size).key, default=default)
    assert found is not None
    return found


def multiple_of(node: Node) -> Node | None:
    """The value that a node is a multiple of, by a constant or by data of Θ(1); None if of none."""
    match node:
        case ScaleNode() | SameNode():
            return node.inputs[0]
        case QuotientNode(inputs=(x, InputNode())):
            return x
        case ProductNode(inputs=(x, InputNode())) | ProductNode(inputs=(InputNode(), x)):
            return x if node.contracted <= node.context.one else None
    return None


def _is_low_rank(node: Node) -> bool:
    """Whether it is a map of the few numbers that another map made, as an adapter's is."""
    return isinstance(node, LinearNode) and node.inputs[0].comes_from_contraction


def _has_gain(node: Node) -> bool:
    """Whether it is a value times a tensor, coordinate by coordinate."""
    if not isinstance(node, ProductNode) or node.contracted > node.context.one:
        return False
    return any(_is_tensor(x) for x in node.inputs)


def _is_absolute(node: Node) -> bool:
    """Whether it is the absolute value of one value, or a mean of that."""
    value = node.inputs[0] if isinstance(node, MeanNode) else node
    return isinstance(value, LargestNode) and len(value.inputs) == 1


def _is_tensor(node: Node) -> bool:
    return isinstance(node, ValueNode) or (
        isinstance(node, SameNode) and _is_tensor(node.inputs[0])
    )


class ForwardFactors:
    """The factors of a graph, and the uses of its tensors; `calls` are those of its nodes."""

    def __init__(self, graph: Graph, calls: Mapping[int, Apply]) -> None:
        self.graph = graph
        self.calls = calls
        self.one = graph.context.one
        self.users: dict[int, list[Node]] = {}
        for node in graph.nodes:
            for x in node.inputs:
                self.users.setdefault(id(x), []).append(node)
        self.uses: dict[str, list[LinearNode | ValueNode]] = {}
        for node in graph.nodes:
            if isinstance(node, (LinearNode, ValueNode)):
                self.uses.setdefault(node.parameter.tensor.path, []).append(node)
        self.lacking: dict[int, Size] = {}  # by node, the factor that is wanted behind it

    def of_map(self, node: LinearNode) -> Size:
        """A map has entries of n^(-1/2), one that reads out of n^-1, or of pairs n^(-3/2)."""
        reads_out = node.rho_in > self.one and node.rho_out <= self.one
        size = node.along_rows() if reads_out else node.rho_in.half()
        return -size - self.around(node)

    def around(self, node: LinearNode) -> Size:
        """The constant factors behind a map and before it, of the dims that it sums over."""
        return self.behind(node) + self.own(self.before(node.inputs[0]), node)

    def behind(self, node: LinearNode | ValueNode) -> Size:
        return self.own(self.lacking.get(id(node), self.one) + self.scale_behind(node), node)

    def before(self, node: Node) -> Size:
        """Where it comes from a map or tensor, that one's scale makes up for them."""
        total = self.one
        while (of := multiple_of(node)) is not None:
            if isinstance(node, ScaleNode):
                total = total + self.factor(node)
            node = of
        sums = isinstance(node, ProductNode) and node.contracted > self.one  # a factor is for that
        return self.one if sums or isinstance(node, (LinearNode, ValueNode, SumNode)) else total

    def factor(self, node: ScaleNode) -> Size:
        """A constant factor as it is to be."""
        return node.factor + self.lacking.get(id(node), self.one)

    def unusual(self) -> Iterator[tuple[ScaleNode, Size]]:
        """Factors that grow or fall with a width, and what makes them what they usually are.

        That is one over the width behind what reads out, else a constant. Not those of attention's
        logits but in adapters, of tables that are read out, or the dim of an infinite repeat.
        """
        depths = {name for stream in self.graph.streams for name in powers_of(stream.rho)}
        logits = {id(node) for node in self.graph.nodes if isinstance(node, SoftmaxNode)}
        for node in self.graph.nodes:
            if not isinstance(node, ScaleNode):
                continue
            found, usual = self._scaled(node), self.one
            if isinstance(found, LinearNode) and found.rho_in > self.one >= found.rho_out:
                if any(
                    isinstance(use, ValueNode) for use in self.uses[found.parameter.tensor.path]
                ):
                    continue
                p = found.parameter
                usual = (p.a if p.tensor.init.is_zero else -p.sigma) - found.rho_in
            elif self._meets(node, logits) and not _is_low_rank(found):
                continue
            if not powers_of(node.factor).keys() - depths:
                continue
            powers = {n: p for n, p in powers_of(usual - node.factor).items() if n not in depths}
            if powers:
                yield node, node.factor.space.size(powers)

    def _scaled(self, node: Node) -> Node:
        """What factors are behind."""
        while isinstance(node, (ScaleNode, SameNode)):
            node = node.inputs[0]
        return node

    def _meets(self, node: Node, others: set[int]) -> bool:
        """Whether a value goes into one of these nodes, by way of sums and products alone."""
        todo, seen = list(self.users.get(id(node), [])), set[int]()
        while todo:
            user = todo.pop()
            if id(user) in others:
                return True
            if id(user) in seen:
                continue
            seen.add(id(user))
            if isinstance(user, (ScaleNode, SameNode, SumNode, PointwiseNode, ProductNode)):
                todo += self.users.get(id(user), [])
        return False

    def own(self, size: Size, node: LinearNode | ValueNode) -> Size:
        """The part of a size in the dims of a tensor's own axes."""
        p = node.parameter
        own = powers_of(p.rho_in | p.rho_out) if (p.rho_in | p.rho_out).vectors else {}
        return size.space.size({n: e for n, e in powers_of(size).items() if n in own})

    def tied(self) -> Iterator[tuple[LinearNode, Size]]:
        """Tables and maps of few numbers that read out as well: that wants one over the width.

        Where what is looked up is multiplied, entries are smaller by that, and the factor larger.
        """
        for nodes in self.uses.values():
            ways_in = [n for n in nodes if isinstance(n, ValueNode) or n.rho_in <= self.one]
            if ways_in:
                behind = largest(self.behind(node) for node in ways_in)
                for node in nodes:
                    if isinstance(node, LinearNode) and node.rho_in > self.one:
                        size = behind - node.rho_in - self.around(node)
                        if powers_of(size):
                            yield node, size

    def logits(self) -> Iterator[tuple[ProductNode, Size]]:
        """Attention's logits want one over the size of a head where that grows, else no power."""
        for node in self.graph.nodes:
            if isinstance(node, SoftmaxNode):
                for product, scale in self.products(node.inputs[0], self.one):
                    x, y = product.inputs
                    total = scale + self.before_product(x) + self.before_product(y)
                    lacking = -product.contracted - total
                    if powers_of(lacking):
                        yield product, lacking

    def sums(self) -> Iterator[tuple[Node, Size]]:
        """Other sums over a growing axis, and what makes means of them.

        These are inner products, such as scores of pairs, and means times their length.
        """
        attended = {id(product) for product, _ in self.logits()}
        for node in self.graph.nodes:
            if id(node) in attended or self._meets_norm(node):
                continue
            if isinstance(node, MeanNode) and node.rho > self.one:
                lacking = -self.scale_behind(node)
            elif isinstance(node, ProductNode) and node.contracted > self.one:
                lacking = self._lacking(node) - self.scale_behind(node)
            else:
                continue
            if powers_of(lacking):
                yield node, lacking

    def _lacking(self, node: ProductNode) -> Size:
        """What lacks of one over the sum, its root where it is a map that does not read out."""
        x, y = node.inputs
        if node.map_of is None:
            return -node.contracted - self.before_product(x) - self.before_product(y)
        weights = node.inputs[1 - node.map_of]
        reads_out = node.broadcast[node.map_of] <= self.one
        usual = node.contracted if reads_out else node.contracted.half()
        return -usual - self._scale_of(weights, {})

    def _scale_of(self, node: Node, known: dict[int, Size]) -> Size:
        """The constant factors in front of a tensor that weights are made of."""
        if id(node) not in known:
            match node:
                case ScaleNode():
                    found = self.factor(node) + self._scale_of(node.inputs[0], known)
                case NormNode() | ValueNode():
                    found = self.one
                case _:
                    found = largest((self._scale_of(x, known) for x in node.inputs), self.one)
            known[id(node)] = found
        return known[id(node)]

    def scale_behind(self, node: Node) -> Size:
        """The constant factors behind a value, on the way to what reads it."""
        total = self.one
        for user in self._way(node):
            if isinstance(user, ScaleNode):
                total = total + self.factor(user)
        return total

    def is_normed(self, node: Node) -> bool:
        """Whether norms alone read a value."""
        users = self.users.get(id(node), [])
        return bool(users) and all(isinstance(user, NormNode) for user in users)

    def _meets_norm(self, node: Node) -> bool:
        ends = [node, *self._way(node)]
        return any(isinstance(user, NormNode) for user in self.users.get(id(ends[-1]), []))

    def _way(self, node: Node) -> Iterator[Node]:
        """What a value goes through as it is, but for factors, gains and what is added.

        Its mean where that is of absolute values: a length, say.
        """
        users = self.users.get(id(node), [])
        while len(users) == 1 and (
            isinstance(users[0], (ScaleNode, SameNode, SumNode))
            or _has_gain(users[0])
            or _is_absolute(users[0])
        ):
            yield users[0]
            users = self.users.get(id(users[0]), [])

    def products(self, node: Node, scale: Size) -> Iterator[tuple[ProductNode, Size]]:
        """The inner products that a value is a sum of, and the factors behind them."""
        todo, seen = [(node, scale)], set[tuple[int, Size]]()
        while todo:
            value, factor = todo.pop()
            if (id(value), factor) in seen:
                continue
            seen.add((id(value), factor))
            match value:
                case ScaleNode():
                    todo.append((value.inputs[0], factor + value.factor))
                case ProductNode() if type(value) is ProductNode:
                    yield value, factor
                case SumNode() | SameNode() | PointwiseNode():
                    todo += [(x, factor) for x in reversed(value.inputs)]

    def before_product(self, node: Node) -> Size:
        """The constant factors of a query or key, back to the map that made it."""
        return self._in_front(node, {})

    def _in_front(self, node: Node, known: dict[int, Size]) -> Size:
        if id(node) not in known:
            match node:
                case ScaleNode(factor=factor):
                    found = factor + self._in_front(node.inputs[0], known)
                case SameNode() | SumNode():
                    found = largest((self._in_front(x, known) for x in node.inputs), self.one)
                case _:
                    found = self.one
            known[id(node)] = found
        return known[id(node)]
