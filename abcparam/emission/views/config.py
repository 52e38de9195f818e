"""The view of `Config`: its fields, what they must satisfy, what follows from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from abcparam.algebra.record import Record
from abcparam.emission.lowering.divisible import Divides, WholeCondition, conditions
from abcparam.emission.lowering.numbers import CodePlace, Names
from abcparam.language import syntax
from abcparam.program.dims import Dim, Hyper
from abcparam.program.model import Program
from abcparam.python_code import nodes
from abcparam.python_code.layout import WIDTH, Text, lines, prose, python
from abcparam.python_code.nodes import (
    Binary,
    Code,
    Formatted,
    Name,
    Number,
    Statement,
    call,
    lift,
    own,
)

BODY = 8  # the indent of a method's body


class ConfigView(Record):
    """The dataclass of sizes and hyperparameters."""

    decorator: Text
    fields: tuple[Text, ...]
    check: tuple[Text, ...]
    properties: tuple[PropertyView, ...]


class PropertyView(Record):
    name: Text
    type: Text
    doc: Text
    value: tuple[Text, ...]


def config_view(program: Program, names: Names) -> ConfigView:
    """Fields, what they must satisfy, and what follows from them."""
    fields = [_dim_field(d) for d in program.dims.values() if not d.derived]
    fields += [_hyper_field(h) for h in program.hypers.values()]
    bare = any(d.default is None for d in program.dims.values() if not d.derived)
    return ConfigView(
        Text("@dataclass(frozen=True, kw_only=True)" if bare else "@dataclass(frozen=True)"),
        tuple(fields),
        tuple(lines(_checks(program, names), BODY)),
        tuple(_properties(program, names)),
    )


def _field(name: str, type_: str, default: Code | None, comment: str) -> Text:
    line = f"    {python(Name(name))}: {type_}"
    line += f" = {python(default)}" if default is not None else ""
    remark = f"  # {prose(comment)}"
    return Text(line + remark if comment and len(line + remark) <= WIDTH else line)


def _dim_field(dim: Dim) -> Text:
    default = Number(Fraction(dim.default)) if dim.default is not None else None
    comment = f"goes to infinity, base {dim.base or 1}" if dim.infinite else ""
    return _field(dim.name, "int", default, comment)


def _hyper_field(hyper: Hyper) -> Text:
    return _field(hyper.name, "float", Number(hyper.value, real=True), _range(hyper.range))


def _range(found: syntax.Interval | syntax.Choice | None) -> str:
    match found:
        case syntax.Interval(low=low, high=high, log=log):
            return f"search {'log ' * log}[{_plain(low)}, {_plain(high)}]"
        case syntax.Choice(values=values):
            return "search {" + ", ".join(_plain(value) for value in values) + "}"
        case _:
            return ""


def _plain(value: syntax.Expression) -> str:
    """A number of a search range."""
    match value:
        case syntax.Number(value=number):
            return python(Number(number))
        case syntax.Negative(operand=operand):
            return f"-{_plain(operand)}"
        case syntax.Binary(op="^", left=left, right=right):
            return f"{_plain(left)}^({_plain(right)})"
        case syntax.Binary(op=op, left=left, right=right):
            return f"{_plain(left)} {op} {_plain(right)}"
        case syntax.Name(id=name):
            return name
        case _:
            return "?"


def _checks(program: Program, names: Names) -> list[Statement]:
    sizes = [d.name for d in program.dims.values() if not d.derived]
    place = CodePlace(names, nodes.SELF)
    return [
        *_require(sizes, _bad_size, "a positive integer"),
        *_require(list(program.hypers), _bad_number, "a finite number"),
        *(_condition(place, condition) for condition in conditions(program)),
        *_positive(program),
    ]


def _require(fields: list[str], bad: Callable[[Code], Code], wanted: str) -> Iterable[Statement]:
    """Every field of a kind is as it must be."""
    value, name = Name("value"), Name("name")
    if len(fields) == 1:
        yield nodes.Assign((value,), own(fields[0]))
        yield _refuse(fields[0], bad(value), wanted)
    elif fields:
        read = nodes.Assign((value,), call("getattr", nodes.SELF, name))
        names = nodes.Tuple(tuple(nodes.Constant(f) for f in fields))
        yield nodes.For((name,), names, (read, _refuse(name, bad(value), wanted)))


def _refuse(name: str | Code, bad: Code, wanted: str) -> Statement:
    message = Formatted((name, f" must be {wanted}, not ", nodes.Shown(Name("value"))))
    return nodes.If(bad, (nodes.Raise(message),))


def _bad_size(value: Code) -> Code:
    return nodes.Any_(
        (Binary("is not", call("type", value), Name("int")), Binary("<", value, lift(1)))
    )


def _bad_number(value: Code) -> Code:
    kinds = nodes.Tuple((Name("int"), Name("float")))
    known_type = Binary("not in", call("type", value), kinds)
    return nodes.Any_((known_type, nodes.Not(call("math.isfinite", value))))


def _condition(place: CodePlace, condition: WholeCondition) -> Statement:
    if isinstance(condition, Divides):
        over, under = place.whole(condition.over), place.whole(condition.under)
        subject = python(CodePlace(place.names, Name("config")).whole(condition.over)).replace(
            "config.", ""
        )
        message = Formatted((f"{subject} must be a multiple of ", under, ", not ", over))
        return nodes.If(Binary("%", over, under), (nodes.Raise(message),))
    value = place.whole(condition.value)
    degree = Number(Fraction(condition.degree))
    root = call("round", Binary("**", value, Binary("/", lift(1), degree)))
    subject = python(CodePlace(place.names, Name("config")).whole(condition.value)).replace(
        "config.", ""
    )
    message = Formatted((f"{subject} must be a perfect power of {condition.degree}, not ", value))
    return nodes.If(Binary("!=", Binary("**", root, degree), value), (nodes.Raise(message),))


def _positive(program: Program) -> list[Statement]:
    """Derived dims that a difference or a floor can bring to zero."""
    found: list[Statement] = []
    for dim in program.dims.values():
        if dim.derived and not (dim.value.is_monomial and dim.value.terms[0][1] > 0):
            message = Formatted((f"{dim.name} must be a positive integer, not ", own(dim.name)))
            found.append(nodes.If(Binary("<", own(dim.name), lift(1)), (nodes.Raise(message),)))
    return found


def _properties(program: Program, names: Names) -> Iterable[PropertyView]:
    from abcparam.emission.lowering.scope import ModuleScope

    place, scope = CodePlace(names, nodes.SELF), ModuleScope(program)
    for dim in program.dims.values():
        if dim.derived and dim.written is not None:
            value = place.whole(scope.formula(dim.written, {}))
            yield _property(dim.name, "int", "", value)
    for name, ratio in names.ratios.items():
        base = Number(Fraction(names.bases[name]))
        yield _property(
            ratio, "float", f"{name} over its value at base.", Binary("/", own(name), base)
        )


def _property(name: str, type_: str, doc: str, value: Code) -> PropertyView:
    body = tuple(lines([nodes.Return(value)], BODY))
    return PropertyView(python(Name(name)), Text(type_), Text(doc), body)
