"""Lines of a text put together as a person would: blocks of modules, tensors where they belong.

Values that are used once stand where they are used.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, groupby

from abcparam.algebra.record import replace
from abcparam.imports.text.values import (
    WrittenBlock,
    WrittenBody,
    WrittenLine,
    WrittenLoop,
    WrittenPart,
)
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.operations import operations
from abcparam.program.reserved_names import owner

LONGEST = 84  # of a line that a value is put into
RESULT = "return"
ALONE = re.compile(r"\*|\d+-\d+")  # of layers that are one, each a copy
AMOUNTS = frozenset({"base", "sqrt", "round_up", "true", "false"})


class TextScope:
    """A body of the text: the root's, that of a repeat, or that of a block.

    `module` is the path of the user's module that it is of, `label` what its tensors' paths begin
    with.
    """

    def __init__(self, kind: str, module: str, label: str, outer: TextScope | None) -> None:
        self.kind = kind
        self.module = module
        self.label = label
        self.outer = outer
        self.items: list[WrittenLine | LoopItem] = []
        self.blocks: list[TextScope] = []
        self.inputs: tuple[str, ...] = ()
        self.tensors: dict[str, str] = {}  # what a tensor is called here, by its path
        self.names: dict[str, str] = {}  # what a value is called here
        self.block = ""
        self.bias: str | None = None  # the buffer of the mixture that it is an expert of

    def chain(self) -> Iterator[TextScope]:
        """It and those around it."""
        scope: TextScope | None = self
        while scope is not None:
            yield scope
            scope = scope.outer

    def walk(self) -> Iterator[TextScope]:
        """It and those inside, the outer ones first."""
        yield self
        for item in self.items:
            if isinstance(item, LoopItem):
                yield from item.body.walk()
        for block in self.blocks:
            yield from block.walk()

    @property
    def path(self) -> tuple[str, ...]:
        """The labels from the root on."""
        return tuple(x.label for x in reversed(list(self.chain())) if x.label)

    @property
    def loops(self) -> int:
        return sum(scope.kind == "loop" for scope in self.chain())


class LoopItem:
    """A repeat in a body."""

    def __init__(self, count: syntax.Expression, carried: tuple[str, ...], body: TextScope) -> None:
        self.count = count
        self.carried = carried
        self.body = body


CopyCounts = Mapping[str, int]  # by a tensor's path: of how many repeats it is


def structured(
    body: WrittenBody,
    taken: set[str],
    copies: CopyCounts,
    class_of: Callable[[str], str],
) -> TextScope:
    """The root of a text, with blocks and tensors in place; dims and hypers have names `taken`."""
    lines = (*alive(body.parts, {body.result}), WrittenLine((RESULT,), syntax.Name(body.result)))
    builder = _Builder(body, class_of)
    root = TextScope("root", "", "", None)
    builder.fill(root, lines, 0)
    _place_tensors(root, body, copies)
    names = _TextNames(root, taken, {x.name for x in body.inputs})
    names.fixed()
    for scope in root.walk():
        inline(scope)
    names.values()
    return root


# What is used


def names_in(value: syntax.Expression) -> Iterator[str]:
    """The values and tensors that an expression takes."""
    return (part.id for part in syntax.parts_of(value) if isinstance(part, syntax.Name))


def alive(parts: Sequence[WrittenPart], wanted: set[str]) -> tuple[WrittenPart, ...]:
    """The lines that something is made of."""
    needed, kept = set(wanted), list[WrittenPart]()
    for part in reversed(parts):
        if isinstance(part, WrittenLine):
            if needed.intersection(part.targets):
                kept.append(part)
                needed |= set(names_in(part.value))
        elif needed.intersection(part.carried):
            body = alive(part.body, {*part.carried})
            kept.append(replace(part, body=body))
            needed |= {name for inner in lines_in(body) for name in names_in(inner.value)}
    return tuple(reversed(kept))


def lines_in(parts: Iterable[WrittenPart]) -> Iterator[WrittenLine]:
    for part in parts:
        if isinstance(part, WrittenLine):
            yield part
            yield from lines_in(part.block.lines) if part.block else ()
        else:
            yield from lines_in(part.body)


def changed(
    value: syntax.Expression, change: Callable[[syntax.Name], syntax.Expression]
) -> syntax.Expression:
    """An expression with other names in it; those of functions and settings stay."""
    match value:
        case syntax.Name():
            return change(value)
        case syntax.Attribute(value=inner):
            return replace(value, value=changed(inner, change))
        case syntax.Index(value=inner, index=index):
            return replace(value, value=changed(inner, change), index=changed(index, change))
        case syntax.Negative(operand=operand):
            return replace(value, operand=changed(operand, change))
        case syntax.Binary(left=left, right=right):
            return replace(value, left=changed(left, change), right=changed(right, change))
        case syntax.Call(arguments=arguments):
            made = tuple(replace(a, value=changed(a.value, change)) for a in arguments)
            return replace(value, arguments=made)
        case syntax.Tuple(items=items):
            return replace(value, items=tuple(changed(item, change) for item in items))
    return value


# Blocks


class _Builder:
    """Puts lines of a module into a block of their own, where they are one."""

    def __init__(self, body: WrittenBody, class_of: Callable[[str], str]) -> None:
        self.body = body
        self.class_of = class_of

    def fill(self, scope: TextScope, parts: Sequence[WrittenPart], depth: int) -> None:
        """The items of a body, from lines whose modules begin to differ at a depth."""
        for item in self.items(scope, parts, depth, {RESULT}):
            scope.items.append(item)

    def items(
        self, scope: TextScope, parts: Sequence[WrittenPart], depth: int, behind: set[str]
    ) -> list[WrittenLine | LoopItem]:
        found: list[WrittenLine | LoopItem] = []
        runs = [(m, tuple(run)) for m, run in groupby(parts, lambda part: _module(part, depth))]
        for index, (module, run) in enumerate(runs):
            rest = [part for _, later in runs[index + 1 :] for part in later]
            used = behind | {n for line in lines_in(rest) for n in names_in(line.value)}
            used |= {n for part in rest if isinstance(part, WrittenLoop) for n in part.carried}
            if module is None:
                found += [self.item(scope, part) for part in run]
                continue
            made = self.block(scope, module, run, depth, used) if len(runs) > 1 else None
            found += self.items(scope, run, depth + 1, used) if made is None else [made]
        return found

    def item(self, scope: TextScope, part: WrittenPart) -> WrittenLine | LoopItem:
        if isinstance(part, WrittenLine):
            if part.block is not None:
                self.called(scope, part.block)
            return part
        module = _layer(part)
        body = TextScope("loop", module, _last(part.path), scope)
        self.fill(body, part.body, _depth(part))
        return LoopItem(part.count, part.carried, body)

    def called(self, scope: TextScope, block: WrittenBlock) -> None:
        """The block that a line calls by its key."""
        label = block.title.lower() or _last(block.module) or "expert"
        body = TextScope("block", block.key, label, scope)
        body.block = block.title or self.class_of(block.module)
        body.inputs, body.bias = block.sources, block.bias
        inner = self.items(body, block.lines, block.depth, {block.result, RESULT})
        body.items += [*inner, WrittenLine((RESULT,), syntax.Name(block.result))]
        scope.blocks.append(body)

    def block(
        self,
        scope: TextScope,
        module: str,
        run: Sequence[WrittenPart],
        depth: int,
        used: set[str],
    ) -> WrittenLine | None:
        """The line that calls a block of these lines; None where they make none."""
        lines = [part for part in run if isinstance(part, WrittenLine)]
        if len(lines) < len(run) or sum(map(_maps, lines)) < 2:
            return None
        made = {target for line in lines for target in line.targets}
        given = list(dict.fromkeys(n for line in lines for n in _taken(line)))
        results = [target for line in lines for target in line.targets if target in used]
        outer = self.outer_values(given, made)
        if len(results) != 1 or not outer or not self.owns(module, given):
            return None
        body = TextScope("block", module, _last(module), scope)
        body.block = self.class_of(module)
        body.inputs = tuple(outer)
        result = WrittenLine((RESULT,), syntax.Name(results[0]))
        inner = self.items(body, run, depth + 1, {results[0], RESULT})
        body.items += [*inner, result]
        scope.blocks.append(body)
        arguments = tuple(syntax.Argument(syntax.Name(name)) for name in outer)
        call = syntax.Call(syntax.Name(module), arguments, alias=syntax.Name(module))
        title = next((line.titles for line in lines if results[0] in line.targets), ())
        return WrittenLine((results[0],), call, (), title)

    def outer_values(self, given: Sequence[str], made: set[str]) -> list[str]:
        """Names of values that lines take from outside; the first is what flows through."""
        inputs = {x.name for x in self.body.inputs}
        return [n for n in given if n not in made and (n in inputs or not is_fixed(n))]

    def owns(self, module: str, given: Iterable[str]) -> bool:
        """Whether all tensors of some lines are the module's, and used nowhere else."""
        paths = {name[1:] for name in given if name.startswith("@")}
        elsewhere = Counter(
            name[1:]
            for line in lines_in(self.body.parts)
            if module not in line.modules
            for name in names_in(line.value)
            if name.startswith("@")
        )
        own = [self.body.tensors[path].parameter.startswith(f"{module}.") for path in paths]
        return all(own) and not any(elsewhere[path] for path in paths)


