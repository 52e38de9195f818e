"""Layers that repeat: runs of equal copies in a trace become one.

Copies are equal where their lines are, once tensors and local values are renamed, and where each
takes from the one before it what the first takes from outside. A copy is a layer, or several with
what is called between them: `x = elu(layer(x))`. Runs are looked for from the outermost modules
inwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, groupby

from abcparam.algebra.record import NamedTuple, Record, field, replace
from abcparam.imports.traced import Datum, Line, Ref, Trace, TracedArgument, Weight

NEXT = 4  # layers behind one that are tried as the beginning of the next copy
TURNS = 16  # lines before a layer that may belong to its copy


class LayerList(Record):
    """A list of modules or parameters, of which each copy has another: `first`, `first + step`."""

    path: str
    first: int
    step: int = 1

    def own(self, copy: int) -> str:
        """What the names begin with that a copy has of it, with a dot at the end."""
        return f"{self.path}.{self.first + copy * self.step}.".removeprefix(".")


class Loop(Record):
    """Equal copies, one after the other.

    `body` are the lines of the first; each of the `carried` is what it takes from outside and what
    it gives to the next one in its place. Tensors in it are those of the first of the `lists`.
    """

    lists: tuple[LayerList, ...]  # it is called as the first
    count: int
    body: tuple[Item, ...]
    carried: tuple[tuple[Ref, Ref], ...]
    results: tuple[Ref, ...]  # of the last copy, in the order of `carried`
    nodes: tuple[str, ...] = field(compare=False)  # their names in the graph that was traced
    sizes: tuple[float, ...] = field(compare=False)  # theirs: RMS at init
    weights: frozenset[str] = field(compare=False)  # of all copies

    @property
    def path(self) -> str:
        return self.lists[0].path

    @property
    def first(self) -> int:
        return self.lists[0].first


Item = Line | Loop
LayerPlace = tuple[str, int]  # the path of a list, and which of it


Apart = frozenset[tuple[int, str]]  # inside how many loops which weights are in no other
NONE: Apart = frozenset()


def outline(trace: Trace, apart: Apart = NONE) -> tuple[Item, ...]:
    """The lines of a trace, with its loops; those that take weights `apart` are in none."""
    last: dict[str, int] = {}
    for index, line in enumerate(trace.lines):
        last |= {x.name: index for x in line.operands() if isinstance(x, Ref)}
    last |= {ref.name: len(trace.lines) for _, ref in trace.outputs}
    kinds = _kinds(trace)
    forms = [hash(_form(line, kinds.get)) for line in trace.lines]
    return _Outliner(trace.lines, last, kinds, forms, apart).items(0, len(trace.lines), 0)


Kinds = Mapping[Ref | Weight, object]


def _kinds(trace: Trace) -> Kinds:
    """What is equal of values and parameters in the same place of two copies, names apart.

    Results without a shape, numbers that are taken out of values, are in none.
    """
    kinds: dict[Ref | Weight, object] = {
        Ref(line.name, result): ("value", shape)
        for line in trace.lines
        for result, shape in enumerate(line.shapes)
    }
    for parameter in trace.parameters:
        kind = "weight", parameter.shape, parameter.trained
        kinds |= dict.fromkeys(map(Weight, parameter.names), kind)
    return kinds


class _Copy(NamedTuple):
    """The lines of one copy, in a form that does not depend on its number."""

    lines: Sequence[Line]
    form: tuple[object, ...]
    outside: tuple[Ref, ...]  # what it takes from outside, in the order of first use
    weights: tuple[str, ...]  # in the order of their uses
    places: Mapping[Ref, int]  # its own values, by where they stand


class _Run(NamedTuple):
    """Copies from a line on, of `length` lines each."""

    start: int
    length: int
    copies: tuple[_Copy, ...]
    lists: tuple[LayerList, ...]

    @property
    def end(self) -> int:
        return self.start + self.length * len(self.copies)

    @property
    def score(self) -> tuple[int, int, int]:
        """The larger the better: lines, fewer values that are carried, an earlier layer."""
        return self.end - self.start, -len(_carried(self.copies)), self.start


class _Outliner:
    """Finds the loops among the lines of a trace, which have numbers throughout."""

    def __init__(
        self,
        lines: Sequence[Line],
        last: Mapping[str, int],
        kinds: Kinds,
        forms: Sequence[int],
        apart: Apart,
    ) -> None:
        self.lines = lines
        self.last = last  # by a value: the number of the last line that uses it
        self.kinds = kinds
        self.forms = forms
        self.apart = apart
        here = {name for inside, name in apart if not inside}
        self.keys = [  # what is equal of lines in the same place of two copies
            form if not here or here.isdisjoint(_weights(line)) else index
            for index, (line, form) in enumerate(zip(lines, forms, strict=True))
        ]

    def inside(self) -> _Outliner:
        """That of the body of a loop."""
        apart = frozenset((inside - 1, name) for inside, name in self.apart if inside)
        return _Outliner(self.lines, self.last, self.kinds, self.forms, apart)

    def items(self, start: int, end: int, depth: int) -> tuple[Item, ...]:
        """The lines from `start` to `end`, whose modules may differ from this depth on."""
        found: list[Item] = []
        for run in self.runs(start, end, depth):
            found += self.plain(start, run.start, depth)
            found.append(self.loop(run, depth))
            start = run.end
        return (*found, *self.plain(start, end, depth))

    def plain(self, start: int, end: int, depth: int) -> Iterator[Item]:
        """Lines that make no loop at this depth."""
        groups = groupby(range(start, end), lambda i: _places(self.lines[i], depth)[-1:])
        for _, group in groups:
            first, *others = group
            behind = first + len(others) + 1
            lines = self.lines[first:behind]
            if any(len(line.modules) > depth for line in lines):
                yield from self.items(first, behind, depth + 1)
            else:
                yield from lines

    def runs(self, start: int, end: int, depth: int) -> Iterator[_Run]:
        """The loops at a depth, one after the other."""
        begins = list(self.begins(start, end, depth))
        free = start
        for number, (index, _) in enumerate(begins):
            if index < free:
                continue
            run = self.run(begins[number:], free, end, depth)
            if run is not None:
                yield (found := self.turned(run, begins[number + 1 :], free, end, depth))
                free = found.end

    def turned(
        self, run: _Run, begins: Sequence[tuple[int, LayerPlace]], free: int, end: int, depth: int
    ) -> _Run:
        """The best of a run and those that begin with a later layer of its first copy."""
        within = [n for n, (index, _) in enumerate(begins) if index < run.start + run.length]
        others = (self.run(begins[number:], free, end, depth) for number in within)
        return max((run, *(x for x in others if x is not None)), key=lambda x: x.score)

    def begins(self, start: int, end: int, depth: int) -> Iterator[tuple[int, LayerPlace]]:
        """Where the lines of numbered modules and parameters begin, the outer ones first."""
        before: Sequence[LayerPlace] = ()
        for index in range(start, end):
            places = _places(self.lines[index], depth)
            yield from ((index, place) for place in places if place not in before)
            before = places

    def run(
        self,
        begins: Sequence[tuple[int, LayerPlace]],
        free: int,
        end: int,
        depth: int,
    ) -> _Run | None:
        """The loop whose first copy has the first of these places."""
        (start, (path, number)), *others = begins
        later = ((i, n) for i, (other, n) in others if other == path and n > number and i > start)
        for (following, n), _ in zip(later, range(NEXT), strict=False):
            length, own = following - start, LayerList(path, number, n - number)
            if self.keys[start] != self.keys[following]:
                continue
            found = [
                run
                for turn in self.turns(start, length, free, depth, path)
                if (run := self.copies(start - turn, length, end, own)) is not None
            ]
            if found:
                return max(found, key=lambda run: run.score)
        return None

    def turns(self, start: int, length: int, free: int, depth: int, path: str) -> Iterator[int]:
        """How many lines before its first layer a copy may begin."""
        yield 0
        cycle = self.lines[start : start + length]
        if all(any(p == path for p, _ in _places(line, depth)) for line in cycle):
            return
        for turn in range(1, min(TURNS, length - 1, start - free) + 1):
            if self.keys[start - turn] != self.keys[start - turn + length]:
                return
            yield turn

    def copies(self, start: int, length: int, end: int, own: LayerList) -> _Run | None:
        """The copies of so many lines from one on, None where there are less than two."""
        run: list[_Copy] = []
        lists: tuple[LayerList, ...] = ()
        keys = self.keys[start : start + length]
        for at in range(start, end - length + 1, length):
            if self.keys[at : at + length] != keys:
                break
            copy = _copy(self.lines[at : at + length], self.kinds)
            if run and (copy.form != run[0].form or not _continues(run, copy)):
                break
            if len(run) == 1:
                found = _lists(own, run[0].weights, copy.weights)
                if found is None:
                    break
                lists = found
            if run and copy.weights != tuple(_nth(w, lists, len(run)) for w in run[0].weights):
                break
            run.append(copy)
        while len(run) > 1 and not self.closes(run, start + length * len(run)):
            run.pop()
        return _Run(start, length, tuple(run), lists) if len(run) > 1 else None

    def closes(self, run: Sequence[_Copy], end: int) -> bool:
        """Whether what is used behind the copies is what the last one gives on."""
        carried = {place for _, place in _carried(run)}
        *earlier, last = run
        if not carried or any(self.used(ref, end) for copy in earlier for ref in copy.places):
            return False
        return all(place in carried for ref, place in last.places.items() if self.used(ref, end))

    def used(self, ref: Ref, end: int) -> bool:
        """Whether a value is used from a line on."""
        return self.last.get(ref.name, -1) >= end

    def loop(self, run: _Run, depth: int) -> Loop:
        first, last = run.copies[0], run.copies[-1]
        own = {place: ref for ref, place in first.places.items()}
        final = {place: ref for ref, place in last.places.items()}
        lines = {line.name: line for line in last.lines}
        carried = _carried(run.copies)
        given = tuple((start, own[place]) for start, place in carried)
        body = self.inside().items(run.start, run.start + run.length, depth)
        results = tuple(final[place] for _, place in carried)
        named = tuple(lines[result.name].node for result in results)
        sizes = tuple(lines[result.name].sizes[result.result] for result in results)
        weights = frozenset(name for copy in run.copies for name in copy.weights)
        return Loop(run.lists, len(run.copies), body, given, results, named, sizes, weights)


def _places(line: Line, depth: int) -> tuple[LayerPlace, ...]:
    """The lists that a line's module at this depth is of, or its weights, and its numbers there."""
    if len(line.modules) > depth:
        around, names = line.modules[:depth], [line.modules[depth]]
    else:
        around, names = line.modules, list(_weights(line))
    inside = len(around[-1].split(".")) if around else 0
    return tuple(dict.fromkeys(x for name in names for x in _numbers(name, inside)))


