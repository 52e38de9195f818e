"""Names that the emitted code adds to those of the spec: locals, and attributes of modules."""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.algebra.record import Record, replace
from abcparam.emission.lowering.numbers import CodePlace
from abcparam.program.model import Module
from abcparam.program.reserved_names import EMITTED, FORBIDDEN, MODULE_ATTRIBUTES
from abcparam.python_code.formula import Argument, ByCopy, Formula, joined_by_copy, of
from abcparam.python_code.layout import python
from abcparam.python_code.nodes import Code, own


def fresh(hint: str, taken: set[str]) -> str:
    """The hint, with a number where it is taken."""
    name = hint
    for number in range(2, len(taken) + 3):
        if name not in taken:
            break
        name = f"{hint}{number}"
    taken.add(name)
    return name


class Locals:
    """Names of a function. Those of the spec stand as they are, ours make way.

    Tensors may be named as what a function reads, being attributes: arguments that stand for such
    make way too.
    """

    def __init__(self) -> None:
        self._taken: set[str] = {*EMITTED, *FORBIDDEN}

    def reserve(self, names: Iterable[str]) -> None:
        self._taken |= {*names}

    def fresh(self, hint: str) -> str:
        return fresh(hint, self._taken)


class Constants:
    """Attributes that the constructor computes from the config."""

    def __init__(self, module: Module, place: CodePlace) -> None:
        self.place = place
        self.codes: dict[str, Code] = {}
        self._known: dict[object, str] = {}
        tensors = {path.rpartition(".")[2] for path in module.tensors}
        self._taken = {*MODULE_ATTRIBUTES, "config", *tensors, *(c.name for c in module.children)}

    def real(self, value: Formula, hint: str) -> Code:
        """A factor: a literal, or `self.hint`."""
        value, place = self._apart(joined_by_copy(value))
        if value.constant is not None:
            return place.real(value)
        code = place.real(value)
        return (
            code if code in place.arguments.values() else self._attribute((hint, value), hint, code)
        )

    def _apart(self, value: Formula) -> tuple[Formula, CodePlace]:
        """A formula in which what differs between copies is an attribute of its own."""
        found: dict[str, Code] = {}
        for atom, _ in value.powers:
            if isinstance(atom, ByCopy):
                code = self._attribute(atom, "copy_scale", self.place.real(of(atom)))
                found[python(code)] = code
                value = value / of(atom) * of(Argument(python(code)))
        return value, replace(self.place, arguments={**self.place.arguments, **found})

    def whole(self, value: Formula, hint: str) -> Code:
        if value.constant is not None and value.constant.denominator == 1:
            return self.place.whole(value)
        return self._attribute(("whole", value), hint, self.place.whole(value))

    def free(self, hint: str) -> str:
        """A name that the module has not yet."""
        return fresh(hint, self._taken)

    def _attribute(self, key: object, hint: str, code: Code) -> Code:
        if key not in self._known:
            name = self.free(hint)
            self._known[key] = name
            self.codes[name] = code
        return own(self._known[key])


class Buffer(Record):
    """A tensor of one axis that a module keeps and no optimizer trains."""

    name: str
    length: Formula
    start: int  # what it is filled with


class Buffers:
    """The buffers of a module."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self.found: list[Buffer] = []

    def add(self, hint: str, length: Formula, start: int) -> Code:
        name = self._constants.free(hint)
        self.found.append(Buffer(name, length, start))
        return own(name)
