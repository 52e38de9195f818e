"""The resolved program: every name bound, every shape known, every exponent in its place.

Roles are kept for printing only: nothing after resolution decides by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam import syntax
from abcparam.diagnostics import Diagnostic
from abcparam.polynomials import Polynomial
from abcparam.record import Record, field, replace
from abcparam.source import START, Source, Span

if TYPE_CHECKING:
    from abcparam.operations.base import Operation
    from abcparam.optimizers.base import Rule as OptimizerRule

VERDICTS = (  # worst first
    "unstable-at-init",
    "unstable",
    "trivial",
    "kernel",
    "feature-learning",
    "maximal-update",
)

GOALS = ("maximal-update", "kernel", "stable")  # what `solve` can make of a spec

OWN = ""  # the key of an exponent that is about the tensor's own width
GAUGES = ("as-written", "plain", "single-group", "unit")  # the first is the spec's own

Shape = tuple[Polynomial, ...]


def key_of(letter: str, dim: str) -> str:
    """How a spec calls an exponent: `b`, `c[depth]`."""
    return f"{letter}[{dim}]" if dim != OWN else letter


def letter_and_dim(key: str) -> tuple[str, str]:
    """The reverse: `c[depth]` is about `depth`, `b` about `OWN`."""
    return key[0], key[2:-1]


class Dim(Record):
    """A dim. Underived ones are fields of `Config`; `value` is written in underived dims."""

    name: str
    value: Polynomial
    written: (
        syntax.Expression | None
    )  # the definition of a derived dim or the number of a finite one
    infinite: bool = False
    derived: bool = False
    group: int = 0  # which limit it belongs to, 0 the first
    rate: Fraction = Fraction(1)
    base: int | None = None
    default: int | None = None  # what Config defaults to; None: no default
    span: Span = START


def order_of(dims: Mapping[str, Dim], powers: Mapping[str, Fraction]) -> tuple[Fraction, ...]:
    """Total rate of powers of growth dims, limit by limit, the first most significant."""
    last = max((dim.group for dim in dims.values()), default=0)
    totals = [Fraction(0)] * (last + 1)
    for name, power in powers.items():
        totals[dims[name].group] += dims[name].rate * power
    return tuple(totals)


class Hyper(Record):
    """A width-independent constant with an optional search range."""

    name: str
    value: Fraction
    range: syntax.Interval | syntax.Choice | None = None
    span: Span = START


class Amount(Record):
    """A number, length or factor as written (in the names of its place) and as a polynomial."""

    written: syntax.Expression
    value: Polynomial


class Affine(Record):
    """An exponent: a rational, plus multiples of symbols."""

    constant: Fraction
    symbols: tuple[tuple[str, Fraction], ...] = ()

    def evaluate(self, values: Mapping[str, Fraction]) -> Fraction:
        return self.constant + sum((k * values[s] for s, k in self.symbols), Fraction(0))

    def __add__(self, other: Affine) -> Affine:
        total = dict(self.symbols)
        for symbol, factor in other.symbols:
            total[symbol] = total.get(symbol, Fraction(0)) + factor
        constant = self.constant + other.constant
        return Affine(constant, tuple((s, k) for s, k in total.items() if k))

    def __mul__(self, by: Fraction) -> Affine:
        return Affine(self.constant * by, tuple((s, k * by) for s, k in self.symbols if k * by))

    def __str__(self) -> str:
        parts = [str(self.constant)] if self.constant or not self.symbols else []
        parts += [s if k == 1 else f"-{s}" if k == -1 else f"{k} * {s}" for s, k in self.symbols]
        return " + ".join(parts).replace("+ -", "- ")


class Init(Record):
    """`normal(std)`, `uniform(bound)`, `orthogonal(gain)`, `zeros`, `ones`, `constant(x)`; the
    default is explicit.
    """

    kind: str
    argument: Amount | None = None

    @property
    def is_zero(self) -> bool:
        value = self.argument.value.constant if self.argument else None
        return self.kind == "zeros" or (self.argument is not None and value == 0)


class Tensor(Record):
    """A trainable (or frozen) array of the model; its path leaves the numbers of copies out."""

    path: str
    name: str
    role: str | None
    axes: tuple[Amount, ...]
    table: bool  # axes are (in, out), like nn.Embedding
    fan_in: Polynomial
    fan_out: Polynomial
    own: Polynomial | None  # its own width; None for a scalar
    exponents: Mapping[str, Mapping[str, Affine]]  # letter -> OWN or dim -> exponent
    init: Init
    mult: Amount | None
    lr: Amount
    weight_decay: Amount | None
    epsilon: Amount | None
    frozen: bool
    optimizer: int  # index into Program.optimizers
    copies: tuple[Amount, ...] = ()  # the counts of the repeats around it
    span: Span = field(default=START, compare=False)
    spans: Mapping[str, Span] = field(
        default_factory=dict, compare=False
    )  # letter -> where its declaration says it
    places: Mapping[str, Span] = field(
        default_factory=dict, compare=False
    )  # letter -> where it is said, by its declaration or its role

    @property
    def shape(self) -> Shape:
        return tuple(axis.value for axis in self.axes)


def with_exponent(tensor: Tensor, key: str, value: Affine) -> Tensor:
    """The tensor with another exponent, by its key."""
    letter, dim = letter_and_dim(key)
    by_dim = {**tensor.exponents.get(letter, {}), dim: value}
    return replace(tensor, exponents={**tensor.exponents, letter: by_dim})


# Expressions of a body. `shapes` has one entry per value; most have one value.


class Read(Record):
    """A local name, an input or a parameter of the block."""

    name: str
    shapes: tuple[Shape, ...]
    integer: bool = False  # indices or a mask
    span: Span = field(default=START, compare=False)


class Weight(Record):
    """A tensor of the model. `name` is how the module at hand reaches it (`first.query`)."""

    tensor: str  # its path
    name: str
    shapes: tuple[Shape, ...]
    transposed: bool = False
    outer: bool = False  # a tensor declared outside the module at hand: `name` starts at the root
    span: Span = field(default=START, compare=False)


class Apply(Record):
    """An operation on values. Settings are what is no value: amounts, flags, tuples of amounts."""

    operation: Operation
    operands: tuple[Expression | None, ...]
    settings: Mapping[str, Setting]
    shapes: tuple[Shape, ...]
    span: Span = field(default=START, compare=False)


class Invoke(Record):
    """A call of a submodule; `instance` is its attribute in the module at hand (`outer`: its path
    from the root).
    """

    instance: str
    operands: tuple[Expression, ...]
    shapes: tuple[Shape, ...]
    outer: bool = False
    span: Span = field(default=START, compare=False)


Expression = Read | Weight | Apply | Invoke
Setting = Amount | bool | tuple[Amount, ...]


class Assign(Record):
    """`a, b = value`."""

    targets: tuple[str, ...]
    value: Expression


class Loop(Record):
    """The place of a repeat: `carried` names go through the copies of the child module `instance`,
    one by one.
    """

    instance: str
    carried: tuple[str, ...]


class Give(Record):
    """`return a, b`."""

    values: tuple[Expression, ...]


Statement = Assign | Loop | Give


def map_shape(tensors: Mapping[str, Tensor], operation: str, operand: Expression) -> Shape:
    """The shape of an operand; a map reads the axes of a table the other way round."""
    (shape,) = operand.shapes
    if operation == "@" and isinstance(operand, Weight) and tensors[operand.tensor].table:
        return shape[::-1]
    return shape


def values_of(statement: Statement) -> tuple[Expression, ...]:
    """The values that a statement computes."""
    match statement:
        case Assign(value=value):
            return (value,)
        case Give(values=values):
            return values
        case Loop():
            return ()


def parts_of(value: Expression) -> Iterator[Expression]:
    """A value, then all that it is computed from."""
    yield value
    if isinstance(value, (Apply, Invoke)):
        for operand in value.operands:
            if operand is not None:
                yield from parts_of(operand)


class Module(Record):
    """The root, an instance of a block (or `count` of them), or the body of a repeat.

    The body of a repeat takes its `inputs`, of which the `carried` ones come first, and gives the
    carried ones back.
    """

    path: str
    name: str  # attribute of the parent
    block: str  # the block's name; the label of a repeat
    inputs: tuple[tuple[str, Shape], ...]
    sizes: Mapping[str, Amount | bool]  # parameters that are not values, as the caller wrote them
    tensors: tuple[str, ...]  # paths
    children: tuple[Module, ...]
    body: tuple[Statement, ...]
    count: Amount | None = None
    index: str | None = None  # the copy's number, a name of the body
    carried: tuple[str, ...] = ()
    span: Span = field(default=START, compare=False)

    @property
    def is_repeat(self) -> bool:
        """Whether it is the body of a repeat; else `count` copies are what tokens choose among."""
        return self.index is not None

    def child(self, name: str) -> Module:
        return next(c for c in self.children if c.name == name)

    def walk(self) -> Iterator[Module]:
        yield self
        for child in self.children:
            yield from child.walk()

    def expressions(self) -> Iterator[Expression]:
        """Every expression of its own body, the parts of others included."""
        for statement in self.body:
            for value in values_of(statement):
                yield from parts_of(value)


class Input(Record):
    """An input of the model; `index` is the number of classes of an integer input."""

    name: str
    axes: tuple[Amount, ...]
    index: Amount | None
    span: Span = field(default=START, compare=False)


class Optimizer(Record):
    """An optimizer with its settings. `lr` is in the settings."""

    rule: OptimizerRule
    selectors: tuple[str, ...]
    settings: Mapping[str, Setting]
    span: Span = field(default=START, compare=False)

    @property
    def clip_norm(self) -> Amount | None:
        """What the norm of all its tensors' gradients is clipped to, if it is."""
        limit = self.settings.get("clip_norm")
        return limit if isinstance(limit, Amount) else None


