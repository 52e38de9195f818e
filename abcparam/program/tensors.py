"""The tensors of a program and their exponents."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, number
from abcparam.algebra.record import Record, field, replace
from abcparam.diagnostics.source import START, Span
from abcparam.language import syntax
from abcparam.program.amounts import Amount, Shape
from abcparam.program.by_copy import CopyTraining
from abcparam.program.dims import Dim
from abcparam.program.lengths import at_base

OWN = ""  # the dim of an exponent that is about the tensor's own width

ExponentsByKey = dict[str, Affine]  # `b` or `c[depth]` -> exponent


def key_of(letter: str, dim: str) -> str:
    """How a spec calls an exponent: `b`, `c[depth]`."""
    return f"{letter}[{dim}]" if dim != OWN else letter


def letter_and_dim(key: str) -> tuple[str, str]:
    """The reverse: `c[depth]` is about `depth`, `b` about `OWN`."""
    return key[0], key[2:-1]


class Init(Record):
    """`normal(std)`, `uniform(bound)`, `orthogonal(gain)`, `zeros`, `ones` or `constant(x)`.

    The default is explicit.
    """

    kind: str
    argument: Amount | None = None

    @property
    def is_zero(self) -> bool:
        value = self.argument.value.constant if self.argument else None
        return self.kind == "zeros" or (self.argument is not None and value == 0)


def default_init(axes: int, table: bool, fan_in: Polynomial, dims: Mapping[str, Dim]) -> Init:
    """Where a tensor of so many axes starts that says nothing of it."""
    if axes < 2:
        return Init("zeros")
    if table:
        return Init("normal", Amount(syntax.Number(Fraction(1)), number(1)))
    value = at_base(fan_in, dims).power(Fraction(-1, 2))
    written = syntax.Binary("^", syntax.Name("fan_in"), syntax.Number(Fraction(-1, 2)))
    return Init("normal", Amount(written, value))


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
    gradient: Amount | None = None  # what its gradient is multiplied by, in a gauge that says so
    copies: tuple[Amount, ...] = ()  # the counts of the repeats around it
    by_copy: tuple[CopyTraining, ...] = ()  # where that factor is not the same for all copies
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


def exponents_by_key(tensor: Tensor) -> ExponentsByKey:
    """All exponents of a tensor that are written, letter by letter."""
    return {
        key_of(letter, dim): value
        for letter, by_dim in tensor.exponents.items()
        for dim, value in by_dim.items()
    }


def with_exponents(tensor: Tensor, values: Mapping[str, Affine]) -> Tensor:
    """The tensor with these exponents, by their keys, and no others."""
    exponents: dict[str, dict[str, Affine]] = {letter: {} for letter in tensor.exponents}
    for key, value in values.items():
        letter, dim = letter_and_dim(key)
        exponents.setdefault(letter, {})[dim] = value
    return replace(tensor, exponents=exponents)


def with_exponent(tensor: Tensor, key: str, value: Affine) -> Tensor:
    """The tensor with another exponent, by its key."""
    return with_exponents(tensor, {**exponents_by_key(tensor), key: value})