def is_fixed(name: str) -> bool:
    """Whether a name is no value: a tensor, a dim, a word."""
    return name.startswith("@") or not re.search(r"[#'/]|^v\d|^result$", name)


def _taken(line: WrittenLine) -> Iterator[str]:
    """The values that a line takes, and the tensors, those of what it calls too."""
    yield from names_in(line.value)
    for inner in lines_in(line.block.lines) if line.block else ():
        yield from (name for name in names_in(inner.value) if name.startswith("@"))


def _module(part: WrittenPart, depth: int) -> str | None:
    """The module at a depth that lines are of."""
    if isinstance(part, WrittenLoop):
        return None
    return part.modules[depth] if len(part.modules) > depth else None


def _layer(part: WrittenLoop) -> str:
    """The module of the first copy."""
    for line in lines_in(part.body):
        for module in line.modules:
            if re.fullmatch(re.escape(part.path) + r"\.\d+", module):
                return module
    return part.path


def _depth(part: WrittenLoop) -> int:
    """At which depth the modules of a copy begin to differ."""
    paths = [line.modules for line in lines_in(part.body) if line.modules]
    return sum(len(set(modules)) == 1 for modules in zip(*paths, strict=False))


def _maps(line: WrittenLine) -> int:
    """How many tensors are applied or called."""
    parts = list(syntax.parts_of(line.value))
    own = sum(isinstance(part, syntax.Binary) and part.op == "@" for part in parts)
    return own + sum(map(_maps, lines_in(line.block.lines) if line.block else ()))


