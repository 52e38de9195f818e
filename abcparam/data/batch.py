"""Batches, where they come from, and the loss on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor

from abcparam.algebra.polynomials import Polynomial
from abcparam.algebra.record import NamedTuple
from abcparam.data.losses import loss_value
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import DataDoesNotFit
from abcparam.diagnostics.source import START
from abcparam.program.expressions import Return
from abcparam.program.model import Program


class Batch(NamedTuple):
    """Inputs in the order of the model's, targets in that of the loss's terms."""

    inputs: tuple[Tensor, ...]
    targets: tuple[Tensor, ...]

    def to(self, device: str, real: torch.dtype) -> Batch:
        """There, and with real numbers of this type."""
        inputs, targets = (
            tuple(t.to(device, real) if t.is_floating_point() else t.to(device) for t in tensors)
            for tensors in self
        )
        return Batch(inputs, targets)


class Data(Protocol):
    """A source of batches. `identity` tells its content from any other's."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        """Batches of `size` examples without an end, the same for the same seed.

        Raises `SpecError` where the model cannot take them.
        """
        ...

    def held_out(self, program: Program, config: Any, size: int) -> Iterable[Batch] | None:
        """What no batch above has an example of, by up to `size` examples, always the same.

        None if nothing is held out.
        """
        ...


def loss_of(program: Program, outputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
    """The spec's loss, the sum of its terms."""
    total = outputs[0].new_zeros(())
    for loss, target in zip(program.losses, targets, strict=True):
        total = total + loss_value(loss.kind, outputs[loss.output], target)
    return total


def tuple_of(outputs: Any) -> tuple[Tensor, ...]:
    """What a model returns, as a tuple."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def values_of(program: Program, config: Any) -> Mapping[str, Fraction]:
    """The underived dims and the hypers of a `Config`."""
    names = [d.name for d in program.dims.values() if not d.derived] + list(program.hypers)
    return {name: Fraction(getattr(config, name)) for name in names}


def lengths(axes: tuple[Polynomial, ...], values: Mapping[str, Fraction]) -> tuple[int, ...]:
    return tuple(max(1, round(axis.evaluate(values))) for axis in axes)


def output_shapes(program: Program, values: Mapping[str, Fraction]) -> list[tuple[int, ...]]:
    """Of every output, without the batch."""
    given = next(s for s in program.root.body if isinstance(s, Return))
    return [lengths(shape, values) for value in given.values for shape in value.shapes]


def refuse(program: Program, data: str, wanted: str) -> SpecError:
    """The error of a model that cannot take some data."""
    span = program.inputs[0].span if program.inputs else START
    return SpecError(program.source, [DataDoesNotFit.at(span, data=data, wanted=wanted)])
