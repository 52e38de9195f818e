"""The same program with every use of a tensor named.

The emitter gathers scale factors and places them where they cost least, so that in the emitted
code no value need be `W·x` with its multiplier. A value that is assigned to a name is whole. So
every use is assigned to a name of its own, and what the emitter makes of that program computes it.
"""

from __future__ import annotations

from abcparam.algebra.record import Record, replace
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
    Statement,
    TensorRef,
)
from abcparam.program.model import Module, Program


class Explicit(Record):
    """The program, and by the names of its uses the paths of the tensors used.

    `applied`: the names of the uses that may sum over an axis of the tensor.
    """

    program: Program
    uses: dict[str, str]
    applied: frozenset[str]


def explicit(program: Program) -> Explicit:
    """Names every use of a tensor."""
    namer = _Namer(program)
    root = namer.module(program.root)
    return Explicit(replace(program, root=root), namer.uses, frozenset(namer.applied))


class _Namer:
    def __init__(self, program: Program) -> None:
        self.taken = str(program.root)
        self.count = 0
        self.uses: dict[str, str] = {}
        self.applied: set[str] = set()
        self.body: list[Statement] = []

    def fresh(self, hint: str) -> str:
        """A name that occurs nowhere in the program."""
        while True:
            self.count += 1
            name = f"{hint}{self.count}"
            if f"'{name}'" not in self.taken:
                return name

    def module(self, module: Module) -> Module:
        children = tuple(self.module(child) for child in module.children)
        self.body = []
        for statement in module.body:
            self.body.append(self.statement(statement))
        return replace(module, children=children, body=tuple(self.body))

    def statement(self, statement: Statement) -> Statement:
        match statement:
            case Assign(targets=targets, value=value):
                return Assign(targets, self.value(value))
            case Return(values=values):
                return Return(tuple(self.value(value) for value in values))
            case Repeat():
                return statement

    def value(self, value: Expression) -> Expression:
        match value:
            case Local():
                return value
            case TensorRef():
                return self.use(value, value.tensor)
            case Invoke(operands=operands):
                return replace(value, operands=tuple(self.value(o) for o in operands))
            case Apply():
                return self.apply(value)

    def apply(self, call: Apply) -> Expression:
        applied = [o for i, o in enumerate(call.operands) if self.is_applied(call, i, o)]
        tensors = [o.tensor for o in applied if isinstance(o, TensorRef)]
        operands = tuple(self.operand(call, i, bool(tensors)) for i in range(len(call.operands)))
        made = replace(call, operands=operands)
        if not tensors:
            return made
        read = self.use(made, tensors[0])
        if not call.operation.indices:
            self.applied.add(read.name)
        return read

    def operand(self, call: Apply, index: int, used: bool) -> Expression | None:
        """An operand; of a use, it is a name too, so that the use can be repeated alone."""
        operand = call.operands[index]
        if operand is None or self.is_applied(call, index, operand):
            return operand
        found = self.value(operand)
        if isinstance(found, Local) or not used or self.is_integer(call, index):
            return found
        return self.named(found, "operand")

    def is_integer(self, call: Apply, index: int) -> bool:
        return call.operation.values[index] in call.operation.indices

    def is_applied(self, call: Apply, index: int, operand: Expression | None) -> bool:
        """Whether an operand is a tensor that the operation applies."""
        values = call.operation.values
        name = values[index] if index < len(values) else ""
        return isinstance(operand, TensorRef) and name in call.operation.weights

    def use(self, value: Expression, tensor: str) -> Local:
        read = self.named(value, "measured")
        self.uses[read.name] = tensor
        return read

    def named(self, value: Expression, hint: str) -> Local:
        name = self.fresh(hint)
        self.body.append(Assign((name,), value))
        return Local(name, value.shapes)
