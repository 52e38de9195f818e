"""How far updates and inputs are aligned, measured: over what they would give without alignment.

`ΔW·x` is set over what weights give of x whose entries are all as large as those of ΔW, with signs
drawn at random: no alignment, whatever the operation, its multiplier and its input. Of `W·Δx`, with
the initial W, likewise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from abcparam.coordinate_check.laws import INPUT_ALIGNMENT, UPDATE_ALIGNMENT

# Puts weights in the place of parameters.
ChangeContext = Callable[[], AbstractContextManager[None]]
# Takes a use of a tensor: its path, its value, whether it may be a sum over an axis of the tensor.
TakeUse = Callable[[str, Tensor, bool], None]
# Hands over every use of a tensor with these inputs, and weights in place.
ApplyUses = Callable[[tuple[Tensor, ...], ChangeContext | None, TakeUse], None]
ParameterValues = Mapping[nn.Parameter, Tensor]
UsedValues = list[tuple[str, Tensor]]  # by the paths of their tensors, in the order of uses

DRAWS = 4  # of signs: a readout of ten rows scatters by a tenth then
ROUNDING = 1e-8  # a change of an input by less of it is none


class AlignmentMeasure:
    """Of one model in training."""

    def __init__(
        self,
        apply: ApplyUses,
        inputs: tuple[Tensor, ...],
        start: ParameterValues,
        seed: int,
    ) -> None:
        self.apply, self.inputs, self.start = apply, inputs, start
        self.seed = seed
        self.first: UsedValues = []
        self.first_at_random: list[UsedValues] = []

    def begin(self) -> None:
        """What initial weights give of initial inputs."""
        self.first = self.values(self.start)
        self.first_at_random = [self.values(weights) for weights in self.signed(self.start)]

    def measure(self) -> Iterator[tuple[str, str, float]]:
        """By tensor and quantity after a step; 0 where nothing has changed."""
        changes = {p: p.data - start for p, start in self.start.items()}
        updates = _squares(self.values(changes))
        at_random = [_squares(self.values(weights)) for weights in self.signed(changes)]
        for path, square in updates.items():
            yield path, UPDATE_ALIGNMENT, _ratio(square, [found[path] for found in at_random])
        moved = _squares(self.values(self.start), self.first)
        at_random = [
            _squares(self.values(weights), first)
            for weights, first in zip(self.signed(self.start), self.first_at_random, strict=True)
        ]
        whole = _squares(self.first)
        for path, square in moved.items():
            seen = square > ROUNDING**2 * whole[path]
            ratio = _ratio(square, [found[path] for found in at_random]) if seen else 0.0
            yield path, INPUT_ALIGNMENT, ratio

    def values(self, weights: ParameterValues) -> UsedValues:
        """What these weights give of the present inputs."""
        found: UsedValues = []

        def take(path: str, value: Tensor, applied: bool) -> None:
            if applied:
                found.append((path, value.detach()))

        self.apply(self.inputs, lambda: placed(weights), take)
        return found

    def signed(self, weights: ParameterValues) -> Iterator[ParameterValues]:
        """Of the same root mean square, with signs at random, the same at every step."""
        for draw in range(DRAWS):
            yield {
                parameter: value.square().mean().sqrt() * self.signs(draw, number, value)
                for number, (parameter, value) in enumerate(weights.items())
            }

    def signs(self, draw: int, number: int, like: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(hash((self.seed, draw, number)))
        drawn = torch.randint(2, like.shape, generator=generator, dtype=torch.int8)
        return 2 * drawn.to(like) - 1


@contextmanager
def placed(weights: ParameterValues) -> Iterator[None]:
    """With these in place of the parameters: a use is linear in its tensor."""
    before = {parameter: parameter.data for parameter in weights}
    try:
        for parameter, value in weights.items():
            parameter.data = value
        yield
    finally:
        for parameter, value in before.items():
            parameter.data = value


def _squares(values: UsedValues, first: UsedValues | None = None) -> dict[str, float]:
    """Sums of squares by tensor; of the differences to what there was at first."""
    found: dict[str, float] = {}
    for number, (path, value) in enumerate(values):
        change = value - first[number][1] if first else value
        found[path] = found.get(path, 0.0) + float(change.square().sum())
    return found


def _ratio(square: float, at_random: list[float]) -> float:
    mean = math.fsum(at_random) / len(at_random)
    return math.sqrt(square / mean) if mean else 0.0
