"""What a forward pass computes, whatever its locals and blocks are called.

Values get numbers, equal ones where they are computed alike from the same inputs and tensors. A
repeat is read once, with placeholders for what is carried from copy to copy.
"""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.polynomials import Polynomial, atom, substituted
from abcparam.algebra.record import Record
from abcparam.comparison.factors import Factors, ScaleFactor, factor_of
from abcparam.diagnostics.source import Span
from abcparam.program.amounts import Amount, Setting
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
from abcparam.program.model import Module, Program

CLOSE = 1e-6  # factors further apart in their logarithm differ


class Numbering:
    """Numbers for values and factors, shared by the programs that are compared."""

    def __init__(self) -> None:
        self._known: dict[object, int] = {}
        self._factors: dict[object, list[tuple[float, ScaleFactor, int]]] = {}

    def of(self, *key: object) -> int:
        return self._known.setdefault(key, len(self._known))

    def factor(self, factor: ScaleFactor) -> int:
        """A number for the factor, however it is written."""
        exact = "factor", factor.sign, frozenset(factor.powers.items())
        if exact not in self._known:
            self._known[exact] = self._alike(factor)
        return self._known[exact]

    def _alike(self, factor: ScaleFactor) -> int:
        numbers = ScaleFactor({a: p for a, p in factor.powers.items() if isinstance(a, int)})
        rest = frozenset((a, p) for a, p in factor.powers.items() if not isinstance(a, int))
        alike = self._factors.setdefault((factor.sign, rest), [])
        size = numbers.log({}) or 0.0
        for other_size, other, number in alike:
            if abs(size - other_size) < CLOSE and other.equals(factor):
                return number
        alike.append((size, factor, self.of("new", len(self._known))))
        return alike[-1][2]


class Forward(Record):
    """The numbers of the outputs and of all named values, and where the latter are computed."""

    outputs: tuple[int, ...]
    names: Mapping[str, int]
    spans: Mapping[str, Span]


def read_forward(factors: Factors, numbering: Numbering) -> Forward:
    return _ForwardReader(factors, numbering).run()


class _ForwardReader:
    def __init__(self, factors: Factors, numbering: Numbering) -> None:
        self.program: Program = factors.program
        self.values = dict(factors.values)
        self.numbering = numbering
        self.names: dict[str, int] = {}
        self.spans: dict[str, Span] = {}
        self.depth = 0

    def run(self) -> Forward:
        given = {}
        for place, source in enumerate(self.program.inputs):
            axes = tuple(self.amount(axis.value) for axis in source.axes)
            index = self.amount(source.index.value) if source.index else None
            given[source.name] = self.numbering.of("input", place, axes, index)
        outputs = self.module(self.program.root, given)
        return Forward(outputs, self.names, self.spans)

    def amount(self, value: Polynomial) -> int:
        return self.numbering.factor(factor_of(substituted(value, self.values)))

    def module(self, module: Module, given: Mapping[str, int]) -> tuple[int, ...]:
        names = dict(given)
        for statement in module.body:
            match statement:
                case Assign(targets=targets, value=value):
                    numbers = self.value(value, module, names)
                    for target, number in zip(targets, numbers, strict=True):
                        self.assign(module, names, target, number, value.span)
                case Repeat(instance=instance):
                    self.loop(module, module.child(instance), names)
                case Return(values=values):
                    return tuple(self.value(value, module, names)[0] for value in values)
        return ()

    def assign(
        self, module: Module, names: dict[str, int], name: str, number: int, span: Span
    ) -> None:
        names[name] = number
        path = f"{module.path}.{name}" if module.path else name
        self.names.pop(path, None)  # what is assigned again comes later
        self.names[path], self.spans[path] = number, span

    def loop(self, module: Module, body: Module, names: dict[str, int]) -> None:
        """Names what is carried out of a repeat: a function of what comes in and of one copy."""
        assert body.count is not None and body.index is not None
        carried = body.carried
        given = {name: names[name] for name, _ in body.inputs}
        for place, name in enumerate(carried):
            given[name] = self.numbering.of("carried", self.depth, place)
        outside = self.values
        self.values = {**outside, body.index: atom(f"copy {self.depth}")}
        self.depth += 1
        results = self.module(body, given)
        self.depth -= 1
        self.values = outside
        start = tuple(names[name] for name in carried)
        key = self.amount(body.count.value), start, results
        for place, name in enumerate(carried):
            self.assign(module, names, name, self.numbering.of("repeat", key, place), body.span)

    def value(self, value: Expression, module: Module, names: Mapping[str, int]) -> tuple[int, ...]:
        match value:
            case Local(name=name):
                return (names[name],)
            case TensorRef(tensor=path, transposed=transposed):
                return (self.numbering.of("tensor", path, transposed),)
            case Invoke():
                return self.invoke(value, module, names)
            case Apply():
                return self.apply(value, module, names)

    def invoke(self, call: Invoke, module: Module, names: Mapping[str, int]) -> tuple[int, ...]:
        target = self.program.called(call, module)
        operands = [self.value(o, module, names)[0] for o in call.operands]
        given = {name: number for (name, _), number in zip(target.inputs, operands, strict=True)}
        return self.module(target, given)

    def apply(self, call: Apply, module: Module, names: Mapping[str, int]) -> tuple[int, ...]:
        operands = tuple(
            self.value(operand, module, names)[0] if operand is not None else None
            for operand in call.operands
        )
        settings = tuple((name, self.setting(s)) for name, s in sorted(call.settings.items()))
        key = call.operation.name, operands, settings
        return tuple(self.numbering.of("value", key, place) for place in range(len(call.shapes)))

    def setting(self, setting: Setting) -> object:
        if isinstance(setting, Amount):
            return self.amount(setting.value)
        if isinstance(setting, tuple):
            return tuple(self.amount(item.value) for item in setting)
        return ("flag", setting)