def _last(module: str) -> str:
    """What an instance of a module is called: its name, with the list's where that is a number."""
    parts = module.split(".")
    first = len(parts) - 1
    while first and parts[first].isdigit():
        first -= 1
    return "_".join(parts[first:])


# Tensors


def _place_tensors(root: TextScope, body: WrittenBody, copies: CopyCounts) -> None:
    """Each tensor belongs to the innermost body that has all of its uses, and its copies."""
    places: dict[str, list[TextScope]] = {}
    for scope in root.walk():
        for item in scope.items:
            if isinstance(item, WrittenLine):
                for name in names_in(item.value):
                    if name.startswith("@"):
                        places.setdefault(name[1:], []).append(scope)
    for path in sorted(places, key=list(body.tensors).index):
        chains = [list(scope.chain())[::-1] for scope in places[path]]
        common = [row[0] for row in zip(*chains, strict=False) if all(x is row[0] for x in row)]
        while common[-1].loops > copies[path]:
            common.pop()
        common[-1].tensors[path] = _plain(path, body.tensors[path].parameter, common[-1].label)


# Names


class _TextNames:
    """Gives every tensor, block, instance and value a name."""

    def __init__(self, root: TextScope, taken: set[str], inputs: set[str]) -> None:
        self.root = root
        self.taken = taken | AMOUNTS
        self.inputs = inputs
        self.fixed_names: set[str] = set()

    def fixed(self) -> None:
        """Names of tensors, labels and instances; those of the root are nowhere else."""
        taken: dict[int, set[str]] = {}
        for scope in self.root.walk():
            around = {n for x in scope.chain() for n in taken.get(id(x), set())}
            own = taken.setdefault(id(scope), set())
            used = {*self.taken, *self.inputs, *taken[id(self.root)], *around}
            if scope.label:
                home = taken[id(scope.outer)] if scope.outer else own
                scope.label = free([scope.label], used | home)
                home.add(scope.label)
                used.add(scope.label)
            scope.tensors = {
                path: self._tensor(parameter, used, own)
                for path, parameter in scope.tensors.items()
            }
        self.fixed_names = {name for names in taken.values() for name in names}
        for scope in self.root.walk():
            scope.items = [self._renamed(scope, item) for item in scope.items]

    def _tensor(self, parameter: str, used: set[str], own: set[str]) -> str:
        name = free(tensor_names(parameter), used | own)
        own.add(name)
        return name

    def _renamed(self, scope: TextScope, item: WrittenLine | LoopItem) -> WrittenLine | LoopItem:
        if isinstance(item, LoopItem):
            return item

        blocks = {block.module: block for block in scope.blocks}

        def name(found: syntax.Name) -> syntax.Name:
            if not found.id.startswith("@"):
                return found
            path = found.id[1:]
            return syntax.Name(next(x.tensors[path] for x in scope.chain() if path in x.tensors))

        return replace(item, value=_called(changed(item.value, name), blocks))

    def values(self) -> None:
        for scope in self.root.walk():
            if scope.kind != "loop":
                self._of_body(scope, {}, set())

    def _of_body(self, scope: TextScope, outer: Mapping[str, str], forbidden: set[str]) -> None:
        """Names of the values of a body; one whose value is used no more is free again."""
        names = dict(outer)
        if scope.kind == "root":
            names |= {name: name for name in self.inputs}
        held: dict[str, str] = {}
        for index, name in enumerate(scope.inputs):
            names[name] = free(
                ["xyzuvwabc"[index : index + 1] or "x"], self._fixed() | held.keys(), True
            )
            held[names[name]] = name
        held |= {names[n]: n for n in outer if n in _carried_of(scope)}
        last = _last_uses(scope)
        for index, item in enumerate(scope.items):
            if isinstance(item, LoopItem):
                inside = {names[n] for n in item.carried}
                around = {n for n in names.values() if n not in inside} | forbidden
                self._of_body(item.body, names, around)
                continue
            titles = (*item.titles, *("",) * len(item.targets))
            for target, title in zip(item.targets, titles, strict=False):
                if target in names or target == RESULT:
                    continue
                busy = {n for n, v in held.items() if last.get(v, -1) > index}
                wanted = [*_streams(item.value, names), *filter(_legal, (title, "h"))]
                known = self._fixed() | busy | forbidden | self.inputs_of(scope)
                names[target] = free(wanted, known, True)
                held[names[target]] = target
        scope.names = names

    def inputs_of(self, scope: TextScope) -> set[str]:
        return self.inputs if self.root in scope.chain() and not _in_block(scope) else set()

    def _fixed(self) -> set[str]:
        return self.taken | self.fixed_names


