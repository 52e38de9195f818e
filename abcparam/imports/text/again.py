"""Equal layers that are called more than once: a block that has the `repeat`, called again.

A `repeat` has its tensors to itself, while an instance of a block may be called again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from abcparam.algebra.record import NamedTuple, replace
from abcparam.imports.text.structure import alive, changed, is_fixed, lines_in, names_in
from abcparam.imports.text.values import WrittenBlock, WrittenLine, WrittenLoop, WrittenPart
from abcparam.language import syntax

STACK = "Stack"  # what such a block is called


class _Called(NamedTuple):
    """A loop in names of its own, and what it takes: first the value that it carries.

    `inputs` are its own names of the `values` that it is given.
    """

    loop: WrittenLoop
    inputs: tuple[str, ...]
    values: tuple[str, ...]


def with_stacks(parts: Sequence[WrittenPart], inputs: Collection[str]) -> tuple[WrittenPart, ...]:
    """The parts of a text with layers that are called more than once in a block.

    Calls that compute otherwise, or carry more than one value, are left as they are.
    """
    places: dict[frozenset[str], list[int]] = {}  # by the tensors that are used
    for place, part in enumerate(parts):
        if isinstance(part, WrittenLoop) and _may_be_a_block(part):
            places.setdefault(frozenset(_tensors(part)), []).append(place)
    made: list[WrittenPart | None] = list(parts)
    for tensors, several in places.items():
        loops = [part for part in map(parts.__getitem__, several) if isinstance(part, WrittenLoop)]
        calls = [_called(loop, inputs) for loop in loops]
        first, *others = calls
        if not tensors or not others or any(call.loop != first.loop for call in others):
            continue
        carry = first.inputs[0]
        block = WrittenBlock(first.loop.path, 0, first.inputs, carry, (first.loop,), title=STACK)
        for place, call in zip(several, calls, strict=True):
            start = next(i for i in range(place)[::-1] if _starts(parts[i], call.values[0]))
            made[start], made[place] = None, _line(block, call, parts[start], call is first)
    return tuple(part for part in made if part is not None)


def _starts(part: WrittenPart, carry: str) -> bool:
    """Whether a line gives a loop the value that it carries."""
    return isinstance(part, WrittenLine) and part.targets == (carry,)


def _line(block: WrittenBlock, call: _Called, start: WrittenPart, is_first: bool) -> WrittenLine:
    """The line that calls the block: it makes it, or calls what was made again."""
    assert isinstance(start, WrittenLine)
    values = (start.value, *map(syntax.Name, call.values[1:]))
    name = syntax.Name(block.key)
    value = syntax.Call(name, tuple(map(syntax.Argument, values)), name if is_first else None)
    last = call.loop.body[-1]
    titles = last.titles if isinstance(last, WrittenLine) else ("x",)
    return WrittenLine(call.values[:1], value, (), titles, block if is_first else None)


def _may_be_a_block(loop: WrittenLoop) -> bool:
    return len(loop.carried) == 1 and all(line.block is None for line in lines_in(loop.body))


def called_again(parts: Sequence[WrittenPart]) -> WrittenLoop | None:
    """A loop whose tensors another one uses too."""
    known: set[str] = set()
    for part in parts:
        if isinstance(part, WrittenLoop):
            tensors = set(_tensors(part))
            if known & tensors:
                return part
            known |= tensors
    return None


def _tensors(loop: WrittenLoop) -> Iterator[str]:
    return (n for line in lines_in(loop.body) for n in names_in(line.value) if n.startswith("@"))


def _called(loop: WrittenLoop, inputs: Collection[str]) -> _Called:
    names: dict[str, str] = {}

    def own(name: str) -> str:
        if is_fixed(name) and name not in inputs:
            return name
        return names.setdefault(name, f"{len(names)}'" + "#" * name.endswith("#"))

    def renamed(parts: Sequence[WrittenPart]) -> tuple[WrittenPart, ...]:
        found: list[WrittenPart] = []
        for part in parts:
            if isinstance(part, WrittenLine):
                value = changed(part.value, lambda x: syntax.Name(own(x.id)))
                found.append(replace(part, targets=tuple(map(own, part.targets)), value=value))
            else:
                carried = tuple(map(own, part.carried))
                found.append(replace(part, carried=carried, body=renamed(part.body)))
        return tuple(found)

    (made,) = renamed([replace(loop, body=alive(loop.body, {*loop.carried}))])
    assert isinstance(made, WrittenLoop)
    targets = {target for line in lines_in(made.body) for target in line.targets}
    given = {name: own for name, own in names.items() if own not in targets or own in made.carried}
    return _Called(made, tuple(given.values()), tuple(given))
