"""From what was read of a model to expressions of the language.

Calls become the language's own operations where these compute the same; what only moves coordinates
about needs no text as long as the language has them together where it needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam.algebra.polynomials import ONE, Polynomial
from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Span
from abcparam.imports.alike import KnownData, ReadingError, TracedStep
from abcparam.imports.aten.computed import is_made_of_a_parameter
from abcparam.imports.operations import CONTRACT, SOFTMAX_ALONG
from abcparam.imports.reading import Read
from abcparam.imports.seen import Seen
from abcparam.imports.text.formulas import Formulas
from abcparam.imports.text.layout import AxisFactor, FactorAxis, Laid, Lengths, combined
from abcparam.imports.text.names import title_of
from abcparam.imports.text.sources import TextSources
from abcparam.imports.text.structure import changed
from abcparam.imports.text.values import (
    AttentionLogits,
    Route,
    RouterWeights,
    UnfinishedValue,
    Unspelled,
    WeighedRows,
    WrittenBody,
    WrittenLine,
    WrittenLoop,
    WrittenPart,
    WrittenValue,
)
from abcparam.language import syntax
from abcparam.operations import operations
from abcparam.operations.pointwise import Pointwise
from abcparam.program.amounts import Amount, Setting
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Local,
    Repeat,
    Return,
    TensorRef,
)
from abcparam.program.model import Module

if TYPE_CHECKING:
    from abcparam.imports.text.data import ModelValues

StepHandler = Callable[["TextWriter", Seen, int], WrittenValue]
Idiom = Callable[["TextWriter", Seen, int], Laid | UnfinishedValue | None]

NEAR = Fraction(1, 10**12)
EPSILON = Fraction(1, 100000)  # of norms, where none is said
UNKNOWN = "it computes what none of its operations does"
COMPUTED = (
    "it applies what was computed from a parameter, as `weight_norm` makes it, where a map of the "
    "language is a tensor; `torch.nn.utils.parametrize.remove_parametrizations` leaves one"
)


class TextWriter(TextSources):
    """Writes the body of a program that was read with a name for every value."""

    def __init__(
        self,
        read: Read,
        lengths: Lengths,
        formulas: Formulas,
        values: ModelValues,
        handlers: Mapping[str, StepHandler],
        idioms: Sequence[Idiom],
    ) -> None:
        super().__init__(read, lengths, formulas, values)
        self.handlers = handlers
        self.idioms = idioms
        self.meaning: Expression  # of the call at hand, by its law
        self.values: dict[str, WrittenValue] = {}
        self.flipped = flipped_tensors(read)
        self.parts: list[WrittenPart] = []
        self.splits: dict[tuple[object, ...], tuple[str, ...]] = {}
        self.made_parts: dict[str, FactorAxis] = {}  # of parts that are no factors of an axis
        self.starts: dict[str, str] = {}  # what goes into a repeat, by the name that it carries
        self.routes: dict[AxisFactor, Route] = {}  # where rows go that experts are given

    def body(self) -> WrittenBody:
        """The whole text. Raises `ReadingError` at what has no spelling."""
        (result,) = self.statements(self.read.root)
        if isinstance(result, UnfinishedValue):
            result = self.unfinished(result)
        if isinstance(result, Unspelled):
            raise ReadingError(result.reason)
        name = self.bound("result", result)
        assert isinstance(name.code, syntax.Name)
        inputs = tuple(self.inputs[leaf] for leaf in sorted(self.inputs))
        return renamed(
            WrittenBody(tuple(self.parts), name.code.id, inputs, self.used, name),
            self.formulas.renamed,
        )

    def last_span(self) -> Span:
        assert self.step is not None
        return self.step.step.span

    # Statements

    def statements(self, module: Module) -> tuple[WrittenValue, ...]:
        for statement in module.body:
            match statement:
                case Assign(targets=(target,), value=value):
                    if isinstance(value, Local) and target.endswith("'"):
                        self.starts[target] = value.name
                    self.assign(target, value)
                case Repeat(instance=instance):
                    self.loop(module.child(instance))
                case Return(values=values):
                    return tuple(self.expression(value) for value in values)
        return ()

    def assign(self, target: str, value: Expression) -> None:
        step, result = self.step_of(target)
        if step is None:
            self.values[target] = self.expression(value)
            return
        self.step = see = Seen(step, self.names)
        self.data = [x for x in step.operands() if isinstance(x, KnownData)]
        made = self.value_of_step(see, result, value)
        if isinstance(made, Unspelled):
            found = (idiom(self, see, result) for idiom in self.idioms)
            made = next((x for x in found if x is not None), made)
        if isinstance(made, Laid):
            made = self.bound(target, made)
        self.values[target] = made

    def step_of(self, target: str) -> tuple[TracedStep | None, int]:
        name, _, result = target.partition("_")
        return self.names.steps.get(name), int(result) if result.isdigit() else 0

    def value_of_step(self, see: Seen, result: int, value: Expression) -> WrittenValue:
        self.meaning = value
        handler = self.handlers.get(see.call)
        return self.by_law() if handler is None else handler(self, see, result)

    def by_law(self) -> WrittenValue:
        """The call at hand as its law has it."""
        return self.expression(self.meaning)

    def bound(self, target: str, value: Laid) -> Laid:
        """A value by the name that it is given in a line of the text."""
        if isinstance(value.code, syntax.Name):
            return value
        step = self.step.step if self.step else None
        title = title_of(step) if step else ""
        modules = step.modules if step else ()
        self.parts.append(WrittenLine((target,), value.code, modules, (title,)))
        return replace(value, code=syntax.Name(target))

    def loop(self, child: Module) -> None:
        """A repeat: what it carries keeps its layout."""
        starts: dict[str, Laid] = {}
        before, outer = dict(self.values), self.parts
        for name in child.carried:
            start = self.values[name]
            if not isinstance(start, Laid):
                self.values[name] = self.no_carry(start)
                continue
            carry = f"{name}#"
            outer.append(WrittenLine((carry,), start.code, (), ("x",)))
            starts[name] = replace(start, code=syntax.Name(carry))
        self.values |= starts
        self.values |= {self.starts[name]: self.values[name] for name in child.carried}
        self.parts, splits = [], self.splits
        self.splits = {}
        ends = self.statements(child)
        for name, end in zip(child.carried, ends, strict=True):
            if name in starts:
                self.end(f"{name}#", starts, name, end)
        body, self.parts, self.splits = tuple(self.parts), outer, splits
        assert child.count is not None
        count = self.formulas.named("depth", child.count.value)
        if isinstance(count, syntax.Number):
            count = syntax.Name(self.formulas.dim("depth", child.count.value))
        carried = tuple(f"{name}#" for name in starts)
        outer.append(WrittenLoop(child.block, count, carried, body))
        self.values = {**before, **{n: self.values[n] for n in child.carried}}

    def end(self, carry: str, starts: dict[str, Laid], name: str, end: WrittenValue) -> None:
        start = starts[name]
        same = isinstance(end, Laid) and combined(start, end, self.lengths) is not None
        if isinstance(end, Laid) and same and len(start.text) == len(end.text):
            title = self.parts[-1].titles if isinstance(self.parts[-1], WrittenLine) else ("x",)
            self.parts.append(WrittenLine((carry,), end.code, (), title[:1]))
            self.values[name] = start
        else:
            self.values[name] = self.no_carry(end)

    def no_carry(self, value: WrittenValue) -> Unspelled:
        if isinstance(value, Unspelled):
            return value
        return self.unspelled(
            self.last_span(), "repeat", "a value that changes from layer to layer"
        )

    # Expressions

    def expression(self, value: Expression) -> WrittenValue:
        match value:
            case Local(name=name):
                return self.values[name] if name in self.values else self.datum(name)
            case TensorRef():
                return self.tensor(value)
            case Apply():
                return self.applied(value)
        raise TypeError(value)

    def applied(self, value: Apply) -> WrittenValue:
        name = value.operation.name
        operation = value.operation
        if name == "@":
            return self.map(value)
        if name == "embed":
            return self.lookup(value)
        given = [None if x is None else self.expression(x) for x in value.operands]
        wrong = next((x for x in given if isinstance(x, Unspelled)), None)
        if wrong is not None:
            return wrong
        logits = next((x for x in given if isinstance(x, AttentionLogits)), None)
        if logits is not None:
            return self.of_logits(value, logits, next((x for x in given if x is not logits), None))
        laid = [x if isinstance(x, Laid) else None for x in given]
        x = laid[0]
        unfinished = next((y for y in given if isinstance(y, UnfinishedValue)), None)
        if unfinished is not None:
            return self.unfinished(unfinished)
        assert x is not None
        if isinstance(operation, Pointwise):
            return self.pointwise(value, operation, x)
        match name, laid:
            case ("+" | "-" | "*", [_, Laid() as y]):
                return self.two(name, x, y)
            case "scale", _:
                return replace(x, code=self.scaled(x.code, _amount(value, "by")))
            case "offset", _:
                return replace(x, code=self.offset(x.code, _amount(value, "by")))
            case ("rmsnorm" | "layernorm", [_, gain, bias]):
                return self.norm(value, x, gain, bias)
            case ("batchnorm" | "groupnorm", [_, gain, bias]):
                return self.channel_norm(value, x, gain, bias)
            case "mean", _:
                return self.mean(value, x)
            case (("softmax" | "log_softmax" | "logsumexp"), _):
                return self.softmax(name, x)
            case (SOFTMAX_ALONG.name, _):
                return self.softmax("softmax", x)
        is_weight = self.step is not None and is_made_of_a_parameter(self.step, self.step.get(1))
        return self.refused(COMPUTED if name == CONTRACT.name and is_weight else UNKNOWN)

    def map(self, value: Apply) -> WrittenValue:
        """`W @ x`, over the last axis of x."""
        weight, given = value.operands
        assert isinstance(weight, TensorRef) and given is not None
        x = self.expression(given)
        if isinstance(x, Unspelled):
            return x
        x = in_order(x) if isinstance(x, Laid) else x
        if not isinstance(x, Laid) or not x.text or x.text[-1] != x.graph[-1]:
            return self.refused("a map of what is not the last axis")
        shape, flip = weight.shapes[0], weight.tensor in self.flipped
        axes = tuple(map(self.formulas.written, shape[::-1] if flip else shape))
        self.use(weight.tensor, axes, flip)
        first = self.contracts_first(value)
        made = self.lengths.axis(shape[1] if first else shape[0])
        name: syntax.Expression = syntax.Name(f"@{weight.tensor}")
        is_table = self.is_looked_up(weight.tensor)
        if (first and not flip) != is_table:
            name = syntax.Attribute(name, "T")
        code = syntax.Binary("@", name, x.code)
        return Laid(code, (*x.text[:-1], made), (*x.graph[:-1], made))

    def contracts_first(self, value: Apply) -> bool:
        """Whether a map sums over the first axis of its tensor, as that is stored."""
        weight = value.operands[0]
        assert isinstance(weight, TensorRef)
        return (value.settings["transposed"] is True) != (self.paths[weight.tensor] in self.tables)

    @property
    def tables(self) -> set[str]:
        return self.names.tables

    def is_looked_up(self, path: str) -> bool:
        return self.paths[path] in self.names.tables and path not in self.flipped

    def unfinished(self, value: UnfinishedValue) -> Unspelled:
        """What is a part of an operation of the language, and is used otherwise."""
        experts = isinstance(value, RouterWeights | WeighedRows)
        what = "a mixture of experts" if experts else "attention"
        return self.refused(f"{what} that is put together in another way")

    # Operations

    def two(self, operator: str, x: Laid, y: Laid) -> WrittenValue:
        if operator == "*":
            for normed, gain in ((x, y), (y, x)):
                found = self.with_gain(normed, gain)
                if found is not None:
                    return found
        layout = combined(x, y, self.lengths)
        if layout is None:
            x, y = in_order(x), in_order(y)
            layout = combined(x, y, self.lengths)
        if layout is None:
            x, y = over_more(x, y), over_more(y, x)
            layout = combined(x, y, self.lengths)
        if layout is None:
            return self.refused("values whose axes the language has in another order")
        if operator == "+" and isinstance(y.code, syntax.Negative):
            return replace(layout, code=syntax.Binary("-", x.code, y.code.operand))
        return replace(layout, code=syntax.Binary(operator, x.code, y.code))

    def pointwise(self, value: Apply, operation: Pointwise, x: Laid) -> WrittenValue:
        if operations().get(operation.name) is not operation:
            return self.refused("a function of one value that is none of its own")
        return replace(x, code=self.function(operation, value.settings, x.code))

    def function(
        self, operation: Pointwise, settings: Mapping[str, Setting], x: syntax.Expression
    ) -> syntax.Call:
        """A function of one value, with the settings that are not as usual."""
        named = {
            name: self.formulas.written(setting.value)
            for name, setting in settings.items()
            if isinstance(setting, Amount) and setting != operation.settings[name]
        }
        return call_of(operation.name, x, **named)

    def scaled(self, code: syntax.Expression, by: Polynomial) -> syntax.Expression:
        if by.constant == 1:
            return code
        if by.constant == -1:
            return syntax.Negative(code)
        under = nearest((ONE / by).constant) if len(by.terms) == 1 else None
        if under is not None and under.denominator == 1 and under > 1:
            return syntax.Binary("/", code, syntax.Number(under))
        return syntax.Binary("*", self.formulas.written(by), code)

    def offset(self, code: syntax.Expression, by: Polynomial) -> syntax.Expression:
        return syntax.Binary("+", self.formulas.written(by), code)

    def norm(self, value: Apply, x: Laid, gain: Laid | None, bias: Laid | None) -> WrittenValue:
        """A norm over the last axis, or over its part in each head."""
        x = in_order(x)
        wanted = x.graph[-1]
        if not x.text or x.text[-1][len(x.text[-1]) - len(wanted) :] != wanted:
            return self.refused("a norm over what is not the last axis")
        heads = x.text[-1][: len(x.text[-1]) - len(wanted)]
        arguments = [_argument(x.code)]
        arguments += self.norm_arguments(value, gain, bias)
        if heads:
            arguments.append(_argument(self.heads(self.lengths.length(heads)), "heads"))
        call = syntax.Call(syntax.Name(value.operation.name), tuple(arguments))
        return replace(x, code=call)

    def norm_arguments(
        self, value: Apply, gain: Laid | None, bias: Laid | None
    ) -> Iterator[syntax.Argument]:
        """The gain, bias and epsilon that a norm has."""
        for name, operand in (("gain", gain), ("bias", bias)):
            if operand is not None:
                yield _argument(operand.code, name)
        epsilon = _amount(value, "eps")
        if epsilon.constant != EPSILON:
            yield _argument(self.formulas.written(epsilon), "eps")

    def channel_norm(
        self, value: Apply, x: Laid, gain: Laid | None, bias: Laid | None
    ) -> WrittenValue:
        """A norm whose channels are the first axis."""
        if x.text != x.graph[1:]:
            return self.refused("a norm over channels that are not the first axis")
        arguments = [_argument(x.code)]
        if value.operation.name == "groupnorm":
            arguments.append(_argument(self.formulas.written(_amount(value, "groups")), "groups"))
        arguments += self.norm_arguments(value, gain, bias)
        call = syntax.Call(syntax.Name(value.operation.name), tuple(arguments))
        return replace(x, code=call)

    def with_gain(self, normed: Laid, gain: Laid) -> Laid | None:
        """A norm with the gain that it is multiplied by."""
        call = self.definition(normed.code)
        if not isinstance(call, syntax.Call) or call.function.id not in {"rmsnorm", "layernorm"}:
            return None
        if gain.batched or len(gain.text) != 1 or any(a.name == "gain" for a in call.arguments):
            return None
        if len(normed.graph[-1]) != 1 or not self.lengths.alike(gain.text[0], normed.graph[-1]):
            return None
        if any(gain.graph[:-1]):
            return None
        first, *rest = call.arguments
        arguments = (first, _argument(gain.code, "gain"), *rest)
        return replace(normed, code=replace(call, arguments=arguments))

    def definition(self, code: syntax.Expression) -> syntax.Expression:
        """What a name stands for, in the lines at hand."""
        for part in reversed(self.parts):
            if isinstance(part, WrittenLine) and code == syntax.Name(part.targets[0]):
                return part.value if len(part.targets) == 1 else code
        return code

    def mean(self, value: Apply, x: Laid) -> WrittenValue:
        axes = value.settings["axis"]
        assert isinstance(axes, tuple) and self.step is not None
        taken = [x.graph[int(axis.value.constant or 0)] for axis in axes]
        taken = [axis for axis in taken if axis]
        if any(axis not in x.text for axis in taken):
            return self.refused("a mean over a part of an axis")
        places = [x.text.index(axis) - len(x.text) for axis in taken]
        text = tuple(axis for axis in x.text if axis not in taken)
        numbers = [syntax.Number(Fraction(place)) for place in places]
        signed = [syntax.Negative(syntax.Number(abs(n.value))) for n in numbers]
        along: syntax.Expression = signed[0] if len(signed) == 1 else syntax.Tuple(tuple(signed))
        kept = len(self.step.result) == len(x.graph)
        reduced = {int(axis.value.constant or 0) for axis in axes}
        graph = tuple(
            () if i in reduced else axis
            for i, axis in enumerate(x.graph)
            if kept or i not in reduced
        )
        return Laid(call_of("mean", x.code, axis=along), text, graph)

    def softmax(self, name: str, x: Laid) -> WrittenValue:
        """A softmax, its logarithm, or that of its sum, which leaves the axis out."""
        assert self.step is not None
        axes = self.step.wholes(1, "dim")
        x = _with_last(x, x.graph[axes[0]]) if len(axes) == 1 and x.graph else x
        if len(axes) != 1 or not x.text or x.graph[axes[0]] != x.text[-1]:
            return self.refused("a softmax over what is not the last axis")
        code = call_of(name, x.code)
        if name != "logsumexp":
            return replace(x, code=code)
        axis, kept = axes[0] % len(x.graph), len(self.step.result) == len(x.graph)
        graph = (*x.graph[:axis], *(((),) if kept else ()), *x.graph[axis + 1 :])
        return Laid(code, x.text[:-1], graph)

    def of_logits(
        self, value: Apply, logits: AttentionLogits, other: WrittenValue | None
    ) -> WrittenValue:
        """What is made of logits: they are scaled, or turned into chances."""
        name = value.operation.name
        if name == "scale" and not logits.are_chances:
            return logits.times(_amount(value, "by"))
        if name == "softmax" and not logits.are_chances:
            return replace(logits, are_chances=True)
        if name == "*" and isinstance(other, Laid):
            query = self.heated(logits, other)
            return query if isinstance(query, Unspelled) else replace(logits, query=query)
        return self.refused("attention that is put together in another way")

    def heated(self, logits: AttentionLogits, by: Laid) -> Laid | Unspelled:
        """Queries whose logits are multiplied by one number, or by one for each head."""
        query, wanted = logits.query, "logits multiplied by more than a number for each head"
        axes = [axis for axis in by.graph if axis]
        if logits.capped() is None or by.batched or len(axes) > 1:
            return self.refused(wanted)
        code = by.code
        if axes:
            head = query.graph[-1]
            heads = query.text[-1][: len(query.text[-1]) - len(head)]
            place = len(by.graph) - by.graph.index(axes[0])
            if place != 3 or not self.lengths.alike(axes[0], heads):
                return self.refused(wanted)
            if len(by.text) > 1:
                code = call_of("flatten", code)
            length = self.formulas.written(self.lengths.length(head))
            code = call_of("repeat_interleave", code, length)
        elif by.text:
            code = call_of("mean", code, axis=_last_axes(len(by.text)))
        return replace(query, code=syntax.Binary("*", code, query.code))

    def heads(self, count: Polynomial, name: str = "heads") -> syntax.Expression:
        found = self.formulas.named(name, count)
        if isinstance(found, syntax.Name) and name == "kv_heads":
            self.formulas.rename(found.id, name)
        return found


def in_order(x: Laid) -> Laid:
    """A value whose axes the language has in another order, in that of the graph there too."""
    return _ordered(x, tuple(axis for axis in x.graph if axis in x.text))


def _with_last(x: Laid, axis: FactorAxis) -> Laid:
    """A value of which an axis is the last of the language's too."""
    return _ordered(x, (*(other for other in x.text if other != axis), axis))


