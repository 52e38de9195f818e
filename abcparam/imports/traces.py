"""Traces of a factory's models at several settings, and the one model that they are of.

What is measured is measured on small models; of large ones only shapes and constants are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from abcparam.algebra.record import NamedTuple
from abcparam.imports.alike import Model, ReadingError, together
from abcparam.imports.capture import exported_of, trace_of, trace_without_values
from abcparam.imports.coincidences import OddOnes
from abcparam.imports.exported import Exported, NeedsValuesError
from abcparam.imports.made_models import MadeModels
from abcparam.imports.measured import SEEDS
from abcparam.imports.numbers import Sizes
from abcparam.imports.settings import small_settings, where_only_these_grow
from abcparam.imports.traced import Trace, unmeasured

Watch = Callable[[Iterable[Sizes], int], Iterable[Sizes]]  # settings as they are read, and how many


def unwatched(settings: Iterable[Sizes], count: int) -> Iterable[Sizes]:
    """Settings that nobody sees read."""
    return settings


class Measured(NamedTuple):
    """A model with values, exported and traced."""

    exported: Exported
    trace: Trace


class Traces:
    """Traces of a factory's models; `first` is the first that has values.

    Where they are `exact`, layers repeat only if what they compute from no parameter is the same,
    such as masks; else if it is as large.
    """

    def __init__(self, models: MadeModels, exact: bool = False) -> None:
        self.models = models
        self.exact = exact
        self.traces: list[Trace] = []
        self.settings: list[Sizes] = []
        self.first: Measured | None = None

    def together(
        self, settings: Sequence[Sizes], grow: frozenset[str], watch: Watch = unwatched
    ) -> tuple[Model, tuple[Sizes, ...]]:
        """The one model, and the settings that it was read from: see `alike.together`.

        Small settings are beside those given. Where models are other ones there, values are
        measured at the settings given. Raises `ReadingError` where the model cannot be read.
        """
        small = small_settings(self.models, settings, grow)
        try:
            model, chosen = self.read(settings, small, grow, watch)
        except ReadingError:
            if not small or all(sizes in settings for sizes in small):
                raise
            chosen = ()
        if small and all(sizes in chosen for sizes in small):
            return model, chosen
        return self.read(settings, where_only_these_grow(settings, grow), grow, watch)

    def read(
        self,
        settings: Sequence[Sizes],
        measured: Sequence[Sizes],
        grow: frozenset[str],
        watch: Watch,
    ) -> tuple[Model, tuple[Sizes, ...]]:
        """The model of these settings, measured at some of them or at others besides."""
        *others, last = settings
        every = [*others, *(sizes for sizes in measured if sizes not in settings), last]
        self.traces.clear()
        self.first = None
        for sizes in watch(every, len(every)):
            self.traces.append(self.trace(sizes, sizes in measured))
        self.settings = every
        return together(self.traces, every, grow)

    def apart(self, odd: OddOnes, grow: frozenset[str]) -> tuple[Model, tuple[Sizes, ...]]:
        """The model that was read, with some weights in no loop."""
        return together(self.traces, self.settings, grow, odd)

    def trace(self, sizes: Sizes, measured: bool) -> Trace:
        """The trace of a model, measured over some seeds or not at all."""
        factory, found = self.models.factory, self.models.at(sizes)
        if not (measured or found.filled):
            try:
                return trace_without_values(exported_of(found.example), self.exact)
            except NeedsValuesError:
                return unmeasured(trace_of(exported_of(factory.make(sizes)), exact=self.exact))
        exported = exported_of(found.example if found.filled else factory.make(sizes))
        seeds = range(1, SEEDS) if measured else ()
        others = (factory.make(sizes, seed) for seed in seeds)
        trace = trace_of(exported, others, self.exact)
        self.first = self.first or Measured(exported, trace)
        return trace if measured else unmeasured(trace)
