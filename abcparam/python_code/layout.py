"""Code as text, laid out as `ruff format` leaves it. The one place where a value becomes Python."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from fractions import Fraction

from abcparam.python_code.nodes import (
    COMPARE,
    LOWEST,
    POWER,
    PRECEDENCE,
    TIMES,
    UNARY,
    Any_,
    Assign,
    Attribute,
    Binary,
    Call,
    Chosen,
    Code,
    Comment,
    Constant,
    Do,
    Ellipsis_,
    For,
    Formatted,
    Generator,
    If,
    List,
    Name,
    Negative,
    Not,
    Number,
    Raise,
    Return,
    Shown,
    Slice,
    Starred,
    Statement,
    Subscript,
    Tuple,
    identifier,
)

WIDTH = 88
STEP = 4


class Text(str):
    """Text made here. Templates accept nothing else."""

    __slots__ = ()


# Expressions


def python(code: Code) -> Text:
    """The code on one line."""
    return Text(_write(code, LOWEST))


def _write(code: Code, above: int) -> str:
    match code:
        case Name(id=name):
            return identifier(name)
        case Attribute(value=value, name=name):
            return f"{_write(value, POWER + 1)}.{identifier(name)}"
        case Number():
            return _number(code, above)
        case Constant(value=value):
            return _string(value) if isinstance(value, str) else str(value)
        case Call():
            return _write(code.function, POWER + 1) + "(" + ", ".join(_arguments(code)) + ")"
        case Subscript(value=value, items=items):
            inner = ", ".join(_write(item, LOWEST) for item in items)
            return f"{_write(value, POWER + 1)}[{inner}]"
        case Tuple(items=items):
            return f"({', '.join(_write(item, LOWEST) for item in items)}{',' * (len(items) == 1)})"
        case Binary() | Negative():
            return _operator(code, above)
        case _:
            return _special(code)


def _arguments(code: Call) -> list[str]:
    positional = [_write(argument, LOWEST) for argument in code.arguments]
    return positional + [
        f"{identifier(name)}={_write(value, LOWEST)}" for name, value in code.keywords
    ]


def _operator(code: Binary | Negative, above: int) -> str:
    if isinstance(code, Negative):
        inner = POWER + 1 if isinstance(code.operand, Binary) else UNARY
        return _within(f"-{_write(code.operand, inner)}", UNARY, above)
    mine = PRECEDENCE.get(code.op, COMPARE)
    if mine == POWER:
        left, right = _write(code.left, POWER + 1), _write(code.right, UNARY)
        simple = _is_simple(code.left) and _is_simple(code.right) and not left.startswith("(")
        space = "" if simple else " "
    else:
        space, left, right = " ", _write(code.left, mine), _write(code.right, mine + 1)
    return _within(f"{left}{space}{code.op}{space}{right}", mine, above)


def _within(text: str, mine: int, above: int) -> str:
    return f"({text})" if mine < above else text


def _is_simple(code: Code) -> bool:
    """Whether ruff lets `**` and `:` touch it."""
    match code:
        case Name():
            return True
        case Number():
            return "/" not in _number(code, LOWEST)
        case Negative(operand=operand):
            return _is_simple(operand)
        case Attribute(value=value):
            return _is_simple(value)
        case _:
            return False


def _special(code: Code) -> str:
    match code:
        case Slice(start=start, stop=stop):
            return _slice(start, stop)
        case Ellipsis_():
            return "..."
        case List(items=items):
            return f"[{', '.join(_write(item, LOWEST) for item in items)}]"
        case Chosen(groups=groups, key=key, value=value):
            name = _write(groups, LOWEST)
            return f"[g for g in {name} if g[{_string(key)}] == {_string(value)}]"
        case Starred(value=value):
            return f"*{_write(value, POWER)}"
        case Shown(value=value):
            return f"{_write(value, LOWEST)}!r"
        case Any_(items=items):
            return " or ".join(_write(item, COMPARE) for item in items)
        case Not(operand=operand):
            return f"not {_write(operand, COMPARE)}"
        case Generator(value=value, count=count, number=number):
            return f"{_write(value, LOWEST)} for {number} in range({_write(count, LOWEST)})"
        case Formatted(parts=parts):
            return 'f"' + "".join(_part(part) for part in parts) + '"'
        case _:
            raise TypeError(code)


def _slice(start: Code | None, stop: Code | None) -> str:
    bounds = [b for b in (start, stop) if b is not None]
    spaced = not all(isinstance(b, (Name, Number)) for b in bounds)
    left = _write(start, LOWEST) + " " * spaced if start is not None else ""
    right = " " * spaced + _write(stop, LOWEST) if stop is not None else ""
    return f"{left}:{right}"


def _part(part: str | Code) -> str:
    if isinstance(part, str):
        return _string(part)[1:-1].replace("{", "{{").replace("}", "}}")
    return "{" + _write(part, LOWEST) + "}"


def _string(value: str) -> str:
    return json.dumps(value, ensure_ascii=True)


def _number(code: Number, above: int) -> str:
    value = code.value
    if value < 0:
        return _within(f"-{_number(Number(-value, code.real), UNARY)}", UNARY, above)
    text = decimal(value, code.real)
    if text is not None:
        return text
    return _within(f"{value.numerator} / {value.denominator}", TIMES, above)


def decimal(value: Fraction, real: bool = False) -> str | None:
    """The shortest literal that is exactly the number, None where it is no decimal fraction."""
    if value.denominator == 1 and (not real or value >= 10**15):
        return str(value.numerator)
    try:
        text = repr(float(value)).replace("e-0", "e-").replace("e+", "e")
    except OverflowError:
        return None
    return text if Fraction(text) == value else None


# Statements


def lines(statements: Iterable[Statement], indent: int = 0) -> list[Text]:
    """Statements as lines."""
    return [Text(line) for statement in statements for line in _statement(statement, indent)]


def _statement(statement: Statement, indent: int) -> list[str]:
    match statement:
        case Assign(targets=targets, value=value):
            return _spread(", ".join(_write(t, LOWEST) for t in targets) + " = ", value, "", indent)
        case Do(value=value):
            return _spread("", value, "", indent)
        case Return(value=value):
            return _return(value, indent)
        case Raise(message=message):
            return _spread("raise ", Call(Name("ValueError"), (message,)), "", indent)
        case If(condition=condition, body=body):
            return [*_spread("if ", condition, ":", indent), *lines(body, indent + STEP)]
        case For(targets=targets, iterable=iterable, body=body):
            head = f"for {', '.join(_write(t, LOWEST) for t in targets)} in "
            return [*_spread(head, iterable, ":", indent), *lines(body, indent + STEP)]
        case Comment(text=text):
            return wrapped(text, indent)


def _return(value: Code, indent: int) -> list[str]:
    """A tuple stands without parentheses where it fits on the line."""
    if isinstance(value, Tuple) and len(value.items) > 1:
        line = " " * indent + "return " + ", ".join(_write(item, LOWEST) for item in value.items)
        if len(line) <= WIDTH:
            return [line]
    return _spread("return ", value, "", indent)


def _spread(head: str, code: Code, tail: str, indent: int) -> list[str]:
    """The code between head and tail, one argument to a line where it does not fit on one."""
    line = " " * indent + head + _write(code, LOWEST) + tail
    if len(line) <= WIDTH:
        return [line]
    match code:
        case Binary(op=op) if op != "**" or head.endswith(" = "):
            return _split(head, code, tail, indent)
        case Any_():
            return _split(head, code, tail, indent)
        case Tuple(items=items):
            return _exploded(head + "(", [("", item) for item in items], ")" + tail, indent)
        case List(items=items):
            return _exploded(head + "[", [("", item) for item in items], "]" + tail, indent)
        case Call() if code.arguments or code.keywords:
            return _spread_call(head, code, tail, indent)
        case Subscript(value=value, items=(Constant() as key,)):
            margin, opening = " " * indent, f"{head}{_write(value, POWER + 1)}["
            inner = f"{margin}{' ' * STEP}{_write(key, LOWEST)}"
            return [margin + opening, inner, f"{margin}]{tail}"]
        case _:
            return _bare(head, code, tail, indent)


def _bare(head: str, code: Code, tail: str, indent: int) -> list[str]:
    """What cannot be broken: an assigned one goes to a line of its own if it fits there."""
    text = _write(code, LOWEST)
    if head.endswith(" = ") and indent + STEP + len(text) <= WIDTH:
        margin = " " * indent
        return [f"{margin}{head}(", f"{margin}{' ' * STEP}{text}", f"{margin}){tail}"]
    return [" " * indent + head + text + tail]


def _spread_call(head: str, code: Call, tail: str, indent: int) -> list[str]:
    """All arguments on one line of their own where they fit, else one to a line."""
    opening = f"{_write(code.function, POWER + 1)}("
    if head.endswith(" = ") and indent + len(head) + len(opening) > WIDTH:
        inner = _spread("", code, "", indent + STEP)
        return [f"{' ' * indent}{head}(", *inner, f"{' ' * indent}){tail}"]
    head += opening
    together = " " * (indent + STEP) + ", ".join(_arguments(code))
    if len(together) <= WIDTH:
        return [" " * indent + head, together, f"{' ' * indent}){tail}"]
    items = [("", argument) for argument in code.arguments]
    items += [(f"{name}=", value) for name, value in code.keywords]
    return _exploded(head, items, ")" + tail, indent)


def _split(head: str, code: Binary | Any_, tail: str, indent: int) -> list[str]:
    """A sum or product, an operand to a line; a statement's stands in parentheses."""
    if head.endswith(("= ", "return ", "if ")):
        inner = " " * (indent + STEP) + _write(code, LOWEST)
        rest = [inner] if len(inner) <= WIDTH else _operands("", code, "", indent + STEP)
        return [" " * indent + head + "(", *rest, " " * indent + ")" + tail]
    return _operands(head, code, tail, indent)


