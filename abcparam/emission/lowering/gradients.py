"""Where gradients are scaled in a gauge that does: beside maps, and what attention reads.

A map `y = M w x` is emitted as `forward(M) . w . x`: its multiplier goes to what it gives, in the
forward pass alone. Gradients of values are Γ times theirs, a tensor's β times its. Backwards, what
comes into the map is multiplied by `β M / Γ(y)`, and what leaves it by `Γ(x) / β`: so `w` gets
β times its gradient, and x gets Γ times its own, wherever it is read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Return,
    TensorRef,
    parts_of,
    values_of,
)
from abcparam.program.model import Module, Program

OUTPUTS, ATTENDED, HIDDEN, NONE = "outputs", "attended", "hidden", ""
HEADS = 2  # operands of attention that are queries and keys


class GradientRegions:
    """By identity of expressions: whose Γ the gradient of each value has, and which change it.

    `changes`: from the Γ of what reads a value to its own. `pending`: what is assigned to a local
    with the factor that it is still to be multiplied by.
    """

    def __init__(self, program: Program) -> None:
        self.regions: dict[int, str] = {}
        self.changes: dict[int, tuple[str, str]] = {}
        self.pending: set[int] = set()
        if program.gradients is None:
            return
        for module in program.root.walk():
            self._module(module, is_root=not module.path)

    def of(self, value: Expression) -> str:
        return self.regions.get(id(value), HIDDEN)

    def _module(self, module: Module, is_root: bool) -> None:
        locals = BodyLocals(module)
        self.pending.update(
            id(value)
            for name in locals.made
            if isinstance(value := locals.made_for(name), Apply)
            and value.operation.name == "attention"
        )
        if is_root:
            for statement in module.body:
                if isinstance(statement, Return):
                    for value in statement.values:
                        self._enter(value, NONE, OUTPUTS, locals)
        for value in module.expressions():
            if isinstance(value, Apply) and value.operation.name == "attention":
                for operand in value.operands[:HEADS]:
                    if operand is not None and not locals.is_shared(operand):
                        self._enter(operand, self.of(value), ATTENDED, locals)

    def _enter(self, value: Expression, outside: str, inside: str, locals: BodyLocals) -> None:
        """A value that is read with one Γ has another."""
        self.changes[id(value)] = outside, inside
        self._mark(value, inside, locals)

    def _mark(self, value: Expression, region: str, locals: BodyLocals) -> None:
        self.regions[id(value)] = region
        match value:
            case Apply() if map_of(value) is not None:
                return
            case Apply(operands=operands):
                for operand in operands:
                    if operand is not None:
                        self._mark(operand, region, locals)
            case Local(name=name) if (made := locals.made_for(name)) is not None:
                self._mark(made, region, locals)
            case Local() | Invoke():
                self._leave(value, region)

    def _leave(self, value: Expression, region: str) -> None:
        outside, _ = self.changes.get(id(value), (region, region))
        self.changes[id(value)] = outside, HIDDEN


class BodyLocals:
    """The locals of one body: how each is made, and how often it is read."""

    def __init__(self, module: Module) -> None:
        self.made: dict[str, Expression] = {}
        self.reads: Counter[str] = Counter()
        again: set[str] = set()
        for statement in module.body:
            for value in values_of(statement):
                self.reads.update(x.name for x in _locals_of(value))
            if isinstance(statement, Assign):
                again.update(name for name in statement.targets if name in self.made)
                if len(statement.targets) == 1:
                    self.made[statement.targets[0]] = statement.value
        carried = {name for child in module.children for name, _ in child.inputs}
        for name in again | carried:
            self.made.pop(name, None)

    def made_for(self, name: str) -> Expression | None:
        """How a local is made that is read once."""
        return self.made.get(name) if self.reads[name] == 1 else None

    def is_shared(self, value: Expression) -> bool:
        return isinstance(value, Local) and self.made_for(value.name) is None


def _locals_of(value: Expression) -> Iterator[Local]:
    return (part for part in parts_of(value) if isinstance(part, Local))


def map_of(call: Apply) -> TensorRef | None:
    """The tensor that an operation applies."""
    for name, operand in zip(call.operation.values, call.operands, strict=False):
        if name in call.operation.weights and isinstance(operand, TensorRef):
            return operand
    return None
