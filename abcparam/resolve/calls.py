"""Calls in a body: of operations, of blocks, and of instances that were made before."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import ONE, number
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import shapes as shape_rules
from abcparam.language import syntax
from abcparam.operations import operations
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Expression, Invoke, Local, TensorRef
from abcparam.program.signature import REQUIRED, Signature, show
from abcparam.resolve.arguments import InvalidStatementError, arguments
from abcparam.resolve.world import Copies, Elaborator, Instance


class Calls:
    """Elaborates the calls of one body."""

    def __init__(self, values: Elaborator) -> None:
        self.values = values
        self.body = values.body

    def call(self, call: syntax.Call) -> Expression:
        name = call.function.id
        block = self.body.world.blocks.get(name)
        if block is not None:
            return self._block(call, block)
        found = self.body.instance(name)
        if found is not None:
            return self._again(call, *found)
        if name not in operations():
            raise self.values.not_a_value(name, call)
        return self._operation(call, operations()[name])

    def _copies(
        self,
        operation: Signature,
        name: str,
        argument: syntax.Expression,
        logits: Expression | None,
    ) -> Expression:
        """A call of a block as an operand: as many instances as there are logits."""
        function = argument.function.id if isinstance(argument, syntax.Call) else ""
        block = self.body.world.blocks.get(function)
        if logits is None or not isinstance(argument, syntax.Call) or block is None:
            fields = {"operation": operation.name, "name": name}
            raise InvalidStatementError(shape_rules.NotABlock.at(argument.span, **fields))
        *tokens, count = logits.shapes[0] or (ONE,)
        copies = Copies(Amount(self.body.amounts.written(count), count), tuple(tokens))
        invoke = self._block(argument, block, copies)
        if len(invoke.operands) != 1 or len(invoke.shapes) != 1:
            fields = {"operation": operation.name, "name": name}
            raise InvalidStatementError(shape_rules.NotABlock.at(argument.span, **fields))
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
                raise InvalidStatementError(rules.MissingArgument.at(call.span, **fields))
            if self.values.static(argument):
                sizes[parameter.name.id] = self._amount_or_flag(argument)
            else:
                values[parameter.name.id] = self.values.operand(block.name.id, argument)
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
            raise InvalidStatementError(shape_rules.ShapesDiffer.at(call.span, **fields))
        return shape[len(tokens) :]

    def _amount_or_flag(self, value: syntax.Expression) -> Amount | bool:
        if isinstance(value, syntax.Name):
            found = self.body.amounts.lookup(value.id)
            if isinstance(found, bool):
                return found
        return self.body.amounts.amount(value)

    def _again(self, call: syntax.Call, instance: object, outer: bool) -> Expression:
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
                raise InvalidStatementError(rules.MissingArgument.at(call.span, **fields))
            operand = self.values.operand(module.name, given[name])
            self._same_shape(call, module.name, operand.shapes[0], shape)
            operands.append(operand)
        name = module.path if outer else module.name
        return Invoke(name, tuple(operands), instance.shapes, outer, span=call.span)

    def _same_shape(self, call: syntax.Call, name: str, found: Shape, wanted: Shape) -> None:
        if found != wanted:
            fields = {"operation": name, "left": show(found), "right": show(wanted)}
            raise InvalidStatementError(shape_rules.ShapesDiffer.at(call.span, **fields))

    # Operations

    def _operation(self, call: syntax.Call, operation: Signature) -> Expression:
        if operation.name == "zeros":
            shape = tuple(self.body.amounts.amount(a.value, "a length") for a in call.arguments)
            return self.values.apply("zeros", (), {"shape": shape}, call)
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
        return self.values.apply(operation.name, operands, settings, call)

    def _many(self, call: syntax.Call, operation: Signature) -> Expression:
        operands = tuple(
            self.values.operand(operation.name, a.value) for a in call.arguments if a.name is None
        )
        if not operands:
            fields = {
                "operation": operation.name,
                "name": "x",
                "remedy": f"`{operation.name}(x, …)`",
            }
            raise InvalidStatementError(rules.MissingArgument.at(call.span, **fields))
        named = syntax.Call(
            call.function, tuple(a for a in call.arguments if a.name), span=call.span
        )
        given = arguments(named, operation.name, list(operation.settings))
        return self.values.apply(
            operation.name, operands, self._settings(call, operation, given), call
        )

    def _given(
        self,
        call: syntax.Call,
        operation: Signature,
        name: str,
        given: dict[str, syntax.Expression],
    ) -> Expression | None:
        argument = given.get(name)
        if argument is None or (name in operation.optional and self._is_nothing(argument)):
            if name in operation.optional:
                return None
            remedy = f"`{operation.name}({', '.join(operation.order)})`"
            fields = {"operation": operation.name, "name": name, "remedy": f"it takes {remedy}"}
            raise InvalidStatementError(rules.MissingArgument.at(call.span, **fields))
        return self._checked(operation, name, argument)

    def _is_nothing(self, argument: syntax.Expression) -> bool:
        """A default of 0 stands for leaving the operand out: `bias = 0`."""
        return self.values.static(argument) and self.body.amounts.polynomial(argument).constant == 0

    def _checked(self, operation: Signature, name: str, argument: syntax.Expression) -> Expression:
        operand = self.values.operand(operation.name, argument)
        if name in operation.weights and not isinstance(operand, TensorRef):
            raise self.values.not_a_tensor(operation.name, f"`{name}`", argument)
        integer = isinstance(operand, Local) and operand.integer
        if integer != (name in operation.indices):
            raise self.values.indices(operation, name, argument.span, wanted=not integer)
        return operand

    def _settings(
        self, call: syntax.Call, operation: Signature, given: dict[str, syntax.Expression]
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
                raise InvalidStatementError(rules.MissingArgument.at(call.span, **fields))
            else:
                found[name] = _default(default, found)
        return found

    def _setting(self, value: syntax.Expression, default: object) -> Setting:
        if isinstance(value, syntax.Tuple):
            return tuple(self.body.amounts.amount(item) for item in value.items)
        setting = self._amount_or_flag(value)
        if isinstance(default, bool) != isinstance(setting, bool):
            wanted = "true or false" if isinstance(default, bool) else "a number"
            raise InvalidStatementError(
                rules.NotANumber.at(value.span, what="this setting", wanted=wanted)
            )
        return setting


def _default(default: object, found: dict[str, Setting]) -> Setting:
    if isinstance(default, (bool, Amount)):
        return default
    if isinstance(default, str):
        return found[default]
    assert isinstance(default, int)
    return Amount(syntax.Number(Fraction(default)), number(default))