def _numbers(name: str, inside: int) -> Iterator[LayerPlace]:
    """Where a name has numbers, behind the parts of what is around it."""
    parts = name.split(".")
    for index, part in enumerate(parts[inside:], inside):
        if part.isdigit():
            yield ".".join(parts[:index]), int(part)


def _weights(line: Line) -> Iterator[str]:
    return (x.name for x in line.operands() if isinstance(x, Weight))


def _copy(lines: Sequence[Line], kinds: Kinds) -> _Copy:
    places: dict[Ref, int] = {}
    outside: dict[Ref, int] = {}
    weights: list[str] = []

    def named(value: Ref | Weight) -> object:
        if isinstance(value, Weight):
            weights.append(value.name)
            return kinds.get(value)
        if value in places:
            return "own", places[value]
        return "outside", outside.setdefault(value, len(outside)), kinds.get(value)

    form: list[object] = []
    for line in lines:
        form.append(_form(line, named))
        for result in range(len(line.shapes)):
            places[Ref(line.name, result)] = len(places)
    return _Copy(lines, tuple(form), tuple(outside), tuple(weights), places)


def _form(line: Line, named: Callable[[Ref | Weight], object]) -> tuple[object, ...]:
    """A line in which values and weights have other names."""

    def form(argument: TracedArgument) -> object:
        match argument:
            case Ref() | Weight():
                return named(argument)
            case Datum(shape=shape, integer=integer, size=size, look=look):
                return "datum", shape, integer, float(f"{size:.4g}"), look
            case tuple():
                return tuple(map(form, argument))
            case _:
                return type(argument).__name__, argument

    keywords = tuple((name, form(argument)) for name, argument in line.keywords)
    return line.target, tuple(map(form, line.arguments)), keywords, line.shapes


