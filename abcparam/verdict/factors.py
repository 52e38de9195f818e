"""Constant factors of a spec's code as it would be written with another power of a growing dim."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from abcparam.algebra.polynomials import leading_growth
from abcparam.algebra.record import Record, replace
from abcparam.algebra.sizes import power
from abcparam.diagnostics.source import START, Span
from abcparam.language import syntax
from abcparam.language.printer import written
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Invoke
from abcparam.program.model import Program
from abcparam.verdict.changes import FactorChange
from abcparam.verdict.wanted import PowersByDim


class FactorPlace(Record):
    """Where a constant factor is written, or can be: `setting` of a call, empty where a new one."""

    call: Apply | Invoke
    setting: str

    @property
    def name(self) -> str:
        """What a spec calls the setting, empty for a factor of a value."""
        return self.setting if self.setting != "by" else ""

    @property
    def written(self) -> syntax.Expression | None:
        """The factor as it is written; None for a new one."""
        amount = self.call.settings.get(self.setting) if isinstance(self.call, Apply) else None
        return amount.written if isinstance(amount, Amount) else None

    def times(self, name: str) -> FactorChange:
        """The factor multiplied by a name, which stands for a power, whatever the text of it is."""
        span = self.call.span
        return FactorChange(self.name, "", "", span, span, self.setting, ((name, Fraction(1)),))


def factor_place(program: Program, call: Apply | Invoke) -> FactorPlace | None:
    """Where the result of a call is multiplied by a constant.

    That is its own factor, or the one that its result has, or else a new one. None where what is
    written has no place in the text.
    """
    own = next(iter(call.operation.factors), "") if isinstance(call, Apply) else ""
    place = call if own and isinstance(call, Apply) else _scaling(program, call)
    if place is None:
        return FactorPlace(call, "") if text_at(program, call.span) else None
    found = FactorPlace(place, own or "by")
    return found if found.written is not None and found.written.span != START else None


def written_factors(program: Program) -> Iterator[FactorPlace]:
    """The constant factors of the code."""
    for call in program.expressions():
        if isinstance(call, Apply) and call.operation.factors:
            place = factor_place(program, call)
            if place is not None:
                yield place


def factor_change(program: Program, place: FactorPlace, powers: PowersByDim) -> FactorChange:
    """The change by which the factor at a place is multiplied by powers of growing dims."""
    call, value = place.call, place.written
    if value is None:
        return _inserted(program, call, powers)
    assert isinstance(call, Apply)
    span, after = _rewritten(program, value, powers, call)
    before, names = text_at(program, span), tuple(powers.items())
    return FactorChange(place.name, before, after, span, call.span, place.setting, names)


def setting_texts(
    program: Program, written_at: syntax.Expression, powers: PowersByDim
) -> tuple[Span, str, str] | None:
    """Where a setting is written, as it is, and times powers of growing dims."""
    before = text_at(program, written_at.span)
    if not before:
        return None
    span, after = _rewritten(program, written_at, powers, None)
    start = span.column - written_at.span.column
    end = span.end_column - written_at.span.column
    left, right = before[:start], before[end:]
    if after == "1" and left.rstrip().endswith(("*", "/")):
        left, after = left.rstrip()[:-1].rstrip(), ""
    return written_at.span, before, left + after + right


def _scaling(program: Program, call: Apply | Invoke) -> Apply | None:
    """The product with a constant that a call's result goes into, as it is written."""
    for found in program.expressions():
        if isinstance(found, Apply) and found.operation.name == "scale":
            inner = found.operands[0]
            written_at = found.settings["by"]
            if inner is not None and inner.span == call.span and isinstance(written_at, Amount):
                return found if written_at.written.span != START else None
    return None


