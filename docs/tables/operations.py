"""Operations: how each is written, its shapes, its law."""

from __future__ import annotations

from inspect import getdoc
from itertools import groupby

from abcparam.operations import operations
from abcparam.operations.base import Operation
from abcparam.program.amounts import Amount
from abcparam.program.signature import REQUIRED
from abcparam.python_code.layout import decimal
from docs.tables.markdown import Table, code

# What is written with no operation at all.
TENSOR = ("a tensor as a value", "its shape", "`s0 = σ`, `d = u`")
Key = tuple[str, str, str]


def table() -> Table:
    """A row for each, or for several in a row that differ in their names only; operators first."""
    found = sorted(operations().values(), key=lambda o: (not o.hidden, o.hidden and not o.weights))
    first, *rows = (_row(key, list(group)) for key, group in groupby(found, _key))
    return Table(("operation", "shapes", "law"), (first, TENSOR, *rows))


def _key(operation: Operation) -> Key:
    arguments = "" if operation.written else ", ".join(_arguments(operation))
    return arguments, _shapes(operation), operation.law


def _row(key: Key, group: list[Operation]) -> tuple[str, ...]:
    arguments, shapes, law = key
    if any(operation.written for operation in group):
        return code(*(text for operation in group for text in operation.written)), shapes, law
    names, space = " ".join(o.name for o in group), " " if len(group) > 1 else ""
    return code(f"{names}{space}({arguments})"), shapes, law


def _shapes(operation: Operation) -> str:
    """The docstring."""
    return " ".join((getdoc(type(operation)) or "").split()).removesuffix(".")


def _arguments(operation: Operation) -> list[str]:
    found = []
    for name in operation.order:
        if name in operation.copied:
            found.append(f"{name.title()}(x)")
        elif name in operation.settings:
            found.append(_setting(name, operation.settings[name]))
        else:
            found.append(name)
    if operation.many:
        found.insert(1, "…")
    return found


def _setting(name: str, default: object) -> str:
    if default is REQUIRED:
        return name
    number = default.value.constant if isinstance(default, Amount) else None
    text = str(default).lower() if number is None else decimal(number)
    return f"{name} = {text}"
