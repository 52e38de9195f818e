"""Numbers of the model's own that do for factors which its forward lacks: `scaling` and the like.

What a number does is not told by its name. The model is traced with another value in its place,
which must change constants of the graph and nothing else; and with these constants as they would
follow what grows, the calculus must find the factor there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from math import isclose, isfinite, log2, sqrt
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import NamedTuple, replace
from abcparam.comparison.degrees import DimPowers
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Span
from abcparam.imports.alike import (
    KnownData,
    Model,
    Numbers,
    Operand,
    Part,
    ReadingError,
    Repeated,
    TracedStep,
    renamed_outline,
)
from abcparam.imports.coincidences import OddOnes
from abcparam.imports.made_models import MadeModels
from abcparam.imports.numbers import EXPONENTS, Power, Sizes, power_of
from abcparam.imports.outline import Item, Loop
from abcparam.imports.reading import Read
from abcparam.imports.remedy import Knob, MissingFactor, Remedy
from abcparam.imports.titles import starred
from abcparam.imports.traced import Datum, Line, Trace, TracedArgument
from abcparam.imports.traces import Traces

if TYPE_CHECKING:
    from torch import nn

CONFIG = "config"  # what modules call the object that they read numbers from
PRODUCTS = {"aten.mul.Tensor", "aten.mul.Scalar", "aten.div.Tensor", "aten.div.Scalar"}
PROBE = 2  # by which a number is multiplied, to see what it does


class _Place(NamedTuple):
    """Where a number may be: the modules that hold it, and what it is called there."""

    paths: tuple[str, ...]
    name: str


class _OtherGraphError(Exception):
    """A number changes more than constants."""


class Knobs:
    """The numbers of a model: `judge` says what makes a model maximal-update that is read anew."""

    def __init__(
        self,
        models: MadeModels,
        settings: Sequence[Sizes],
        grow: Iterable[str],
        read: Read,
        judge: Callable[[Model], Remedy],
    ) -> None:
        self.models = models
        self.settings = settings
        self.grow = frozenset(grow)
        self.read = read
        self.judge = judge

    def instead(self, remedy: Remedy, model: Model) -> Remedy:
        """The remedy with numbers of the model's own in place of factors that it lacks."""
        knobs: list[Knob] = []
        left = remedy.missing
        for missing in remedy.missing:
            if missing in left and (found := self.knob(remedy, missing, left, model)):
                knob, model, left = found
                knobs.append(knob)
        return replace(remedy, missing=left, knobs=tuple(knobs))

    def knob(
        self,
        remedy: Remedy,
        missing: MissingFactor,
        left: tuple[MissingFactor, ...],
        model: Model,
    ) -> tuple[Knob, Model, tuple[MissingFactor, ...]] | None:
        """A number that does for a factor, the model with it, and what that lacks still."""
        values = set(_constants(self.plain))
        for place in self.places(missing.span):
            own = self.own(place)
            if own is None or not _explains(own.at(self.settings[0]), values):
                continue
            try:
                probe = _Probe(self.plain, self.trace(place), model.odd)
                exponent = probe.exponent(model)
            except (SpecError, ReadingError, _OtherGraphError):
                continue
            for by in (exponent, -exponent):  # what is divided by is the inverse of a factor
                powers = {name: power / by for name, power in missing.powers.items()}
                other = probe.following(model, self.ratio(powers))
                found = self.judged(other)
                if found is not None and _does(found, remedy, missing, left):
                    kept = {factor.key for factor in found.missing}
                    rest = tuple(factor for factor in left if factor.key in kept)
                    return Knob(place.paths, place.name, own, powers, missing.span), other, rest
        return None

    def judged(self, model: Model) -> Remedy | None:
        """What makes a model maximal-update; None where it cannot be read."""
        try:
            return self.judge(model)
        except ReadingError:
            return None

    def ratio(self, powers: DimPowers) -> Power:
        """Powers of sizes over those at base."""
        inverse = {name: -power for name, power in powers.items()}
        return Power(Power(1.0, inverse).at(self.settings[0]), powers)

    # Where numbers are

    def places(self, span: Span) -> Iterator[_Place]:
        """Those of the modules that compute a line, inner ones first, and of the config."""
        model = self.models.without_values(self.settings[0]).example.model
        stacks = [
            ("", *step.modules) for step in self.read.names.steps.values() if step.span == span
        ]
        depths = [tuple(dict.fromkeys(paths)) for paths in zip(*stacks, strict=False)]
        for paths in reversed(depths):
            for name in _numbers(model.get_submodule(paths[0])):
                yield _Place(tuple(dict.fromkeys(map(self.starred, paths))), name)
        for paths in depths:
            config = getattr(model.get_submodule(paths[0]), CONFIG, None)
            if hasattr(config, "__dict__"):
                for name in _numbers(config):
                    yield _Place(paths[:1], f"{CONFIG}.{name}")
                return

    def starred(self, path: str) -> str:
        """The path of a module in layers that repeat, as those of its parameters are."""
        parts = path.split(".")
        for count in range(len(parts), 0, -1):
            start = ".".join(parts[:count]) + "."
            for parameter, (there, _) in self.read.paths.items():
                if parameter.startswith(start):
                    return starred(".".join((*there.split(".")[:count], *parts[count:])))
        return path

    def own(self, place: _Place) -> Power | None:
        """What a number is, as a power of what grows; None where it is none."""
        values: list[float] = []
        for sizes in self.settings:
            model = self.models.without_values(sizes).example.model
            found = {_value(*_holder(module, place.name)) for module in modules_at(model, place)}
            if len(found) != 1 or None in found:
                return None
            values += (float(value) for value in found if value is not None)
        power = power_of(values, self.settings)
        is_known = power is not None and power.coefficient and self.grow.issuperset(power.powers)
        return power if is_known else None

    # What they do

    @cached_property
    def plain(self) -> Trace:
        """The model at base as it is."""
        return self.trace()

    def trace(self, place: _Place | None = None) -> Trace:
        """The model at base, with a number changed."""
        factory = self.models.factory

        def function(**sizes: int) -> Any:
            made = factory.function(**sizes)
            if place is not None:
                model = made[0] if isinstance(made, tuple | list) else made
                multiply_(model, place, PROBE)
            return made

        made = MadeModels(replace(factory, function=function))
        return Traces(made).trace(self.settings[0], False)


