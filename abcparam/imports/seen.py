"""What a law of PyTorch sees of the call that it reads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import NoReturn

from abcparam.algebra.polynomials import Polynomial, atom, number, product
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.diagnostic import DiagnosticRule
from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Numbers, Operand, ReadingError, TracedStep
from abcparam.imports.numbers import Power, Sizes, as_fractions, polynomial_of
from abcparam.imports.operations import PACKED, PART, REARRANGE, STRETCH
from abcparam.imports.traced import Ref, Weight
from abcparam.operations import operations
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply, Expression, Local, TensorRef
from abcparam.program.signature import Signature
from abcparam.resolve.amounts import expression_of

CASTS = frozenset(
    {
        "aten.to.dtype",
        "aten.to.device",
        "aten.to.dtype_layout",
        "aten.type_as.default",
        "aten.contiguous.default",
        "aten.clone.default",
        "aten.alias.default",
        "aten._to_copy.default",
        "aten.float.default",
        "aten.dropout.default",
        "aten.feature_dropout.default",
        "aten.positive.default",
    }
)
LAST_TWO = frozenset({"aten.mT.default", "aten.mH.default", "aten.adjoint.default"})  # swapped
TURNS = LAST_TWO | {
    "aten.t.default",
    "aten.transpose.int",
    "aten.permute.default",
    "aten.numpy_T.default",
}
RESHAPES = frozenset(
    {
        "aten.view.default",
        "aten.reshape.default",
        "aten._unsafe_view.default",
        "aten.unflatten.int",
        "aten.unsqueeze.default",
        "aten.squeeze.dim",
        "aten.flatten.using_ints",
        "aten.expand.default",
    }
)
CUTS = frozenset(
    {
        "aten.split.Tensor",
        "aten.split.sizes",
        "aten.split_with_sizes.default",
        "aten.chunk.default",
    }
)
TAKES = CUTS | {"aten.unbind.int", "aten.select.int", "aten.slice.Tensor"}
WHOLE = (Fraction(0), Fraction(1))
LEVELS = 3  # of calls that are compared


class Matrix(NamedTuple):
    """A parameter as it is used: its shape there, the order of its axes unless they are others.

    `part` are the rows of its first axis that are taken, of all of them.
    """

    source: Weight
    shape: Shape
    order: tuple[int, ...] | None
    part: tuple[Fraction, Fraction] = WHOLE


class SharedNames:
    """What all laws of a program share: its values, its tensors, how its maps are stored."""

    def __init__(
        self,
        steps: Mapping[str, TracedStep],
        weights: Mapping[str, Shape],
        first: Sizes,
        grow: frozenset[str] = frozenset(),
    ) -> None:
        self.grow = grow
        self.hidden: frozenset[str] | set[str] = frozenset()
        self.steps = steps
        self.weights = weights
        self.first = as_fractions(first)
        self.paths: dict[str, str] = {}  # of tensors, by the name of their parameter
        self.data: dict[tuple[Shape, bool], str] = {}
        self.tables: set[str] = set()  # parameters that are stored (in, out)
        self.fans: dict[str, tuple[Polynomial, Polynomial]] = {}  # of maps, by parameter

    @contextmanager
    def hiding(self, names: Iterable[str]) -> Iterator[None]:
        """Inside a loop, what it carries was computed by the copy before: nothing looks into it."""
        before = self.hidden
        self.hidden = before | set(names)
        try:
            yield
        finally:
            self.hidden = before

    def step_of(self, operand: Operand) -> TracedStep | None:
        """The call that computes a value; None for what is no result or may not be looked into."""
        if isinstance(operand, Ref) and operand.name not in self.hidden:
            return self.steps.get(operand.name)
        return None

    def shape(self, value: Ref) -> Shape:
        """The shape of what a call gives; a number has no axes."""
        return (*self.steps[value.name].shapes, ())[value.result]

    def grows(self, length: Polynomial) -> bool:
        """Whether a length goes to infinity."""
        return bool(length.names & self.grow)

    def datum(self, data: KnownData) -> str:
        key = data.shape, data.integer
        return self.data.setdefault(key, f"data{len(self.data) + 1}")


class Seen:
    """A call: its operands as values of the program, its lengths and numbers as formulas."""

    def __init__(self, step: TracedStep, names: SharedNames) -> None:
        self.step = step
        self.names = names

    def with_step(self, step: TracedStep) -> Seen:
        """The same of another call."""
        return Seen(step, self.names)

    # What is there

    def get(self, index: int, name: str = "") -> Operand:
        """An argument, by position or name; None where there is none."""
        if index < len(self.step.arguments):
            return self.step.arguments[index]
        return self.step.keywords.get(name)

    @property
    def call(self) -> str:
        return self.step.call

    @property
    def result(self) -> Shape:
        return self.step.shapes[0]

    def shape(self, operand: Operand) -> Shape:
        """The shape of a value; a number has no axes."""
        match operand:
            case Ref():
                return self.names.shape(operand)
            case Weight(name=name):
                return self.names.weights[name]
            case KnownData(shape=shape):
                return shape
        return ()

    def at_first(self, length: Polynomial) -> int:
        """A length at the first setting."""
        return int(length.evaluate(self.names.first))

    def grows(self, length: Polynomial) -> bool:
        """Whether a length goes to infinity."""
        return self.names.grows(length)

    def whole(self, index: int, name: str = "", default: int = 0) -> int:
        """A whole number that is the same at all sizes, such as an axis."""
        found = self.get(index, name)
        if not isinstance(found, Numbers):
            return default
        if len(set(found.values)) > 1:
            self.refuse(rules.NoLaw, operation=self.step.target, what="an axis that varies")
        return int(found.first)

    def whole_or_length(self, index: int, name: str = "") -> Polynomial:
        """A whole number that may be a length, such as a number of groups; 1 where left out."""
        found = self.get(index, name)
        if not isinstance(found, Numbers):
            return number(1)
        length = polynomial_of([int(value) for value in found.values], found.settings)
        if length is None:
            self.refuse(
                rules.NoPower, what="a number", values=", ".join(f"{v:g}" for v in found.values)
            )
        return length

    def wholes(self, index: int, name: str = "") -> tuple[int, ...]:
        """Whole numbers, one or several."""
        found = self.get(index, name)
        items = found if isinstance(found, tuple) else (found,)
        return tuple(int(x.first) for x in items if isinstance(x, Numbers))

    def definition(self, operand: Operand) -> TracedStep | None:
        """The call that computes a value, casts and dropout left out."""
        return self.names.step_of(self.origin(operand))

    def origin(self, operand: Operand) -> Operand:
        """The value without casts and dropout."""
        step = self.names.step_of(operand)
        while step is not None and step.target in CASTS:
            operand = step.arguments[0]
            step = self.names.step_of(operand)
        return operand

    def equal(self, left: Operand, right: Operand, levels: int = LEVELS) -> bool:
        """Whether two values are one, or computed alike from the same."""
        left, right = self.origin(left), self.origin(right)
        if left == right:
            return True
        if isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
            return all(self.equal(x, y, levels) for x, y in zip(left, right, strict=True))
        one, other = self.names.step_of(left), self.names.step_of(right)
        if one is None or other is None or not levels or one.target != other.target:
            return False
        same = one.keywords == other.keywords
        return same and self.equal(one.arguments, other.arguments, levels - 1)

    def weight(self, operand: Operand) -> Matrix | None:
        """The parameter that an operand is, or is a view or a part of; None for other values."""
        operand = self.origin(operand)
        if isinstance(operand, Weight):
            shape = self.names.weights[operand.name]
            return Matrix(operand, shape, tuple(range(len(shape))))
        step = self.definition(operand)
        if step is None or not isinstance(operand, Ref) or not step.arguments:
            return None
        inner = self.weight(step.arguments[0])
        return None if inner is None else self._view(inner, step, operand.result)

    def _view(self, inner: Matrix, step: TracedStep, result: int) -> Matrix | None:
        """What a call makes of a parameter, where that is a view or a part of it."""
        shape, order = step.shapes[result], inner.order
        if step.target in TURNS:
            turned_ = None if order is None else turned(step, order)
            return inner._replace(shape=shape, order=turned_)
        if step.target in RESHAPES:
            return inner._replace(shape=shape, order=None)
        if step.target in TAKES:
            return inner._replace(shape=shape, order=None, part=self._taken(inner, step, result))
        return None

    def _taken(self, inner: Matrix, step: TracedStep, result: int) -> tuple[Fraction, Fraction]:
        """Where along the first axis of a parameter a part of it lies, of all of it."""
        see = self.with_step(step)
        axis = see.whole(2 if step.target in CUTS else 1, "dim") % len(inner.shape)
        start, end = inner.part
        if axis or inner.order != tuple(range(len(inner.shape))):
            return inner.part
        whole = see.at_first(inner.shape[0])
        if step.target in CUTS:
            before = sum(see.at_first(s[0]) for s in step.shapes[:result])
            count = see.at_first(step.shapes[result][0])
        elif step.target == "aten.unbind.int":
            before, count = result, 1
        elif step.target == "aten.select.int":
            before, count = see.whole(2, "index") % whole, 1
        else:
            begin = see.get(2, "start")
            before = int(begin.first) if isinstance(begin, Numbers) else 0
            before = before % whole if before < 0 else before
            count = see.at_first(step.shapes[result][0])
        step_ = (end - start) / whole
        return start + before * step_, start + (before + count) * step_

    def scalar(self, operand: Operand) -> Power | None:
        """A number, or data of which all entries are one number; None for what varies."""
        if isinstance(operand, Numbers):
            found = operand.power
            if found is None:
                values = ", ".join(f"{value:g}" for value in operand.values)
                self.refuse(rules.NoPower, what="a factor", values=values)
            return found
        if isinstance(operand, KnownData) and not operand.integer:
            return operand.constant
        return None

    # What a law makes

    def value(self, operand: Operand) -> Expression:
        """An operand as a value of the program."""
        match operand:
            case Ref():
                return Local(local(operand), (self.shape(operand),), span=self.step.span)
            case Weight(name=name):
                path = self.names.paths.get(name, name)
                return TensorRef(path, path, (self.names.weights[name],), span=self.step.span)
            case KnownData(shape=shape, integer=integer):
                return self._datum(operand, shape, integer)
        return self.refuse(rules.NoLaw, operation=self.step.target, what="what is no tensor")

    def _datum(self, data: KnownData, shape: Shape, integer: bool) -> Expression:
        found: Expression = Local(self.names.datum(data), (shape,), integer)
        if integer:
            return found
        if data.size is None:
            self.refuse(rules.NoPower, what="the size of a buffer or input", values="see there")
        if data.size.coefficient == 0:
            return self.apply("scale", (found,), {"by": amount(number(0))}, shape)
        if data.size.powers:
            by = amount(power(data.size.powers))
            return self.apply("scale", (found,), {"by": by}, shape)
        return found

    def apply(
        self,
        operation: str | Signature,
        operands: Sequence[Expression | None],
        settings: Mapping[str, Setting] | None = None,
        shape: Shape | None = None,
    ) -> Apply:
        """An operation on values; settings that are left out have their defaults."""
        found = operations()[operation] if isinstance(operation, str) else operation
        given = {**defaults(found), **(settings or {})}
        result = self.result if shape is None else shape
        return Apply(found, tuple(operands), given, (result,), self.step.span)

    def rearranged(self, operand: Operand, shape: Shape | None = None) -> Expression:
        return self.apply(REARRANGE, (self.value(operand),), shape=shape)

    def reshaped(self, x: Expression, shape: Shape) -> Expression:
        """A value whose coordinates are those of another one."""
        return self.apply(REARRANGE, (x,), shape=shape)

    def mean(self, x: Operand, axes: Sequence[int]) -> Expression:
        """The mean over axes, all of them where none is named."""
        rank = len(self.shape(x))
        given = tuple(amount(number(axis % rank)) for axis in axes or range(rank))
        return self.apply("mean", (self.value(x),), {"axis": given})

    def stretched(self, x: Expression, shape: Shape) -> Expression:
        """A value, the same all along the axes of `shape` that it lacks."""
        over = product(shape) / product(x.shapes[0])
        return self.apply(STRETCH, (x,), {"over": (amount(over),)}, shape)

    def scaled(self, x: Expression, by: Power) -> Expression:
        """A value times a number that may be a power of sizes."""
        factor = by.polynomial
        return self.apply("scale", (x,), {"by": amount(factor)}, x.shapes[0])

    def negated(self, x: Expression) -> Expression:
        return self.scaled(x, Power(-1.0, {}))

    def difference(self, x: Expression, y: Expression, shape: Shape) -> Expression:
        """`x - y`, of this shape."""
        return self.apply("+", (x, self.negated(y)), shape=shape)

    def part(self, x: Expression, start: Fraction, end: Fraction, shape: Shape) -> Expression:
        """Some rows of the map that made a value."""
        settings = {"start": amount(number(start)), "end": amount(number(end))}
        return self.apply(PART, (x,), settings, shape)

    def map(self, matrix: Matrix, axis: int, x: Operand) -> Expression:
        """A parameter of two axes on the last axis of a value; `axis` of it is summed over."""
        if matrix.order is None or len(matrix.shape) != 2:
            fans = matrix.shape[axis : axis + 1], matrix.shape[1 - axis :][:1]
            return self.packed(matrix, x, fans, self.shape(x)[:-1])
        source, stored = matrix.source, matrix.order[axis]
        sizes = self.names.weights[source.name]
        self.names.fans.setdefault(source.name, (sizes[stored], sizes[1 - stored]))
        if stored == 0 and self._first_use(source.name):
            self.names.tables.add(source.name)
        table = source.name in self.names.tables
        operands = (self.value(source), self.value(x))
        return self.apply("@", operands, {"transposed": (stored == 0) != table})

    def _first_use(self, name: str) -> bool:
        sizes = self.names.weights[name]
        return self.names.fans[name] == (sizes[0], sizes[1]) != (sizes[1], sizes[0])

    def packed(
        self, matrix: Matrix, x: Operand, fans: tuple[Shape, Shape], shared: Shape
    ) -> Expression:
        """A parameter of several axes, of which the first fans are summed over, on a value."""
        fan_in, fan_out = (product(axes) for axes in fans)
        weight = matrix.source
        known = self.names.fans.setdefault(weight.name, (fan_in, fan_out))
        settings: dict[str, Setting] = {
            "fan_in": amount(fan_in),
            "fan_out": amount(fan_out),
            "shared": tuple(map(amount, shared)),
            "transposed": known == (fan_out, fan_in) != (fan_in, fan_out),
        }
        made = self.apply(PACKED, (self.value(weight), self.value(x)), settings)
        return made if matrix.part == WHOLE else self.part(made, *matrix.part, self.result)

    def lookup(self, weight: Weight, indices: Operand) -> Expression:
        """Rows of a parameter, by index."""
        self.names.tables.add(weight.name)
        sizes = self.names.weights[weight.name]
        self.names.fans[weight.name] = sizes[0], product(sizes[1:])
        return self.apply("embed", (self.value(weight), self.value(indices)))

    def refuse(self, rule: type[DiagnosticRule], **fields: object) -> NoReturn:
        raise ReadingError(rule.at(self.step.span, **fields))


Law = Callable[[Seen], "Expression | tuple[Expression, ...]"]


def turned(step: TracedStep, order: tuple[int, ...]) -> tuple[int, ...]:
    """The order of axes behind a transposition."""
    see = Seen(step, SharedNames({}, {}, {}))
    if step.target == "aten.transpose.int":
        i, j = see.whole(1, "dim0"), see.whole(2, "dim1")
        found = list(order)
        found[i], found[j] = found[j], found[i]
        return tuple(found)
    if step.target in LAST_TWO:
        return (*order[:-2], *order[:-3:-1])
    if step.target == "aten.permute.default":
        return tuple(order[i] for i in see.wholes(1, "dims"))
    return order[::-1]


def local(ref: Ref) -> str:
    """The name of a value in the program."""
    return f"{ref.name}_{ref.result}" if ref.result else ref.name


def defaults(operation: Signature) -> dict[str, Setting]:
    """The settings of an operation that have a number or a flag as default."""
    found: dict[str, Setting] = {}
    for name, default in operation.settings.items():
        if isinstance(default, (bool, Amount, tuple)):
            found[name] = default
        elif isinstance(default, int):
            found[name] = amount(number(default))
    return found


def amount(value: Polynomial) -> Amount:
    """A formula as a spec holds it."""
    return Amount(expression_of(value), value)


def power(powers: Mapping[str, Fraction]) -> Polynomial:
    """A product of powers of sizes."""
    return product(atom(name).power(exponent) for name, exponent in powers.items())
