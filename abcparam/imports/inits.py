"""How each parameter of a model starts, as powers of the sizes.

Read from the calls that write it, at each setting. Only what no such call tells is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import fmean, stdev

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.rules.imports import MeasuredStart, NeverWritten, NoPower
from abcparam.diagnostics.source import Source
from abcparam.imports.drawn import Drawn, constant
from abcparam.imports.factory import Factory, written
from abcparam.imports.leading import growing_of, power_for, shown
from abcparam.imports.made_models import MadeModels, SeenStart, model_made
from abcparam.imports.numbers import (
    Power,
    Sizes,
    power_of,
    slopes_of,
    varying,
)
from abcparam.imports.settings import where_only_these_grow
from abcparam.imports.writes import Place
from abcparam.user_code.places import line_at

SEEDS = 4  # of what is measured
CLOSE = 0.05  # a slope to the exponent that it is rounded to, but for chance
MOST_SHOWN = 3
PLAIN = {constant(0.0): "zeros", constant(1.0): "ones"}


class Start(Record):
    """How a parameter starts, and the line that makes it so.

    `kind` is normal, uniform, zeros, ones, constant, orthogonal or measured. `scale` is the
    standard deviation of `normal`, the bound of `uniform`, the value of `constant`, and the root
    mean square of the entries otherwise; None for zeros and ones. `note` says what it leaves out.
    """

    kind: str
    scale: Power | None
    place: Place | None
    note: str = ""


def starts_of(
    models: MadeModels, settings: Sequence[Sizes], growing: Iterable[str] | None = None
) -> dict[str, Start]:
    """How each parameter at the first setting starts; one that has two names is there twice.

    `growing` are the sizes that go to infinity, by default those that take the most values: where
    a scale is a sum, the term that grows fastest with them counts. Raises `SpecError` where a scale
    is no power of the sizes.
    """
    looked = _looked(models, settings)
    grow = frozenset(growing_of(settings) if growing is None else growing)
    reader = _Reader(models.factory, settings, looked, grow)
    return {name: reader.start(name) for name in looked[0]}


def _looked(models: MadeModels, settings: Sequence[Sizes]) -> list[Mapping[str, SeenStart]]:
    """Parameters at all settings, with values where it takes them to tell what was written."""
    found = [models.at(sizes) for sizes in settings]
    first = next((i for i, x in enumerate(found) if x.filled), 0)
    told = all(x.write.drawn.known for made in found for x in made.starts.values())
    return [
        x.starts
        if x.filled or (told and i != first)
        else model_made(models.factory, settings[i]).starts
        for i, x in enumerate(found)
    ]


class _Reader:
    """Makes one formula of what was seen of a parameter at several settings."""

    def __init__(
        self,
        factory: Factory,
        settings: Sequence[Sizes],
        looked: Sequence[Mapping[str, SeenStart]],
        growing: frozenset[str],
    ) -> None:
        self.factory = factory
        self.settings = settings
        self.looked = looked
        self.growing = growing
        self.more: list[Sequence[Mapping[str, SeenStart]]] = []

    def start(self, name: str) -> Start:
        """Of a parameter of the first setting, at all settings that have it."""
        at = self.where_of_one_family(name)
        settings = [self.settings[i] for i in at]
        seen = [self.looked[i][name].write for i in at]
        drawn = [write.drawn for write in seen]
        place = self.placed(seen[0].place)
        if any(x.family == "empty" for x in drawn):
            source, span = line_at(place, self.factory.file)
            raise SpecError(source, [NeverWritten.at(span, name=name)])
        if not all(x.known for x in drawn):
            return self.measured(name, at, place, next(x.by for x in drawn if not x.known))
        if len({_family(x) for x in drawn}) > 1:
            found = [
                f"{_family(x)} at {self.short(s)}" for x, s in zip(drawn, settings, strict=True)
            ]
            raise self.refused(name, place, found)
        return self.read(name, drawn, settings, place)

    def where_of_one_family(self, name: str) -> list[int]:
        """The settings that have a parameter, those where it starts alike.

        The last layer of a model is another one where there are more: then only what grows may
        be other than at base.
        """
        at = [i for i, seen in enumerate(self.looked) if name in seen]
        if len({_family(self.looked[i][name].write.drawn) for i in at}) > 1:
            chain = where_only_these_grow(self.settings, self.growing)
            return [i for i in at if self.settings[i] in chain]
        return at

    def read(
        self, name: str, drawn: Sequence[Drawn], settings: Sequence[Sizes], place: Place | None
    ) -> Start:
        """Of what one family of distributions wrote."""
        family = _family(drawn[0])
        values = [x.mean if family == "constant" else x.spread for x in drawn]
        if {*drawn} <= PLAIN.keys() and len({*drawn}) == 1:
            return Start(PLAIN[drawn[0]], None, place)
        scale, note = self.power(values, settings, name, place)
        kind = "measured" if family == "signs" else family
        if not (drawn[0].is_constant or drawn[0].is_centred):
            note = "; ".join(filter(None, (_around(drawn[0]), note)))
        return Start(kind, scale, place, note)

    def power(
        self, values: Sequence[float], settings: Sequence[Sizes], name: str, place: Place | None
    ) -> tuple[Power, str]:
        """The power that values are, or grow as, and what is left out of it."""
        found = power_for(values, settings, self.growing)
        if found is None:
            raise self.refused(name, place, shown(values, settings))
        return found

    def measured(self, name: str, at: Sequence[int], place: Place | None, by: str) -> Start:
        """Of what is not read: its root mean square, over several seeds."""
        settings = [self.settings[i] for i in at]
        rows = [[looked[i][name].rms for i in at] for looked in self.seeds()]
        note = f"measured, as {by or 'an operation'} wrote it"
        scale = measured_power(rows, settings)
        if scale is None:
            means = [fmean(column) for column in zip(*rows, strict=True)]
            scale, left_out = self.power(means, settings, name, place)
            note = f"{note}; {left_out}" if left_out else note
        return Start("measured", scale, place, note)

    def seeds(self) -> list[Sequence[Mapping[str, SeenStart]]]:
        """Parameters at all settings, for each seed; made when they are first asked for."""
        if not self.more:
            seeds = range(1, SEEDS)
            others = [
                [model_made(self.factory, s, seed).starts for s in self.settings] for seed in seeds
            ]
            self.more = [self.looked, *others]
        return self.more

    def placed(self, place: Place | None) -> Place | None:
        """A line, in the factory's file as that was given."""
        same = place is not None and Path(self.factory.file).resolve() == Path(place[0]).resolve()
        return (self.factory.file, place[1]) if place is not None and same else place

    def short(self, sizes: Sizes) -> str:
        names = varying(self.settings)
        return written({name: sizes[name] for name in names} or sizes)

    def refused(self, name: str, place: Place | None, values: Sequence[str]) -> SpecError:
        source, span = line_at(place, self.factory.file)
        what = f"the scale at which `{name}` starts"
        shown = ", ".join(values[:MOST_SHOWN])
        return SpecError(source, [NoPower.at(span, what=what, values=shown)])


