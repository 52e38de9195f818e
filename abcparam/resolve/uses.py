"""What operations use the tensors as: maps, tables of rows, gains, shifts, biases.

Maps and tables are named where they are used, so that the text alone tells them; roles, and how
axes are read, depend on it. A gain or a bias may go through locals and blocks: it is followed
through the resolved modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.program.expressions import (
    Apply,
    Assign,
    Expression,
    Invoke,
    Local,
    Repeat,
    Return,
    TensorRef,
)
from abcparam.program.model import Module
from abcparam.program.signature import Signature

GAIN = "ones"  # what else it is used as, a gain does not start at zeros


class Uses:
    """The declarations of tensors, by place, that are read as maps and as tables, or at all."""

    def __init__(self) -> None:
        self.tables: set[Span] = set()  # looked up row by row
        self.maps: set[Span] = set()  # contracted with a value
        self.named: set[Span] = set()  # used at all

    def name(self, declared: Span | None) -> None:
        """Notes that a tensor is named."""
        if declared is not None:
            self.named.add(declared)

    def add(
        self,
        operation: Signature,
        arguments: Iterable[syntax.Argument],
        declaration: Callable[[syntax.Expression], Span | None],
    ) -> None:
        """Notes the tensors that a call contracts or looks up, by where they are declared."""
        unnamed = iter(operation.order)
        for argument in arguments:
            operand = argument.name or next(unnamed, "")
            declared = declaration(argument.value) if operand in operation.weights else None
            if declared is not None:
                (self.tables if operand in operation.tables else self.maps).add(declared)


def starts_of(root: Module) -> dict[str, str]:
    """The init of each tensor whose use says what it starts at."""
    return _Starts(root).run()


Standing = Mapping[str, str | None]  # the tensor that a name stands for, if it is one


class _Starts:
    def __init__(self, root: Module) -> None:
        self.root = root
        self.modules = {module.path: module for module in root.walk()}
        self.found: dict[str, str] = {}
        self.weights: set[str] = set()  # maps and tables
        self.done: dict[object, tuple[str | None, ...]] = {}

    def run(self) -> dict[str, str]:
        self._module(self.root, {})
        return {path: start for path, start in self.found.items() if path not in self.weights}

    def _module(self, module: Module, given: Standing) -> tuple[str | None, ...]:
        key = module.path, frozenset(given.items())
        if key not in self.done:
            self.done[key] = self._body(module, dict(given))
        return self.done[key]

    def _body(self, module: Module, names: dict[str, str | None]) -> tuple[str | None, ...]:
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    names.update(zip(targets, self._value(value, module, names), strict=False))
                case Repeat(instance=instance, carried=carried):
                    body = self._child(module, instance)
                    self._module(body, {name: names.get(name) for name, _ in body.inputs})
                    names.update(dict.fromkeys(carried))
                case Return(values=values):
                    return tuple(self._value(value, module, names)[0] for value in values)
        return ()

    def _child(self, module: Module, instance: str) -> Module:
        return self.modules[f"{module.path}.{instance}" if module.path else instance]

    def _value(self, value: Expression, module: Module, names: Standing) -> tuple[str | None, ...]:
        """The tensors that the results stand for."""
        match value:
            case Local(name=name):
                return (names.get(name),)
            case TensorRef(tensor=path):
                return (path,)
            case Invoke():
                return self._invoke(value, module, names)
            case Apply():
                return self._apply(value, module, names)

    def _invoke(self, call: Invoke, module: Module, names: Standing) -> tuple[str | None, ...]:
        name = call.instance
        called = self.modules[name] if call.outer else self._child(module, name)
        operands = [self._value(operand, module, names)[0] for operand in call.operands]
        given = {name: path for (name, _), path in zip(called.inputs, operands, strict=False)}
        return self._module(called, given)

    def _apply(self, call: Apply, module: Module, names: Standing) -> tuple[str | None, ...]:
        operation = call.operation
        operands = [self._value(o, module, names)[0] if o else None for o in call.operands]
        for name, operand, path in zip(operation.values, call.operands, operands, strict=False):
            if path is not None and operand is not None:
                self._use(operation, name, operand, path)
        stands = operands[0] if operation.multiple else None
        return (stands, *[None] * (len(call.shapes) - 1))

    def _use(self, operation: Signature, name: str, operand: Expression, path: str) -> None:
        start = operation.start(name, operand.shapes[0])
        if name in operation.weights:
            self.weights.add(path)
        elif start is not None and self.found.get(path) != GAIN:
            self.found[path] = start
