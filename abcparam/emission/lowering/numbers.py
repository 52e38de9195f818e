"""Formulas as code: floats and lengths, and what must divide for a length to be whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import lcm

from abcparam.algebra.record import Record, field
from abcparam.program.model import Program
from abcparam.python_code import formula
from abcparam.python_code.formula import (
    ONE,
    Argument,
    Base,
    ByCopy,
    DimAtom,
    Floor,
    Formula,
    FormulaAtom,
    Index,
    Product,
    Ratio,
    RootAtom,
    RoundUp,
    Sum,
)
from abcparam.python_code.layout import decimal
from abcparam.python_code.nodes import (
    Attribute,
    Binary,
    Code,
    Name,
    Negative,
    Number,
    Tuple,
    call,
    minus,
    total,
)

BY_COPY = "_by_copy"  # the emitted function that chooses by the number of a copy


class Names(Record):
    """What a `Config` calls things: the ratios of growing dims that have a base, and the bases."""

    ratios: Mapping[str, str]
    bases: Mapping[str, int]

    @staticmethod
    def of(program: Program) -> Names:
        taken = {*program.dims, *program.hypers}
        ratios = {
            d.name: _free(f"{d.name}_ratio", taken) for d in program.growing if (d.base or 1) != 1
        }
        return Names(ratios, {d.name: d.base or 1 for d in program.growing})


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


class CodePlace(Record):
    """How names are reached at a place: `config.width`, `self.width`, `self.channels`."""

    names: Names
    config: Code = field(default_factory=lambda: Name("config"))
    arguments: Mapping[str, Code] = field(default_factory=dict)

    def atom(self, atom: FormulaAtom) -> Code:
        match atom:
            case DimAtom(name=name):
                return Attribute(self.config, name)
            case Ratio(name=name):
                return Attribute(self.config, self.names.ratios[name])
            case Argument(name=name) | Index(name=name):
                return self.arguments.get(name, Name(name))
            case RootAtom(value=value):
                return Number(value)
            case Base(name=name):
                return Number(Fraction(self.names.bases[name]))
            case _:
                raise TypeError(atom)

    # Floats

    def real(self, value: Formula) -> Code:
        """A formula as a float."""
        value = formula.joined_by_copy(self._ratios(value))
        if value.constant is not None:
            return Number(value.constant, real=True)
        return self._quotient(value, self._real_atom)

    def _real_atom(self, atom: FormulaAtom) -> Code:
        match atom:
            case Sum(terms=terms):
                return total([self._term(term) for term in terms])
            case RoundUp() | Floor():
                return self._whole_atom(atom)
            case Product(value=value):
                return self.real(value)
            case ByCopy(copy=copy, runs=runs):
                sizes = [(Fraction(first), Fraction(2) ** power) for first, power in runs]
                given = (Tuple((Number(a), Number(x, real=True))) for a, x in sizes)
                return call(BY_COPY, self.whole(copy), *given)
            case _:
                return self.atom(atom)

    def _term(self, term: Formula) -> Code:
        code = self.real(Formula(abs(term.coefficient), term.powers))
        if isinstance(code, Number):
            code = Number(code.value)
        return minus(code) if term.coefficient < 0 else code

    def _ratios(self, value: Formula) -> Formula:
        """`width^p * base^-p` is a power of the ratio; what is left of the base is a number."""
        powers = dict(value.powers)
        result = Formula(value.coefficient)
        for atom, power in value.powers:
            if isinstance(atom, Base):
                continue
            if isinstance(atom, DimAtom) and Base(atom.name) in powers:
                result = result * self._ratio(atom.name, power)
                powers[Base(atom.name)] += power
            else:
                result = result * Formula(Fraction(1), ((atom, power),))
        left = ONE
        for atom, power in powers.items():
            if isinstance(atom, Base):
                left = left * formula.number(self.names.bases[atom.name]).power(power)
        return left * result

    def _ratio(self, name: str, power: Fraction) -> Formula:
        atom = Ratio(name) if name in self.names.ratios else DimAtom(name)
        return Formula(Fraction(1), ((atom, power),))

    def _quotient(self, value: Formula, write: Callable[[FormulaAtom], Code]) -> Code:
        """Factors over divisors: `2 * x / y`, `x**-0.5`."""
        over, under = self._literals(abs(value.coefficient))
        for atom, power in value.powers:
            divides = power.denominator == 1 and power < 0
            (under if divides else over).append(_power(write(atom), -power if divides else power))
        result = over or [Number(Fraction(1))]
        if value.coefficient < 0:
            result[0] = minus(result[0])
        code = _times(result)
        for divisor in under:
            code = Binary("/", code, divisor)
        return code

    def _literals(self, coefficient: Fraction) -> tuple[list[Code], list[Code]]:
        """The coefficient as factors and divisors."""
        literal = _decimal(coefficient)
        if literal is not None:
            return [literal], []
        top, bottom = coefficient.numerator, coefficient.denominator
        return _unless_one(top), _unless_one(bottom)

    # Lengths

    def whole(self, value: Formula) -> Code:
        """A formula as a length: a whole number, with `//` where it divides."""
        value = self._ratios(value)
        if value.constant is not None and value.constant.denominator == 1:
            return Number(value.constant)
        if any(power.denominator != 1 for _, power in value.powers):
            return call("round", self.real(value))
        over, under = split(value)
        if under == ONE:
            return self._product(over)
        return Binary("//", self._product(over), self._product(under))

    def _product(self, value: Formula) -> Code:
        over: list[Code] = [Number(value.coefficient)]
        if value.coefficient == 1 and value.powers:
            over.clear()
        over += [_power(self._whole_atom(atom), power) for atom, power in value.powers]
        return _times(over)

    def _whole_atom(self, atom: FormulaAtom) -> Code:
        match atom:
            case Sum(terms=terms):
                return self._whole_sum(terms)
            case Floor(top=top, bottom=bottom):
                over, under = split(top / bottom)
                return Binary("//", self._product(over), self._product(under))
            case RoundUp(value=value, multiple=multiple):
                over, under = split(value / multiple)
                ceiling = call("math.ceil", Binary("/", self._product(over), self._product(under)))
                return Binary("*", self.whole(multiple), ceiling)
            case _:
                return self.atom(atom)

    def _whole_sum(self, terms: Sequence[Formula]) -> Code:
        common = common_divisor(terms)
        codes = []
        for term in terms:
            code = self.whole((term if term.coefficient > 0 else -term) * common)
            codes.append(code if term.coefficient > 0 else Negative(code))
        result = total(codes)
        return result if common == ONE else Binary("//", result, self._product(common))


def common_divisor(terms: Sequence[Formula]) -> Formula:
    """What makes every term a whole polynomial."""
    coefficient = lcm(*(term.coefficient.denominator for term in terms))
    powers: dict[FormulaAtom, Fraction] = {}
    for term in terms:
        for atom, power in term.powers:
            if power < 0:
                powers[atom] = max(powers.get(atom, Fraction(0)), -power)
    return Formula(Fraction(coefficient), tuple(powers.items()))


def split(value: Formula) -> tuple[Formula, Formula]:
    """Numerator and denominator."""
    over = tuple((atom, power) for atom, power in value.powers if power > 0)
    under = tuple((atom, -power) for atom, power in value.powers if power < 0)
    coefficient = value.coefficient
    return Formula(Fraction(coefficient.numerator), over), Formula(
        Fraction(coefficient.denominator), under
    )


def _unless_one(value: int) -> list[Code]:
    return [] if value == 1 else [Number(Fraction(value))]


def _times(factors: Sequence[Code]) -> Code:
    result = factors[0]
    for code in factors[1:]:
        result = Binary("*", result, code)
    return result


def _power(code: Code, power: Fraction) -> Code:
    if power == 1:
        return code
    return Binary("**", code, Number(power, real=power.denominator != 1))


def _decimal(coefficient: Fraction) -> Code | None:
    """A broken coefficient that reads better as a literal than as a quotient: 0.02, not 1 / 50."""
    text = None if coefficient.denominator == 1 else decimal(coefficient, real=True)
    return Number(coefficient, real=True) if text is not None and len(text) <= 8 else None
