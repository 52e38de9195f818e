"""From what was read of a model to a program: a law for every call that an output depends on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from abcparam.algebra.polynomials import number
from abcparam.algebra.record import NamedTuple, replace
from abcparam.diagnostics.rules import imports as rules
from abcparam.diagnostics.source import START, Span
from abcparam.imports.alike import Model, Part, ReadingError, Repeated, TracedStep
from abcparam.imports.aten import laws
from abcparam.imports.functions import is_curved, operation_for
from abcparam.imports.numbers import Sizes
from abcparam.imports.objectives import objectives
from abcparam.imports.outline import LayerList
from abcparam.imports.seen import Seen, SharedNames, amount, local
from abcparam.imports.titles import titled, titles_of
from abcparam.imports.traced import Ref
from abcparam.program.amounts import Amount, Shape
from abcparam.program.expressions import (
    Assign,
    Expression,
    Local,
    Repeat,
    Return,
    Statement,
    TensorRef,
    parts_of,
    with_operands,
    with_values,
)
from abcparam.program.model import Input, Loss, Module


class Read(NamedTuple):
    """A program without exponents: its modules, inputs and losses, and its tensors' names."""

    root: Module
    inputs: tuple[Input, ...]
    outputs: tuple[str, ...]
    losses: tuple[Loss, ...]
    counted: tuple[str, ...]  # what the model calls the outputs that losses are made of
    are_losses: bool  # these outputs are losses themselves
    paths: Mapping[str, tuple[str, tuple[Amount, ...]]]  # parameter -> path, counts of its layers
    names: SharedNames
    titles: Mapping[str, str]  # what a value is called in the program, by its name in the steps


def read(
    model: Model,
    first: Sizes,
    grow: frozenset[str],
    output: str | None = None,
    inline: bool = True,
    entitled: bool = True,
) -> Read:
    """The program of a model; `output` is the name of the output that counts, if not the first.

    Values that are used once stand where they are used; without `inline` every one has its name.
    Names are those of the user's code where values are `entitled`, else those of the steps.

    Raises `ReadingError` at a call that has no law.
    """
    steps = {step.name: step for step in _steps(model.parts)}
    aliases = dict(_aliases(model.parts))
    shapes = {name: weights.shape for name, weights in model.weights.items()}
    names = SharedNames({**steps, **_alias_steps(steps, aliases)}, shapes, first, grow)
    paths = _paths(model, names)
    names.paths = {name: path for name, (path, _) in paths.items()}
    if not model.outputs:
        raise ReadingError(rules.NothingTrained.at(first_span(model.parts)))
    chosen = objectives(model.outputs, names, output)
    wanted = {made.value for made in chosen.values}
    _Level(names, inline).body(model.parts, wanted)  # which tensors are tables
    level = _Level(names, inline)
    statements, used = level.body(model.parts, wanted)
    assert not used
    results = tuple(Local(local(x.value), (names.shape(x.value),)) for x in chosen.values)
    inputs = tuple(
        Input(name, tuple(map(amount, shape)), number_of(integer))
        for (shape, integer), name in names.data.items()
    )
    body = level.tidied((*statements, Return(results)), level.children)
    given = tuple((i.name, tuple(a.value for a in i.axes)) for i in inputs)
    tensors = tuple(sorted({path for path, _ in paths.values()}))
    root = Module("", "", "", given, {}, tensors, tuple(level.children), body)
    titles = titles_of(root, steps, names.weights) if entitled else {}
    root = titled(root, titles)
    labels = tuple(x.label for x in chosen.values)
    counted = chosen.outputs, chosen.are_losses
    return Read(root, inputs, labels, chosen.losses, *counted, paths, names, titles)


def number_of(integer: bool) -> Amount | None:
    """The classes of an input of indices, which no law asks for."""
    return amount(number(2)) if integer else None


def _steps(parts: Sequence[Part]) -> Iterator[TracedStep]:
    for part in parts:
        if isinstance(part, TracedStep):
            yield part
        else:
            yield from _steps(part.body)


class _Alias(NamedTuple):
    """What a loop gives: in its own body, and the name of its node in the graph."""

    end: Ref
    node: str


def _aliases(parts: Sequence[Part]) -> Iterator[tuple[str, _Alias]]:
    """What loops give, by the names that are used behind them."""
    for part in parts:
        if isinstance(part, Repeated):
            found = zip(part.results, part.carried, part.nodes, strict=True)
            yield from ((result.name, _Alias(end, node)) for result, (_, end), node in found)
            yield from _aliases(part.body)


