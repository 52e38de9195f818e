"""From a program to its graph: blocks inlined, repeats unrolled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from functools import cache

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, growth, leading_growth, product
from abcparam.algebra.sizes import NumericSpace, Size, Space
from abcparam.analysis.forks import Followed, followed
from abcparam.analysis.graph import Graph, Home
from abcparam.calculus.bilinear import ProductNode
from abcparam.calculus.linear import LinearNode, ValueNode
from abcparam.calculus.node import Context, InputNode, Node, held
from abcparam.calculus.normalize import NormNode
from abcparam.calculus.parameter import Parameter
from abcparam.calculus.shares import SharedNode
from abcparam.calculus.stream import EnterNode, GivenNode, LeaveNode, subtracts
from abcparam.calculus.structure import ScaleNode, SumNode, take_factors_after
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import exponents as rules
from abcparam.operations.base import Build, Operands, operation_of
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
    TensorRef,
    map_shape,
)
from abcparam.program.model import Module, Program
from abcparam.program.signature import Call
from abcparam.program.tensors import OWN, Tensor

MOST_NODES = 300_000  # half a minute's work


def build_graph(program: Program, space: Space | None = None) -> Graph:
    """The graph of the program at no particular width; `space` is where its sizes live."""
    return Builder(program, space or space_of(program)).run()


def space_of(program: Program, kind: type[NumericSpace] = NumericSpace) -> NumericSpace:
    """The growth dims of a program."""
    return kind({dim.name: (dim.group, dim.rate) for dim in program.growing})


class Builder:
    """Builds the graph; a subclass may give lengths and tensors other sizes."""

    def __init__(self, program: Program, space: Space) -> None:
        self.program = program
        self.space = space
        follows = space.follows and program.alignment == "tensor-programs"
        self.context = Context(space.one, space.zero, space.unbounded, program.alignment, follows)
        self.nodes: list[Node] = []
        self.homes: list[Home] = []  # of the nodes
        self.home = Home()  # of what is added
        self.streams: list[EnterNode] = []
        self.inside: Size | None = None  # the size of the infinite repeat at hand
        self.parameters: dict[tuple[str, tuple[int, ...]], Parameter] = {}
        self.activations: dict[str, Node] = {}
        self.copies: dict[tuple[str, tuple[int, ...]], Node] = {}
        self.shapes: dict[Node, Shape] = {}  # of results that no infinite repeat holds or reads
        self.sizes: dict[str, dict[str, Size]] = {}
        self.shaped: dict[int, Call] = {}  # by the identity of what the program has
        self.rho, self.exponent = cache(self._rho), cache(self._written_exponent)
        self.build = Build(
            self.context, self.rho, cache(self._volume), cache(self._stretched), self.tied
        )

    def run(self) -> Graph:
        given = {}
        for source in self.program.inputs:
            given[source.name] = self.add(InputNode(self.context, source.name))
        outputs = self.module(self.program.root, given, ())
        used = {path for path, _ in self.parameters}
        for path, tensor in self.program.tensors.items():
            if path not in used:
                self.parameter(path, (0,) * len(tensor.copies))
        take_factors_after(self.nodes, outputs)
        parameters = list(self.parameters.values())
        streams = tuple(self.streams)
        follows = self.context.follows
        follow = followed(self.nodes, outputs, self._has_directions) if follows else Followed()
        return Graph(
            self.program,
            self.context,
            self.nodes,
            parameters,
            outputs,
            self.activations,
            streams,
            follow.forks,
            follow.merges,
            follow.turning,
            self._parted() if follows else (),
            self.copies,
            self.homes,
        )

    def _parted(self) -> tuple[SharedNode, ...]:
        """Uses of a tensor that copies share and nothing else uses, nor an optimizer rotates."""
        uses = Counter(id(node.parameter) for node in self.nodes if node.parameter is not None)
        found = tuple(
            node
            for node in self.nodes
            if isinstance(node, (LinearNode, ValueNode))
            and node.repeated is not None
            and uses[id(node.parameter)] == 1
            and not (node.parameter.spectral or node.parameter.rotates)
            and not (isinstance(node, LinearNode) and node.tied)
        )
        for node in found:
            node.is_parted = True
        return found

    def rebound(self, graph: Graph, program: Program) -> Graph:
        """A graph that was built, with the exponents of a program that differs in nothing else."""
        self.program, self.sizes = program, {}
        for (path, _), parameter in self.parameters.items():
            parameter.take(self.tensor_sizes(program.tensors[path]), self.context.zero)
        if any(node.exact != held(node.exactly()) for node in self.nodes if not node.inputs):
            return Builder(program, self.space).run()  # other numbers cancel, or none do
        for node in self.nodes:
            node.reset()
        return graph._replace(program=program)

    def _has_directions(self, node: Node) -> bool:
        """Whether an axis grows, so that most directions are orthogonal to one another."""
        shape = self.shapes.get(node)
        return shape is not None and self.build.volume(shape) > self.context.one

    def add(self, node: Node) -> Node:
        node.placed = True
        parameter = node.parameter
        if self.inside is not None and parameter is not None:
            node.repeated = self.inside if self._shared(parameter) else None
        if self.inside is not None:
            for x in node.inputs:
                self.shapes.pop(x, None)
        self.nodes.append(node)
        self.homes.append(self.home)
        return node

    def _shared(self, parameter: Parameter) -> bool:
        """Whether all copies of the infinite repeat at hand have the tensor in common."""
        return self.inside is not None and parameter.rho_copies < self.inside

    def _affordable(self, body: Module, made: int, count: int) -> None:
        """Refuses copies that would make too large a graph, `made` nodes each."""
        if len(self.nodes) + max(1, made) * count > MOST_NODES:
            what, most = f"`repeat` of {count:,} copies", f"{MOST_NODES:,} operations"
            diagnostic = rules.GraphTooLarge.at(body.span, what=what, most=most)
            raise SpecError(self.program.source, [diagnostic])

    # Sizes

    def _rho(self, length: Polynomial) -> Size:
        """The size of a length or factor: 0 where it is finite."""
        size = self.context.zero
        for exponents in growth(length, self.program.growth_of, self.program.growth_order):
            size = size | self._with_open(exponents)
        return size

    def _with_open(self, exponents: Mapping[str, Fraction]) -> Size:
        opened = self.program.open_powers
        if opened.keys().isdisjoint(exponents):
            return self.space.size(exponents)
        total = {n: Affine(power) for n, power in exponents.items() if n not in opened}
        for name in opened.keys() & exponents.keys():
            for dim, value in opened[name].items():
                total[dim] = total.get(dim, Affine(Fraction(0))) + value * exponents[name]
        return self.space.exponent(total)

    def _volume(self, shape: Shape) -> Size:
        return self.rho(product(shape))

    def _stretched(self, shape: Shape) -> Size:
        return self._volume(shape)

    def grows(self, length: Polynomial) -> bool:
        return self.rho(length) > self.context.one

    def tensor_sizes(self, tensor: Tensor) -> dict[str, Size]:
        """Exponents of a tensor as sizes.

        `c` is the total, the optimizer's scaled learning rate included.
        """
        if tensor.path not in self.sizes:
            self.sizes[tensor.path] = self._tensor_sizes(tensor)
        return self.sizes[tensor.path]

    def _tensor_sizes(self, tensor: Tensor) -> dict[str, Size]:
        sizes = {letter: self._exponent(tensor, letter) for letter in "abcd"}
        sizes["c"] = sizes["c"] - self.rho(tensor.lr.value)
        if tensor.epsilon is not None and tensor.epsilon.value.terms:
            sizes["d"] = sizes["d"] - self.rho(tensor.epsilon.value)
        decay = tensor.weight_decay
        sizes["decay"] = self.rho(decay.value) if decay else self.context.zero
        if tensor.gradient is not None:
            sizes["gradient"] = self.rho(tensor.gradient.value)
        optimizers = self.program.optimizers
        limit = optimizers[tensor.optimizer].clip_norm if optimizers else None
        if limit is not None:
            sizes["clip"] = self.rho(limit.value)
        sizes["rho_copies"] = self.rho(product(copies.value for copies in tensor.copies))
        return sizes | self.sides(tensor)

    def sides(self, tensor: Tensor) -> dict[str, Size]:
        """Sizes of its fans, and of rows and columns as torch stores it."""
        rows, columns = product(tensor.shape[:1]), product(tensor.shape[1:])
        lengths = {"rho_in": tensor.fan_in, "rho_out": tensor.fan_out}
        lengths |= {"rows": rows, "columns": columns}
        return {name: self.rho(length) for name, length in lengths.items()}

    def _exponent(self, tensor: Tensor, letter: str) -> Size:
        return self.exponent(tuple(tensor.exponents[letter].items()), tensor.own)

    def _written_exponent(
        self, powers: tuple[tuple[str, Affine], ...], own: Polynomial | None
    ) -> Size:
        total: dict[str, Affine] = {}
        for dim, value in powers:
            length = own if dim == OWN else self.program.dims[dim].value
            growing = self._leading(length) if length is not None else {}
            for name, power in growing.items():
                total[name] = total.get(name, Affine(Fraction(0))) + value * power
        return self.space.exponent(total)

    def _leading(self, length: Polynomial) -> Mapping[str, Fraction]:
        return leading_growth(length, self.program.growth_of, self.program.growth_order)

    def parameter(self, path: str, copy: tuple[int, ...]) -> Parameter:
        tensor = self.program.tensors[path]
        key = path, copy[: len(tensor.copies)]
        if key not in self.parameters:
            bit = 1 << len(self.parameters)
            made = Parameter(tensor, key[1], self.tensor_sizes(tensor), self.context.zero, bit)
            if self.program.optimizers:
                rule = self.program.optimizers[tensor.optimizer].rule
                made.spectral, made.rotates = rule.spectral, rule.rotates
            if self.inside is not None and made.is_random and not self._shared(made):
                made.drawn = bit
            self.parameters[key] = made
        return self.parameters[key]

    def tied(self, parameter: Parameter, node: Node) -> bool:
        """Whether the node still points along the parameter, through an earlier use.

        Behind another map it no longer does.
        """
        return bool(parameter.bit & node.maps)

    # Modules

    def module(
        self, module: Module, given: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        names = dict(given)
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    for target, node in zip(
                        targets, self.value(value, module, names, copy), strict=True
                    ):
                        names[target] = self.named(module, target, node, copy)
                case Repeat(instance=instance):
                    self.loop(module, module.child(instance), names, copy)
                case Return(values=values):
                    return tuple(self.value(value, module, names, copy)[0] for value in values)
        return ()

    def named(self, module: Module, name: str, node: Node, copy: tuple[int, ...]) -> Node:
        path = f"{module.path}.{name}" if module.path else name
        self.activations[path] = self.copies[path, copy] = node
        node.name = node.name or path
        return node

    def loop(
        self, module: Module, body: Module, names: dict[str, Node], copy: tuple[int, ...]
    ) -> None:
        assert body.count is not None
        if self.grows(body.count.value):
            self.stream(module, body, names, copy, self.rho(body.count.value))
            return
        count, first, home = self.count(body.count), len(self.nodes), self.home
        for index in range(count):
            if index == 1:
                self._affordable(body, len(self.nodes) - first, count)
            self.home = home.copy_of(body, index)
            given = {name: names[name] for name, _ in body.inputs}
            for name, node in zip(
                body.carried, self.module(body, given, (*copy, index)), strict=True
            ):
                names[name] = self.named(module, name, node, copy)
        self.home = home

    def stream(
        self,
        module: Module,
        body: Module,
        names: dict[str, Node],
        copy: tuple[int, ...],
        rho: Size,
    ) -> None:
        """An infinite repeat as one copy, between the nodes where its streams enter and leave."""
        if self.inside is not None:
            raise self._not_covered(
                body, "an infinite `repeat` inside another", "unroll one of them"
            )
        self.inside, home = rho, self.home
        self.home = home.copy_of(body, 0)
        enters = {name: EnterNode(self.context, names[name], rho) for name in body.carried}
        for name, enter in enters.items():
            enter.name, enter.span = f"{body.path}.{name}", body.span
        given: dict[str, Node] = {}
        for name, _ in body.inputs:
            given[name] = enters[name] if name in enters else self.given(names[name], body, rho)
        first = len(self.nodes)
        for enter in enters.values():
            self.add(enter)
        results = self.module(body, given, (*copy, 0))
        inside = self.nodes[first:]
        self.inside, self.home = None, home
        for name, result in zip(body.carried, results, strict=True):
            enter = enters[name]
            branches = enter.close(result, inside)
            if branches is None:
                what = (
                    f"an infinite `repeat` in which `{name}` is not a residual stream"
                    f"{_rescaled(result, enter)}"
                )
                remedy = (
                    f"let each copy add to it, `{name} = {name} + f({name})`, or make the "
                    f"repeat finite"
                )
                raise self._not_covered(body, what, remedy)
            self.streams.append(enter)
            leave = self.add(LeaveNode(self.context, enter, branches))
            names[name] = self.named(module, name, leave, copy)

    def given(self, node: Node, body: Module, rho: Size) -> Node:
        """A value from outside of an infinite repeat as its copies see it."""
        seen = self.add(GivenNode(self.context, node, rho, body.span))
        seen.name = node.name
        return seen

    def _not_covered(self, body: Module, what: str, remedy: str) -> SpecError:
        diagnostic = rules.NotCovered.at(body.span, what=what, remedy=remedy)
        return SpecError(self.program.source, [diagnostic])

    def count(self, count: Amount) -> int:
        return int(count.value.evaluate(self.program.base_values()))

    def value(
        self, value: Expression, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        match value:
            case Local(name=name):
                return (names[name],)
            case TensorRef(tensor=path):
                return (
                    self.add(ValueNode(self.context, self.parameter(path, copy), span=value.span)),
                )
            case Invoke():
                return self.invoke(value, module, names, copy)
            case Apply():
                return self.apply(value, module, names, copy)

    def invoke(
        self, call: Invoke, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        target = self.program.called(call, module)
        operands = [self.value(o, module, names, copy)[0] for o in call.operands]
        given = {name: node for (name, _), node in zip(target.inputs, operands, strict=True)}
        home, self.home = self.home, self.home.called(call.span)
        results = self.module(target, given, (*copy, 0) if target.count is not None else copy)
        self.home = home
        return results

    def apply(
        self, call: Apply, module: Module, names: Mapping[str, Node], copy: tuple[int, ...]
    ) -> tuple[Node, ...]:
        operation = operation_of(call)
        operands: list[Node | Parameter | None] = []
        for index, operand in enumerate(call.operands):
            name = operation.values[index] if index < len(operation.values) else ""
            if operand is None:
                operands.append(None)
            elif name in operation.weights and isinstance(operand, TensorRef):
                operands.append(self.parameter(operand.tensor, copy))
            else:
                operands.append(self.value(operand, module, names, copy)[0])
        results = operation.graph(self.build, self.call(call), Operands(tuple(operands)))
        for node, shape in zip(results, call.shapes, strict=True):
            self.add_new(node)
            if self.inside is None:
                self.shapes[node] = shape
        return results

    def call(self, call: Apply) -> Call:
        """A call with the shapes of its operands, the same for all copies of it."""
        if id(call) not in self.shaped:
            tensors, name = self.program.tensors, operation_of(call).name
            shapes = (
                map_shape(tensors, name, operand) if operand is not None else None
                for operand in call.operands
            )
            self.shaped[id(call)] = Call(name, tuple(shapes), call.settings, call.span)
        return self.shaped[id(call)]

    def add_new(self, node: Node) -> None:
        """Adds a node after those of its inputs that the operation made too."""
        for x in node.inputs:
            if not x.placed:
                self.add_new(x)
        if not node.placed:
            self.add(node)


def _rescaled(result: Node, enter: EnterNode) -> str:
    """What takes the place of adding, where a copy changes what came before it by a factor."""
    factor = "what enters early grows or fades exponentially, by no power of the depth"
    if isinstance(result, NormNode):
        where = "where what is added does not vanish with the depth"
        return f" but goes through a norm in each copy ({where}, {factor})"
    terms = result.inputs if isinstance(result, SumNode) else (result,)
    scaling = (ProductNode, ScaleNode)
    if any(isinstance(term, scaling) and enter in term.inputs for term in terms):
        return f" but is multiplied in each copy ({factor})"
    if subtracts(result, enter):
        return " but is subtracted in each copy (what all copies add cancels in pairs)"
    return ""