def _called(value: syntax.Expression, blocks: Mapping[str, TextScope]) -> syntax.Expression:
    """An expression with the names of the blocks that it calls."""
    match value:
        case syntax.Call(arguments=arguments, alias=alias):
            made = tuple(replace(a, value=_called(a.value, blocks)) for a in arguments)
            if alias is None:  # an operation, or an instance that is called again
                name = value.function.id
                function = syntax.Name(blocks[name].label if name in blocks else name)
                return replace(value, function=function, arguments=made)
            block = blocks[alias.id]
            return syntax.Call(syntax.Name(block.block), made, syntax.Name(block.label))
        case syntax.Binary(left=left, right=right):
            sides = (_called(side, blocks) for side in (left, right))
            return replace(value, left=next(sides), right=next(sides))
    return value


def _streams(value: syntax.Expression, names: Mapping[str, str]) -> list[str]:
    """What the other summand of a branch is called: `x = x + f(x)`."""
    if not isinstance(value, syntax.Binary) or value.op != "+":
        return []
    sides = [x.id for x in (value.left, value.right) if isinstance(x, syntax.Name)]
    return [names[side] for side in sides if side in names] if len(sides) == 1 else []


def _in_block(scope: TextScope) -> bool:
    return any(x.kind == "block" for x in scope.chain())


def _carried_of(scope: TextScope) -> set[str]:
    """What a repeat carries: it is assigned in its body."""
    found: set[str] = set()
    for item in scope.items:
        if isinstance(item, WrittenLine):
            found |= {t for t in item.targets if t.endswith("#")}
    return found


