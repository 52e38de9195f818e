"""What a program knows of an operation and of an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import ClassVar

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.diagnostic import Diagnostic, DiagnosticRule
from abcparam.diagnostics.rules import shapes as rules
from abcparam.diagnostics.source import Span
from abcparam.program.amounts import Amount, Setting, Shape


class RefusedError(Exception):
    """Raised by an operation that cannot take its operands."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Call(NamedTuple):
    """One use of an operation: the shapes of its operands (None where omitted) and its settings."""

    operation: str
    shapes: tuple[Shape | None, ...]
    settings: Mapping[str, Setting]
    span: Span
    grows: Callable[[Polynomial], bool] = lambda _: False  # whether a length goes to infinity
    at_base: Callable[[Polynomial], Fraction | None] = lambda length: length.constant

    def shape(self, index: int) -> Shape:
        """The shape of an operand that cannot be omitted."""
        shape = self.shapes[index]
        assert shape is not None
        return shape

    def amount(self, name: str) -> Polynomial:
        """The value of a setting that is a number or a length."""
        setting = self.settings[name]
        assert isinstance(setting, Amount)
        return setting.value

    def flag(self, name: str) -> bool:
        return self.settings[name] is True

    def refuse(self, rule: type[DiagnosticRule], **fields: object) -> RefusedError:
        return RefusedError(rule.at(self.span, operation=self.operation, **fields))


# What is known of the signs of a value.
ANY_SIGN, NOT_NEGATIVE, POSITIVE = range(3)
REQUIRED = object()  # the default of a setting that has none


class Signature:
    """What a program knows of an operation: its operands, its settings, the shapes it makes."""

    name: str
    values: tuple[str, ...] = ("x",)  # operands, in order
    optional: ClassVar[frozenset[str]] = frozenset()  # operands that may be left out
    weights: ClassVar[frozenset[str]] = frozenset()  # operands that must be tensors of the model
    tables: ClassVar[frozenset[str]] = frozenset()  # those of them that are looked up row by row
    starts: ClassVar[Mapping[str, str]] = {}  # operand -> the init of a tensor that is this operand
    indices: ClassVar[frozenset[str]] = frozenset()  # operands that are integers
    factors: ClassVar[tuple[str, ...]] = ()  # settings that something is multiplied by
    copied: ClassVar[frozenset[str]] = frozenset()  # calls of blocks: an instance per logit
    many: ClassVar[bool] = False  # any number of operands
    settings: ClassVar[Mapping[str, object]] = {}  # name -> default; REQUIRED where there is none
    of_positive: bool = False  # takes what is positive alone
    state: ClassVar[bool] = False  # keeps buffers, so copies and instances have their own
    hidden: ClassVar[bool] = False  # written with an operator, not by name
    multiple: ClassVar[bool] = False  # gives its first operand, times a number
    yields: bool = False  # a block of a spec may have its name, and is then meant

    @property
    def order(self) -> tuple[str, ...]:
        """The order of positional arguments."""
        return (*self.values, *self.settings)

    def keeps_state(self, settings: Mapping[str, Setting]) -> bool:
        """Whether a use of it keeps buffers."""
        return self.state

    def sign(self, signs: Sequence[int], settings: Mapping[str, Setting]) -> int:
        """The sign of its results, from those of its operands."""
        return ANY_SIGN

    def start(self, operand: str, shape: Shape) -> str | None:
        """The init of a tensor of this shape that is this operand, None where it has no say."""
        return self.starts.get(operand)

    def shapes(self, call: Call) -> tuple[Shape, ...]:
        """The shapes of the results; raises `RefusedError`."""
        raise NotImplementedError


def is_vector(shape: Shape) -> bool:
    """Whether at most one axis is longer than 1."""
    return sum(axis.constant != 1 for axis in shape) <= 1


class OptimizerSignature:
    """What a program knows of an optimizer: its settings, its gauge, the kind of its update."""

    name: ClassVar[str]
    gauge: ClassVar[int]  # 2 where an update is as large as its gradient, 1 where scale-invariant
    settings: ClassVar[Mapping[str, object]]  # defaults: int, bool, text for real; lr has none
    decoupled: ClassVar[bool] = False  # weight decay multiplies the weights, whatever the gradient
    epsilon: ClassVar[bool] = False  # divides by a root plus `eps`
    invariant: ClassVar[bool] = True  # takes the very same steps in another gauge
    stacks: ClassVar[bool] = False  # an entry of an update is lr times what its gradients make
    spectral: ClassVar[bool] = False  # the entry of an update is a spectral norm
    rotates: ClassVar[bool] = False  # an update may enlarge small parts of its gradient
    keeps_norm: ClassVar[bool] = False  # of each tensor, so that exact zero stays
    axes: ClassVar[int | None] = None  # of the tensors that it takes; None: any number
    variant: ClassVar[str] = ""  # its word, where words make it another one than its namesake
    words: ClassVar[
        Mapping[str, tuple[str, ...]]
    ] = {}  # settings that are words, the default first

    @property
    def form(self) -> str:
        """What shipped parametrizations call it: `muon`, `muon_spectral`."""
        return f"{self.name}_{self.variant}" if self.variant else self.name

    @property
    def shift(self) -> dict[str, int]:
        """By how much each exponent moves in a shift of a by 1 that changes nothing."""
        return gauge_shift(self.gauge)


def gauge_shift(gauge: int) -> dict[str, int]:
    """By how much each exponent moves in a shift of a by 1 (arXiv 2011.14522, section 3.2)."""
    return {"a": 1, "b": -1, "c": -gauge, "d": 1}


def broadcast(call: Call, left: Shape, right: Shape) -> Shape:
    """The common shape of two operands, aligned at their last axes.

    An axis of 1 or a missing one is stretched.
    """
    short, long = sorted((left, right), key=len)
    padded = (*long[: len(long) - len(short)], *short)
    return tuple(_common(call, x, y, left, right) for x, y in zip(padded, long, strict=True))


def _common(call: Call, x: Polynomial, y: Polynomial, left: Shape, right: Shape) -> Polynomial:
    if x == y or y.constant == 1:
        return x
    if x.constant == 1:
        return y
    raise call.refuse(rules.ShapesDiffer, left=show(left), right=show(right))


def finite(call: Call, *lengths: Polynomial) -> None:
    """Refuses lengths that grow."""
    for length in lengths:
        if call.grows(length):
            raise call.refuse(rules.GrowingAxis, axis=length, remedy=rules.GrowingAxis.usual)


def show(shape: Shape) -> str:
    """`[context, width]`."""
    return f"[{', '.join(map(str, shape))}]"


def axis_of(call: Call, shape: Shape, axis: int) -> int:
    """A declared axis counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise call.refuse(rules.NoSuchAxis, axis=axis, shape=show(shape))
    return axis % len(shape)
