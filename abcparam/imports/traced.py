"""A traced model: its operations in order, as plain values without torch.

A line is one call of an operation. What depends on no parameter is data: it has been computed, and
only its shape and size are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import nan

from abcparam.algebra.record import Record, field, replace
from abcparam.diagnostics.source import START, Span

LARGE = 1e30  # what stands for infinity in masks


class Ref(Record):
    """A result of a line: which of its results, where it has several."""

    name: str
    result: int = 0


class Weight(Record):
    """A parameter of the model, by its first name."""

    name: str


class Datum(Record):
    """A value that depends on no parameter.

    `size` is its root mean square over what is finite, `constant` its value where that is one
    number.
    """

    shape: tuple[int, ...]
    integer: bool
    size: float
    constant: float | None = None
    node: str = field(default="", compare=False)  # its name in the graph that was traced
    look: float | None = field(default=None, compare=False)  # differs where values do, if known


TracedArgument = (
    Ref | Weight | Datum | int | float | bool | str | None | tuple["TracedArgument", ...]
)


class Line(Record):
    """A call of an operation, in PyTorch's name for it: `aten.linear.default`."""

    name: str
    target: str
    arguments: tuple[TracedArgument, ...]
    keywords: tuple[tuple[str, TracedArgument], ...]
    shapes: tuple[tuple[int, ...], ...]  # of its results
    modules: tuple[str, ...] = ()  # the paths of the modules that it is in, outermost first
    span: Span = field(default=START, compare=False)  # in the file of the model
    called: bool = field(default=True, compare=False)  # there, or its module was made there
    sizes: tuple[float, ...] = field(default=(), compare=False)  # of its results: RMS at init
    node: str = field(default="", compare=False)  # its name in the graph that was traced

    def operands(self) -> Iterator[Ref | Weight | Datum]:
        """The values that it takes, in order."""
        yield from values_in((*self.arguments, *(value for _, value in self.keywords)))


def values_in(argument: TracedArgument) -> Iterator[Ref | Weight | Datum]:
    """The values in an argument, those in lists included."""
    if isinstance(argument, (Ref, Weight, Datum)):
        yield argument
    elif isinstance(argument, tuple):
        for item in argument:
            yield from values_in(item)


class TracedParameter(Record):
    """A parameter: all of its names, its shape, whether it is trained."""

    names: tuple[str, ...]
    shape: tuple[int, ...]
    trained: bool


class Trace(Record):
    """A model at one setting of its sizes."""

    lines: tuple[Line, ...]
    outputs: tuple[tuple[str, Ref], ...]  # those that depend on parameters, by name
    parameters: tuple[TracedParameter, ...]


def unmeasured(trace: Trace) -> Trace:
    """The trace without sizes: those of one example are by chance."""
    lines = (replace(line, sizes=(nan,) * len(line.sizes)) for line in trace.lines)
    return replace(trace, lines=tuple(lines))
