"""Amounts of a spec as formulas, in the names of the place where they were written."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import Polynomial, product
from abcparam.algebra.record import Record, replace
from abcparam.language import syntax
from abcparam.program.amounts import Amount
from abcparam.program.lengths import at_base
from abcparam.program.model import Program
from abcparam.program.tensors import OWN, Tensor
from abcparam.python_code import formula
from abcparam.python_code.formula import ONE, Argument, Base, DimAtom, Formula, Index


class ModuleScope(Record):
    """What names mean in one module: a size of its block, a copy's number, a dim or a hyper.

    `given` are the sizes of a block that is written into the module around it.
    """

    program: Program
    sizes: Mapping[str, Polynomial] = {}
    indices: frozenset[str] = frozenset()
    given: Mapping[str, Formula] = {}

    @property
    def names(self) -> set[str]:
        """The names that amounts may be in."""
        program = self.program
        known = {*program.dims, *program.hypers, *self.sizes, *self.indices, *self.given}
        return known | {"base", "fan_in", "sqrt", "round_up"}

    def amount(self, amount: Amount, fan_in: Formula | None = None) -> Formula:
        return self.formula(amount.written, {"fan_in": fan_in} if fan_in else {})

    def formula(self, written: syntax.Expression, given: Mapping[str, Formula]) -> Formula:
        match written:
            case syntax.Number(value=value):
                return formula.number(value)
            case syntax.Name(id=name):
                return given[name] if name in given else self._name(name)
            case syntax.Negative(operand=operand):
                return -self.formula(operand, given)
            case syntax.Binary(op=op, left=left, right=right):
                return _combined(op, self.formula(left, given), self.formula(right, given))
            case syntax.Call(function=function, arguments=arguments):
                return self._call(function.id, [self.formula(a.value, given) for a in arguments])
            case _:
                raise TypeError(written)

    def _name(self, name: str) -> Formula:
        if name in self.given:
            return self.given[name]
        if name in self.sizes:
            return formula.of(Argument(name))
        return formula.of(Index(name) if name in self.indices else DimAtom(name))

    def _call(self, function: str, values: list[Formula]) -> Formula:
        if function == "base":
            return self.at_base(self.polynomial(values[0]))
        if function == "sqrt":
            return values[0].power(Fraction(1, 2))
        return formula.round_up(*values)

    def length(self, value: Polynomial) -> Formula:
        """A length by its name where it has one: a size of the block, then a dim."""
        for name, size in self.sizes.items():
            if size == value:
                return formula.of(Argument(name))
        for dim in self.program.dims.values():
            if dim.value == value:
                return formula.of(DimAtom(dim.name))
        return formula.from_polynomial(value)

    # Growth

    @property
    def growing(self) -> frozenset[str]:
        """The underived dims that go to infinity."""
        return frozenset(dim.name for dim in self.program.growing)

    def at_base(self, value: Polynomial) -> Formula:
        """A length with the growing dims at base; they stay symbols where they may cancel."""
        if value.is_monomial:
            return formula.from_polynomial(value, self.growing)
        return formula.from_polynomial(at_base(value, self.program.dims))

    def polynomial(self, value: Formula) -> Polynomial:
        """A product of powers of dims, as a polynomial in underived ones."""
        from abcparam.algebra.polynomials import atom, number

        parts = [number(value.coefficient)]
        for a, power in value.powers:
            assert isinstance(a, DimAtom)
            dim = self.program.dims.get(a.name)
            parts.append((dim.value if dim else atom(a.name)).power(power))
        return product(parts)

    def ratio(self, value: Polynomial) -> Formula:
        """A length over its value at base. Finite factors cancel."""
        if value.is_monomial:
            return self._product_of_ratios(value)
        now = replace(self, sizes={}).length(value)
        return formula.together(now / self.at_base(value))

    def _product_of_ratios(self, value: Polynomial) -> Formula:
        result = ONE
        for name, power in value.terms[0][0]:
            if name in self.growing:
                assert isinstance(name, str)
                result = result * _growth(name, power)
        return result


@lru_cache(maxsize=1024)  # of a few dims
def _growth(name: str, power: Fraction) -> Formula:
    """A dim over its value at base, to a power."""
    return (formula.of(DimAtom(name)) / formula.of(Base(name))).power(power)


def _combined(op: str, left: Formula, right: Formula) -> Formula:
    if op == "*":
        return left * right
    if op == "/":
        return left / right
    if op == "^":
        assert right.constant is not None
        return left.power(right.constant)
    return formula.add(left, right if op == "+" else -right)


def factor(scope: ModuleScope, tensor: Tensor, letter: str) -> Formula:
    """`r^-a` times the factors of other dims, for one of the letters a, b, c, d."""
    result = ONE
    for key, exponent in tensor.exponents.get(letter, {}).items():
        length = tensor.own if key == OWN else scope.program.dims[key].value
        if length is not None:
            result = result * scope.ratio(length).power(-known(exponent))
    return result


def known(exponent: Affine) -> Fraction:
    """An exponent without symbols."""
    return exponent.evaluate({})


def amount(scope: ModuleScope, tensor: Tensor, value: Amount) -> Formula:
    """A setting of a tensor; one in names that mean nothing here is taken by its value."""
    if {*syntax.names_in(value.written)} <= scope.names:
        return scope.amount(value, scope.at_base(tensor.fan_in))
    return formula.from_polynomial(value.value)


def fan_in(scope: ModuleScope, tensor: Tensor) -> Formula:
    """The fan-in: in the names of its axes where these are sizes of a block."""
    axes = tensor.axes[:1] if tensor.table else tensor.axes[1:]
    sizes = {*scope.sizes, *scope.given}
    here = any(sizes & {*syntax.names_in(axis.written)} for axis in axes)
    if not here or product(axis.value for axis in axes) != tensor.fan_in:
        return formula.from_polynomial(tensor.fan_in)
    result = ONE
    for axis in axes:
        result = result * scope.amount(axis)
    return result


def multiplier(scope: ModuleScope, tensor: Tensor) -> Formula:
    """`mult * r^-a`."""
    constant = amount(scope, tensor, tensor.mult) if tensor.mult else ONE
    return constant * factor(scope, tensor, "a")


def initial(scope: ModuleScope, tensor: Tensor) -> Formula:
    """What the init is called with: `S * r^-b`.

    A matrix that is orthogonal has entries that fall as the root of its longer side by themselves.
    """
    shrink, argument = factor(scope, tensor, "b"), tensor.init.argument
    if tensor.init.kind == "orthogonal":
        shrink = shrink * scope.ratio(scope.program.longer_side(tensor)).power(Fraction(1, 2))
    if argument is None:
        return shrink
    if (
        tensor.own == tensor.fan_in
        and _is_default(argument)
        and _exponents(tensor, "b") == {OWN: Fraction(1, 2)}
    ):
        return formula.together(fan_in(scope, tensor)).power(Fraction(-1, 2))
    return amount(scope, tensor, argument) * shrink


def _is_default(argument: Amount) -> bool:
    half = Fraction(-1, 2)
    return argument.written == syntax.Binary("^", syntax.Name("fan_in"), syntax.Number(half))


def _exponents(tensor: Tensor, letter: str) -> dict[str, Fraction]:
    return {
        key: known(exponent)
        for key, exponent in tensor.exponents.get(letter, {}).items()
        if known(exponent)
    }
