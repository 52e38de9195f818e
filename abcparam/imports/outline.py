"""Layers that repeat: runs of equal copies in a trace become one.

Copies are equal where their lines are, once tensors and local values are renamed, and where each
takes from the one before it what the first takes from outside. Runs are looked for from the
outermost modules inwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from abcparam.algebra.record import NamedTuple, Record, replace
from abcparam.imports.traced import Datum, Line, Ref, Trace, TracedArgument, Weight

LayerPlace = tuple[str, int]  # the path of a list of modules, and which of them


class Loop(Record):
    """Equal copies, one after the other.

    `body` are the lines of the first; each of the `carried` is what it takes from outside and what
    it gives to the next one in its place. Tensors in it are of `first` to `last` of the list.
    """

    path: str
    first: int
    count: int
    body: tuple[Item, ...]
    carried: tuple[tuple[Ref, Ref], ...]
    results: tuple[Ref, ...]  # of the last copy, in the order of `carried`


Item = Line | Loop


def outline(trace: Trace) -> tuple[Item, ...]:
    """The lines of a trace, with its loops."""
    return _outline(trace.lines, 0, {ref.name for _, ref in trace.outputs})


class _Copy(NamedTuple):
    """The lines of one layer, in a form that does not depend on its number."""

    lines: tuple[Line, ...]
    form: tuple[object, ...]
    outside: tuple[Ref, ...]  # what it takes from outside, in the order of first use
    places: Mapping[Ref, int]  # its own values, by where they stand


def _outline(lines: Sequence[Line], depth: int, wanted: set[str]) -> tuple[Item, ...]:
    """`wanted` are values that are used behind these lines."""
    items: list[Item] = []
    groups = [(place, tuple(g)) for place, g in groupby(lines, lambda x: _place(x, depth))]
    index = 0
    while index < len(groups):
        place, group = groups[index]
        if place is None:
            deeper = any(len(line.modules) > depth for line in group)
            behind = _names_used(lines, after=group) | wanted
            items += _outline(group, depth + 1, behind) if deeper else group
            index += 1
            continue
        run = _run(groups[index:], _used_after(groups[index:], wanted))
        if len(run) > 1:
            items.append(_loop(place, run, depth))
        else:
            behind = _names_used(lines, after=group) | wanted
            items += _outline(group, depth + 1, behind)
        index += max(1, len(run))
    return tuple(items)


def _place(line: Line, depth: int) -> LayerPlace | None:
    """The list that the module at this depth is in, and its number there."""
    if len(line.modules) <= depth:
        return None
    path, _, number = line.modules[depth].rpartition(".")
    return (path, int(number)) if number.isdigit() else None


def _names_used(lines: Sequence[Line], after: Sequence[Line]) -> set[str]:
    """The values that lines behind some of them use."""
    last = after[-1].name
    names: set[str] = set()
    for line in reversed(lines):
        if line.name == last:
            return names
        names |= {x.name for x in line.operands() if isinstance(x, Ref)}
    return names


def _run(
    groups: Sequence[tuple[LayerPlace | None, tuple[Line, ...]]], used: Sequence[set[str]]
) -> list[_Copy]:
    """The copies from the first group on that make a loop."""
    place, lines = groups[0]
    assert place is not None
    run = [_copy(place, lines)]
    for step, (other, following) in enumerate(groups[1:], 1):
        if other != (place[0], place[1] + step):
            break
        copy = _copy(other, following)
        if copy.form != run[0].form or not _continues(run, copy):
            break
        run.append(copy)
    while len(run) > 1 and not _closes(run, used[len(run) - 1]):
        run.pop()
    return run


def _used_after(
    groups: Sequence[tuple[LayerPlace | None, tuple[Line, ...]]], wanted: set[str]
) -> list[set[str]]:
    """For each group, the values that are used behind it."""
    found: list[set[str]] = [set(wanted)]
    for _, group in reversed(groups[1:]):
        used = {x.name for line in group for x in line.operands() if isinstance(x, Ref)}
        found.append(found[-1] | used)
    return found[::-1]


def _copy(place: LayerPlace, lines: tuple[Line, ...]) -> _Copy:
    places: dict[Ref, int] = {}
    outside: dict[Ref, int] = {}
    form: list[object] = []
    path, number = place
    prefix, star = f"{path}.{number}.", f"{path}.*."
    for line in lines:
        form.append(
            (
                line.target,
                tuple(_form(a, places, outside, prefix, star) for a in line.arguments),
                tuple((name, _form(a, places, outside, prefix, star)) for name, a in line.keywords),
                line.shapes,
            )
        )
        for result in range(len(line.shapes)):
            places[Ref(line.name, result)] = len(places)
    return _Copy(lines, tuple(form), tuple(outside), places)


def _form(
    argument: TracedArgument,
    places: dict[Ref, int],
    outside: dict[Ref, int],
    prefix: str,
    star: str,
) -> object:
    match argument:
        case Ref():
            if argument in places:
                return "own", places[argument]
            return "outside", outside.setdefault(argument, len(outside))
        case Weight(name=name):
            return "weight", star + name.removeprefix(prefix) if name.startswith(prefix) else name
        case Datum(shape=shape, integer=integer, size=size, look=look):
            return "datum", shape, integer, float(f"{size:.4g}"), look
        case tuple():
            return tuple(_form(item, places, outside, prefix, star) for item in argument)
        case _:
            return type(argument).__name__, argument


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


def _closes(run: Sequence[_Copy], used: set[str]) -> bool:
    """Whether what is used behind the copies is what the last one gives on."""
    carried = {place for _, place in _carried(run)}
    if not carried:
        return False
    *earlier, last = run
    if any(ref.name in used for copy in earlier for ref in copy.places):
        return False
    return all(place in carried for ref, place in last.places.items() if ref.name in used)


def _loop(place: LayerPlace, run: Sequence[_Copy], depth: int) -> Loop:
    first, last = run[0], run[-1]
    own = {place: ref for ref, place in first.places.items()}
    final = {place: ref for ref, place in last.places.items()}
    carried = _carried(run)
    given = tuple((start, own[place]) for start, place in carried)
    wanted = {ref.name for _, ref in given}
    body = _outline(first.lines, depth + 1, wanted)
    results = tuple(final[place] for _, place in carried)
    return Loop(place[0], place[1], len(run), body, given, results)


def lines_of(items: Sequence[Item]) -> Iterator[Line]:
    """All lines of an outline, those of loops once."""
    for item in items:
        if isinstance(item, Line):
            yield item
        else:
            yield from lines_of(item.body)


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
