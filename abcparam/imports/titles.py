"""Names of values, as the user's code has them: the module, and the variable of the line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from abcparam.algebra.record import replace
from abcparam.imports.alike import TracedStep
from abcparam.program.expressions import (
    Assign,
    Expression,
    Local,
    Repeat,
    Statement,
    with_operands,
    with_values,
)
from abcparam.program.model import Module

LAYERS = re.compile(r"\*|\d+-\d+(/(?P<step>\d+))?")  # numbers of those that are one
ASSIGNED = re.compile(r"\s*([A-Za-z_]\w*(?:\s*,\s*[A-Za-z_]\w*)*)\s*[-+*/@]?=[^=]")


def starred(path: str) -> str:
    """`h.*.w` for `h.1-3.w`: a deeper model has more layers."""
    return ".".join("*" if LAYERS.fullmatch(part) else part for part in path.split("."))


def titles_of(
    root: Module, steps: Mapping[str, TracedStep], parameters: Iterable[str] = ()
) -> dict[str, str]:
    """What the values of a module are called in the user's code, by their names in the steps.

    What a list of layers carries is called as the list. None is called as one of the parameters.
    """
    names: dict[str, str] = {}
    inside: dict[str, set[str]] = {}  # by the path of a module, the parameters in it
    for child in root.walk():
        for index, name in enumerate(child.carried):
            title = f"{child.block}#{index + 1}" if index else child.block
            used = set(names.values())
            again = (f"{title}:{count}" for count in range(2, len(used) + 3))
            names[name] = next(x for x in (title, *again) if x not in used)
    for module, target in _targets(root):
        if target in names:
            continue
        step, result = _step(target, steps)
        if step is not None:
            title = _title(step, result, module.path.removesuffix(".*"))
            if module.path not in inside:
                inside[module.path] = set(_inside(parameters, module.path))
            names[target] = _unused(title, step, inside[module.path].union(names.values()))
    return names


def _inside(parameters: Iterable[str], path: str) -> Iterator[str]:
    """The names of parameters from that of a module on, a star in which is any number."""
    pattern = re.compile(re.escape(path).replace(r"\*", r"\d+") + r"\." if path else "")
    for name in parameters:
        if found := pattern.match(name):
            yield name[found.end() :]


def _targets(module: Module) -> Iterator[tuple[Module, str]]:
    for statement in module.body:
        if isinstance(statement, Assign):
            for target in statement.targets:
                yield module, target
    for child in module.children:
        yield from _targets(child)


def _step(target: str, steps: Mapping[str, TracedStep]) -> tuple[TracedStep | None, int]:
    name, _, result = target.partition("_")
    while name not in steps and name.endswith("'"):
        name = name[:-1]
    return steps.get(name), int(result) if result.isdigit() else 0


def _title(step: TracedStep, result: int, loop: str) -> str:
    """`attn.q`: the module that it is in, from that of its loop on, and its variable."""
    module = step.modules[-1] if step.modules else ""
    inside = re.sub(rf"^{re.escape(loop)}\.\d+\.?", "", module) if loop else module
    found = ASSIGNED.match(step.text)
    variables = [name.strip() for name in found.group(1).split(",")] if found else []
    if len(variables) == len(step.shapes):
        variable = variables[result]
    else:
        variable = "" if inside else step.target.removeprefix("aten.").partition(".")[0]
    return ".".join(part for part in (inside, variable) if part)


def _unused(title: str, step: TracedStep, used: set[str]) -> str:
    """The title, with its line where another value has it."""
    for candidate in (title, f"{title}:{step.span.line}"):
        if candidate not in used:
            return candidate
    number = 2
    while f"{title}:{step.span.line}#{number}" in used:
        number += 1
    return f"{title}:{step.span.line}#{number}"


def titled(module: Module, names: Mapping[str, str]) -> Module:
    """The module with its values called by other names."""

    def name(found: str) -> str:
        return names.get(found, found)

    def value(found: Expression) -> Expression:
        if isinstance(found, Local):
            return replace(found, name=name(found.name))
        return with_operands(found, value)

    def statement(found: Statement) -> Statement:
        match found:
            case Assign(targets=targets):
                found = replace(found, targets=tuple(map(name, targets)))
            case Repeat(instance=instance, carried=carried):
                return Repeat(instance, tuple(map(name, carried)))
        return with_values(found, value)

    return replace(
        module,
        inputs=tuple((name(n), shape) for n, shape in module.inputs),
        carried=tuple(map(name, module.carried)),
        body=tuple(map(statement, module.body)),
        children=tuple(titled(child, names) for child in module.children),
    )
