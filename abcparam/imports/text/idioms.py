"""Several calls that are one operation of the language together, or several of it.

They are told by what they compute: of a rotation the values are looked at, of other chains each
call is written by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.imports.alike import Numbers, Operand, ReadingError, TracedStep, flat
from abcparam.imports.functions import function_of, is_curved, known_as
from abcparam.imports.seen import CASTS, Seen, local
from abcparam.imports.text.layout import Laid
from abcparam.imports.text.operands import value_of
from abcparam.imports.text.routing import ROUTING
from abcparam.imports.text.values import AttentionLogits
from abcparam.imports.text.writer import Idiom, TextWriter, call_of
from abcparam.imports.traced import Ref, Weight
from abcparam.language import syntax

LEVELS = 10  # of calls that are looked through for where a rotation starts
DEEP = 6  # of calls in a function of one value
TURNING = frozenset(
    "add sub mul neg cat stack slice split chunk unbind select unsqueeze squeeze view reshape "
    "_unsafe_view unflatten transpose expand flatten index rsub movedim permute "
    "view_as_complex view_as_real".split()
)


def turned_by_place(writer: TextWriter, see: Seen, result: int) -> Laid | None:
    """`rope(x)`, where that is what a value is, however it was computed."""
    if see.call not in {"add", "cat", "sub", "flatten", "view", "reshape"} or result:
        return None
    for ref, step in _behind(writer, see.step):
        x = writer.values.get(local(ref))
        if not isinstance(x, Laid) or step is None or len(x.text) < 2:
            continue
        found = _rotation(writer, see.step, x, ref, step)
        if found is not None:
            return found
    return None


def _rotation(
    writer: TextWriter, end: TracedStep, x: Laid, ref: Ref, start: TracedStep
) -> Laid | None:
    head, place = x.graph[-1], x.text[-2]
    trailing = x.text[-1][len(x.text[-1]) - len(head) :]
    if trailing != head or place not in x.graph or len(end.shapes[0]) != len(x.graph):
        return None
    turn = writer.model.turning((start.node, ref.result), end.node, x.graph.index(place))
    if turn is None:
        return None
    theta = turn.theta
    heads = x.text[-1][: len(x.text[-1]) - len(head)]
    named: dict[str, syntax.Expression] = {}
    if heads:
        named["heads"] = writer.heads(writer.lengths.length(heads))
    if theta != 10000:
        named["theta"] = syntax.Number(Fraction(repr(theta)))
    if turn.interleaved:
        named["interleaved"] = syntax.Name("true")
    if turn.in_place:
        named["in_place"] = syntax.Name("true")
    return replace(x, code=call_of("rope", x.code, **named))


def _behind(writer: TextWriter, step: TracedStep) -> Iterator[tuple[Ref, TracedStep | None]]:
    """What a value is computed from, through what a rotation may be made of, nearest first."""
    level, seen = [step], set[str]()
    for _ in range(LEVELS):
        following = []
        for one in level:
            for ref in _refs(one.arguments):
                inner = writer.names.steps.get(ref.name)
                if inner is None or local(ref) in seen:
                    continue
                seen.add(local(ref))
                yield ref, inner
                if inner.call in TURNING or inner.target in CASTS:
                    following.append(inner)
        level = following


def _refs(values: Sequence[Operand]) -> Iterator[Ref]:
    return (x for value in values for x in flat(value) if isinstance(x, Ref))


def composed(writer: TextWriter, see: Seen, result: int) -> Laid | None:
    """A function of values that is none of the language's, call by call."""
    return _call_by_call(writer, see, DEEP)


def _call_by_call(writer: TextWriter, see: Seen, levels: int) -> Laid | None:
    name = see.call
    if see.step.target in CASTS:
        return _value(writer, see, see.get(0), levels)
    chain = is_curved(see)
    whole = (chain.function, chain.base) if chain is not None else (None, None)
    for function, base in (whole, (function_of(see), see.get(0))):
        known = None if function is None else known_as(function)
        if known is not None:
            x = _value(writer, see, base, levels)
            return None if x is None else _as(x, writer.function(*known, x.code))
    if name == "pow":
        x, by = _value(writer, see, see.get(0), levels), see.get(1)
        squared = x is not None and isinstance(by, Numbers) and by.first == 2
        return _as(x, call_of("square", x.code)) if x is not None and squared else None
    if name in {"add", "sub", "mul", "div"} and see.get(2, "alpha") is None:
        return _of_two(writer, see, name, levels)
    return None


def _of_two(writer: TextWriter, see: Seen, name: str, levels: int) -> Laid | None:
    left, right = see.get(0), see.get(1)
    try:
        numbers = [see.scalar(operand) for operand in (left, right)]
    except ReadingError:
        return None
    sign = {"add": "+", "sub": "-", "mul": "*"}.get(name)
    if numbers == [None, None]:
        x, y = (_value(writer, see, operand, levels) for operand in (left, right))
        if x is None or y is None or sign is None:
            return None
        found = writer.two(sign, x, y)
        return found if isinstance(found, Laid) else None
    x = _value(writer, see, left if numbers[0] is None else right, levels)
    by = numbers[0] if numbers[1] is None else numbers[1]
    if x is None or by is None or (numbers[0] is not None and name in {"sub", "div"}):
        return None
    if name in {"mul", "div"}:
        by = by if name == "mul" else by.inverse()
        return _as(x, writer.scaled(x.code, by.polynomial))
    return _as(x, writer.offset(x.code, by.polynomial if name == "add" else -by.polynomial))


def _value(writer: TextWriter, see: Seen, operand: Operand, levels: int) -> Laid | None:
    """An operand, by its name or call by call."""
    if isinstance(operand, Weight):
        weight = value_of(writer, see, operand)
        return weight if isinstance(weight, Laid) else None
    if not isinstance(operand, Ref) or not levels:
        return None
    known = writer.values.get(local(operand))
    if known is not None:
        return known if isinstance(known, Laid) else None
    step = writer.names.step_of(operand)
    return None if step is None else _call_by_call(writer, see.with_step(step), levels - 1)


def capped(writer: TextWriter, see: Seen, result: int) -> AttentionLogits | None:
    """`cap * tanh(logits / cap)`, which `attention` has a word for."""
    return _capped(writer, see, DEEP)


def _capped(writer: TextWriter, see: Seen, levels: int) -> AttentionLogits | None:
    name = see.call
    if see.step.target not in CASTS and name not in {"tanh", "mul", "div"}:
        return None
    operand = see.get(0)
    if not isinstance(operand, Ref) or not levels:
        return None
    known, step = writer.values.get(local(operand)), writer.names.step_of(operand)
    x = known if isinstance(known, AttentionLogits) else None
    if known is None and step is not None:
        x = _capped(writer, see.with_step(step), levels - 1)
    if x is None or see.step.target in CASTS:
        return x
    if name == "tanh":
        return x.capped()
    by = see.scalar(see.get(1))
    return None if by is None else x.times((by if name == "mul" else by.inverse()).polynomial)


def _as(x: Laid, code: syntax.Expression) -> Laid:
    return replace(x, code=code)


IDIOMS: tuple[Idiom, ...] = (turned_by_place, composed, capped, *ROUTING)