def _alias_steps(
    steps: Mapping[str, TracedStep], aliases: Mapping[str, _Alias]
) -> dict[str, TracedStep]:
    """Stand-ins for what loops give: of the same shape, made by nothing that is looked into."""
    found = {}
    for name, (source, node) in aliases.items():
        while source.name in aliases:
            source = aliases[source.name].end
        step = steps[source.name]
        found[name] = TracedStep(name, "loop", (), {}, step.shapes, (), step.span, node=node)
    return found


Paths = dict[str, tuple[str, tuple[Amount, ...]]]


class _Layers(NamedTuple):
    """The layers of a loop: the names of their parameters begin with one of `starts`."""

    starts: tuple[str, ...]
    star: str
    copies: Amount


def _paths(model: Model, names: SharedNames) -> Paths:
    """The path of each parameter in layers that repeat, `h.*.attn.weight`, and their counts."""
    layers = list(_layers(model.parts, names))
    found: Paths = {}
    for name in model.weights:
        path, counts = name, list[Amount]()
        for layer in layers:
            start = next((s for s in layer.starts if f"{path}.".startswith(s)), None)
            if start is not None:
                rest = f"{path}.".removeprefix(start)
                path, counts = f"{layer.star}{rest}".rstrip("."), [*counts, layer.copies]
        found[name] = path, tuple(counts)
    return found


def _layers(
    parts: Sequence[Part], names: SharedNames, stars: tuple[tuple[str, str], ...] = ()
) -> Iterator[_Layers]:
    """The lists of loops, outer ones first; inner ones in terms of the paths that these make."""
    for part in parts:
        if isinstance(part, Repeated):
            count = int(part.count.evaluate(names.first))
            inner = stars
            for of in part.lists:
                path = f"{of.path}.".removeprefix(".")
                for first, star in stars:
                    path = path.replace(first, star, 1) if path.startswith(first) else path
                star = f"{path}{_which(of, parts, count)}."
                starts = tuple(f"{path}{of.first + n * of.step}." for n in range(count))
                yield _Layers(starts, star, amount(part.count))
                inner = (*inner, (of.own(0), star))
            yield from _layers(part.body, names, inner)


def _which(of: LayerList, parts: Sequence[Part], count: int) -> str:
    """`*` where a list of layers is one loop, else from which to which: `1-3`, `0-6/2`."""
    loops = (part for part in parts if isinstance(part, Repeated))
    every = {(x.path, x.first, x.step) for part in loops for x in part.lists}  # called again: one
    if [path for path, *_ in every].count(of.path) == 1 and (of.first, of.step) == (0, 1):
        return "*"
    step = f"/{of.step}" if of.step > 1 else ""
    return f"{of.first}-{of.first + (count - 1) * of.step}{step}"


def first_span(parts: Sequence[Part]) -> Span:
    return next((step.span for step in _steps(parts)), START)


