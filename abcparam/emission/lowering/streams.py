"""Values that are held over a factor: what a repeat carries, in a gauge that keeps sizes about 1.

A stream that starts small, or grows with each copy, is given by each copy over a factor of its own,
`x / φ`. What is added to it is over φ too. A norm reads it as it is, its epsilon over φ²; all other
readers multiply by φ. Gradients are those of x itself (`gradients`): φ is in the forward pass only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from abcparam.emission.lowering.gradients import BodyLocals, map_of
from abcparam.emission.lowering.scope import ModuleScope
from abcparam.program.by_copy import CarriedPowers
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
)
from abcparam.program.model import Module, Program
from abcparam.python_code.formula import ONE, Argument, Formula, by_copy, of

PASSING = frozenset({"+", "-", "scale", "dropout"})  # over φ where their operands are


class HeldValues:
    """By identity of expressions: over which φ each is held; and what is handed on so."""

    def __init__(self, program: Program) -> None:
        self.over: dict[int, Formula] = {}
        self.calls: Counter[str] = Counter()  # of modules, by their paths
        self.streams: Mapping[str, Mapping[str, CarriedPowers]] = {}
        if program.gradients is None or not program.gradients.streams:
            return
        self.streams = program.gradients.streams
        self.copy = of(Argument(program.gradients.copy))
        self.scope = ModuleScope(program)
        for module in program.root.walk():
            for value in module.expressions():
                if isinstance(value, Invoke):
                    inside = f"{module.path}.{value.instance}".lstrip(".")
                    self.calls[value.instance if value.outer else inside] += 1
        self._around(program.root)
        for child in program.root.children:
            if child.path in self.streams:
                self._inside(child)

    def of(self, value: Expression) -> Formula:
        return self.over.get(id(value), ONE)

    def entering(self, body: Module) -> dict[str, Formula]:
        """What the body of a repeat is given, by the number of a copy."""
        streams = self.streams.get(body.path, {})
        return {name: _given(powers, self.copy) for name, powers in streams.items()}

    def before(self, body: Module) -> dict[str, Formula]:
        """What the first copy is given."""
        streams = self.streams.get(body.path, {})
        return {name: _power_of_two(powers.before) for name, powers in streams.items()}

    def leaving(self, body: Module) -> dict[str, Formula]:
        """What the last copy has given."""
        if body.path not in self.streams or body.count is None:
            return {}
        count, streams = self.scope.amount(body.count), self.streams[body.path]
        return {name: _given(powers, count) for name, powers in streams.items()}

    def _around(self, root: Module) -> None:
        locals = BodyLocals(root)
        for index, statement in enumerate(root.body):
            if not (isinstance(statement, Assign) and len(statement.targets) == 1):
                continue
            (name,), after = statement.targets, root.body[index + 1 :]
            repeats = (x for x in after if isinstance(x, Repeat) and name in x.carried)
            following = next(repeats, None)
            if following is not None:
                before = self.before(root.child(following.instance))
                self._mark(statement.value, before.get(name, ONE), locals)

    def _inside(self, body: Module) -> None:
        streams, locals = self.streams[body.path], BodyLocals(body)
        now = {name: by_copy(self.copy, powers.copies) for name, powers in streams.items()}
        for statement in body.body:
            match statement:
                case Assign(targets=(name,), value=value) if name in now:
                    self._mark(value, now[name], locals)
                case Return(values=values):
                    for name, value in zip(body.carried, values, strict=True):
                        self._mark(value, now.get(name, ONE), locals)

    def _mark(self, value: Expression, over: Formula, locals: BodyLocals) -> None:
        if over == ONE:
            return
        self.over[id(value)] = over
        match value:
            case Apply(operands=operands) if passes(value):
                for operand in operands:
                    if operand is not None:
                        self._mark(operand, over, locals)
            case Local(name=name) if (made := locals.made_for(name)) is not None:
                self._mark(made, over, locals)


def passes(value: Apply) -> bool:
    """Whether a value is over a factor where its operands are."""
    return value.operation.name in PASSING and map_of(value) is None


def _power_of_two(power: int) -> Formula:
    return by_copy(ONE, ((0, power),))


def _given(powers: CarriedPowers, copies: Formula) -> Formula:
    """By which factor a stream is behind so many copies."""
    return by_copy(copies, ((0, powers.before), *((c + 1, p) for c, p in powers.copies)))