def _lists(
    own: LayerList, first: Sequence[str], second: Sequence[str]
) -> tuple[LayerList, ...] | None:
    """The lists that the weights of the first two copies are of; None where they are of none."""
    found = {own: None}
    for one, other in zip(first, second, strict=True):
        if one != other:
            of = _list(one, other)
            if of is None:
                return None
            found[of] = None
    alike = any(
        a.path == b.path and (a.step != b.step or a.first % a.step == b.first % a.step)
        for a, b in combinations(found, 2)
    )
    return None if alike else tuple(found)


def _list(one: str, other: str) -> LayerList | None:
    """The list of which a weight of the first copy and its like in the second are."""
    parts, others = one.split("."), other.split(".")
    if len(parts) != len(others):
        return None
    differ = [i for i, (a, b) in enumerate(zip(parts, others, strict=True)) if a != b]
    if len(differ) != 1:
        return None
    (place,) = differ
    numbers = parts[place], others[place]
    if not all(n.isdigit() for n in numbers) or int(numbers[0]) >= int(numbers[1]):
        return None
    first, second = map(int, numbers)
    return LayerList(".".join(parts[:place]), first, second - first)


def _nth(name: str, lists: Sequence[LayerList], copy: int) -> str:
    """The weight of a copy that is what one of the first copy is there."""
    for of in lists:
        if f"{name}.".startswith(of.own(0)):
            return f"{of.own(copy)}{f'{name}.'.removeprefix(of.own(0))}"[:-1]
    return name


