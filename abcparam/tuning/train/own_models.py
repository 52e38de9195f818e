"""Models of the user's own in training: made by their factory, trained by their optimizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abcparam.algebra.polynomials import Polynomial, number
from abcparam.algebra.record import replace
from abcparam.data.batch import Batch
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import FactoryRaises
from abcparam.diagnostics.rules.tuning import DataDoesNotFit
from abcparam.diagnostics.source import Source, Span
from abcparam.imports.numbers import Sizes
from abcparam.imports.result import Audit
from abcparam.imports.seen import amount
from abcparam.imports.trained import base_rates, groups_in, multiplied_, optimizers_of, scaled_
from abcparam.program.expressions import Local, Return
from abcparam.program.model import Input, Loss, Program
from abcparam.tuning.choices import DECAY, LR
from abcparam.tuning.train.builders import TorchOptimizers
from abcparam.tuning.train.calling import Called, Calling, InputPlace, calling_of
from abcparam.user_code.places import definition, raised

NEEDS_VALUES = (SpecError, RuntimeError, NotImplementedError, TypeError, ValueError)


class OwnModelBuilder:
    """That of a model of the user's own, as it is or as its adapter would have it."""

    alone = "models of your own are"

    def __init__(self, audit: Audit, program: Program, adapted: bool) -> None:
        self.audit, self.program, self.adapted = audit, program, adapted
        self.callings: dict[tuple[int, ...], Calling] = {}

    def config(self, values: Mapping[str, Fraction]) -> Any:
        """Sizes and hypers, by name."""
        dims = {d.name: int(values.get(d.name, d.default or 1)) for d in self.program.dims.values()}
        hypers = {h.name: float(values.get(h.name, h.value)) for h in self.program.hypers.values()}
        return SimpleNamespace(**dims, **hypers)

    def sizes(self, config: Any) -> dict[str, int]:
        return {name: getattr(config, name) for name in self.program.dims}

    def model(self, config: Any) -> nn.Module:
        sizes = self.sizes(config)
        example = self.audit.factory.make(sizes, torch.initial_seed())
        if self.adapted:
            scaled_(self.audit, example.model, sizes)
            multiplied_(self.audit, example.model, sizes)
        return Called(example, self.calling(sizes), config, self.raised)

    def calling(self, sizes: Sizes) -> Calling:
        """How the model of these sizes is called. Raises `SpecError` where it takes no batches."""
        key = tuple(sizes.values())
        if key not in self.callings:
            self.callings[key] = self._calling(sizes)
        return self.callings[key]

    def _calling(self, sizes: Sizes) -> Calling:
        audit, read = self.audit, self.audit.read
        counted = read.counted, read.are_losses
        found = None
        with suppress(*NEEDS_VALUES), torch.device("meta"):
            found = calling_of(audit.factory.make(sizes), *counted)
        if found is None or (found.is_loss and not found.targets):  # values may tell
            with torch.device("cpu"):
                found = calling_of(audit.factory.make(sizes), *counted)
        if found is None:
            wanted = "inputs and an output whose first axis is that of the examples"
            raise self.refused("batches", wanted)
        return found

    def raised(self, error: Exception, batch: Sequence[Tensor]) -> SpecError:
        """What the model raised on a batch."""
        factory = self.audit.factory
        files = (factory.file, *self.audit.program.source.others)
        shapes = ", ".join(str(list(value.shape)) for value in batch)
        return raised(
            error,
            files,
            factory.name,
            f"in training, on a batch of shape {shapes}",
            FactoryRaises.data,
        )

    @property
    def definition(self) -> tuple[Source, Span]:
        """Where the factory is."""
        return definition(self.audit.factory.function, self.audit.factory.file)

    def refused(self, data: str, wanted: str) -> SpecError:
        source, span = self.definition
        return SpecError(source, [DataDoesNotFit.at(span, data=data, wanted=wanted)])

    def optimizers(self, model: nn.Module) -> TorchOptimizers:
        """With the rates of their groups in the ratios that they have."""
        assert isinstance(model, Called)
        config, base = model.config, base_rates(self.audit)
        found = optimizers_of(self.audit, model.model, self.sizes(config), self.adapted)
        for group in groups_in(found):
            group["lr"] = float(group["lr"]) * getattr(config, LR) / base.lr
            if DECAY in self.program.hypers:
                group[DECAY] = group[DECAY] * getattr(config, DECAY) / base.decay
        return found

    def task(self, config: Any) -> Program:
        calling = self.calling(self.sizes(config))
        places = calling.given or calling.inputs
        source, span = self.definition
        inputs = tuple(_input(f"input {i}", place, span) for i, place in enumerate(places))
        shapes = [target.shape for target in calling.targets] or [calling.shape]
        outputs = tuple(Local("output", (_lengths(shape),)) for shape in shapes)
        root = replace(self.program.root, body=(Return(outputs),))
        kinds = [target.kind for target in calling.targets]
        if not calling.is_loss:
            kinds = [self._loss(calling)]
        losses = tuple(Loss(kind, index) for index, kind in enumerate(kinds))
        return replace(self.program, source=source, inputs=inputs, root=root, losses=losses)

    def _loss(self, calling: Calling) -> str:
        """That which was read; squares where the output has no classes."""
        shape = calling.shape
        like_an_input = any(p.classes is None and p.shape == shape for p in calling.drawn)
        if shape[-1:] in ((), (1,)) or like_an_input:
            return "mse"
        return self.program.losses[0].kind

    def given(self, config: Any, batch: Batch) -> Batch:
        return self.calling(self.sizes(config)).with_targets(batch)

    def loss(
        self, task: Program, outputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]
    ) -> Tensor:
        """The model's own, if it gives one; else by the targets: whole numbers are classes."""
        (output,) = outputs
        if not output.dim():
            return output
        (target,) = targets
        if target.is_floating_point():
            return F.mse_loss(output, target.reshape(output.shape))
        return F.cross_entropy(output.flatten(0, -2), target.flatten())


def _input(name: str, place: InputPlace, span: Span) -> Input:
    axes = tuple(amount(length) for length in _lengths(place.shape))
    classes = None if place.classes is None else amount(number(place.classes))
    return Input(name, axes, classes, span)


def _lengths(shape: tuple[int, ...]) -> tuple[Polynomial, ...]:
    return tuple(map(number, shape))
