"""Training one trial: the emitted model under the emitted optimizer, its rates by a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from abcparam.algebra.record import Record
from abcparam.data.batch import Batch, Data, loss_of, tuple_of
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import SizesDoNotFit
from abcparam.diagnostics.source import START
from abcparam.emission.execute import executed
from abcparam.program.model import Program
from abcparam.tuning.schedules import CONSTANT, schedule_named
from abcparam.tuning.trials import OnStep, silent
from abcparam.tuning.workers.data_parallel import SingleProcess

LossCurve = list[float]  # one for each step, up to the first that is not finite
REAL = torch.float32


class TrialRun(NamedTuple):
    """One trial of a job: values of dims and hypers, a seed, a schedule."""

    values: Mapping[str, Fraction]
    seed: int
    schedule: str = CONSTANT


class Trained(Record):
    """What training gave.

    `held_out` is the loss at its end on held-out data, where there are some and it did not diverge.
    """

    losses: LossCurve
    held_out: float | None = None


class Job(Record):
    """What trials have in common that may be trained together."""

    program: Program
    code: Mapping[str, Any]  # the names of the emitted module
    data: Data
    steps: int
    batch: int
    device: str = "cpu"
    compiled: bool = False
    processes: SingleProcess = SingleProcess()

    def config(self, values: Mapping[str, Fraction]) -> Any:
        """The `Config` of a trial; raises `SpecError` where it refuses the values."""
        dims = self.program.dims
        given = {n: int(v) if n in dims else float(v) for n, v in values.items()}
        try:
            return self.code["Config"](**given)
        except ValueError as error:
            refused = SizesDoNotFit.at(START, problem=error)
            raise SpecError(self.program.source, [refused]) from None

    def model(self, values: Mapping[str, Fraction], seed: int) -> nn.Module:
        """A new model in training, the same for the same seed."""
        return self.model_of(self.config(values), seed)

    def model_of(self, config: Any, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = self.code[self.program.name](config)
        assert isinstance(model, nn.Module)
        return model.train()

    def optimizers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        made = self.code["make_optimizer"](model)
        return made if isinstance(made, list) else [made]

    def batches(self, config: Any, seed: int) -> Any:
        return self.data.batches(self.program, config, self.batch, seed)

    def held_out(self, config: Any) -> Iterable[Batch] | None:
        """By larger batches than in training, as there is no backward pass."""
        found = self.data.held_out(self.program, config, 4 * self.batch)
        return None if found is None else map(self.placed, self.processes.shard_batches(found))

    def placed(self, batch: Batch) -> Batch:
        return batch.to(self.device, REAL)


class LossModule(nn.Module):
    """The spec's loss of a model's outputs: all that a gradient is of."""

    def __init__(self, program: Program, model: Any) -> None:
        super().__init__()
        self.program, self.model = program, model

    def forward(self, inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return loss_of(self.program, tuple_of(self.model(*inputs)), targets)


def job_of(program: Program, code: str, data: Data, **setting: Any) -> Job:
    names = executed(code, stays=setting.get("compiled", False))
    return Job(program, names, data, **setting)


def train_alone(job: Job, run: TrialRun, on_step: OnStep = silent) -> Trained:
    """The losses of a trial. One that diverges ends there."""
    model = job.model(run.values, run.seed).to(job.device)
    optimizers = job.optimizers(model)
    peaks = [(group, group["lr"]) for made in optimizers for group in made.param_groups]
    factor = schedule_named(run.schedule, job.steps)
    measured = job.processes.wrap(
        LossModule(job.program, torch.compile(model) if job.compiled else model)
    )
    config = job.config(run.values)
    batches = job.batches(config, run.seed)
    losses: LossCurve = []
    for step in range(job.steps):
        loss = measured(*job.placed(job.processes.shard(next(batches))))
        losses.append(job.processes.mean(loss))
        if not math.isfinite(losses[-1]):
            on_step(job.steps - step)
            return Trained(losses)
        for group, peak in peaks:
            group["lr"] = peak * factor(step)
        _update(optimizers, loss)
        on_step(1)
    return Trained(losses, _held_out(job, model, config))


def _update(optimizers: Iterable[torch.optim.Optimizer], loss: Tensor) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    for optimizer in optimizers:
        optimizer.step()


def _held_out(job: Job, model: nn.Module, config: Any) -> float | None:
    measured = LossModule(job.program, model)

    def losses(batch: Batch) -> Tensor:
        return measured(*batch).view(1)  # type: ignore[no-any-return]

    found = mean_losses(job, model, config, losses)
    return found[0] if found else None


@torch.no_grad()
def mean_losses(
    job: Job, model: nn.Module, config: Any, losses: Callable[[Batch], Tensor]
) -> Sequence[float | None]:
    """The mean over the held-out examples, of each trial that `losses` gives some of.

    It is empty if there are no such examples; a mean is None where it is no finite number.
    """
    model.eval()
    total, count = torch.zeros(1, dtype=torch.float64), torch.zeros(1)
    for batch in job.held_out(config) or ():
        size = len(batch.targets[0])
        total, count = total + size * losses(batch).cpu().double(), count + size
    total, count = job.processes.all_reduce(total), job.processes.all_reduce(count)
    means = (total / count).tolist() if count.item() else []
    return [mean if math.isfinite(mean) else None for mean in means]
