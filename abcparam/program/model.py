"""The resolved program: every name bound, every shape known, every exponent in its place.

Roles are kept for printing only: nothing after resolution decides by them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, leading_growth
from abcparam.algebra.record import Record, field
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import START, Source, Span
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.by_copy import CarriedPowers, CopyPowers
from abcparam.program.dims import Dim, Hyper, order_of
from abcparam.program.expressions import Expression, Invoke, Statement, parts_of, values_of
from abcparam.program.signature import OptimizerSignature, gauge_shift
from abcparam.program.tensors import Tensor
from abcparam.program.vocabulary import GAUGES


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

    rule: OptimizerSignature
    selectors: tuple[str, ...]
    settings: Mapping[str, Setting]
    span: Span = field(default=START, compare=False)

    @property
    def clip_norm(self) -> Amount | None:
        """What the norm of all its tensors' gradients is clipped to, if it is."""
        limit = self.settings.get("clip_norm")
        return limit if isinstance(limit, Amount) else None


class Loss(Record):
    """A term of the loss: `cross_entropy` or `mse` of one output.

    In a model that was read it is also `binary_cross_entropy`, `huber` for what is straight far
    from its target, or `value`, where an output is a loss itself.
    """

    kind: str
    output: int
    span: Span = field(default=START, compare=False)

    @property
    def gradient(self) -> str:
        """How large its gradient is: as the `error`, `bounded`, or `constant`."""
        return {"mse": "error", "value": "constant"}.get(self.kind, "bounded")


class GradientScales(Record):
    """What gradients of values are multiplied by, in a gauge that scales them.

    Those of outputs, of queries and keys of attention, and of all others. `mixed` is what values
    that attention gives are multiplied by, until a map takes them, `batch` the hyper that is the
    number of examples in a batch. `copies`, by the paths of repeats, is by how much more the last
    two kinds are multiplied in each copy, `copy` what the number of one is called. `streams`, by
    repeat and name, is by what values are divided that it carries.
    """

    batch: str

    outputs: Amount
    attended: Amount
    hidden: Amount
    mixed: Amount
    copy: str = "copy"
    copies: Mapping[str, Mapping[str, CopyPowers]] = {}
    streams: Mapping[str, Mapping[str, CarriedPowers]] = {}

    def repeat_of(self, path: str) -> str | None:
        """The repeat whose copies are told apart that the module at `path` is in."""
        return next((r for r in self.copies if f"{path}.".startswith(f"{r}.")), None)


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
    gradients: GradientScales | None = None  # in a gauge that scales them
    folded: bool = False  # factors of the forward are in tensors
    open_powers: Mapping[str, Mapping[str, Affine]] = {}  # names in factors that are such powers
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

    @property
    def growing(self) -> tuple[Dim, ...]:
        """The dims that are declared to go to infinity."""
        return tuple(dim for dim in self.dims.values() if dim.growing)

    @property
    def finite(self) -> tuple[Dim, ...]:
        """The dims that are declared and stay finite."""
        return tuple(dim for dim in self.dims.values() if dim.finite)

    def shift_of(self, tensor: Tensor) -> dict[str, int]:
        """By how much a shift of the tensor's a by 1 that changes nothing moves each exponent."""
        return self.optimizers[tensor.optimizer].rule.shift if self.optimizers else gauge_shift(1)

    def has_gauge(self, tensor: Tensor) -> bool:
        """Whether its multiplier can be shifted: a step relative to an exact zero is constant."""
        relative = self.shift_of(tensor)["c"] == 0
        return not (relative and tensor.init.is_zero)

    def growth_of(self, name: str) -> Mapping[str, Fraction]:
        """The growth of a dim or hyper, for `polynomials.growth`."""
        dim = self.dims.get(name)
        grows = dim.infinite if dim else name in self.open_powers
        return {name: Fraction(1)} if grows else {}

    def growth_order(self, powers: Mapping[str, Fraction]) -> tuple[Fraction, ...]:
        """Which of two powers is larger: total rate by limit, the first limit first."""
        return order_of(self.dims, powers)

    def longer_side(self, tensor: Tensor) -> Polynomial:
        """That of fan-in and fan-out which grows faster."""

        def rate(length: Polynomial) -> tuple[Fraction, ...]:
            return self.growth_order(leading_growth(length, self.growth_of, self.growth_order))

        return max(tensor.fan_in, tensor.fan_out, key=rate)
