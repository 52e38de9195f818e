"""The sizes at which a model is looked at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from abcparam.diagnostics.diagnostic import SpecError, did_you_mean
from abcparam.diagnostics.rules.imports import DoesNotGrow, NoGrowth, NoSuchSize
from abcparam.imports.factory import Factory
from abcparam.imports.made_models import MadeModels
from abcparam.imports.numbers import Sizes
from abcparam.user_code.places import definition

LARGE = 16  # a size of which half says as much as twice, for less
LEAST = 2  # of a size that is halved to make a model small: of layers that repeat, two
LEAST_WIDTH = 16  # of what grows
USEFUL = 0.8  # of the entries that are left once a size is halved


def settings_of(models: MadeModels, grow: Mapping[str, tuple[int, ...]]) -> list[dict[str, int]]:
    """The sizes at which a model is looked at: the first is the base, the last for checks.

    What grows takes the values given, or 1, 2 and 4 times its default; several of them each alone,
    and together. Every other size is varied alone: a small one doubled and a large one halved, or
    the other way where the factory raises with that. One that changes nothing in the model, or that
    cannot be varied, stays as it is. In the last setting all that grows is at its largest, and the
    others are varied where they can be.

    Raises `SpecError` where the factory has no such size, where it raises, or does not grow.
    """
    factory = models.factory
    for name, values in grow.items():
        _known(factory, name)
        _growing(factory, name, values)
    starts = {name: values[0] for name, values in grow.items() if values}
    base = {**factory.defaults, **starts}
    models.looks(base)
    grown = {n: values[1:] or (2 * base[n], 4 * base[n]) for n, values in grow.items()}
    settings = [base, *_each_alone(models, base, grown)]
    together = [_at(base, grown, i) for i in range(max(map(len, grown.values()), default=0))]
    for sizes in together:
        models.looks(sizes)
    others = _others(models, base, grown)
    settings += [*together, *({**base, name: size} for name, size in others.items())]
    last = _last(models, together[-1] if together else base, others)
    return [*_different(settings, last), last]


def _known(factory: Factory, name: str) -> None:
    known = factory.defaults
    if name not in known:
        source, span = definition(factory.function, factory.file)
        fields = {"name": factory.name, "size": name, "known": ", ".join(known)}
        near = did_you_mean(name, known)
        rule = NoSuchSize.at(span, **fields, first=next(iter(known)), suggestion=near)
        raise SpecError(source, [rule])


def _growing(factory: Factory, name: str, values: tuple[int, ...]) -> None:
    """Values of what grows are positive, and none is there twice."""
    if values and (min(values) < 1 or len(set(values)) < len(values)):
        source, span = definition(factory.function, factory.file)
        given = ",".join(map(str, values))
        raise SpecError(source, [NoGrowth.at(span, size=name, given=given)])


def _each_alone(
    models: MadeModels, base: Sizes, grown: Mapping[str, tuple[int, ...]]
) -> Iterator[dict[str, int]]:
    """What grows, one at a time; it has to change the model."""
    for name, values in grown.items():
        for value in values:
            sizes = {**base, name: value}
            if models.looks(sizes) == models.looks(base) and value != base[name]:
                factory = models.factory
                source, span = definition(factory.function, factory.file)
                fields = {"size": name, "small": f"{name}={base[name]}", "large": value}
                raise SpecError(source, [DoesNotGrow.at(span, **fields)])
            yield sizes


def _at(base: Sizes, grown: Mapping[str, tuple[int, ...]], index: int) -> dict[str, int]:
    """All that grows, together."""
    return {**base, **{name: values[: index + 1][-1] for name, values in grown.items()}}


def _others(models: MadeModels, base: Sizes, grown: Iterable[str]) -> dict[str, int]:
    """Another value of each size that does not grow and can be varied."""
    found: dict[str, int] = {}
    for name in [n for n in base if n not in grown]:
        size = base[name]
        tried = [value for value in _varied(size) if size > 0 and value > 0]
        other = next((v for v in tried if models.works({**base, name: v})), None)
        if other and models.looks({**base, name: other}) != models.looks(base):
            found[name] = other
    return found


def _varied(size: int) -> tuple[int, int]:
    """Other values of a size, the first where both can be."""
    return (size // 2, 2 * size) if size >= LARGE and size % 2 == 0 else (2 * size, size // 2)


def _last(models: MadeModels, sizes: Sizes, others: Sizes) -> dict[str, int]:
    """The largest setting that works: with all others varied, or with as many as go together."""
    if models.works({**sizes, **others}):
        return {**sizes, **others}
    last = dict(sizes)
    for name, size in others.items():
        if models.works({**last, name: size}):
            last[name] = size
    return last


def _different(settings: Iterable[dict[str, int]], last: Sizes) -> list[dict[str, int]]:
    """Each setting once, without the last."""
    kept: list[dict[str, int]] = []
    for sizes in settings:
        if sizes not in kept and sizes != last:
            kept.append(sizes)
    return kept


# Small models


def small_settings(
    models: MadeModels, settings: Sequence[Sizes], grow: Iterable[str]
) -> list[dict[str, int]]:
    """Settings at which all models have values: those where only what grows is not as at base.

    Where they are too large, sizes that do not grow are halved, the one that counts most first, and
    then all that grows. None where no small models can be made.
    """
    chain, growing = where_only_these_grow(settings, grow), set(grow)
    small = _Smaller(models, max(chain, key=lambda s: models.without_values(s).entries), growing)
    if not small.fits():
        small.halve_others()
        small.halve_growing()
    found = [small.of(sizes) for sizes in chain]
    fits = small.fits() and all(models.works(sizes) for sizes in found)
    return found if fits else []


def where_only_these_grow(settings: Sequence[Sizes], grow: Iterable[str]) -> list[Sizes]:
    """The settings at which all other sizes are as at base."""
    base = settings[0]
    return [s for s in settings if all(s[name] == base[name] for name in base.keys() - set(grow))]


class _Smaller:
    """A setting with sizes halved until its model has values."""

    def __init__(self, models: MadeModels, largest: Sizes, growing: set[str]) -> None:
        self.models = models
        self.largest = largest
        self.growing = growing
        self.others: dict[str, int] = {}  # sizes that are not as at base
        self.divisor = 1  # of what grows

    def of(self, sizes: Sizes) -> dict[str, int]:
        """A setting made smaller in the same way."""
        grown = {name: sizes[name] // self.divisor for name in self.growing}
        return {**sizes, **self.others, **grown}

    def fits(self) -> bool:
        return self.models.is_small(self.of(self.largest))

    def halve_others(self) -> None:
        """Halves what does not grow, as long as that helps."""
        while not self.fits():
            before, counts = self.count(), {n: self.count_with({n: x}) for n, x in self.halves()}
            best = min(counts, key=lambda n: counts[n], default=None)
            if best is None or counts[best] > USEFUL * before:
                return
            while not self.fits() and self.count_with(self.half(best)) <= USEFUL * self.count():
                self.others |= self.half(best)

    def halve_growing(self) -> None:
        """Halves all that grows."""
        least = min(self.largest[name] for name in self.growing)
        while not self.fits() and least // (2 * self.divisor) >= LEAST_WIDTH:
            self.divisor *= 2
            if not self.models.works(self.of(self.largest)):
                self.divisor //= 2
                return

    def halves(self) -> Iterator[tuple[str, int]]:
        for name in self.largest:
            if name not in self.growing:
                yield from self.half(name).items()

    def half(self, name: str) -> dict[str, int]:
        """A size halved, nothing where that cannot be."""
        size = self.of(self.largest)[name]
        return {name: size // 2} if size % 2 == 0 and size // 2 >= LEAST else {}

    def count(self) -> float:
        return self.count_with({})

    def count_with(self, others: Sizes) -> float:
        """How many entries a model has with these sizes besides."""
        try:
            return self.models.without_values({**self.of(self.largest), **others}).entries
        except SpecError:
            return inf
