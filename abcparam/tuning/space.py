"""What is searched: axes, and the points of a grid or of a random search on them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, did_you_mean
from abcparam.diagnostics.rules.names import UnknownWord
from abcparam.diagnostics.rules.tuning import BadAxis, NoRange
from abcparam.diagnostics.source import START
from abcparam.language import syntax
from abcparam.program.dims import Hyper
from abcparam.program.model import Program
from abcparam.program.value_ranges import out_of_range
from abcparam.resolve.amounts import Amounts
from abcparam.resolve.names import bounds
from abcparam.tuning.schedules import SCHEDULES, schedule_named

SETTINGS = ("steps", "batch")  # of training; a dim or hyper of that name comes first, as it
SCHEDULE = "schedule"  # does here
POINTS, MOST_POINTS = 7, 10_000  # of an interval in a grid
AxisValue = Fraction | str  # a schedule has a name
SearchPoint = Mapping[str, AxisValue]


class Axis(Record):
    """A name and its values; or an interval, of which a grid takes `POINTS` values."""

    name: str
    values: tuple[AxisValue, ...] = ()
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)
    log: bool = False

    @property
    def grid(self) -> tuple[AxisValue, ...]:
        """Its values, those of an interval evenly from end to end."""
        return self.values or self.evenly(POINTS)

    def evenly(self, points: int) -> tuple[Fraction, ...]:
        """So many values of the interval, from end to end."""
        return tuple(self.at(step / (points - 1)) for step in range(points))

    def at(self, part: float) -> Fraction:
        """The value at a part of the interval (0 its low end), to six digits."""
        if part in (0, 1):
            return self.high if part else self.low
        low, high = float(self.low), float(self.high)
        value = low * (high / low) ** part if self.log else low + (high - low) * part
        return Fraction(f"{value:.6g}")

    def drawn(self, draw: random.Random) -> AxisValue:
        return draw.choice(self.values) if self.values else self.at(draw.random())


def axes_of(program: Program, over: Iterable[str]) -> list[Axis]:
    """The axes that are named, and every hyper with a search range if nothing to tune is.

    Raises `SpecError`.
    """
    axes = [_axis(program, text) for text in over]
    if not any(is_tuned(program, axis.name) for axis in axes):
        ranged = [h for h in program.hypers.values() if h.range is not None]
        if not ranged and not axes:
            raise SpecError(program.source, [NoRange.at(START, what="no hyper of this spec")])
        axes += [_declared(program, hyper) for hyper in ranged]
    found = list({axis.name: axis for axis in axes}.values())
    if refused := [error for axis in found for error in _senseless(program, axis)]:
        raise SpecError(program.source, refused)
    return found


def _senseless(program: Program, axis: Axis) -> Iterator[Diagnostic]:
    """The first of its values, or end of its interval, that has no sense."""
    if axis.name in program.hypers:
        ends = (axis.low, axis.high)
        numbers = [v for v in axis.values or ends if not isinstance(v, str)]
        found = (list(out_of_range(program, {axis.name: value})) for value in numbers)
        yield from next(filter(None, found), [])


def is_tuned(program: Program, name: str) -> bool:
    """Whether the best value of a name is looked for, not what is best at each of its values."""
    return name in program.hypers or (name == SCHEDULE and name not in program.dims)


def _axis(program: Program, text: str) -> Axis:
    """`lr`, `width=64,128`, `scale=0.5:2`, `lr=log:1e-4:1e-1:9`."""
    name, equals, given = (part.strip() for part in text.partition("="))
    _known(program, name)
    if name == SCHEDULE and name not in {**program.hypers, **program.dims}:
        named = tuple(dict.fromkeys(part.strip() for part in given.split(",")))
        return Axis(name, _schedules(named) if equals else tuple(SCHEDULES))
    if not equals:
        if name not in program.hypers:
            raise _bad(program, text, "it has no values")
        return _declared(program, program.hypers[name])
    if not given:
        raise _bad(program, text, "it has no values")
    try:
        return _numbers(program, name, given)
    except _NotAnAxisError as error:
        raise _bad(program, text, str(error)) from None
    except (ValueError, ZeroDivisionError):
        raise _bad(program, text, "that is no number, or none that can be used") from None


class _NotAnAxisError(Exception):
    """What is wrong with an axis that is made of numbers."""


def _numbers(program: Program, name: str, given: str) -> Axis:
    """The axis of `64,128`, `0.5:2`, `log:1e-4:1e-1:9`: with points it is their list."""
    log = given.startswith("log:")
    ends = given.removeprefix("log:").split(":")
    if len(ends) == 1 and not log:
        return Axis(
            name, _whole(program, name, tuple(dict.fromkeys(map(_number, given.split(",")))))
        )
    if len(ends) not in (2, 3):
        raise _NotAnAxisError("an interval has two ends, and perhaps a number of points")
    if name not in program.hypers:
        raise _NotAnAxisError(f"values of `{name}` are listed, as in `{name}=64,128`")
    low, high = map(_number, ends[:2])
    if low >= high:
        raise _NotAnAxisError("the lower end comes first")
    if log and low <= 0:
        raise _NotAnAxisError("both ends of `log:` are above 0")
    axis = Axis(name, (), low, high, log)
    if len(ends) == 2:
        return axis
    points = int(ends[2])
    if not 2 <= points <= MOST_POINTS:
        raise _NotAnAxisError(f"an interval has from 2 to {MOST_POINTS} points")
    return replace(axis, values=tuple(dict.fromkeys(axis.evenly(points))))


def _known(program: Program, name: str) -> None:
    dims = [d.name for d in program.dims.values() if not d.derived]
    known = [*program.hypers, *dims, *SETTINGS, SCHEDULE]
    if name not in known:
        fields = {"name": name, "what": "a hyper or dim to sweep", "known": ", ".join(known)}
        meant = str(did_you_mean(name, known)) or _value_alone(name)
        error = UnknownWord.at(START, suggestion=meant, **fields)
        raise SpecError(program.source, [error])


def _value_alone(name: str) -> str:
    """What to say of a number where a name stands."""
    try:
        _number(name)
    except (ValueError, ZeroDivisionError):
        return ""
    return " Values of one name are divided by commas: `lr=1e-3,1e-2`."


def _schedules(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        schedule_named(name, 1)
    return names


def _number(text: str) -> Fraction:
    if len(text) > 40 or abs(int(text.lower().partition("e")[2] or 0)) > 99:
        raise ValueError
    return Fraction(text)


def _whole(program: Program, name: str, values: tuple[Fraction, ...]) -> tuple[Fraction, ...]:
    """Values of what is counted are positive and whole."""
    if name not in program.hypers and any(v.denominator != 1 or v < 1 for v in values):
        raise _NotAnAxisError(f"values of `{name}` are whole numbers from 1")
    return values


def _bad(program: Program, text: str, problem: str) -> SpecError:
    return SpecError.about(program.source.file, BadAxis, text=text, problem=problem)


def _declared(program: Program, hyper: Hyper) -> Axis:
    """The axis of a hyper's own search range."""
    if hyper.range is None:
        error = NoRange.at(hyper.span, what=f"`{hyper.name}`")
        raise SpecError(program.source, [error])
    amounts = Amounts({}, {}, {})
    found = [amounts.polynomial(b, hyper.name).nearest({}) for b in bounds(hyper.range)]
    if isinstance(hyper.range, syntax.Choice):
        return Axis(hyper.name, tuple(found))
    low, high = found
    return Axis(hyper.name, (), low, high, hyper.range.log)


def grid(axes: Iterable[Axis]) -> list[SearchPoint]:
    """Every combination, the last axis fastest."""
    found = list(axes)
    names = [axis.name for axis in found]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.product(*(axis.grid for axis in found))
    ]


def random_points(axes: Iterable[Axis], count: int, seed: int) -> Iterator[SearchPoint]:
    """Points drawn from the axes, the same for the same seed."""
    draw = random.Random(seed)
    found = list(axes)
    for _ in range(count):
        yield {axis.name: axis.drawn(draw) for axis in found}


def at_end(axis: Axis, value: AxisValue) -> bool:
    """Whether a value is the first or last of an axis that has an inside."""
    values = sorted(value for value in axis.grid if not isinstance(value, str))
    if len(values) < 3 or isinstance(value, str):
        return False
    margin = 0.02 * math.log(values[-1] / values[0]) if axis.log else 0
    if axis.log and not axis.values:
        near = abs(math.log(value / values[0])), abs(math.log(values[-1] / value))
        return min(near) <= margin
    return value in (values[0], values[-1])
