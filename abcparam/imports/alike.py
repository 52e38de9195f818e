"""One model from its traces at several settings: every number is a formula of the sizes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from linecache import getline
from math import log, prod

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import Record, field
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import START, Source, Span
from abcparam.imports.chance import NOISE, noise_of
from abcparam.imports.coincidences import OddOnes, odd_ones
from abcparam.imports.numbers import Power, Sizes, polynomial_of, power_of, settles
from abcparam.imports.outline import Item, LayerList, Loop, outline, renamed
from abcparam.imports.traced import Datum, Line, Ref, Trace, TracedArgument, Weight
from abcparam.program.amounts import Shape

NONE_APART = OddOnes()


class ReadingError(Exception):
    """A model that cannot be read; `diagnostic` has its place in the model's own files."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@contextmanager
def told_in(source: Source) -> Iterator[None]:
    """What cannot be read is told with the lines of the user's files. Raises `SpecError`."""
    try:
        yield
    except ReadingError as error:
        raise SpecError(source, [error.diagnostic]) from None


class KnownData(Record):
    """A value that depends on no parameter. `constant` where all its entries are one number."""

    shape: Shape
    integer: bool
    size: Power | None
    constant: Power | None
    node: str = field(default="", compare=False)  # at the first setting


class Numbers(Record):
    """A number among the arguments: its value at each setting."""

    values: tuple[float, ...]
    settings: tuple[Sizes, ...]

    @property
    def first(self) -> float:
        return self.values[0]

    @property
    def power(self) -> Power | None:
        """It as a power of the sizes, None where it is none."""
        return power_of(self.values, self.settings)


Operand = Ref | Weight | KnownData | Numbers | bool | str | None | tuple["Operand", ...]


def flat(value: Operand) -> Iterator[Operand]:
    """The values in an operand, those in lists included."""
    if isinstance(value, tuple):
        for item in value:
            yield from flat(item)
    else:
        yield value


class TracedStep(Record):
    """A line whose lengths and numbers are formulas."""

    name: str
    target: str
    arguments: tuple[Operand, ...]
    keywords: Mapping[str, Operand]
    shapes: tuple[Shape, ...]
    modules: tuple[str, ...]
    span: Span = field(default=START, compare=False)
    called: bool = field(default=True, compare=False)  # there, or its module was made there
    sizes: tuple[tuple[float, ...], ...] = ()  # of each result: its RMS at each setting
    node: str = field(default="", compare=False)  # at the first setting

    @property
    def text(self) -> str:
        """The line of the user's that calls it."""
        return getline(self.span.file, self.span.line) if self.called else ""

    def operands(self) -> Iterator[Operand]:
        """All that it takes, that in lists included."""
        for value in (*self.arguments, *self.keywords.values()):
            yield from flat(value)

    @property
    def functional(self) -> str:
        """`aten.add.Tensor` for `aten.add_.Tensor`."""
        return self.target.replace("_.", ".", 1)

    @property
    def call(self) -> str:
        """Its name in PyTorch, whether in place or not: `add` of `aten.add_.Tensor`."""
        return self.target.split(".")[:2][-1].removesuffix("_")


class Repeated(Record):
    """A loop over `count` equal layers; see `outline.Loop`."""

    lists: tuple[LayerList, ...]  # it is called as the first
    count: Polynomial
    body: tuple[Part, ...]
    carried: tuple[tuple[Ref, Ref], ...]
    results: tuple[Ref, ...]
    nodes: tuple[str, ...] = field(compare=False)  # theirs, at the first setting
    sizes: tuple[tuple[float, ...], ...] = field(compare=False)  # theirs, at each setting

    @property
    def path(self) -> str:
        """What it is called: the path of its list."""
        return self.lists[0].path or "layers"


Part = TracedStep | Repeated


class Weights(Record):
    """A parameter whose shape is a formula."""

    names: tuple[str, ...]
    shape: Shape
    trained: bool


class Model(Record):
    """What was read of a model."""

    parts: tuple[Part, ...]
    outputs: tuple[tuple[str, Ref], ...]
    weights: Mapping[str, Weights]  # by the first name; of layers that repeat, the first one's
    odd: OddOnes = NONE_APART  # what is in no loop although it is equal at some settings