def _inserted(program: Program, call: Apply | Invoke, powers: PowersByDim) -> FactorChange:
    span, text = call.span, text_at(program, call.span)
    before = program.source.lines[span.line - 1][: span.column - 1].rstrip()
    after = f"{_ratio(powers)} * {text if isinstance(call, Invoke) else f'({text})'}"
    after = f"({after})" if before.endswith(("*", "/", "@")) else after
    return FactorChange("", "", after, span, span, "", tuple(powers.items()))


def text_at(program: Program, span: Span) -> str:
    """What stands at a place, empty where that is not within a line."""
    lines = program.source.lines
    if span == START or span.end_line != span.line or span.line > len(lines):
        return ""
    return lines[span.line - 1][span.column - 1 : span.end_column - 1]


def _ratio(powers: PowersByDim) -> str:
    """`base(width) / width`: a power of the ratio to base."""
    if list(powers.values()) == [Fraction(-1)]:
        (name,) = powers
        return f"base({name}) / {name}"
    return " * ".join(power(f"({name} / base({name}))", e) for name, e in powers.items())


def _rewritten(
    program: Program, value: syntax.Expression, powers: PowersByDim, call: Apply | None
) -> tuple[Span, str]:
    """What is replaced in a factor, and by what: a power in it, or all of it."""
    product = _as_at_base(program, value, powers, always=call is None)
    if product is not None:
        return value.span, product
    for part, sign in _parts(value, 1):
        base, exponent = _power(part)
        growth = _growth(program, base)
        share = _share(powers, growth)
        if share is not None:
            new = exponent + sign * share
            return part.span, power(_atom(base), new) if new else _at_base(base, exponent)
    text = text_at(program, value.span) or written(value)
    more = (_of_head(program, powers, call) if call else None) or _ratio(powers)
    if text == "1":
        return value.span, more
    loose = isinstance(value, syntax.Binary) and value.op in "+-"
    return value.span, f"({text}) * {more}" if loose else f"{text} * {more}"


def _as_at_base(
    program: Program, value: syntax.Expression, powers: PowersByDim, always: bool
) -> str | None:
    """A product times powers of a dim that stands in it, with the value that it has at base.

    None where the dim does not stand in it alone, and where its powers at base do not cancel, if
    that is not to be so `always`.
    """
    parts = list(_parts(value, 1))
    shares = {
        base.id: share
        for base, _ in (_power(part) for part, _ in parts)
        if isinstance(base, syntax.Name)
        and (share := _share(powers, _growth(program, base))) is not None
    }
    if len(shares) != 1:
        return None
    ((dim, ratio),) = shares.items()
    at_base, rest = Fraction(0), list[tuple[str, int]]()
    for part, sign in parts:
        base, exponent = _power(part)
        alone = isinstance(base, syntax.Name) and base.id == dim
        if alone or _name_at_base(base) == dim:
            at_base += sign * exponent
        if alone or _ratio_to_base(base) == dim:
            ratio += sign * exponent
        elif _name_at_base(base) != dim:
            rest.append((_operand(part), sign))
    if at_base and not always:
        return None
    if at_base:
        of_dim = [*_powers_text(dim, ratio), *_powers_text(f"base({dim})", at_base - ratio)]
        return _product_text([*rest, *of_dim])
    short = {Fraction(1): f"{dim} / base({dim})", Fraction(-1): f"base({dim}) / {dim}"}
    of_ratio = [(short.get(ratio, power(f"({dim} / base({dim}))", ratio)), 1)] if ratio else []
    return _product_text([*rest, *of_ratio])


def _powers_text(base: str, exponent: Fraction) -> list[tuple[str, int]]:
    """A power as a factor of a product, with -1 where it divides; none of exponent 0."""
    return [(power(base, abs(exponent)), 1 if exponent > 0 else -1)] if exponent else []


def _product_text(factors: Iterable[tuple[str, int]]) -> str:
    """A product of factors, with -1 for those that divide."""
    text = ""
    for factor, sign in factors:
        if not text:
            text = factor if sign > 0 else f"1 / {factor}"
        else:
            text = f"{text} {'*' if sign > 0 else '/'} {factor}"
    return text or "1"


