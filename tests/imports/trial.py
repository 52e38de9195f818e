"""A small model, read and held to what was measured of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from inspect import signature
from math import log
from statistics import fmean
from typing import Any, NamedTuple

import pytest
import torch

from abcparam.algebra.record import Record
from abcparam.analysis.build import build_graph
from abcparam.analysis.graph import Graph
from abcparam.analysis.rounds import start
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import Source
from abcparam.imports.alike import Model, ReadingError
from abcparam.imports.factory import Factory
from abcparam.imports.inits import Start, starts_of
from abcparam.imports.made_models import MadeModels
from abcparam.imports.measured import SEEDS, Disagreement, disagreements
from abcparam.imports.numbers import Sizes
from abcparam.imports.program import program_of
from abcparam.imports.rates import Rate, rates_of
from abcparam.imports.reading import read
from abcparam.imports.remedy import Remedy, remedy_of
from abcparam.imports.settings import settings_of
from abcparam.imports.traces import Traces
from abcparam.program.model import Program
from abcparam.verdict.check import judged

CLOSE = 0.25  # exponents of gradients to those that are measured
OTHER_SEED = 1000  # a gradient drawn as the model was would be aligned with its first parameters
Grow = Mapping[str, tuple[int, ...]]
GROW = {"width": (32, 128)}


class Trial(Record):
    """What was read of a model."""

    factory: Factory
    model: Model
    settings: tuple[Sizes, ...]
    grow: frozenset[str]
    starts: Mapping[str, Start]
    rates: Mapping[str, Rate]

    def program(self, inline: bool = False) -> Program:
        """Its program, every value with its name."""
        meaning = read(self.model, self.settings[0], self.grow, inline=inline, entitled=inline)
        source = Source("", "model.py")
        base = self.settings[0]
        return program_of(
            self.model, meaning, self.starts, self.rates, base, self.grow, source, "model"
        )

    @property
    def apart(self) -> tuple[Disagreement, ...]:
        """The values that are not as measured."""
        return disagreements(self.program(), self.model, self.settings, self.grow)

    @property
    def verdict(self) -> str:
        found = judged(self.program(inline=True)).verdict
        assert found is not None
        return found

    @property
    def remedy(self) -> Remedy:
        """What makes it maximal-update."""
        meaning = read(self.model, self.settings[0], self.grow)
        return remedy_of(judged(self.program(inline=True)), meaning)

    @property
    def graph(self) -> Graph:
        """Its graph, with sizes at init."""
        made = build_graph(self.program())
        start(made)
        return made

    @property
    def output(self) -> str:
        """The law of its output's size at init, which was measured to be so."""
        assert self.apart == ()
        return str(self.graph.outputs[0].s0)


def gradients_apart(trial: Trial) -> dict[str, tuple[str, float]]:
    """The parameters whose gradient does not grow as derived: its law, and the measured exponent.

    The gradient of the output is random and of size 1.
    """
    graph, small, large = trial.graph, trial.settings[0], trial.settings[-1]
    derived = {parameter.tensor.path: parameter.gamma for parameter in graph.parameters}
    ends = [_gradients(trial.factory, sizes) for sizes in (small, large)]
    found = {}
    for name, gamma in derived.items():
        before, after = (end[name] for end in ends)
        if not before or not after:
            assert before == after == 0 and gamma.is_zero, name
            continue
        measured = log(after / before) / log(large["width"] / small["width"])
        (exponent,) = gamma.exponents().values()
        if abs(measured - Fraction(str(exponent))) > CLOSE:
            found[name] = str(gamma), measured
    return found


def _gradients(factory: Factory, sizes: Sizes) -> dict[str, float]:
    """The root mean square of the gradient of each parameter, over some seeds."""
    squares: dict[str, list[float]] = {}
    for seed in range(2 * SEEDS):
        model, args, kwargs = factory.make(sizes, seed)
        output = model(*args, **kwargs)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(OTHER_SEED + seed)
            (output * torch.randn_like(output)).sum().backward()
        for name, parameter in model.named_parameters():
            gradient = torch.zeros(1) if parameter.grad is None else parameter.grad
            squares.setdefault(name, []).append(float(gradient.double().square().mean()))
    return {name: fmean(found) ** 0.5 for name, found in squares.items()}


class Traced(NamedTuple):
    """A model that was traced at several settings."""

    factory: Factory
    model: Model
    settings: tuple[Sizes, ...]


def traced(make: Callable[..., Any], grow: Grow, sizes: Mapping[str, int]) -> Traced:
    """Traces what `make` makes; its parameters are sizes, all 32 that are not given."""
    names = [name for name in signature(make).parameters if name not in sizes]
    factory = Factory(make, __file__, "make", {**dict.fromkeys(names, 32), **sizes})
    models = MadeModels(factory)
    settings = settings_of(models, grow)
    return Traced(factory, *Traces(models).together(settings, frozenset(grow)))


def tried(make: Callable[..., Any], grow: Grow = GROW, **sizes: int) -> Trial:
    """Reads what `make` makes, as `traced` does."""
    factory, model, settings = traced(make, grow, sizes)
    names = frozenset(grow)
    models = MadeModels(factory)
    starts = starts_of(models, settings, names)
    rates = rates_of(None, models, settings, None, names)
    return Trial(factory, model, settings, names, starts, rates)


def refused(make: Callable[..., Any], grow: Grow = GROW, **sizes: int) -> Diagnostic:
    """What is said of a model that cannot be read."""
    with pytest.raises(ReadingError) as caught:
        _, model, settings = traced(make, grow, sizes)
        read(model, settings[0], frozenset(grow))
    return caught.value.diagnostic
