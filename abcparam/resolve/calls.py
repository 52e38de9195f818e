"""Expressions of a body: values and amounts, operations and blocks, operands and settings."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from abcparam import syntax
from abcparam.diagnostics import Diagnostic
from abcparam.operations import operations
from abcparam.operations.base import REQUIRED, Call, Operation, Refused, show
from abcparam.polynomials import ONE, number
from abcparam.program import (
    Amount,
    Apply,
    Expression,
    Invoke,
    Read,
    Setting,
    Shape,
    Weight,
    map_shape,
)
from abcparam.record import Record, replace
from abcparam.resolve.arguments import Quiet, arguments
from abcparam.rules import exponents as rules
from abcparam.rules import shapes as shape_rules
from abcparam.source import Span

if TYPE_CHECKING:
    from abcparam.resolve.bodies import Body


class Copies(Record):
    """How many instances a call of a block makes; `tokens` are the axes that choose among them."""

    count: Amount
    tokens: Shape


class Calls:
    """Elaborates the expressions of one body."""

    def __init__(self, body: Body) -> None:
        self.body = body

    def static(self, value: syntax.Expression) -> bool:
        return self.body.amounts.is_static(value)

    def value(self, value: syntax.Expression) -> Expression:
        """A typed value; raises `Quiet` or `NotStatic`."""
        match value:
            case syntax.Name():
                return self._name(value)
            case syntax.Attribute():
                return self._attribute(value)
            case syntax.Index():
                return self._index(value)
            case syntax.Negative(operand=operand):
                return self._scale(syntax.Number(Fraction(-1)), operand, value)
            case syntax.Binary(op="@"):
                return self._matmul(value)
            case syntax.Binary():
                return self._binary(value)
            case syntax.Call():
                return self._call(value)
            case _:
                raise self._not_a_value("this", value)

    def _not_a_value(self, operation: str, value: syntax.Expression) -> Quiet:
        found = "a tuple" if isinstance(value, syntax.Tuple) else "a number or flag"
        return Quiet(shape_rules.NotAValue.at(value.span, operation=operation, found=found))

    def _name(self, name: syntax.Name) -> Expression:
        local = self.body.read(name.id)
        if local is not None:
            if local.shape is None:
                raise Quiet(None)
            return Read(name.id, (local.shape,), local.integer, span=name.span)
        weight = self.body.weight(name)
        if weight is None:
            raise self._not_a_value("this", name)
        return self._weight(weight)

    def _attribute(self, value: syntax.Attribute) -> Weight:
        if value.name == "T":
            inner = self._matrix(".T", "what it follows", value.value)
            if inner.transposed:
                raise self._not_a_tensor(
                    ".T", "what it follows", value, "a tensor transposed already"
                )
            shape = inner.shapes[0][::-1]
            return Weight(inner.tensor, inner.name, (shape,), True, inner.outer, span=value.span)
        if isinstance(value.value, syntax.Name):
            found = self.body.instance(value.value.id)
            if found is not None:
                instance, outer = found
                path = f"{instance.module.path}.{value.name}"
                name = path if outer else f"{value.value.id}.{value.name}"
                return self._weight(Weight(path, name, (), outer=outer, span=value.span))
        raise self._not_a_tensor(".", "this", value)

    def _weight(self, weight: Weight) -> Weight:
        """The tensor with its shape; what uses one of unknown shape is passed over in silence."""
        world = self.body.world
        if weight.tensor in world.globals.broken:
            raise Quiet(None)
        return replace(weight, shapes=(world.tensors[weight.tensor].shape,))

    def _not_a_tensor(
        self, operation: str, operand: str, value: syntax.Expression, found: str = "a value"
    ) -> Quiet:
        wanted = "a tensor of two axes" if operation in {"@", ".T"} else "a tensor"
        fields = {"operation": operation, "operand": operand, "wanted": wanted, "found": found}
        return Quiet(shape_rules.NotATensor.at(value.span, **fields))

    def _matrix(self, operation: str, operand: str, value: syntax.Expression) -> Weight:
        if self.static(value):
            raise self._not_a_tensor(operation, operand, value, "a number")
        weight = self.value(value)
        if not isinstance(weight, Weight):
            raise self._not_a_tensor(operation, operand, value)
        if len(weight.shapes[0]) != 2:
            found = f"a tensor of shape {show(weight.shapes[0])}"
            raise self._not_a_tensor(operation, operand, value, found)
        return weight

    def _index(self, value: syntax.Index) -> Expression:
        operand = self.operand("[ ]", value.value)
        at = self.body.amounts.amount(value.index, "an index")
        self._in_range(value, operand, at)
        return self.apply("index", (operand,), {"at": at}, value)

    def _in_range(self, value: syntax.Index, operand: Expression, at: Amount) -> None:
        shape = operand.shapes[0]
        if not shape:
            return
        index, length = (self.body.world.globals.at_base(x) for x in (at.value, shape[0]))
        if index is None or length is None:
            return
        if index.denominator != 1 or not -length <= index < length:
            fields = {"index": at.value, "axis": shape[0], "length": length}
            raise Quiet(shape_rules.IndexOutOfRange.at(value.index.span, **fields))

    def _matmul(self, value: syntax.Binary) -> Expression:
        weight = self._matrix("@", "its left side", value.left)
        x = self.operand("@", value.right)
        return self.apply("@", (weight, x), {"transposed": weight.transposed}, value)

    def operand(self, operation: str, value: syntax.Expression) -> Expression:
        """A value with one result and real numbers in it."""
        if self.static(value):
            raise self._not_a_value(operation, value)
        found = self.value(value)
        if len(found.shapes) != 1:
            raise Quiet(wrong_count(value.span, "one value", len(found.shapes)))
        return found

    def _binary(self, value: syntax.Binary) -> Expression:
        left, right = self.static(value.left), self.static(value.right)
        if left and right:
            raise self._not_a_value(value.op, value)
        if value.op == "*" and left:
            return self._scale(value.left, value.right, value)
        if value.op == "*" and right:
            return self._scale(value.right, value.left, value)
        if value.op == "/" and right:
            inverse = syntax.Binary(
                "/", syntax.Number(Fraction(1)), value.right, span=value.right.span
            )
            return self._scale(inverse, value.left, value)
        if value.op in {"+", "-"} and (left or right):
            return self._offset(value, number_first=left)
        if value.op not in {"+", "-", "*"}:
            what = f"`{value.op}` of values"
            remedy = (
                "values can be added, subtracted, multiplied, and divided by numbers, dims "
                "and hypers"
            )
            raise Quiet(rules.NotCovered.at(value.span, what=what, remedy=remedy))
        operands = (self.operand(value.op, value.left), self.operand(value.op, value.right))
        return self.apply(value.op, operands, {}, value)

    def _scale(
        self, factor: syntax.Expression, operand: syntax.Expression, place: syntax.Expression
    ) -> Expression:
        by = self.body.amounts.amount(factor, "a factor")
        return self.apply("scale", (self.operand("*", operand),), {"by": by}, place)

    def _offset(self, value: syntax.Binary, number_first: bool) -> Expression:
        """`x + 1`, `x - 1`, `1 + x`, `1 - x`."""
        number, operand = (value.left, value.right) if number_first else (value.right, value.left)
        if value.op == "-" and number_first:
            operand = syntax.Negative(operand, span=operand.span)
        elif value.op == "-":
            number = syntax.Negative(number, span=number.span)
        by = self.body.amounts.amount(number, "a summand")
        return self.apply("offset", (self.operand(value.op, operand),), {"by": by}, value)

    # Calls

    def _call(self, call: syntax.Call) -> Expression:
        name = call.function.id
        block = self.body.world.blocks.get(name)
        if block is not None:
            return self._block(call, block)
        found = self.body.instance(name)
        if found is not None:
            return self._again(call, *found)
        if name not in operations():
            raise self._not_a_value(name, call)
        return self._operation(call, operations()[name])

    def _copies(
        self,
        operation: Operation,
        name: str,
        argument: syntax.Expression,
        logits: Expression | None,
    ) -> Expression:
        """A call of a block as an operand: as many instances as there are logits."""
        function = argument.function.id if isinstance(argument, syntax.Call) else ""
        block = self.body.world.blocks.get(function)
        if logits is None or not isinstance(argument, syntax.Call) or block is None:
            fields = {"operation": operation.name, "name": name}
            raise Quiet(shape_rules.NotABlock.at(argument.span, **fields))
        *tokens, count = logits.shapes[0] or (ONE,)
        copies = Copies(Amount(self.body.amounts.written(count), count), tuple(tokens))
        invoke = self._block(argument, block, copies)
        if len(invoke.operands) != 1 or len(invoke.shapes) != 1:
            fields = {"operation": operation.name, "name": name}
            raise Quiet(shape_rules.NotABlock.at(argument.span, **fields))
        return invoke

    def _block(
        self, call: syntax.Call, block: syntax.Block, copies: Copies | None = None
    ) -> Invoke:
        given = arguments(call, block.name.id, [p.name.id for p in block.parameters])
        values: dict[str, Expression] = {}
        sizes: dict[str, Amount | bool] = {}
        for parameter in block.parameters:
            argument = given.get(parameter.name.id, parameter.default)
            if argument is None:
                remedy = f"`{block.name.id}({', '.join(p.name.id for p in block.parameters)})`"
                fields = {
                    "operation": block.name.id,
                    "name": parameter.name.id,
                    "remedy": f"call it as {remedy}",
                }
                raise Quiet(rules.MissingArgument.at(call.span, **fields))
            if self.static(argument):
                sizes[parameter.name.id] = self._amount_or_flag(argument)
            else:
                values[parameter.name.id] = self.operand(block.name.id, argument)
        shapes = {k: self._of_a_token(call, block, v.shapes[0], copies) for k, v in values.items()}
        instance = self.body.instantiate(call, block, values, sizes, shapes, copies)
        results = instance.shapes
        if copies is not None:
            results = tuple((*copies.tokens, *shape) for shape in results)
        return Invoke(instance.module.name, tuple(values.values()), results, span=call.span)

    def _of_a_token(
        self, call: syntax.Call, block: syntax.Block, shape: Shape, copies: Copies | None
    ) -> Shape:
        """The axes that an instance sees: those of a token, where tokens choose among copies."""
        tokens = copies.tokens if copies else ()
        if shape[: len(tokens)] != tokens:
            fields = {"operation": block.name.id, "left": show(shape), "right": show(tokens)}
            raise Quiet(shape_rules.ShapesDiffer.at(call.span, **fields))
        return shape[len(tokens) :]

    def _amount_or_flag(self, value: syntax.Expression) -> Amount | bool:
        if isinstance(value, syntax.Name):
            found = self.body.amounts.lookup(value.id)
            if isinstance(found, bool):
                return found
        return self.body.amounts.amount(value)

    def _again(self, call: syntax.Call, instance: object, outer: bool) -> Expression:
        from abcparam.resolve.bodies import Instance

        assert isinstance(instance, Instance)
        module = instance.module
        names = [name for name, _ in module.inputs]
        given = arguments(call, module.name, names)
        operands = []
        for name, shape in module.inputs:
            if name not in given:
                fields = {
                    "operation": module.name,
                    "name": name,
                    "remedy": f"call it as `{module.name}(…)`",
                }
                raise Quiet(rules.MissingArgument.at(call.span, **fields))
            operand = self.operand(module.name, given[name])
            self._same_shape(call, module.name, operand.shapes[0], shape)
            operands.append(operand)
        name = module.path if outer else module.name
        return Invoke(name, tuple(operands), instance.shapes, outer, span=call.span)

    def _same_shape(self, call: syntax.Call, name: str, found: Shape, wanted: Shape) -> None:
        if found != wanted:
            fields = {"operation": name, "left": show(found), "right": show(wanted)}
            raise Quiet(shape_rules.ShapesDiffer.at(call.span, **fields))

    # Operations

    def _operation(self, call: syntax.Call, operation: Operation) -> Expression:
        if operation.name == "zeros":
            shape = tuple(self.body.amounts.amount(a.value, "a length") for a in call.arguments)
            return self.apply("zeros", (), {"shape": shape}, call)
        if operation.many:
            return self._many(call, operation)
        order = operation.order
        given = arguments(call, operation.name, order)
        operands: tuple[Expression | None, ...] = ()
        for name in operation.values:
            if name in operation.copied and name in given:
                operands += (self._copies(operation, name, given[name], operands[0]),)
            else:
                operands += (self._given(call, operation, name, given),)
        settings = self._settings(call, operation, given)
        return self.apply(operation.name, operands, settings, call)

    def _many(self, call: syntax.Call, operation: Operation) -> Expression:
        operands = tuple(
            self.operand(operation.name, a.value) for a in call.arguments if a.name is None
        )
        if not operands:
            fields = {
                "operation": operation.name,
                "name": "x",
                "remedy": f"`{operation.name}(x, …)`",
            }
            raise Quiet(rules.MissingArgument.at(call.span, **fields))
        named = syntax.Call(
            call.function, tuple(a for a in call.arguments if a.name), span=call.span
        )
        given = arguments(named, operation.name, list(operation.settings))
        return self.apply(operation.name, operands, self._settings(call, operation, given), call)

    def _given(
        self,
        call: syntax.Call,
        operation: Operation,
        name: str,
        given: dict[str, syntax.Expression],
    ) -> Expression | None:
        argument = given.get(name)
        if argument is None or (name in operation.optional and self._is_nothing(argument)):
            if name in operation.optional:
                return None
            remedy = f"`{operation.name}({', '.join(operation.order)})`"
            fields = {"operation": operation.name, "name": name, "remedy": f"it takes {remedy}"}
            raise Quiet(rules.MissingArgument.at(call.span, **fields))
        return self._checked(operation, name, argument)

    def _is_nothing(self, argument: syntax.Expression) -> bool:
        """A default of 0 stands for leaving the operand out: `bias = 0`."""
        return self.static(argument) and self.body.amounts.polynomial(argument).constant == 0

    def _checked(self, operation: Operation, name: str, argument: syntax.Expression) -> Expression:
        operand = self.operand(operation.name, argument)
        if name in operation.weights and not isinstance(operand, Weight):
            raise self._not_a_tensor(operation.name, f"`{name}`", argument)
        integer = isinstance(operand, Read) and operand.integer
        if integer != (name in operation.indices):
            raise self._indices(operation, name, argument.span, wanted=not integer)
        if name == "gain" and isinstance(operand, Weight):
            self.body.world.gains.add(operand.tensor)
        return operand

    def _settings(
        self, call: syntax.Call, operation: Operation, given: dict[str, syntax.Expression]
    ) -> dict[str, Setting]:
        found: dict[str, Setting] = {}
        for name, default in operation.settings.items():
            if name in given:
                found[name] = self._setting(given[name], default)
            elif default is REQUIRED:
                remedy = f"add `{name} = …`"
                if name == "scale":
                    remedy = (
                        "add `scale = head^-1`: PyTorch's default of 1/sqrt(head) is wrong under µP"
                    )
                fields = {"operation": operation.name, "name": name, "remedy": remedy}
                raise Quiet(rules.MissingArgument.at(call.span, **fields))
            else:
                found[name] = _default(default, found)
        return found

    def _setting(self, value: syntax.Expression, default: object) -> Setting:
        if isinstance(value, syntax.Tuple):
            return tuple(self.body.amounts.amount(item) for item in value.items)
        setting = self._amount_or_flag(value)
        if isinstance(default, bool) != isinstance(setting, bool):
            wanted = "true or false" if isinstance(default, bool) else "a number"
            raise Quiet(rules.NotANumber.at(value.span, what="this setting", wanted=wanted))
        return setting

    def apply(
        self,
        name: str,
        operands: tuple[Expression | None, ...],
        settings: dict[str, Setting],
        place: syntax.Expression,
    ) -> Apply:
        operation = operations()[name]
        tensors = self.body.world.tensors
        shapes = tuple(map_shape(tensors, name, o) if o is not None else None for o in operands)
        call = Call(name, shapes, settings, place.span, self.body.world.globals.grows)
        self._real(operation, operands)
        try:
            results = operation.shapes(call)
        except Refused as refused:
            raise Quiet(refused.diagnostic) from None
        return Apply(operation, operands, settings, results, span=place.span)

    def _real(self, operation: Operation, operands: Sequence[Expression | None]) -> None:
        for name, operand in zip(operation.values, operands, strict=False):
            if isinstance(operand, Read) and operand.integer and name not in operation.indices:
                raise self._indices(operation, operand.name, operand.span, wanted=False)

    def _indices(self, operation: Operation, name: str, span: Span, wanted: bool) -> Quiet:
        indices, real = "an input of indices", "real numbers"
        words = {"wanted": indices, "found": real} if wanted else {"wanted": real, "found": indices}
        return Quiet(shape_rules.NotAnIndex.at(span, operation=operation.name, name=name, **words))


def wrong_count(span: Span, wanted: str, given: int) -> Diagnostic:
    """Something gives another number of values than is wanted of it."""
    values = "one value" if given == 1 else f"{given} values"
    return rules.WrongCount.at(span, wanted=wanted, given=values)


def _default(default: object, found: dict[str, Setting]) -> Setting:
    if isinstance(default, (bool, Amount)):
        return default
    if isinstance(default, str):
        return found[default]
    assert isinstance(default, int)
    return Amount(syntax.Number(Fraction(default)), number(default))