class _Level:
    """The statements of a body, from its last to its first: only what is used is read."""

    def __init__(self, names: SharedNames, inline: bool) -> None:
        self.names = names
        self.inline = inline
        self.unplaced: set[str] = set()  # values of modules that no line of the user's calls
        self.children: list[Module] = []
        self.laws = laws()

    def body(
        self, parts: Sequence[Part], wanted: set[Ref]
    ) -> tuple[tuple[Statement, ...], set[str]]:
        """The statements that compute the wanted values, and the locals that they take."""
        needed = {local(ref) for ref in wanted}
        statements: list[Statement] = []
        for part in reversed(parts):
            if isinstance(part, TracedStep):
                targets = [local(Ref(part.name, i)) for i in range(max(1, len(part.shapes)))]
                if not needed.intersection(targets):
                    continue
                needed.difference_update(targets)
                for statement in reversed(self.step(part, targets)):
                    statements.append(statement)
                    needed |= set(_locals(statement.value))
            elif needed.intersection(local(result) for result in part.results):
                made, taken = self.loop(part)
                needed.difference_update(local(result) for result in part.results)
                statements += reversed(made)
                needed |= taken
        data = set(self.names.data.values())
        return tuple(reversed(statements)), needed - data

    def tidied(
        self, statements: Sequence[Statement], children: Sequence[Module]
    ) -> tuple[Statement, ...]:
        """The statements of a body as they stand in its module."""
        if not self.inline:
            return tuple(statements)
        taken = {name for child in children for name, _ in child.inputs}
        return _inlined(statements, taken | self.unplaced)

    def step(self, step: TracedStep, targets: Sequence[str]) -> list[Assign]:
        if not step.called:
            self.unplaced.update(targets)
        found = self.expression(Seen(step, self.names))
        if not isinstance(found, tuple):
            return [Assign((targets[0],), found)]
        pairs = zip(targets, found, strict=False)
        return [Assign((target,), value) for target, value in pairs]

    def expression(self, see: Seen) -> Expression | tuple[Expression, ...]:
        chain = is_curved(see)
        if chain is not None:
            operation, settings = operation_for(see, chain)
            return see.apply(operation, (see.value(chain.base),), settings)
        law = self.laws.get(see.step.target) or self.laws.get(see.step.functional)
        if law is None:
            see.refuse(rules.NoLaw, operation=see.step.target, what="it")
        return law(see)

    def loop(self, part: Repeated) -> tuple[list[Statement], set[str]]:
        """A repeat, with what comes in put into the names that it carries."""
        inner = _Level(self.names, self.inline)
        ends = [end for _, end in part.carried]
        with self.names.hiding(start.name for start, _ in part.carried):
            statements, taken = inner.body(part.body, set(ends))
        carried = tuple(local(result) for result in part.results)
        starts = {
            local(start): name for (start, _), name in zip(part.carried, carried, strict=True)
        }
        shapes = self._shapes(part)
        renamed = [with_values(s, lambda value: _renamed(value, starts)) for s in statements]
        values = tuple(
            Local(starts.get(local(end), local(end)), (shape,))
            for end, shape in zip(ends, shapes, strict=True)
        )
        body = self.tidied((*renamed, Return(values)), inner.children)
        closed = sorted(name for name in taken if name not in starts)
        data = sorted(set(self.names.data.values()))
        inputs = [*zip(carried, shapes, strict=True), *((n, ()) for n in (*closed, *data))]
        first = part.lists[0].first
        name = part.path.replace(".", "_") + (f"_{first}" if first else "")
        called = [child.name for child in self.children if child.name.rstrip("'") == name]
        name += "'" * len(called)  # layers that are called again
        path = f"{part.path}.*"
        module = Module(
            path,
            name,
            part.path,
            tuple(inputs),
            {},
            (),
            tuple(inner.children),
            body,
            amount(part.count),
            "layer",
            carried,
            span=first_span(part.body),
        )
        self.children.append(module)
        made: list[Statement] = [
            Assign((name,), Local(local(start), (shape,)))
            for (start, _), name, shape in zip(part.carried, carried, shapes, strict=True)
        ]
        made.append(Repeat(name, carried))
        return made, {local(start) for start, _ in part.carried} | set(closed)

    def _shapes(self, part: Repeated) -> list[Shape]:
        found = []
        for _, end in part.carried:
            found.append(self.names.steps[end.name].shapes[end.result])
        return found


def _locals(value: Expression) -> Iterator[str]:
    return (part.name for part in parts_of(value) if isinstance(part, Local))


def _renamed(value: Expression, names: Mapping[str, str]) -> Expression:
    """A value with some of its locals called otherwise."""
    if isinstance(value, Local):
        return replace(value, name=names.get(value.name, value.name))
    return with_operands(value, lambda operand: _renamed(operand, names))


def _inlined(statements: Sequence[Statement], kept: set[str]) -> tuple[Statement, ...]:
    """Values that are used once stand where they are used, as a person would write them.

    `kept` are names that loops take, and those of modules that no line of the user's calls.
    """
    counts: Counter[str] = Counter()
    for statement in statements:
        match statement:
            case Assign(value=value):
                counts.update(_locals(value))
            case Return(values=values):
                counts.update(n for value in values for n in _locals(value))
    found: list[Statement] = []
    pending: dict[str, Expression] = {}
    for statement in statements:
        match statement:
            case Assign(targets=(target,), value=value):
                value = _filled(value, pending)
                once = counts[target] == 1 and target not in kept
                if once and not isinstance(value, TensorRef):
                    pending[target] = value
                else:
                    found.append(Assign((target,), value))
            case Return(values=values):
                found.append(Return(tuple(_filled(value, pending) for value in values)))
            case _:
                found.append(statement)
    return tuple(found)


def _filled(value: Expression, pending: dict[str, Expression]) -> Expression:
    if isinstance(value, Local) and value.name in pending:
        return pending.pop(value.name)
    return with_operands(value, lambda operand: _filled(operand, pending))