def _operands(head: str, code: Binary | Any_, tail: str, indent: int) -> list[str]:
    first, *rest = _chain(code)
    margin = " " * indent
    found = [margin + head + first, *(margin + line for line in rest)]
    return [*found[:-1], found[-1] + tail]


def _chain(code: Binary | Any_) -> list[str]:
    """The operands of the outermost operators, each but the first with its operator."""
    if isinstance(code, Any_):
        first, *others = (_write(item, COMPARE) for item in code.items)
        return [first, *(f"or {other}" for other in others)]
    mine, rest = precedence(code), []
    inner: Code = code
    while isinstance(inner, Binary) and precedence(inner) == mine:
        rest.append(f"{inner.op} {_write(inner.right, mine + 1)}")
        inner = inner.left
    return [_write(inner, mine), *rest[::-1]]


def precedence(code: Code) -> int:
    """How tightly the outermost operator binds."""
    return PRECEDENCE.get(code.op, COMPARE) if isinstance(code, Binary) else POWER + 1


def is_bracketed(code: Code, inside: Code) -> bool:
    """Whether an operand has brackets at its end, or all around."""
    if precedence(code) < precedence(inside) or isinstance(code, (Call, Subscript)):
        return True
    return isinstance(code, Binary) and any(
        is_bracketed(end, code) for end in (code.left, code.right)
    )


