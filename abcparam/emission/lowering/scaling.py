"""The factors of one function's values and their gradients, in a gauge that scales them.

Each map is multiplied where it is applied (`gradients`), what is carried from copy to copy of a
repeat is divided by a factor of the copy's (`streams`), and gradients by what the copy's have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeGuard

from abcparam.algebra.record import replace
from abcparam.emission.lowering.copies import CopyFactors
from abcparam.emission.lowering.gradients import HIDDEN, map_of
from abcparam.emission.lowering.scope import ModuleScope, multiplier
from abcparam.emission.lowering.streams import passes
from abcparam.emission.lowering.uses import CodeUses
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, Invoke, Local, TensorRef
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.python_code import nodes
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import Code, Name, Statement, call
from abcparam.python_code.value import ScaledCode, times

PLAIN: dict[str, Any] = {"scale": ONE, "linear": None, "tail": None, "vector": False}


class ScaledBody(Protocol):
    """The function around, which lowers what is not scaled."""

    program: Program
    uses: CodeUses
    home: str
    scope: ModuleScope
    pending: dict[str, Formula]

    def lowered(self, value: Expression) -> ScaledCode: ...

    def code(self, value: Expression) -> Code: ...

    def factor(self, value: Formula, hint: str) -> Code: ...

    def local(self, code: Code, hint: str = "y") -> Code: ...

    def emit(self, statement: Statement) -> None: ...


class FunctionScaling:
    """What is multiplied where in a function, and what its locals are divided by."""

    def __init__(self, body: ScaledBody) -> None:
        self.body = body
        self.program, self.uses, self.scope = body.program, body.uses, body.scope
        self.copies = CopyFactors.of(body.program, body.home)
        self.inward: dict[int, Formula] = {}  # what gradients of operands are multiplied by
        self.entered: dict[str, Code] = {}  # what is read for a local from another copy
        self.held: dict[str, Formula] = {}  # what locals are divided by
        self.handed: dict[str, dict[str, Formula]] = {}  # and inputs of modules, by their paths

    # Values

    def value(self, value: Expression) -> ScaledCode:
        """A value, over the factor that it is to have, its gradient times that of its readers."""
        if self.program.gradients is None:
            return self.body.lowered(value)
        found = self._applied(value) if isinstance(value, Apply) else self.body.lowered(value)
        factor = self.inward.pop(id(value), ONE)
        if id(value) in self.uses.regions.changes:
            outside, inside = self.uses.regions.changes[id(value)]
            factor = factor * self._region(inside) / self._region(outside)
        forward = self._forward(value)
        if forward == factor == ONE:
            return found
        code = self.rescaled(found.code, forward, factor)
        return replace(found, code=code, linear=None, tail=None)

    def _forward(self, value: Expression) -> Formula:
        """What takes a value from what it is divided by to what it is to be divided by."""
        over = self.uses.held.of(value)
        match value:
            case Local(name=name):
                return self.held.get(name, ONE) / over
            case TensorRef():
                return ONE
            case Apply() if map_of(value) is not None or passes(value):
                return ONE
        return ONE / over

    def _applied(self, value: Apply) -> ScaledCode:
        """A map is multiplied where it is applied; gradients by what their tensor's has."""
        weight = map_of(value)
        if weight is None:
            found = self.body.lowered(value)
            return self._mixed(found) if value.operation.name == "attention" else found
        tensor, region = self.program.tensors[weight.tensor], self.uses.regions.of(value)
        own, around = multiplier(self.scope, tensor), self._region(region)
        beta = around / own if tensor.gradient is None else self._beta(tensor)
        for operand in value.operands:
            if operand is not None and operand is not weight and not self._is_index(value, operand):
                self.inward[id(operand)] = self._region(HIDDEN) / beta
        found = self.body.lowered(value)
        forward, backward = found.scale / self.uses.held.of(value), beta * found.scale / around
        if forward == backward == ONE:
            return replace(found, **PLAIN)
        return replace(found, code=self.rescaled(found.code, forward, backward), **PLAIN)

    def _mixed(self, found: ScaledCode) -> ScaledCode:
        """What attention gives, which is smaller than what it is given."""
        assert self.program.gradients is not None
        by = self.scope.amount(self.program.gradients.mixed)
        if by == ONE:
            return found
        code = times(self.body.factor(by, "mixed_scale"), found.code)
        return replace(found, code=code, scale=found.scale / by, linear=None, tail=None)

    def _is_index(self, call: Apply, operand: Expression) -> bool:
        names = zip(call.operation.values, call.operands, strict=False)
        return any(x is operand and name in call.operation.indices for name, x in names)

    def weight(self, code: Code, value: TensorRef) -> tuple[Code, Formula]:
        """A tensor as a value, and what it is still to be multiplied by."""
        tensor, over = self.program.tensors[value.tensor], self.uses.held.of(value)
        scale, forward, backward = multiplier(self.scope, tensor), ONE, ONE
        if self.program.gradients is not None and tensor.gradient is not None:
            backward = self._beta(tensor) / self._region(self.uses.regions.of(value))
        if over != ONE:
            scale, forward, backward = ONE, scale / over, scale * backward
        if forward == backward == ONE:
            return code, scale
        return self.rescaled(code, forward, backward), scale

    def _region(self, region: str) -> Formula:
        if not region:
            return ONE
        found = getattr(self.program.gradients, region)
        assert isinstance(found, Amount)
        return self.scope.amount(found) * self.copies.of_region(region)

    def _beta(self, tensor: Tensor) -> Formula:
        assert tensor.gradient is not None
        return self.scope.amount(tensor.gradient) * self.copies.of_tensor(tensor)

    def rescaled(self, code: Code, forward: Formula, backward: Formula) -> Code:
        """Values times one factor, gradients times another."""
        forward_code = self.body.factor(forward, "forward_scale")
        return call(
            "_Rescale.apply", code, forward_code, self.body.factor(backward, "backward_scale")
        )

    # Locals

    def read(self, name: str) -> Code:
        return self.entered.get(name, Name(name))

    def assigned(self, names: Iterable[str], value: Expression) -> None:
        """Locals are from now on what a value is."""
        for name in names:
            self.entered.pop(name, None)
            self.held[name] = self.uses.held.of(value)

    def divided(self, value: Expression) -> tuple[Code, Formula]:
        """A value for what sees its direction alone: the code, and what it is divided by."""
        if not self._is_held(value):
            return self.body.code(value), ONE
        held = self.held[value.name]
        return self.rescaled(self.read(value.name), ONE, ONE / held), held

    def given(self, call: Invoke, path: str, index: int) -> Code:
        """What a submodule is given; one that is called once takes a local as it is held."""
        operand = call.operands[index]
        if call.outer or self.uses.held.calls[path] != 1 or not self._is_held(operand):
            return self.body.code(operand)
        name, _ = self.uses.by_path[path].inputs[index]
        self.handed.setdefault(path, {})[name] = self.held[operand.name]
        return self.read(operand.name)

    def _is_held(self, value: Expression) -> TypeGuard[Local]:
        """Whether it is a local that is divided by something and otherwise as it was assigned."""
        if not isinstance(value, Local) or self.held.get(value.name, ONE) == ONE:
            return False
        return value.name not in self.body.pending and id(value) not in self.uses.regions.changes

    # Repeats

    def enter(self, name: str, carried: bool) -> None:
        """An input of a repeat's body, whose gradient has the factor of what is outside."""
        self._convert(name, self.copies.entering(carried))

    def leave(self, name: str, repeat: str, count: Formula) -> None:
        """What a repeat has carried to its end, whose gradient has the factor of the last copy."""
        self._convert(name, CopyFactors.of(self.program, repeat).leaving(count))

    def _convert(self, name: str, factor: Formula) -> None:
        if factor != ONE:
            self.entered[name] = self.body.local(self.rescaled(Name(name), ONE, factor))

    def carry(self, names: Iterable[str]) -> None:
        """Locals that a loop assigns: what is read instead of one is what it starts with."""
        for name in names:
            if name in self.entered:
                self.body.emit(nodes.Assign((Name(name),), self.entered.pop(name)))

    def settle(self, names: Iterable[str], wanted: Mapping[str, Formula]) -> None:
        """Locals that a loop reads are divided by these factors, all others by none."""
        for name in names:
            have, over = self.held.get(name, ONE), wanted.get(name, ONE)
            if have != over:
                code = self.rescaled(self.read(name), have / over, ONE)
                self.entered.pop(name, None)
                self.body.emit(nodes.Assign((Name(name),), code))
                self.held[name] = over