def modules_at(model: nn.Module, place: _Place | Knob) -> list[nn.Module]:
    """The modules that hold a number."""
    modules = model.named_modules()
    return [module for name, module in modules if any(_is_at(path, name) for path in place.paths)]


def _is_at(path: str, name: str) -> bool:
    parts, own = path.split("."), name.split(".")
    return len(parts) == len(own) and all(
        a == b or (a == "*" and b.isdigit()) for a, b in zip(parts, own, strict=True)
    )


def multiply_(model: nn.Module, place: _Place | Knob, by: float) -> None:
    """Multiplies a number of a model's own."""
    for module in modules_at(model, place):
        holder, name = _holder(module, place.name)
        setattr(holder, name, getattr(holder, name) * by)


def _holder(module: Any, name: str) -> tuple[Any, str]:
    """The object that has a number, and what it calls it."""
    owner, _, last = name.rpartition(".")
    return (getattr(module, owner) if owner else module), last


def _numbers(holder: Any) -> Iterator[str]:
    """What an object calls its numbers."""
    return (name for name in vars(holder) if _value(holder, name) is not None)


def _value(holder: Any, name: str) -> float | None:
    """A number that is not zero; None of anything else."""
    value = vars(holder).get(name)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and isfinite(value) and value else None


def _explains(value: float, constants: Iterable[float]) -> bool:
    """Whether a constant is a number, a root of it, or one over them."""
    size = abs(value)
    made = (size, 1 / size, sqrt(size), 1 / sqrt(size))
    return any(isclose(abs(c), x, rel_tol=1e-6) for c in constants for x in made)


def _constants(trace: Trace) -> Iterator[float]:
    """The constants that values are multiplied by: whole numbers elsewhere are lengths and axes."""
    for line in trace.lines:
        for argument in _arguments(line):
            found = _constant(argument)
            if found is not None and (isinstance(argument, float) or line.target in PRODUCTS):
                yield found


def _constant(argument: TracedArgument) -> float | None:
    if isinstance(argument, Datum):
        return argument.constant
    if isinstance(argument, int | float) and not isinstance(argument, bool):
        return float(argument)
    return None


def _arguments(line: Line) -> tuple[TracedArgument, ...]:
    return (*line.arguments, *(value for _, value in line.keywords))