def together(
    traces: Sequence[Trace],
    settings: Sequence[Sizes],
    grow: frozenset[str],
    apart: OddOnes = NONE_APART,
) -> tuple[Model, tuple[Sizes, ...]]:
    """The one model that the traces are of, and the settings that it was read from.

    Weights that are `apart` are in no loop.

    Where another value of a size that does not grow makes another graph, as the number of layers
    may, that size stays what it is at base. Raises `ReadingError` where graphs part as sizes grow.
    """
    odd = odd_ones(traces, apart)
    outlines = [renamed_outline(trace, odd) for trace in traces]
    base = settings[0]
    kept, refused = [0], None
    for index in range(1, len(traces)):
        try:
            _require_alike([outlines[0][0], outlines[index][0]])
            kept.append(index)
        except ReadingError as error:
            if all(settings[index][name] == base[name] for name in base if name not in grow):
                raise
            refused = error
    chosen = tuple(settings[index] for index in kept)
    if refused is not None and all(sizes == base for sizes in chosen):
        raise refused
    reader = _Uniter(chosen)
    parts = reader.parts([outlines[index][0] for index in kept])
    weights = dict(reader.weights([traces[index] for index in kept]))
    return Model(parts, outlines[0][1], weights, odd), chosen


def _require_alike(outlines: Sequence[Sequence[Item]]) -> None:
    """Raises `ReadingError` where outlines part."""
    for items in _aligned(outlines):
        loops = [item.body for item in items if isinstance(item, Loop)]
        if loops:
            _require_alike(loops)


def renamed_outline(
    trace: Trace, odd: OddOnes
) -> tuple[tuple[Item, ...], tuple[tuple[str, Ref], ...]]:
    """The outline of a trace in names that do not depend on its depth, and its outputs."""
    return renamed(outline(trace, odd.of(trace)), trace.outputs)


class _Uniter:
    def __init__(self, settings: tuple[Sizes, ...]) -> None:
        self.settings = settings

    def parts(self, outlines: Sequence[Sequence[Item]]) -> tuple[Part, ...]:
        found = []
        for items in _aligned(outlines):
            first = items[0]
            if isinstance(first, Loop):
                found.append(self.loop([x for x in items if isinstance(x, Loop)]))
            else:
                found.append(self.step([x for x in items if isinstance(x, Line)]))
        return tuple(found)

    def loop(self, loops: Sequence[Loop]) -> Part:
        first = loops[0]
        body = self.parts([loop.body for loop in loops])
        count = self.length([loop.count for loop in loops], _line(first).span)
        sizes = tuple(zip(*(loop.sizes for loop in loops), strict=True))
        return Repeated(first.lists, count, body, first.carried, first.results, first.nodes, sizes)

    def step(self, lines: Sequence[Line]) -> TracedStep:
        first = lines[0]
        arguments = self.operands([line.arguments for line in lines], lines)
        names = [name for name, _ in first.keywords]
        values = self.operands([tuple(v for _, v in line.keywords) for line in lines], lines)
        shapes = [line.shapes for line in lines]
        return TracedStep(
            first.name,
            first.target,
            arguments,
            dict(zip(names, values, strict=True)),
            tuple(self.shape(s, first.span) for s in zip(*shapes, strict=True)),
            first.modules,
            first.span,
            first.called,
            tuple(zip(*(line.sizes for line in lines), strict=True)),
            first.node,
        )

    def operands(
        self, lists: Sequence[tuple[TracedArgument, ...]], lines: Sequence[Line]
    ) -> tuple[Operand, ...]:
        if len({len(items) for items in lists}) > 1:
            raise _parted(lines)
        return tuple(self.operand(items, lines) for items in zip(*lists, strict=True))

    def operand(self, items: Sequence[TracedArgument], lines: Sequence[Line]) -> Operand:
        first = items[0]
        if isinstance(first, tuple):
            return self.operands([x for x in items if isinstance(x, tuple)], lines)
        if isinstance(first, Datum):
            return self.data([x for x in items if isinstance(x, Datum)], lines)
        if isinstance(first, (int, float)) and not isinstance(first, bool):
            numbers = [x for x in items if isinstance(x, (int, float))]
            if len(numbers) < len(items):
                raise _parted(lines)
            return Numbers(tuple(map(float, numbers)), self.settings)
        if any(x != first for x in items):
            raise _parted(lines)
        assert first is None or isinstance(first, (Ref, Weight, bool, str))
        return first

    def data(self, items: Sequence[Datum], lines: Sequence[Line]) -> KnownData:
        if len(items) < len(lines):
            raise _parted(lines)
        constants = [x.constant for x in items if x.constant is not None]
        return KnownData(
            self.shape([x.shape for x in items], lines[0].span),
            items[0].integer,
            self.size([x.size for x in items], min(prod(x.shape) for x in items)),
            power_of(constants, self.settings) if len(constants) == len(items) else None,
            items[0].node,
        )

    def size(self, values: Sequence[float], entries: int) -> Power | None:
        """The size of data; examples that are drawn differ a little, those of few entries more."""
        exact = power_of(values, self.settings)
        if exact is not None:
            return exact
        smallest, largest = min(values), max(values)
        chance = log(noise_of(entries, least=1.0))
        if largest <= noise_of(entries) * smallest or (
            smallest > 0 and settles(values, self.settings, chance)
        ):
            return Power(values[0], {})
        return power_of(values, self.settings, NOISE - 1)

    def shape(self, shapes: Sequence[tuple[int, ...]], span: Span) -> Shape:
        return tuple(self.length(lengths, span) for lengths in zip(*shapes, strict=True))

    def length(self, values: Sequence[int], span: Span) -> Polynomial:
        found = polynomial_of(values, self.settings)
        if found is None:
            raise ReadingError(rules.NoLength.at(span, values=_listed(values, self.settings)))
        return found

    def weights(self, traces: Sequence[Trace]) -> Iterator[tuple[str, Weights]]:
        by_name = [{p.names[0]: p for p in trace.parameters} for trace in traces]
        for name, first in by_name[0].items():
            found = [parameters.get(name) for parameters in by_name]
            shapes = [p.shape for p in found if p is not None]
            if len(shapes) == len(found) and len({len(shape) for shape in shapes}) == 1:
                yield name, Weights(first.names, self.shape(shapes, START), first.trained)