def _family(drawn: Drawn) -> str:
    """What counts of a distribution: one whose mean is not zero is a constant, but for chance."""
    return drawn.family if drawn.is_constant or drawn.is_centred else "constant"


def _around(drawn: Drawn) -> str:
    return f"{drawn.family} around {drawn.mean:.4g}, of spread {drawn.spread:.4g}; the mean counts"


# What is measured


def measured_power(rows: Sequence[Sequence[float]], settings: Sequence[Sizes]) -> Power | None:
    """The power that measured values are, each row those of a seed; exponents are quarters.

    None where a slope is nearer to none than chance explains.
    """
    means = [fmean(column) for column in zip(*rows, strict=True)]
    exact = power_of(means, settings)
    if exact is not None or not all(value > 0 for row in rows for value in row):
        return exact
    slopes = [slopes_of([math.log(value) for value in row], settings) for row in rows]
    powers: dict[str, Fraction] = {}
    for name in slopes[0]:
        series = [slope[name] for slope in slopes]
        mean, error = fmean(series), stdev(series) / math.sqrt(len(series))
        powers[name] = Fraction(round(mean * 4), 4)
        if abs(mean - powers[name]) > min(max(3 * error, CLOSE), 2 * CLOSE):
            return None
    kept = Power(1.0, {name: p for name, p in powers.items() if p})
    factors = [v / kept.at(s) for v, s in zip(means, settings, strict=True)]
    return replace(kept, coefficient=float(f"{fmean(factors):.3g}"))


# Notes


def notes_of(starts: Mapping[str, Start], file: str) -> list[tuple[Source, Diagnostic]]:
    """What was not read exactly: a note for each line that wrote such parameters."""
    kept: dict[tuple[Place | None, str], str] = {}
    for name, start in starts.items():
        if start.note:
            kept.setdefault((start.place, start.note), name)
    found = []
    for (place, note), name in kept.items():
        source, span = line_at(place, file)
        found.append((source, MeasuredStart.at(span, name=name, what=note)))
    return found