def _last_uses(scope: TextScope) -> dict[str, int]:
    found: dict[str, int] = {}
    for index, item in enumerate(scope.items):
        for name in _uses(item):
            found[name] = index
    return found


def _uses(item: WrittenLine | LoopItem) -> Iterator[str]:
    if isinstance(item, WrittenLine):
        yield from names_in(item.value)
        return
    yield from item.carried
    for inner in item.body.items:
        yield from _uses(inner)


def _plain(path: str, parameter: str, loop: str) -> str:
    """A parameter without the number of a layer that is itself one of a list: `norms.weight`.

    What is of the list that the loop is called as is named as in a module, `weight`.
    """
    parts = [part for part in path.split(".") if not ALONE.fullmatch(part)]
    own = parameter.split(".")
    star = next((i for i, part in enumerate(path.split(".")) if ALONE.fullmatch(part)), len(own))
    if len(parts) != len(own) - 1 or star < len(own) - 2:
        return parameter
    if path.split(".")[:star][-1:] == [loop]:
        return own[-1] if star == len(own) - 2 else "weight"
    return ".".join(parts)


def tensor_names(parameter: str) -> list[str]:
    """What a tensor may be called, short names first: `c_attn`, then `attn_c_attn`."""
    parts = parameter.split(".")
    if parts[-1] == "weight" and len(parts) > 1:
        parts.pop()
    elif parts[-1] == "bias" and len(parts) > 1:
        parts = [*parts[:-2], f"{parts[-2]}_bias"]
    elif len(parts) > 1 and re.fullmatch(r"(weight|bias)_.*|.*_(weight|bias)", parts[-1]):
        parts = [*parts[:-2], f"{parts[-2]}_{parts[-1]}"]
    found = []
    last = max((i for i, part in enumerate(parts) if not part.isdigit()), default=0)
    for start in range(len(parts) - 1, -1, -1):
        kept = [p for i, p in enumerate(parts) if i >= start and (i > last or not p.isdigit())]
        name = "_".join(kept)
        if re.match(r"[A-Za-z]", name):
            found.append(name)
    return found or [parameter.rpartition(".")[2]]


def _legal(name: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name)) and not keyword.iskeyword(name)


def free(wanted: Sequence[str], taken: Iterable[str], local: bool = False) -> str:
    """The first name that nobody has, else with a number; locals are no operations."""
    known = {*taken, *(operations() if local else ())}

    def isfree(name: str) -> bool:
        reserved = owner(name) or owner(name, attribute=True) or owner(name, local=True)
        return name not in known and _legal(name) and not reserved

    for name in wanted:
        if isfree(name):
            return name
    base = wanted[0] if _legal(f"{wanted[0]}2") else "h"
    return next(n for n in (f"{base}{number}" for number in count(2)) if isfree(n))


# Values in values


def with_value(value: syntax.Expression, name: str, inner: syntax.Expression) -> syntax.Expression:
    """An expression with another one in place of a name."""
    return changed(value, lambda x: inner if x.id == name else x)


def inline(scope: TextScope) -> None:
    """Values that are used once stand where they are used, as long as lines stay short."""
    counts = Counter(name for item in scope.items for name in _uses(item))
    looped = {n for item in scope.items if isinstance(item, LoopItem) for n in _uses(item)}
    pending: dict[str, WrittenLine] = {}
    kept: list[WrittenLine | LoopItem] = []
    for item in scope.items:
        if isinstance(item, LoopItem):
            kept += _flushed(pending)
            kept.append(item)
            continue
        value, item = item.value, item
        for name in dict.fromkeys(names_in(item.value)):
            if name not in pending:
                continue
            inner = pending[name].value
            filled = with_value(value, name, inner)
            if len(written(filled)) <= LONGEST or isinstance(value, syntax.Name):
                value = filled
                del pending[name]
        stays = [line for name, line in pending.items() if name in names_in(value)]
        for line in stays:
            kept.append(pending.pop(line.targets[0]))
        item = replace(item, value=value)
        (target, *others) = item.targets
        once = counts[target] == 1 and not others and target not in looped
        if once and not target.endswith("#") and target != RESULT:
            pending[target] = item
        else:
            kept.append(item)
    scope.items = kept


def _flushed(pending: dict[str, WrittenLine]) -> list[WrittenLine]:
    found = list(pending.values())
    pending.clear()
    return found
