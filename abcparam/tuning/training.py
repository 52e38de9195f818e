"""Training one trial: the emitted model under the emitted optimizer, at constant learning rates."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import nn

from abcparam.batches.base import Batch, Data, loss_of, tuple_of
from abcparam.diagnostics import SpecError
from abcparam.executed import executed
from abcparam.program import Program
from abcparam.record import Record
from abcparam.rules.tuning import SizesDoNotFit
from abcparam.source import START

Losses = list[float]  # one for each step, up to the first that is not finite
Tick = Callable[[int], None]  # so many steps of training are done
REAL = torch.float32


class Job(Record):
    """What trials have in common that may be trained together."""

    program: Program
    code: Mapping[str, Any]  # the names of the emitted module
    data: Data
    steps: int
    batch: int
    device: str = "cpu"
    compiled: bool = False

    def config(self, values: Mapping[str, Fraction]) -> Any:
        """The `Config` of a trial; raises `SpecError` where it refuses the values."""
        dims = self.program.dims
        given = {n: int(v) if n in dims else float(v) for n, v in values.items()}
        try:
            return self.code["Config"](**given)
        except ValueError as error:
            said = SizesDoNotFit.at(START, problem=error)
            raise SpecError(self.program.source, [said]) from None

    def model(self, values: Mapping[str, Fraction], seed: int) -> nn.Module:
        """A new model in training, the same for the same seed."""
        torch.manual_seed(seed)
        model = self.code[self.program.name](self.config(values))
        assert isinstance(model, nn.Module)
        return model.train()

    def optimizers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        made = self.code["make_optimizer"](model)
        return made if isinstance(made, list) else [made]

    def batches(self, config: Any, seed: int) -> Any:
        return self.data.batches(self.program, config, self.batch, seed)

    def placed(self, batch: Batch) -> Batch:
        return batch.to(self.device, REAL)


def job_of(program: Program, code: str, data: Data, **setting: Any) -> Job:
    return Job(program, executed(code), data, **setting)


def train_alone(
    job: Job, values: Mapping[str, Fraction], seed: int, tick: Tick | None = None
) -> Losses:
    """The losses of a trial. One that diverges ends there."""
    model = job.model(values, seed).to(job.device)
    optimizers = job.optimizers(model)
    forward = torch.compile(model) if job.compiled else model
    batches = job.batches(job.config(values), seed)
    losses: Losses = []
    for step in range(job.steps):
        inputs, targets = job.placed(next(batches))
        loss = loss_of(job.program, tuple_of(forward(*inputs)), targets)
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            _tick(tick, job.steps - step)
            break
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.autograd.backward(loss)
        for optimizer in optimizers:
            optimizer.step()
        _tick(tick, 1)
    return losses


def _tick(tick: Tick | None, steps: int) -> None:
    if tick is not None:
        tick(steps)
