"""Who makes the models of trials, and what trains them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from abcparam.data.batch import Batch, loss_of
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import SizesDoNotFit
from abcparam.diagnostics.source import START
from abcparam.emission.execute import executed
from abcparam.program.model import Program

TorchOptimizers = list[torch.optim.Optimizer]


class ModelBuilder(Protocol):
    """Makes the models of trials. A `config` has the values of dims and hypers as attributes."""

    alone: str  # why its trials are trained one by one; empty where they need not be

    def config(self, values: Mapping[str, Fraction]) -> Any:
        """That of a trial; raises `SpecError` where the values are refused."""
        ...

    def model(self, config: Any) -> nn.Module:
        """A new model, drawn from the seed that was set."""
        ...

    def optimizers(self, model: nn.Module) -> TorchOptimizers:
        """Of a model that it made, with the hypers of its config."""
        ...

    def task(self, config: Any) -> Program:
        """A program whose inputs, outputs and losses are those that data have to fit."""
        ...

    def given(self, config: Any, batch: Batch) -> Batch:
        """A batch of the task's with what its model is called with as inputs."""
        ...

    def loss(
        self, task: Program, outputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]
    ) -> Tensor:
        """What a gradient is of."""
        ...


class EmittedBuilder:
    """That of the module that a spec emits."""

    alone = ""

    def __init__(self, program: Program, code: str, stays: bool = False) -> None:
        self.program = program
        self.names = executed(code, stays=stays)

    def config(self, values: Mapping[str, Fraction]) -> Any:
        dims = self.program.dims
        given = {n: int(v) if n in dims else float(v) for n, v in values.items()}
        try:
            return self.names["Config"](**given)
        except ValueError as error:
            refused = SizesDoNotFit.at(START, problem=error)
            raise SpecError(self.program.source, [refused]) from None

    def model(self, config: Any) -> nn.Module:
        model = self.names[self.program.name](config)
        assert isinstance(model, nn.Module)
        return model

    def optimizers(self, model: nn.Module) -> TorchOptimizers:
        made = self.names["make_optimizer"](model)
        return made if isinstance(made, list) else [made]

    def task(self, config: Any) -> Program:
        return self.program

    def given(self, config: Any, batch: Batch) -> Batch:
        return batch

    def loss(
        self, task: Program, outputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]
    ) -> Tensor:
        return loss_of(task, outputs, targets)