def _listed(values: Sequence[float], settings: Sequence[Sizes]) -> str:
    """Each value and its setting: `384 at width = 128, depth = 2; ...`."""
    return "; ".join(
        f"{value:g} at {', '.join(f'{n} = {x}' for n, x in sizes.items())}"
        for value, sizes in zip(values, settings, strict=True)
    )


def _aligned(outlines: Sequence[Sequence[Item]]) -> Iterator[Sequence[Item]]:
    """The items of all outlines, side by side. Raises `ReadingError` where they part."""
    for items in zip(*outlines, strict=False):
        if len({_kind(item) for item in items}) > 1:
            raise _parted([_line(item) for item in items])
        yield items
    lengths = [len(items) for items in outlines]
    if len(set(lengths)) > 1:
        shortest = min(lengths)
        raise _parted([_line(items[min(shortest, len(items) - 1)]) for items in outlines])


def _kind(item: Item) -> tuple[object, ...]:
    if isinstance(item, Loop):
        return item.lists, item.carried
    lists = tuple(_lists(a) for a in item.arguments)
    weights = tuple(x for x in item.operands() if isinstance(x, Weight))
    return item.target, len(item.shapes), tuple(map(len, item.shapes)), lists, weights


def _lists(argument: TracedArgument) -> object:
    """How many values are in each list of an argument."""
    return tuple(map(_lists, argument)) if isinstance(argument, tuple) else ()


def _line(item: Item) -> Line:
    return item if isinstance(item, Line) else _line(item.body[0])


def _parted(lines: Sequence[Line]) -> ReadingError:
    first = lines[0]
    other = next((x for x in lines if (x.target, x.span) != (first.target, first.span)), lines[-1])
    called, otherwise = _called(first), _called(other)
    return ReadingError(
        rules.OtherGraph.at(
            first.span,
            first=called,
            other="more or fewer such calls" if otherwise == called else otherwise,
            place=f"{other.span.file}:{other.span.line}",
        )
    )


def _called(line: Line) -> str:
    """A call and the first parameter that it takes: `aten.linear.default` of `layers.3.weight`."""
    weight = next((x.name for x in line.operands() if isinstance(x, Weight)), None)
    return f"`{line.target}`" + (f" of `{weight}`" if weight else "")
