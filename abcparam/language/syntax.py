"""The syntax tree: what a spec says, before any name means anything.

Spans do not take part in comparisons, so two trees are equal when they say the same thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from abcparam.algebra.record import Record, field
from abcparam.diagnostics.source import START, Span


class Node(Record):
    """Anything with a place in the source."""

    span: Span = field(default=START, compare=False, kw_only=True, repr=False)


# Expressions


class Number(Node):
    """An exact literal: `12`, `0.1`, `3e-3`."""

    value: Fraction


class Name(Node):
    """A word; `true` and `false` are words too."""

    id: str


class Unknown(Node):
    """`?`, an exponent to be solved."""


class Attribute(Node):
    """`W.T`, `first.query`, and `layers.*` in a selector (name `*`)."""

    value: Expression
    name: str


class Index(Node):
    """`x[i]`."""

    value: Expression
    index: Expression


class Negative(Node):
    """`-x`."""

    operand: Expression


class Binary(Node):
    """`left op right`, op one of `+ - * / @ ^`."""

    op: str
    left: Expression
    right: Expression


class Argument(Node):
    """An argument of a call, `name = value` or `value`."""

    value: Expression
    name: str | None = None

    @property
    def name_span(self) -> Span:
        """Where the name stands: at the start."""
        return first_word(self.span, self.name or "")


class Call(Node):
    """`function(arguments) as alias`."""

    function: Name
    arguments: tuple[Argument, ...]
    alias: Name | None = None


class Tuple(Node):
    """`(0.9, 0.95)`."""

    items: tuple[Expression, ...]


Expression = Number | Name | Unknown | Attribute | Index | Negative | Binary | Call | Tuple


class Setting(Node):
    """`key = value`, `key[dim] = value`, or a bare `key` (value None)."""

    key: str
    value: Expression | None
    dim: Name | None = None

    @property
    def key_span(self) -> Span:
        """Where the key stands: at the start."""
        return first_word(self.span, self.key)


def first_word(span: Span, word: str) -> Span:
    """Where a word stands that something begins with."""
    return Span(span.line, span.column, span.line, span.column + len(word), span.file)


def names_in(written: Expression) -> Iterator[str]:
    """The names in an amount, in order."""
    return (part.id for part in parts_of(written) if isinstance(part, Name))


def parts_of(written: Expression) -> Iterator[Expression]:
    """The expression and all that it is made of, in order."""
    yield written
    match written:
        case Attribute(value=value):
            inner: tuple[Expression, ...] = (value,)
        case Index(value=value, index=index):
            inner = (value, index)
        case Negative(operand=operand):
            inner = (operand,)
        case Binary(left=left, right=right):
            inner = (left, right)
        case Call(arguments=arguments):
            inner = tuple(argument.value for argument in arguments)
        case Tuple(items=items):
            inner = items
        case _:
            inner = ()
    for part in inner:
        yield from parts_of(part)


def is_open(written: Expression) -> bool:
    """Whether there is a `?` in it."""
    return any(isinstance(part, Unknown) for part in parts_of(written))


# Statements of a body


class Tensor(Node):
    """`tensor query, key : hidden [out, in] { settings }`. `role` None: the shape says it."""

    names: tuple[Name, ...]
    role: Name | None
    shape: tuple[Expression, ...]
    settings: tuple[Setting, ...] = ()


class Assign(Node):
    """`a, b = value`."""

    targets: tuple[Name, ...]
    value: Expression


class Repeat(Node):
    """`repeat count as label { body }`."""

    count: Expression
    label: Name | None
    body: tuple[Statement, ...]


class Return(Node):
    """`return a, b`."""

    values: tuple[Expression, ...]


Statement = Tensor | Assign | Repeat | Return


# Declarations at the top


class Model(Node):
    """`model GPT`."""

    name: Name


class Import(Node):
    """`import "mine.param"`."""

    path: str


class Dim(Node):
    """`dim width -> inf after depth, base = 256` (infinite), `dim heads = width / head` (value)."""

    name: Name
    infinite: bool
    after: Name | None = None
    value: Expression | None = None
    options: tuple[Setting, ...] = ()


class Interval(Node):
    """`in [low, high]` or `in log [low, high]`."""

    low: Expression
    high: Expression
    log: bool = False


class Choice(Node):
    """`in {x, y, z}`."""

    values: tuple[Expression, ...]


class Hyper(Node):
    """`hyper lr = 3e-3 in log [1e-4, 1e-1]`."""

    name: Name
    value: Expression
    range: Interval | Choice | None = None


class Exponent(Node):
    """`exponent theta, phi`."""

    names: tuple[Name, ...]


class Role(Node):
    """`hidden { a = 0, b = 1/2, c = 1 }` inside `parametrization`."""

    role: Name
    settings: tuple[Setting, ...]


class Parametrization(Node):
    """`parametrization mup for adam, adamw { roles }`; name None where it is spelled out."""

    name: Name | None
    optimizers: tuple[Name, ...] = ()
    roles: tuple[Role, ...] = ()


class Parameter(Node):
    """A parameter of a block, with its default."""

    name: Name
    default: Expression | None = None


class Block(Node):
    """`block Attention(x, causal = true) { body }`."""

    name: Name
    parameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]


class Input(Node):
    """`tokens : index(vocab) [context]`; `index` None where it is a real array."""

    name: Name
    index: Expression | None
    shape: tuple[Expression, ...]


class Forward(Node):
    """`forward(tokens : index(vocab) [context]) { body }`."""

    inputs: tuple[Input, ...]
    body: tuple[Statement, ...]


class Optimizer(Node):
    """`optimizer muon for hidden, layers.* { settings }`."""

    name: Name
    selectors: tuple[Expression, ...] = ()
    settings: tuple[Setting, ...] = ()


class Loss(Node):
    """`loss cross_entropy(words) + mse(next)`."""

    value: Expression


class Assume(Node):
    """`assume alignment = full`."""

    settings: tuple[Setting, ...]


class Expect(Node):
    """`expect maximal-update, complete`: the words with their hyphens."""

    values: tuple[Name, ...]


Declaration = (
    Model
    | Import
    | Dim
    | Hyper
    | Exponent
    | Parametrization
    | Tensor
    | Block
    | Forward
    | Optimizer
    | Loss
    | Assume
    | Expect
)


class Spec(Node):
    """A whole file."""

    declarations: tuple[Declaration, ...]