def _continues(run: Sequence[_Copy], copy: _Copy) -> bool:
    """Whether it takes what the one before it gives, as all copies before it do."""
    previous = run[-1]
    for slot, value in enumerate(copy.outside):
        given = previous.places.get(value)
        if len(run) == 1:
            if given is None and value != run[0].outside[slot]:
                return False
            continue
        before = run[-2].places.get(previous.outside[slot])
        if given != before or (given is None and value != run[0].outside[slot]):
            return False
    return True


def _carried(run: Sequence[_Copy]) -> list[tuple[Ref, int]]:
    """What the first copy takes from outside and the others from the one before: from where."""
    first, second = run[0], run[1]
    found = []
    for start, value in zip(first.outside, second.outside, strict=True):
        place = first.places.get(value)
        if place is not None:
            found.append((start, place))
    return found


def nodes_of(items: Sequence[Item]) -> Iterator[tuple[str, str]]:
    """The name of each value, and of its node in the graph: of loops, in the first and behind."""
    for item in items:
        if isinstance(item, Line):
            yield item.name, item.node
        else:
            yield from nodes_of(item.body)
            yield from ((x.name, node) for x, node in zip(item.results, item.nodes, strict=True))


Outputs = tuple[tuple[str, Ref], ...]


def renamed(items: Sequence[Item], outputs: Outputs) -> tuple[tuple[Item, ...], Outputs]:
    """The outline and outputs with values named by their place: those of one form are equal."""
    names: dict[str, str] = {}

    def ref(value: Ref) -> Ref:
        return Ref(names.get(value.name, value.name), value.result)

    def argument(value: TracedArgument) -> TracedArgument:
        if isinstance(value, Ref):
            return ref(value)
        return tuple(map(argument, value)) if isinstance(value, tuple) else value

    def item(value: Item) -> Item:
        if isinstance(value, Loop):
            starts = [ref(start) for start, _ in value.carried]
            body = tuple(item(x) for x in value.body)
            carried = tuple(
                (s, ref(end)) for s, (_, end) in zip(starts, value.carried, strict=True)
            )
            for result, (_, end) in zip(value.results, carried, strict=True):
                names[result.name] = f"{end.name}'"
            return replace(
                value, body=body, carried=carried, results=tuple(map(ref, value.results))
            )
        made = replace(
            value,
            arguments=tuple(argument(a) for a in value.arguments),
            keywords=tuple((name, argument(a)) for name, a in value.keywords),
            name=f"v{len(names) + 1}",
        )
        names[value.name] = made.name
        return made

    found = tuple(item(x) for x in items)
    return found, tuple((name, ref(value)) for name, value in outputs)