class Loss(Record):
    """A term of the loss: `cross_entropy` or `mse` of one output."""

    kind: str
    output: int
    span: Span = field(default=START, compare=False)


class Program(Record):
    """A whole model."""

    source: Source
    name: str
    dims: Mapping[str, Dim]
    hypers: Mapping[str, Hyper]
    symbols: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    inputs: tuple[Input, ...]
    root: Module
    outputs: tuple[str, ...]  # names of the outputs, by their variable where they have one
    optimizers: tuple[Optimizer, ...]
    losses: tuple[Loss, ...]
    alignment: str = "tensor-programs"
    strict_epsilon: bool = False
    alignment_span: Span = START
    expected: tuple[str, ...] = ()
    expected_span: Span = START
    output_span: Span = START
    imports: tuple[str, ...] = ()  # paths, as written
    chosen: Mapping[str, Fraction] = {}  # values that symbols were given
    gauge: str = GAUGES[0]
    warnings: tuple[Diagnostic, ...] = ()  # what is worth knowing about how it is written

    def called(self, call: Invoke, caller: Module) -> Module:
        """The module that a call in the body of another one is of."""
        if not call.outer:
            return caller.child(call.instance)
        return next(module for module in self.root.walk() if module.path == call.instance)

    def expressions(self) -> Iterator[Expression]:
        """Every expression of every module."""
        for module in self.root.walk():
            yield from module.expressions()

    def base_values(self) -> dict[str, Fraction]:
        """Every underived dim at base (finite ones at their default) and every hyper."""
        values = {
            d.name: Fraction(d.base or d.default or 1) for d in self.dims.values() if not d.derived
        }
        return values | {h.name: h.value for h in self.hypers.values()}

    def growth_of(self, name: str) -> Mapping[str, Fraction]:
        """The growth of a dim or hyper, for `polynomials.growth`."""
        dim = self.dims.get(name)
        return {name: Fraction(1)} if dim and dim.infinite else {}

    def growth_order(self, powers: Mapping[str, Fraction]) -> tuple[Fraction, ...]:
        """Which of two powers is larger: total rate by limit, the first limit first."""
        return order_of(self.dims, powers)
