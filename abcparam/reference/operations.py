"""Operations as they state themselves: how each is written, its shapes, its law, an example."""

from __future__ import annotations

from inspect import getdoc

from abcparam.operations import operations
from abcparam.operations.base import Operation
from abcparam.program.amounts import Amount
from abcparam.program.signature import REQUIRED
from abcparam.python_code.layout import decimal
from abcparam.reference.entry import GlossaryEntry


def entries() -> dict[str, GlossaryEntry]:
    """Every operation by the names that it is asked for by."""
    found = {}
    for operation in operations().values():
        for name in (*operation.written, operation.name):
            if not (operation.hidden and name.isidentifier()):  # those are written by operators
                found[name] = _entry(operation)
    return found


def _entry(operation: Operation) -> GlossaryEntry:
    written = operation.written or (f"{operation.name}({', '.join(arguments(operation))})",)
    starts = ", ".join(f"`{name}` at {init}" for name, init in operation.starts.items())
    return GlossaryEntry(
        operation.name if not operation.hidden else operation.written[0],
        "operation",
        shapes(operation),
        written=", ".join(f"`{text}`" for text in written),
        law=operation.law,
        example=f"y = {operation.example or _call(operation)}",
        source=operation.source,
        more=(("starts", starts),),
    )


def shapes(operation: Operation) -> str:
    """What goes in and what comes out: the docstring."""
    return " ".join((getdoc(type(operation)) or "").split()).removesuffix(".")


def arguments(operation: Operation) -> list[str]:
    """The operands and settings in their order, with defaults."""
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


def _call(operation: Operation) -> str:
    operands = (name for name in operation.values if name not in operation.optional)
    return f"{operation.name}({', '.join(operands)})"
