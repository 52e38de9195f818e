"""Values of a body: names, tensors, operators, and what an operation makes of its operands."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import shapes as shape_rules
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.operations import operations
from abcparam.program.amounts import Amount, Setting
from abcparam.program.expressions import Apply, Expression, Invoke, Local, TensorRef, map_shape
from abcparam.program.signature import (
    ANY_SIGN,
    NOT_NEGATIVE,
    POSITIVE,
    Call,
    RefusedError,
    Signature,
    show,
)
from abcparam.resolve.arguments import InvalidStatementError
from abcparam.resolve.calls import Calls
from abcparam.resolve.world import BodyScope


class ValueElaborator:
    """Elaborates the expressions of one body."""

    def __init__(self, body: BodyScope) -> None:
        self.body = body
        self.calls = Calls(self)

    def static(self, value: syntax.Expression) -> bool:
        return self.body.amounts.is_static(value)

    def value(self, value: syntax.Expression) -> Expression:
        """A typed value; raises `InvalidStatementError` or `NotStaticError`."""
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
                return self.calls.call(value)
            case _:
                raise self.not_a_value("this", value)

    def not_a_value(self, operation: str, value: syntax.Expression) -> InvalidStatementError:
        found = "a tuple" if isinstance(value, syntax.Tuple) else "a number or flag"
        return InvalidStatementError(
            shape_rules.NotAValue.at(value.span, operation=operation, found=found)
        )

    def _name(self, name: syntax.Name) -> Expression:
        local = self.body.read(name.id)
        if local is not None:
            if local.shape is None:
                raise InvalidStatementError(None)
            return Local(name.id, (local.shape,), local.integer, span=name.span)
        weight = self.body.weight(name)
        if weight is None:
            raise self.not_a_value("this", name)
        return self._weight(weight)

    def _attribute(self, value: syntax.Attribute) -> TensorRef:
        if value.name == "T":
            inner = self._matrix(".T", "what it follows", value.value)
            if inner.transposed:
                raise self.not_a_tensor(
                    ".T", "what it follows", value, "a tensor transposed already"
                )
            shape = inner.shapes[0][::-1]
            return TensorRef(inner.tensor, inner.name, (shape,), True, inner.outer, span=value.span)
        if isinstance(value.value, syntax.Name):
            found = self.body.instance(value.value.id)
            if found is not None:
                instance, outer = found
                path = f"{instance.module.path}.{value.name}"
                name = path if outer else f"{value.value.id}.{value.name}"
                return self._weight(TensorRef(path, name, (), outer=outer, span=value.span))
        raise self.not_a_tensor(".", "this", value)

    def _weight(self, weight: TensorRef) -> TensorRef:
        """The tensor with its shape; what uses one of unknown shape is passed over in silence."""
        world = self.body.world
        if weight.tensor in world.globals.broken:
            raise InvalidStatementError(None)
        return replace(weight, shapes=(world.tensors[weight.tensor].shape,))

    def not_a_tensor(
        self, operation: str, operand: str, value: syntax.Expression, found: str = "a value"
    ) -> InvalidStatementError:
        wanted = "a tensor of two axes" if operation in {"@", ".T"} else "a tensor"
        fields = {"operation": operation, "operand": operand, "wanted": wanted, "found": found}
        return InvalidStatementError(shape_rules.NotATensor.at(value.span, **fields))

    def _matrix(
        self,
        operation: str,
        operand: str,
        value: syntax.Expression,
        product: syntax.Binary | None = None,
    ) -> TensorRef:
        if self.static(value):
            raise self.not_a_tensor(operation, operand, value, "a number")
        weight = self.value(value)
        if not isinstance(weight, TensorRef):
            if product is not None and not self.static(product.right):
                raise self._turned(weight, product)
            raise self.not_a_tensor(operation, operand, value)
        if len(weight.shapes[0]) != 2:
            found = f"a tensor of shape {show(weight.shapes[0])}"
            raise self.not_a_tensor(operation, operand, value, found)
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
            raise InvalidStatementError(shape_rules.IndexOutOfRange.at(value.index.span, **fields))

    def _turned(self, left: Expression, value: syntax.Binary) -> InvalidStatementError:
        """What is said of `@` with no tensor on its left."""
        try:
            right = self.value(value.right)
        except InvalidStatementError:  # `.T` of a value
            right = None
        if not isinstance(right, TensorRef) or len(right.shapes[0]) != 2:
            return InvalidStatementError(shape_rules.ValuesMultiplied.at(value.span))
        shape = right.shapes[0][::-1] if right.transposed else right.shapes[0]
        last = left.shapes[0][-1:]
        name = right.name if last != shape[:1] or last == shape[1:] else f"{right.name}.T"
        fields = {"name": right.name, "shape": show(shape), "applied": _applied(name, value.left)}
        rule = shape_rules.TensorOnTheRight
        return InvalidStatementError(rule.at(value.right.span, **fields))

    def _matmul(self, value: syntax.Binary) -> Expression:
        weight = self._matrix("@", "its left side", value.left, value)
        x = self.operand("@", value.right)
        self._read_from_table(weight, x, value)
        return self.apply("@", (weight, x), {"transposed": weight.transposed}, value)

    def _read_from_table(self, weight: TensorRef, x: Expression, place: syntax.Expression) -> None:
        """What is to be said of a map whose tensor is a table, stored (in, out)."""
        world, tensor = self.body.world.globals, self.body.world.tensors[weight.tensor]
        if not tensor.table:
            return
        rows, width = tensor.shape
        fields = {"name": tensor.name, "shape": show(tensor.shape)}
        if weight.tensor in world.inferred:
            if x.shapes[0][-1:] == ((rows if weight.transposed else width),):
                table = tensor.name if weight.transposed else f"{tensor.name}.T"
                raise InvalidStatementError(
                    shape_rules.RoleNeeded.at(place.span, table=table, **fields)
                )
        elif not weight.transposed and tensor.span not in world.uses.tables:
            wanted = show((width, rows))
            self.body.world.report(
                shape_rules.MapStoredAsTable.at(tensor.span, wanted=wanted, **fields)
            )

    def operand(self, operation: str, value: syntax.Expression) -> Expression:
        """A value with one result and real numbers in it."""
        if self.static(value):
            raise self.not_a_value(operation, value)
        found = self.value(value)
        if len(found.shapes) != 1:
            raise InvalidStatementError(wrong_count(value.span, "one value", len(found.shapes)))
        return found

    def _binary(self, value: syntax.Binary) -> Expression:
        left, right = self.static(value.left), self.static(value.right)
        if left and right:
            raise self.not_a_value(value.op, value)
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
            raise InvalidStatementError(rules.NotCovered.at(value.span, what=what, remedy=remedy))
        operands = (self.operand(value.op, value.left), self.operand(value.op, value.right))
        if value.op == "*":
            self._not_a_map(value, *operands)
        return self.apply(value.op, operands, {}, value)

    def _not_a_map(self, value: syntax.Binary, left: Expression, right: Expression) -> None:
        """Refuses a hidden matrix times a value that it could be applied to."""
        grows = self.body.world.globals.grows
        found = multiplied_map(left, right)
        if found is not None and all(map(grows, found[0].shapes[0])):
            operand = value.right if found[0] is left else value.left
            raise InvalidStatementError(map_multiplied(*found, operand, value.span))

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
        known = self.body.world.globals
        call = Call(name, shapes, settings, place.span, known.grows, known.at_base)
        self._real(operation, operands)
        if operation.of_positive and self.sign(operands[0]) != POSITIVE:
            raise InvalidStatementError(shape_rules.MayBeNegative.at(place.span, operation=name))
        try:
            results = operation.shapes(call)
        except RefusedError as refused:
            raise InvalidStatementError(refused.diagnostic) from None
        return Apply(operation, operands, settings, results, span=place.span)

    def sign(self, value: Expression | None) -> int:
        """What is known of the signs of a value."""
        match value:
            case Local(name=name) if (local := self.body.read(name)) is not None:
                return local.sign
            case Apply(operation=operation, operands=(x, y)) if operation.name == "*" and x == y:
                return max(self.sign(x), NOT_NEGATIVE)
            case Apply(operation=operation, operands=operands, settings=settings):
                return operation.sign([self.sign(x) for x in operands], settings)
            case Invoke(instance=name) if found := self.body.instance(name.rpartition(".")[2]):
                return min(found[0].signs)
        return ANY_SIGN

    def _real(self, operation: Signature, operands: Sequence[Expression | None]) -> None:
        for name, operand in zip(operation.values, operands, strict=False):
            if isinstance(operand, Local) and operand.integer and name not in operation.indices:
                raise self.indices(operation, operand.name, operand.span, wanted=False)

    def indices(
        self, operation: Signature, name: str, span: Span, wanted: bool
    ) -> InvalidStatementError:
        indices, real = "an input of indices", "real numbers"
        words = {"wanted": indices, "found": real} if wanted else {"wanted": real, "found": indices}
        return InvalidStatementError(
            shape_rules.NotAnIndex.at(span, operation=operation.name, name=name, **words)
        )


def multiplied_map(left: Expression, right: Expression) -> tuple[TensorRef, Expression] | None:
    """The matrix of a product entry by entry, and the value of fewer axes that it could map."""
    for tensor, other in ((left, right), (right, left)):
        if isinstance(tensor, TensorRef) and not isinstance(other, TensorRef):
            shape, value = tensor.shapes[0], other.shapes[0]
            if len(shape) == 2 and len(value) == 1 and value[0] == shape[1]:
                return tensor, other
    return None


def map_multiplied(
    tensor: TensorRef, other: Expression, operand: syntax.Expression, span: Span
) -> Diagnostic:
    """What is said of a map that stands in a product of entries."""
    shape, value = show(tensor.shapes[0]), show(other.shapes[0])
    fields = {"name": tensor.name, "shape": shape, "other": value, "result": shape}
    applied = _applied(tensor.name, operand)
    return shape_rules.MapMultiplied.at(span, applied=applied, **fields)


def _applied(name: str, operand: syntax.Expression) -> str:
    return written(syntax.Binary("@", syntax.Name(name), operand))


def wrong_count(span: Span, wanted: str, given: int) -> Diagnostic:
    """Something gives another number of values than is wanted of it."""
    values = "one value" if given == 1 else f"{given} values"
    return rules.WrongCount.at(span, wanted=wanted, given=values)