def _ordered(x: Laid, text: tuple[FactorAxis, ...]) -> Laid:
    """A value with the language's axes in an order, if they are all there, each once."""
    if text == x.text or len(set(text)) < len(text) or set(text) != set(x.text):
        return x
    order = [x.text.index(axis) for axis in text]
    rank = len(text)
    if order == [*range(rank - 2), rank - 1, rank - 2]:
        return replace(x, code=call_of("transpose", x.code), text=text)
    along = syntax.Tuple(tuple(syntax.Number(Fraction(axis)) for axis in order))
    return replace(x, code=call_of("permute", x.code, axis=along), text=text)


def nearest(value: Fraction | None) -> Fraction | None:
    """A whole number in place of one that rounding has left beside it."""
    if value is None or abs(value - round(value)) > NEAR * abs(value):
        return value
    return Fraction(round(value))


def _last_axes(count: int) -> syntax.Expression:
    axes = [syntax.Negative(syntax.Number(Fraction(count - i))) for i in range(count)]
    return axes[0] if count == 1 else syntax.Tuple(tuple(axes))


def over_more(x: Laid, other: Laid) -> Laid:
    """A value that lacks axes of another one, as those of a channel over space, with axes of 1."""
    kept = [i for i, axis in enumerate(x.graph) if axis and axis in x.text]
    if len(x.graph) != len(other.graph) or not kept or len(kept) != len(x.text):
        return x
    if x.text != tuple(x.graph[i] for i in kept):
        return x
    lacking = [i for i in range(kept[0], len(x.graph)) if not x.graph[i] and other.graph[i]]
    if not lacking:
        return x
    places = [syntax.Negative(syntax.Number(Fraction(len(x.graph) - i))) for i in lacking]
    along: syntax.Expression = places[0] if len(places) == 1 else syntax.Tuple(tuple(places))
    text = tuple(x.graph[i] for i in range(kept[0], len(x.graph)) if i in {*kept, *lacking})
    return replace(x, code=call_of("unsqueeze", x.code, axis=along), text=text)