def entry(key: str, code: Code, indent: int) -> list[Text]:
    """An entry of a dict, with its comma."""
    return [Text(line) for line in _spread(f"{_string(key)}: ", code, ",", indent)]


def _exploded(head: str, items: Sequence[tuple[str, Code]], tail: str, indent: int) -> list[str]:
    inner = [line for name, item in items for line in _item(name, item, indent + STEP)]
    return [" " * indent + head, *inner, " " * indent + tail]


def _item(name: str, item: Code, indent: int) -> list[str]:
    if isinstance(item, Generator):
        margin = " " * indent
        head, loop = _write(item.value, LOWEST), _write(item.count, LOWEST)
        return [margin + head, f"{margin}for {item.number} in range({loop})"]
    return _spread(name, item, ",", indent)


def definition(name: str, arguments: Sequence[str], result: str, indent: int = 0) -> Text:
    """The first line of a function, or lines."""
    margin = " " * indent
    line = f"{margin}def {name}({', '.join(arguments)}) -> {result}:"
    if len(line) <= WIDTH:
        return Text(line)
    inner = " " * (indent + STEP)
    one = inner + ", ".join(arguments)
    inside = [one] if len(one) <= WIDTH else [f"{inner}{argument}," for argument in arguments]
    return Text("\n".join([f"{margin}def {name}(", *inside, f"{margin}) -> {result}:"]))


def fits(statement: Statement, indent: int) -> bool:
    """Whether no line of the statement is too long."""
    return all(len(line) <= WIDTH for line in _statement(statement, indent))


# Prose


def trusted(source: str) -> Text:
    """Source that is part of the compiler: a helper function of an operation or optimizer."""
    return Text(source.strip("\n"))


def prose(text: str) -> Text:
    """Text of a spec or its file's name, made harmless for a comment or a docstring."""
    safe = "".join(c if c.isprintable() else "?" for c in text)
    return Text(safe.replace("\\", "/").replace('"', "'").strip())


def docstring(text: str) -> list[Text]:
    """A docstring of a class, in as many lines as it takes; none for no text."""
    margin, safe = " " * STEP, prose(text)
    if len(safe) + len(margin) + 6 <= WIDTH:
        return [Text(f'{margin}"""{safe}"""')] if safe else []
    parts = safe.replace(" -> ", "\n-> ").split("\n")
    first, *rest = [line for part in parts for line in _filled(part, WIDTH - len(margin) - 3)]
    return [
        Text(f'{margin}"""{first}'),
        *(Text(margin + line) for line in rest),
        Text(f'{margin}"""'),
    ]


def paragraph(text: str) -> list[Text]:
    """Lines of a module's docstring, those after the first indented."""
    first, *rest = _filled(prose(text), WIDTH - 2 * STEP)
    return [Text(f"{' ' * STEP}{first}"), *(Text(f"{' ' * 2 * STEP}{line}") for line in rest)]


def _filled(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)


def wrapped(text: str, indent: int) -> list[str]:
    """A comment, broken at spaces into lines that fit."""
    margin, out = " " * indent + "#", []
    line = margin
    for word in prose(text).split():
        if len(line) + 1 + len(word) > WIDTH and line != margin:
            out.append(line)
            line = margin
        line += f" {word}"
    return [*out, line]
