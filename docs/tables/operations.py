"""Operations: how each is written, its shapes, its law."""

from __future__ import annotations

from itertools import groupby

from abcparam.operations import operations
from abcparam.operations.base import Operation
from abcparam.reference.operations import arguments, shapes
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
    called = "" if operation.written else ", ".join(arguments(operation))
    return called, shapes(operation), operation.law


def _row(key: Key, group: list[Operation]) -> tuple[str, ...]:
    called, wanted, law = key
    if any(operation.written for operation in group):
        return code(*(text for operation in group for text in operation.written)), wanted, law
    names, space = " ".join(o.name for o in group), " " if len(group) > 1 else ""
    return code(f"{names}{space}({called})"), wanted, law
