"""A factory's models at several settings, each made once and watched while it is made.

Large ones are made without values: what depends on values is looked at where a model is small.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import SparseWeights
from abcparam.imports.drawn import Drawn, constant, unknown
from abcparam.imports.empty import empty_weights
from abcparam.imports.factory import Example, Factory
from abcparam.imports.looks import looks
from abcparam.imports.numbers import Sizes
from abcparam.imports.writes import Write, Writes, recorded
from abcparam.user_code.places import definition

LIMIT = 2**22  # entries of the parameters of a model that is made with values
SIGMAS = 7.0  # of a mean square, within which a parameter is what was read
ROUNDING = 0.02  # of short floats


class SeenStart(NamedTuple):
    """A parameter at one setting: what wrote it, and the root mean square of its values."""

    write: Write
    rms: float


class MadeModel(NamedTuple):
    """A model at one setting.

    `starts` are its parameters, by all names of each. Without values (`filled`), roots of mean
    squares are not a number, and what was written is not held to what is there.
    """

    example: Example
    starts: Mapping[str, SeenStart]
    filled: bool
    looks: object  # names, shapes and plain numbers, to compare with those of others

    @property
    def entries(self) -> int:
        """How many entries its parameters have."""
        return sum(parameter.numel() for parameter in present(self.example.model.parameters()))


class MadeModels:
    """The models of a factory. Without values, each is made once; with values, when asked for."""

    def __init__(self, factory: Factory) -> None:
        self.factory = factory
        self.empty: dict[tuple[tuple[str, int], ...], MadeModel] = {}

    def at(self, sizes: Sizes) -> MadeModel:
        """The model at these sizes, with values if it is small."""
        found = self.without_values(sizes)
        return model_made(self.factory, sizes) if self.is_small(sizes) else found

    def is_small(self, sizes: Sizes) -> bool:
        """Whether a model is made with values."""
        return self.without_values(sizes).entries <= LIMIT

    def works(self, sizes: Sizes) -> bool:
        """Whether the factory makes a model at these sizes."""
        try:
            self.without_values(sizes)
        except SpecError:
            return False
        return True

    def looks(self, sizes: Sizes) -> object:
        """Names, shapes and numbers of a model. Raises `SpecError` where the factory raises."""
        return self.without_values(sizes).looks

    def without_values(self, sizes: Sizes) -> MadeModel:
        """The model at these sizes. Raises `SpecError` where the factory raises."""
        key = tuple(sizes.items())
        if key not in self.empty:
            with empty_weights():
                self.empty[key] = model_made(self.factory, sizes, filled=False)
        return self.empty[key]


def model_made(factory: Factory, sizes: Sizes, seed: int = 0, *, filled: bool = True) -> MadeModel:
    """A model, and what wrote its parameters."""
    with recorded() as writes:
        example = factory.make(sizes, seed)
    parameters = parameters_of(example.model)
    _require_dense(factory, parameters)
    there = {id(parameter) for parameter in present(p for _, p in parameters)}
    starts = {name: _start(p, writes, filled) for name, p in parameters if id(p) in there}
    return MadeModel(example, starts, filled, looks(example))


def _require_dense(factory: Factory, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
    """Raises `SpecError` where a parameter has other memory than its shape says."""
    for name, parameter in parameters:
        if any(p.layout is not torch.strided for p in present([parameter])):
            source, span = definition(factory.function, factory.file)
            layout = str(parameter.layout).removeprefix("torch.")
            raise SpecError(source, [SparseWeights.at(span, parameter=name, layout=layout)])


def present(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Those that have a shape; lazy modules have others before they are first called."""
    return [parameter for parameter in parameters if not is_lazy(parameter)]


def parameters_of(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """All names of all parameters, both names of tied ones."""
    return list(model.named_parameters(remove_duplicate=False))


# What wrote a parameter


def _start(parameter: nn.Parameter, writes: Writes, filled: bool) -> SeenStart:
    values, write = parameter.detach(), writes.read(parameter)
    if not filled:
        return SeenStart(write, math.nan)
    values = torch.view_as_real(values) if values.is_complex() else values
    return SeenStart(_checked(write, values), _rms(values))


def _checked(write: Write, values: Tensor) -> Write:
    """What was written, held to the values: not all that writes is an operation of PyTorch.

    What has the same value everywhere is a constant, whatever made it.
    """
    if not values.numel():
        return Write(constant(0.0), write.place)
    if write.drawn.known and not _has_values(write.drawn, values):
        write = Write(unknown("something else"), write.place)
    if write.drawn.known or write.drawn.family == "empty":
        return write
    first = float(values.flatten()[0])
    return Write(constant(first), write.place) if bool((values == first).all()) else write


def _has_values(drawn: Drawn, values: Tensor) -> bool:
    """Whether the mean square of values is that of a distribution, but for rows of zeros."""
    inner = values[values != 0]
    if drawn == constant(0.0) or not inner.numel():
        return not inner.numel() and drawn.mean == 0
    variance = drawn.spread**2 / (3 if drawn.family == "uniform" else 1)
    found = float(inner.double().square().mean()) / (variance + drawn.mean**2)
    chance = 0.0 if drawn.is_constant else SIGMAS * math.sqrt(2 / inner.numel())
    return abs(found - 1) <= ROUNDING + chance


def _rms(values: Tensor) -> float:
    return float(values.double().square().mean().sqrt()) if values.numel() else 0.0
