"""What the values of a text are computed from: inputs and tensors of the model."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.polynomials import Polynomial, number
from abcparam.algebra.record import replace
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import Span
from abcparam.imports.alike import KnownData
from abcparam.imports.reading import Read
from abcparam.imports.seen import Seen
from abcparam.imports.text.formulas import Formulas
from abcparam.imports.text.layout import FactorAxis, Laid, Lengths, stretched, viewed
from abcparam.imports.text.structure import free
from abcparam.imports.text.values import TextInput, Unspelled, UsedTensor, WrittenValue
from abcparam.language import syntax
from abcparam.program.expressions import Apply, TensorRef

if TYPE_CHECKING:
    from collections.abc import Iterable

    from abcparam.imports.text.data import ModelValues

FAR = "max_distance"  # what attributes with the number are called
LONGEST = 128  # T5's, which the language has where none is said


class TextSources:
    """The inputs and tensors that a text was found to use."""

    def __init__(
        self, read: Read, lengths: Lengths, formulas: Formulas, values: ModelValues
    ) -> None:
        self.read = read
        self.names = read.names
        self.lengths = lengths
        self.formulas = formulas
        self.model = values
        self.paths = {path: name for name, (path, _) in reversed(list(read.paths.items()))}
        self.inputs: dict[int, TextInput] = {}
        self.input_axes: dict[int, tuple[FactorAxis, ...]] = {}
        self.used: dict[str, UsedTensor] = {}
        self.step: Seen | None = None
        self.data: list[KnownData] = []  # of the call at hand, as far as it is not taken yet

    def unspelled(self, span: Span, operation: str, what: str) -> Unspelled:
        return Unspelled(rules.NoSpelling.at(span, operation=operation, what=what))

    def refused(self, what: str) -> Unspelled:
        """The call at hand has no spelling."""
        assert self.step is not None
        return self.unspelled(self.step.step.span, self.step.step.target, what)

    def datum(self, name: str) -> WrittenValue:
        """What depends on no parameter: an input, or numbers that the model makes."""
        for index, data in enumerate(self.data):
            if self.names.datum(data) == name:
                del self.data[index]
                return self.known(data)
        return self.refused("numbers that the model computes by itself")

    def known(self, data: KnownData) -> WrittenValue:
        leaf = self.model.leaf_of(data.node)
        if leaf is None:
            return self.computed(data)
        laid = self.input(leaf)
        made = viewed(laid, data.shape, self.lengths)
        return made or self.refused("an input whose axes are taken apart")

    def computed(self, data: KnownData) -> WrittenValue:
        """What is computed from inputs alone, sample by sample: an input of the text."""
        sources = self.model.inputs_of(data.node)
        batch = self.model.leaf_shape(sources[0])[0] if sources else None
        if not data.shape or not sources or self.lengths.whole(data.shape[0]) != batch:
            return self.refused("numbers that the model computes by itself")
        key = self.model.leaf_named(data.node)
        if key not in self.inputs:
            shape = data.shape[1:]
            axes = (self.lengths.axis(data.shape[0], "batch"), *self.lengths.axes(shape))
            self.input_axes[key] = axes
            names = [self.model.leaf_name(leaf) for leaf in sources]
            wanted = f"{names[0].strip('_')}_{self.model.made_by(data.node)}"
            name = input_name(wanted, self.inputs.values())
            written = tuple(map(self.formulas.written, shape))
            index = number(2) if data.integer else None
            made = f"{', '.join(names)} at {self.model.line_of(data.node)}"
            self.inputs[key] = TextInput(name, key, index, written, data.node, made)
        graph = self.input_axes[key]
        return Laid(syntax.Name(self.inputs[key].name), graph[1:], graph)

    def input(self, leaf: int) -> Laid:
        """An input of the model; its first axis is the batch."""
        shape = self.model.leaf_shape(leaf)
        if leaf not in self.inputs:
            axes = (self.lengths.axis(number(shape[0]), "batch"),)
            rest = [self.formulas_of_input(leaf, n) for n in shape[1:]]
            self.input_axes[leaf] = (*axes, *(self.lengths.axis(length) for length, _ in rest))
            index = None
            if self.model.is_whole(leaf):
                index = number(2)
            name = input_name(self.model.leaf_name(leaf), self.inputs.values())
            self.inputs[leaf] = TextInput(name, leaf, index, tuple(x for _, x in rest))
        graph = self.input_axes[leaf]
        return Laid(syntax.Name(self.inputs[leaf].name), graph[1:], graph)

    def formulas_of_input(self, leaf: int, length: int) -> tuple[Polynomial, syntax.Expression]:
        """An axis of an input: a size of the model where it is one, a dim where it is a place."""
        value = number(length)
        if self.model.is_whole(leaf):
            return value, self.formulas.place(value)
        return value, self.formulas.written(value)

    def tensor(self, value: TensorRef, axes: Sequence[syntax.Expression] = ()) -> Laid:
        """A tensor as a value; a first axis of one is that of the batch."""
        shape = value.shapes[0]
        graph = self.lengths.axes(shape)
        kept = shape[1:] if len(shape) > 1 and self.lengths.is_one(shape[0]) else shape
        text = graph[len(shape) - len(kept) :]
        written = tuple(axes) or tuple(map(self.formulas.written, kept))
        self.use(value.tensor, written, turned=False)
        return Laid(syntax.Name(f"@{value.tensor}"), text, graph)

    def use(
        self, path: str, axes: tuple[syntax.Expression, ...], turned: bool, copied: bool = False
    ) -> None:
        found = UsedTensor(self.paths[path], axes, turned, copied)
        known = self.used.get(path)
        if known is None or known.axes == axes:
            self.used[path] = found

    def lookup(self, value: Apply) -> WrittenValue:
        """`embed(table, indices)`, a table of positions, or one row of a table."""
        table = value.operands[0]
        assert isinstance(table, TensorRef)
        data = next((x for x in self.data if x.integer), None)
        if data is None:
            return self.refused("indices that are computed from parameters")
        rows, *row = table.shapes[0]
        tail = self.lengths.axes(row)
        if self.model.leaf_of(data.node) is not None:
            indices = self.known(data)
            if not isinstance(indices, Laid):
                return indices
            self.named_rows(data, rows)
            self.use(table.tensor, tuple(map(self.formulas.written, table.shapes[0])), False)
            arguments = (
                syntax.Argument(syntax.Name(f"@{table.tensor}")),
                syntax.Argument(indices.code),
            )
            code = syntax.Call(syntax.Name("embed"), arguments)
            return Laid(code, (*indices.text, *tail), (*indices.graph, *tail))
        if self.model.counts(data.node):
            return self.places(table, data, tail)
        which = self.model.constant(data.node)
        if which is None and len(data.shape) == 2 and len(row) == 1:
            return self.relative(table, data, tail[0])
        if which is None:
            return self.refused("a table that is looked up by numbers of the model's own")
        self.use(table.tensor, tuple(map(self.formulas.written, table.shapes[0])), False)
        at = syntax.Number(Fraction(which))
        return Laid(
            syntax.Index(syntax.Name(f"@{table.tensor}"), at),
            tail,
            (*stretched(Laid(at, (), ()), data.shape, self.lengths).graph, *tail),
        )

    def named_rows(self, data: KnownData, rows: Polynomial) -> None:
        """An input of indices has as many classes as the table that it is looked up in has rows."""
        leaf = self.model.leaf_of(data.node)
        key = self.model.leaf_named(data.node) if leaf is None else leaf
        self.inputs[key] = replace(self.inputs[key], index=rows)

    def places(
        self, table: TensorRef, data: KnownData, tail: tuple[FactorAxis, ...]
    ) -> WrittenValue:
        """A table of positions: it is cut to what the input is long."""
        rows, *row = table.shapes[0]
        *outer, length = data.shape
        place = self.lengths.axis(length)
        name = self.formulas.written(rows)
        if self.is_place(length):
            name = self.formulas.longest(length, rows)
        elif not self.lengths.same(length, rows):
            return self.refused("a table of positions for more of them than there are")
        axes = (name, *map(self.formulas.written, row))
        laid = self.tensor(table, axes)
        graph = stretched(Laid(laid.code, (), ()), tuple(outer), self.lengths).graph
        return Laid(laid.code, (place, *tail), (*graph, place, *tail))

    def relative(self, table: TensorRef, data: KnownData, heads: FactorAxis) -> WrittenValue:
        """A bias for each range of distances from a query to a key, as T5 has it."""
        rows, places = table.shapes[0][0], self.lengths.axes(data.shape)
        count = self.lengths.whole(rows)
        found = None if count is None else self.model.distances(data.node, count, self.longest())
        if found is None or not self.is_place(data.shape[0]):
            return self.refused("a table that is looked up by numbers of the model's own")
        self.use(table.tensor, tuple(map(self.formulas.written, table.shapes[0])), False)
        arguments = [
            syntax.Argument(syntax.Name(f"@{table.tensor}")),
            syntax.Argument(self.formulas.place(data.shape[0])),
        ]
        if found.longest != LONGEST:
            arguments.append(syntax.Argument(syntax.Number(Fraction(found.longest))))
        if found.causal:
            arguments.append(syntax.Argument(syntax.Name("true"), "causal"))
        code = syntax.Call(syntax.Name("relative_bias"), tuple(arguments))
        return Laid(code, (heads, *places), (*places, heads))

    def longest(self) -> list[int]:
        """From which distance on all are one, where the module at hand says so."""
        assert self.step is not None
        return [n for path in self.step.step.modules for n in self.model.whole_numbers(path, FAR)]

    def is_place(self, length: Polynomial) -> bool:
        """Whether an input of indices is as long."""
        count = self.lengths.whole(length)
        leaves = [leaf for leaf in self.model.leaves.values() if self.model.is_whole(leaf)]
        return any(count in self.model.leaf_shape(leaf)[1:] for leaf in leaves)


def input_name(node: str, others: Iterable[TextInput]) -> str:
    """What an input is called: as the model's own forward calls it."""
    return free([node.strip("_"), "x"], {x.name for x in others}, local=True)