def _operand(part: syntax.Expression) -> str:
    loose = isinstance(part, syntax.Binary) and part.op in "+-"
    return f"({written(part)})" if loose else written(part)


def _of_head(program: Program, powers: PowersByDim, call: Apply) -> str | None:
    """The power of a head's size, where it is attention's scale and that has a name."""
    heads, query = call.settings.get("heads"), call.operands[0] if call.operands else None
    if not isinstance(heads, Amount) or query is None:
        return None
    size = query.shapes[0][-1] / heads.value
    share = _share(powers, leading_growth(size, program.growth_of, program.growth_order))
    names = [d.name for d in program.dims.values() if d.derived and d.value == size]
    names += [name for name in program.dims if str(size) == name]
    return power(names[0], share) if names and share is not None else None


def _share(powers: PowersByDim, growth: PowersByDim) -> Fraction | None:
    """What power of the one growth the other is."""
    if set(powers) != set(growth):
        return None
    shares = {powers[name] / growth[name] for name in powers}
    return shares.pop() if len(shares) == 1 else None


def _parts(value: syntax.Expression, sign: int) -> Iterator[tuple[syntax.Expression, int]]:
    """The factors of a product, with -1 for those that divide."""
    match value:
        case syntax.Binary(op="*", left=left, right=right):
            yield from _parts(left, sign)
            yield from _parts(right, sign)
        case syntax.Binary(op="/", left=left, right=right) if _ratio_to_base(value) is None:
            yield from _parts(left, sign)
            yield from _parts(right, -sign)
        case syntax.Negative(operand=operand):
            yield from _parts(operand, sign)
        case _:
            yield value, sign


def _power(value: syntax.Expression) -> tuple[syntax.Expression, Fraction]:
    match value:
        case syntax.Binary(op="^", left=left, right=right):
            exponent = _number(right)
            if exponent is not None:
                return left, exponent
        case syntax.Call(function=syntax.Name(id="sqrt"), arguments=(argument,)):
            return argument.value, Fraction(1, 2)
    return value, Fraction(1)


def _number(value: syntax.Expression) -> Fraction | None:
    match value:
        case syntax.Number(value=found):
            return found
        case syntax.Negative(operand=operand):
            inner = _number(operand)
            return None if inner is None else -inner
        case syntax.Binary(op="/", left=left, right=right):
            above, below = _number(left), _number(right)
            return None if above is None or not below else above / below
    return None


def _growth(program: Program, base: syntax.Expression) -> PowersByDim:
    name, sign = base.id if isinstance(base, syntax.Name) else _ratio_to_base(base), 1
    if isinstance(base, syntax.Binary) and base.op == "/" and name is None:
        name, sign = _ratio_to_base(replace(base, left=base.right, right=base.left)), -1
    dim = program.dims.get(name or "")
    if dim is None:
        return {}
    growth = leading_growth(dim.value, program.growth_of, program.growth_order)
    return {name: sign * exponent for name, exponent in growth.items()}


def _at_base(base: syntax.Expression, exponent: Fraction) -> str:
    """What a power that grows is at base, where no more than that is to be left of it."""
    return power(f"base({base.id})", exponent) if isinstance(base, syntax.Name) else "1"


def _ratio_to_base(value: syntax.Expression) -> str | None:
    """The dim of `width / base(width)`."""
    match value:
        case syntax.Binary(op="/", left=syntax.Name(id=name), right=right):
            return name if _name_at_base(right) == name else None
    return None


def _name_at_base(value: syntax.Expression) -> str | None:
    """The dim of `base(width)`."""
    match value:
        case syntax.Call(
            function=syntax.Name(id="base"),
            arguments=(syntax.Argument(value=syntax.Name(id=name)),),
        ):
            return name
    return None


def _atom(base: syntax.Expression) -> str:
    text = written(base)
    return text if isinstance(base, syntax.Name) else f"({text})"