def renamed(body: WrittenBody, names: Mapping[str, str]) -> WrittenBody:
    """The body with other names of dims."""

    def value(found: syntax.Expression) -> syntax.Expression:
        return changed(found, lambda x: syntax.Name(names.get(x.id, x.id)))

    def line(found: WrittenLine) -> WrittenLine:
        block = found.block
        if block is not None:
            block = replace(block, lines=tuple(map(part, block.lines)))
        return replace(found, value=value(found.value), block=block)

    def part(found: WrittenPart) -> WrittenPart:
        if isinstance(found, WrittenLine):
            return line(found)
        return replace(found, count=value(found.count), body=tuple(map(part, found.body)))

    tensors = {
        path: replace(used, axes=tuple(map(value, used.axes)))
        for path, used in body.tensors.items()
    }
    return replace(body, parts=tuple(map(part, body.parts)), tensors=tensors)


def flipped_tensors(read: Read) -> set[str]:
    """Tensors that are stored (in, out) and never looked up: the text has them (out, in)."""
    found: set[str] = set()
    others: set[str] = set()
    by_path = {path: name for name, (path, _) in reversed(list(read.paths.items()))}
    for module in read.root.walk():
        for value in module.expressions():
            if not isinstance(value, Apply):
                continue
            for operand in value.operands:
                if isinstance(operand, TensorRef):
                    table = by_path[operand.tensor] in read.names.tables
                    is_map = value.operation.name == "@"
                    first = is_map and (value.settings["transposed"] is True) != table
                    (found if first else others).add(operand.tensor)
    return found - others


def _amount(value: Apply, name: str) -> Polynomial:
    found = value.settings[name]
    assert isinstance(found, Amount)
    return found.value


def _argument(value: syntax.Expression, name: str | None = None) -> syntax.Argument:
    return syntax.Argument(value, name)


def call_of(name: str, *values: syntax.Expression, **named: syntax.Expression) -> syntax.Call:
    arguments = [*(_argument(x) for x in values), *(_argument(x, n) for n, x in named.items())]
    return syntax.Call(syntax.Name(name), tuple(arguments))