# What it does


class _Probe:
    """A model's trace beside that with a number changed: only constants may be others."""

    def __init__(self, before: Trace, after: Trace, odd: OddOnes) -> None:
        self.before, self.after = (renamed_outline(trace, odd)[0] for trace in (before, after))

    def exponent(self, model: Model) -> Fraction:
        """The power of the number in the first constant that follows it.

        Raises `_OtherGraphError` where none does, or more changes than constants.
        """
        following = _Following(Power(1.0, {}))
        following.parts(model.parts, self.before, self.after)
        if not following.exponents:
            raise _OtherGraphError
        return following.exponents[0]

    def following(self, model: Model, by: Power) -> Model:
        """The model with the number multiplied."""
        return replace(model, parts=_Following(by).parts(model.parts, self.before, self.after))


class _Following:
    """Makes the constants of a model follow a number that is multiplied by a power of sizes."""

    def __init__(self, by: Power) -> None:
        self.by = by
        self.exponents: list[Fraction] = []

    def parts(
        self, parts: Sequence[Part], before: Sequence[Item], after: Sequence[Item]
    ) -> tuple[Part, ...]:
        if not len(parts) == len(before) == len(after):
            raise _OtherGraphError
        return tuple(map(self.part, parts, before, after))

    def part(self, part: Part, before: Item, after: Item) -> Part:
        bare = [replace(item, **_bare(item)) for item in (before, after)]
        if bare[0] != bare[1]:
            raise _OtherGraphError
        match part, before, after:
            case Repeated(), Loop(), Loop():
                return replace(part, body=self.parts(part.body, before.body, after.body))
            case TracedStep(), Line(), Line():
                operands = (*part.arguments, *part.keywords.values())
                found = self.each(operands, _arguments(before), _arguments(after))
                count = len(part.arguments)
                keywords = dict(zip(part.keywords, found[count:], strict=True))
                return replace(part, arguments=found[:count], keywords=keywords)
        raise _OtherGraphError

    def each(
        self,
        operands: tuple[Operand, ...],
        before: Sequence[TracedArgument],
        after: Sequence[TracedArgument],
    ) -> tuple[Operand, ...]:
        if not len(operands) == len(before) == len(after):
            raise _OtherGraphError
        return tuple(map(self.operand, operands, before, after))

    def operand(self, operand: Operand, before: TracedArgument, after: TracedArgument) -> Operand:
        if before == after:
            return operand
        if isinstance(operand, tuple) and isinstance(before, tuple) and isinstance(after, tuple):
            return self.each(operand, before, after)
        old, new = _constant(before), _constant(after)
        if old is None or new is None or not old * new > 0:
            raise _OtherGraphError
        by = self.power(new / old)
        match operand:
            case Numbers():
                pairs = zip(operand.values, operand.settings, strict=True)
                return replace(operand, values=tuple(x * by.at(sizes) for x, sizes in pairs))
            case KnownData(size=Power() as size, constant=Power() as constant):
                return replace(operand, size=size.times(by), constant=constant.times(by))
        raise _OtherGraphError

    def power(self, ratio: float) -> Power:
        """By what a constant is multiplied that changed by a ratio as the number did by `PROBE`."""
        found = log2(ratio) / log2(PROBE)
        exponent = Fraction(round(found * EXPONENTS), EXPONENTS)
        if not isclose(found, exponent, abs_tol=1e-6):
            raise _OtherGraphError
        self.exponents.append(exponent)
        powers = {name: power * exponent for name, power in self.by.powers.items()}
        return Power(self.by.coefficient**exponent, powers)


def _bare(item: Item) -> dict[str, Any]:
    """What of an item is compared apart."""
    return {"body": ()} if isinstance(item, Loop) else {"arguments": (), "keywords": ()}


def _does(
    found: Remedy,
    remedy: Remedy,
    missing: MissingFactor,
    left: tuple[MissingFactor, ...],
) -> bool:
    """Whether a model with a number in place of a factor needs the same, but for that factor."""
    lacked, keys = {factor.key for factor in left}, {factor.key for factor in found.missing}
    same = (found.verdict, found.complete, found.changes) == (
        remedy.verdict,
        remedy.complete,
        remedy.changes,
    )
    return same and keys < lacked and missing.key not in keys
