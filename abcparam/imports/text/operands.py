"""The operands of a call while its text is written."""

from __future__ import annotations

from abcparam.imports.alike import KnownData, Operand
from abcparam.imports.seen import Seen, local
from abcparam.imports.text.layout import Laid
from abcparam.imports.text.values import UnfinishedValue, Unspelled, WrittenValue
from abcparam.imports.text.writer import TextWriter
from abcparam.imports.traced import Ref, Weight
from abcparam.program.expressions import TensorRef


def first(writer: TextWriter, see: Seen, index: int = 0, name: str = "") -> WrittenValue:
    """An operand of a call."""
    return value_of(writer, see, see.get(index, name))


def value_of(writer: TextWriter, see: Seen, operand: Operand) -> WrittenValue:
    match operand:
        case Ref():
            found = writer.values.get(local(operand))
            return found if found is not None else writer.refused("a value that is left out")
        case Weight():
            value = see.value(operand)
            assert isinstance(value, TensorRef)
            return writer.tensor(value)
        case KnownData():
            return writer.known(operand)
    return writer.refused("what is no tensor")


def laid_or(writer: TextWriter, value: WrittenValue) -> Laid | Unspelled:
    """A value with a layout; else the reason why it has none."""
    return writer.unfinished(value) if isinstance(value, UnfinishedValue) else value
