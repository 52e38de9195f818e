"""The emitter's side of `operations.emitter.Use`: what an operation asks for, from its function."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.polynomials import Polynomial
from abcparam.emission.lowering.body import FunctionLowering
from abcparam.program.amounts import Amount, Setting, Shape
from abcparam.program.expressions import Apply, Expression, Invoke, TensorRef
from abcparam.program.tensors import Tensor
from abcparam.python_code import nodes
from abcparam.python_code.formula import ONE, Formula
from abcparam.python_code.nodes import Binary, Code
from abcparam.python_code.value import LinearCall, ScaledCode


class OperationUse:
    """One use of an operation in a function; satisfies `Use`."""

    def __init__(self, body: FunctionLowering, call: Apply) -> None:
        self.body = body
        self.call = call

    # Operands

    def operand(self, index: int) -> Expression:
        found = self.call.operands[index]
        assert found is not None
        return found

    def has(self, index: int) -> bool:
        return self.call.operands[index] is not None

    def value(self, index: int) -> ScaledCode:
        """An operand with a factor that it has still to be multiplied by."""
        return self.body.value(self.operand(index))

    def code(self, index: int) -> Code:
        """An operand as it is."""
        return self.body.code(self.operand(index))

    def named(self, index: int, hint: str = "y") -> Code:
        """An operand that is written more than once."""
        return self.body.local(self.code(index), hint)

    def weight(self, index: int) -> TensorRef:
        found = self.operand(index)
        assert isinstance(found, TensorRef)
        return found

    def parameter(self, index: int) -> Code:
        """The bare parameter of an operand that is a tensor; its multiplier is `multiplier`."""
        return self.body.parameter(self.weight(index))

    def shape(self, index: int) -> Shape:
        (shape,) = self.operand(index).shapes
        return shape

    def rank(self, index: int = 0) -> int:
        return len(self.shape(index))

    def divided(self, index: int) -> tuple[Code, Formula]:
        """An operand for what sees its direction alone, and the factor that it is divided by."""
        return self.body.scaling.divided(self.operand(index))

    def batched(self, index: int) -> bool:
        return self.body.is_batched(self.operand(index))

    def layer(self) -> Code | None:
        """PyTorch's layer that does the operation, where there is one."""
        return self.body.layer(self.call)

    # Settings

    def setting(self, name: str) -> Setting:
        return self.call.settings[name]

    def amount(self, name: str) -> Amount:
        setting = self.call.settings[name]
        assert isinstance(setting, Amount)
        return setting

    def flag(self, name: str) -> bool:
        return self.call.settings[name] is True

    def whole(self, name: str) -> int:
        """A setting that is a plain whole number."""
        value = self.amount(name).value.constant
        assert value is not None
        return int(value)

    def formula(self, name: str) -> Formula:
        return self.body.scope.amount(self.amount(name))

    def length(self, name: str) -> Code:
        """A setting that is a length: a literal or an attribute computed at construction."""
        value = self.formula(name)
        return (
            self.body.place.whole(value)
            if value.is_dynamic
            else self.body.constants.whole(value, name)
        )

    def unless(self, name: str, usual: int) -> Code | None:
        """A setting that is a length, None where it is as usual."""
        return None if self.formula(name).constant == usual else self.length(name)

    def number(self, name: str) -> Code:
        """A setting that is a real number."""
        return self.factor(self.formula(name), name)

    def factor(self, value: Formula, hint: str) -> Code:
        return self.body.factor(value, hint)

    def axis(self, name: str = "axis", index: int = 0) -> int:
        """An axis as PyTorch counts it: from the end, for the batch lies in front."""
        axis, rank = self.whole(name), self.rank(index)
        return axis if axis < 0 else axis - rank

    def extent(self, amount: Amount) -> Code:
        """A length, at run time where it is an input's."""
        return self.body.length(amount)

    def zeros(self, lengths: Sequence[Code]) -> Code:
        """Zeros of the type and on the device of what is at hand."""
        return self.body.zeros(lengths)

    def buffer(self, name: str, length: Polynomial, start: int) -> Code:
        """A buffer of one axis, kept by the module around: what training gathers beside tensors."""
        return self.body.buffers.add(name, self.body.scope.length(length), start)

    def module(self, index: int) -> tuple[Code, list[Code], list[Code]]:
        """An operand that is a call of a block: its module, what it is given, what it needs."""
        invoke = self.operand(index)
        assert isinstance(invoke, Invoke)
        module, needs, _ = self.body.submodule(invoke)
        return module, [self.body.code(x) for x in invoke.operands], needs

    # The function around it

    def local(self, code: Code, hint: str = "y") -> Code:
        """A name for the code."""
        return self.body.local(code, hint)

    def true(self, value: ScaledCode) -> Code:
        """A value multiplied by its factor."""
        return self.body.true(value)

    def aligned(self, index: int, rank: int | None = None) -> ScaledCode:
        """An operand whose axes meet those of the result, or as many as `rank`."""
        value = self.value(index)
        axes = len(self.call.shapes[0]) if rank is None else rank
        lifted = self.body.lifted(value.code, self.operand(index), axes)
        return value if lifted is value.code else value.but(lifted)

    def result(self, code: Code, scale: Formula = ONE, label: str | None = None) -> ScaledCode:
        return ScaledCode(code, scale, label or _plain(self.call.operation.name))

    def tensor(self, index: int) -> Tensor:
        return self.body.program.tensors[self.weight(index).tensor]

    def map(self, table: bool) -> ScaledCode:
        """A tensor times a value; `table`: it is stored as (in, out)."""
        outer, inner = self.call.shapes[0][-1], self.shape(1)[-1]
        inward = self.body.at_base(inner) < self.body.at_base(outer)
        return self.body.linear(self.call, inward, table)

    def batch(self) -> tuple[Code, ...]:
        """All operands, with the batch axes of the first that has them."""
        codes = [self.code(i) for i in range(len(self.call.operands))]
        whole = next((i for i in range(len(codes)) if self.batched(i)), None)
        if whole is None or all(self.batched(i) for i in range(len(codes))):
            return tuple(codes)
        codes[whole] = self.local(codes[whole])
        return tuple(
            code if self.batched(i) else self._expanded(code, codes[whole], self.rank(whole), i)
            for i, code in enumerate(codes)
        )

    def _expanded(self, code: Code, like: Code, rank: int, index: int) -> Code:
        """An operand with the batch axes of a value of this rank."""
        batch: Code = nodes.Attribute(like, "shape")
        if rank:
            batch = nodes.subscript(batch, nodes.Slice(stop=nodes.lift(-rank)))
        return nodes.method(code, "expand", nodes.Starred(batch), *[-1] * self.rank(index))

    # Sums

    def sum(self, op: str) -> ScaledCode:
        """`x + y`. A common factor stays outside, a bias goes into the linear map before it."""
        left, right = self.aligned(0), self.aligned(1)
        found = self._with_bias(left, right) if op == "+" else None
        if found is not None:
            return found
        return self._added(op, left, right)

    def _added(self, op: str, left: ScaledCode, right: ScaledCode) -> ScaledCode:
        tail = (left, right) if op == "+" and right.linear else None
        if left.scale == right.scale:
            return ScaledCode(Binary(op, left.code, right.code), left.scale, left.label, tail=tail)
        return ScaledCode(Binary(op, self.true(left), self.true(right)), ONE, left.label, tail=tail)

    def _with_bias(self, left: ScaledCode, right: ScaledCode) -> ScaledCode | None:
        """A linear map plus a bias, in one function."""
        if self.shape(0)[-1:] != self.shape(1)[-1:] or left.vector == right.vector:
            return None
        mapped, bias = (left, right) if right.vector else (right, left)
        if mapped.linear is not None:
            return self._biased(mapped.linear, mapped, bias)
        if mapped.tail is None:
            return None
        first, last = mapped.tail
        assert last.linear is not None
        if last.linear.biased:
            return self._added("+", first, self._biased(last.linear, last, bias))
        if first.scale != last.scale or mapped.scale != bias.scale:
            return None
        code = Binary("+", first.code, last.linear.apply(bias=bias.code))
        return ScaledCode(code, mapped.scale, mapped.label)

    def _biased(self, linear: LinearCall, mapped: ScaledCode, bias: ScaledCode) -> ScaledCode:
        if mapped.scale == bias.scale:
            return ScaledCode(linear.apply(bias=bias.code), mapped.scale, mapped.label)
        outside = bias.scale if linear.biased else ONE
        inside = mapped.scale / outside
        factor = None if inside == ONE else self.factor(inside, f"{mapped.label}_scale")
        given = bias.code if linear.biased else self.true(bias)
        return ScaledCode(linear.apply(factor, given), outside, mapped.label)

    def product(self) -> ScaledCode:
        """`x * y`: factors are gathered."""
        left, right = self.aligned(0), self.aligned(1)
        return ScaledCode(Binary("*", left.code, right.code), left.scale * right.scale, left.label)


def _plain(name: str) -> str:
    return name if name.isidentifier() else "value"
