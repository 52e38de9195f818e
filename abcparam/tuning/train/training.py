"""Training one trial: the emitted model under the emitted optimizer, its rates by a schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from abcparam.algebra.record import NamedTuple, Record
from abcparam.data.batch import Batch, Data, refuse, tuple_of
from abcparam.data.named import Given
from abcparam.program.model import Program
from abcparam.tuning.schedules import CONSTANT, schedule_named
from abcparam.tuning.train.builders import EmittedBuilder, ModelBuilder, TorchOptimizers
from abcparam.tuning.train.watch import ForeignFileError, LossCurve, TrialWatch
from abcparam.tuning.trials import OnStep, silent
from abcparam.tuning.workers.data_parallel import SingleProcess

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
    builder: ModelBuilder
    data: Data
    steps: int
    batch: int
    device: str = "cpu"
    compiled: bool = False
    processes: SingleProcess = SingleProcess()

    def config(self, values: Mapping[str, Fraction]) -> Any:
        """The config of a trial; raises `SpecError` where the values are refused."""
        return self.builder.config(values)

    def model(self, values: Mapping[str, Fraction], seed: int) -> nn.Module:
        """A new model in training, the same for the same seed."""
        return self.model_of(self.config(values), seed)

    def model_of(self, config: Any, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return self.builder.model(config).train()

    def optimizers(self, model: nn.Module) -> list[torch.optim.Optimizer]:
        return self.builder.optimizers(model)

    def batches(self, config: Any, seed: int) -> Any:
        batches = self.data.batches(self.task(config), config, self.batch, seed)
        return (self.builder.given(config, batch) for batch in batches)

    def task(self, config: Any) -> Program:
        """What the data have to fit; raises `SpecError` where they do not."""
        found = self.builder.task(config)
        if not found.losses and not isinstance(self.data, Given):
            wanted = "all that it is called with: its output is its loss, so targets are inputs"
            raise refuse(found, self.data.name, wanted)
        return found

    def held_out(self, config: Any) -> Iterable[Batch] | None:
        """By larger batches than in training, as there is no backward pass."""
        found = self.data.held_out(self.task(config), config, 4 * self.batch)
        if found is None:
            return None
        given = (self.builder.given(config, batch) for batch in found)
        return map(self.placed, self.processes.shard_batches(given))

    def placed(self, batch: Batch) -> Batch:
        return batch.to(self.device, REAL)


class LossModule(nn.Module):
    """The loss of a model's outputs: all that a gradient is of."""

    def __init__(self, job: Job, model: Any, config: Any) -> None:
        super().__init__()
        self.loss, self.task, self.model = job.builder.loss, job.task(config), model

    def forward(self, inputs: tuple[Tensor, ...], targets: tuple[Tensor, ...]) -> Tensor:
        return self.loss(self.task, tuple_of(self.model(*inputs)), targets)


def job_of(program: Program, code: str, data: Data, **setting: Any) -> Job:
    """Of a spec's emitted code."""
    builder = EmittedBuilder(program, code, stays=setting.get("compiled", False))
    return Job(program, builder, data, **setting)


ALONE = TrialWatch((0,))


def train_alone(
    job: Job, run: TrialRun, on_step: OnStep = silent, watch: TrialWatch = ALONE
) -> Trained:
    """The losses of a trial. One that diverges ends there, one that pauses where it does."""
    processes = job.processes
    model = processes.placed(job.model(run.values, run.seed), job.device)
    optimizers = job.optimizers(model)
    peaks = [group["lr"] for group in _groups(optimizers)]
    factor = schedule_named(run.schedule, job.steps)
    config = job.config(run.values)
    measured = processes.wrap(
        LossModule(job, torch.compile(model) if job.compiled else model, config)
    )
    batches = job.batches(config, run.seed)
    losses: LossCurve = []
    checkpoint = watch.checkpoint()
    if saved := processes.broadcast(checkpoint.load()):
        try:
            with checkpoint.restoring():
                losses = _restored(saved, model, optimizers, processes)
        except ForeignFileError:
            checkpoint.discard()
            return train_alone(job, run, on_step, watch)
        for _ in losses:  # what it was trained on
            next(batches)
        if processes.rank < len(saved["random"]):  # else there were fewer processes
            set_random_state(saved["random"][processes.rank])
        on_step(len(losses))

    def save() -> None:
        checkpoint.save(_state(losses, model, optimizers, processes))

    for step in range(len(losses), job.steps):
        if step in watch.rungs:
            if step == watch.until:
                save()
                return Trained(losses)
            if processes.decided(partial(watch.stopped, step, {0: losses})):
                on_step(job.steps - step)
                return Trained(losses)
        loss = measured(*job.placed(processes.shard(next(batches))))
        losses.append(processes.mean(loss))
        if not math.isfinite(losses[-1]):
            on_step(job.steps - step)
            return Trained(losses)
        for group, peak in zip(_groups(optimizers), peaks, strict=True):
            group["lr"] = peak * factor(step)
        _update(optimizers, loss)
        on_step(1)
        if processes.agreed(checkpoint.due):
            save()
    if processes.agreed(checkpoint.exists):  # others of its batch may take long
        save()
    return Trained(losses, _held_out(job, model, config))


def _groups(optimizers: TorchOptimizers) -> list[dict[str, Any]]:
    return [group for made in optimizers for group in made.param_groups]


def _state(
    losses: LossCurve, model: nn.Module, optimizers: TorchOptimizers, processes: SingleProcess
) -> dict[str, Any]:
    """The same whoever trains: tensors are whole, and each process has its random numbers."""
    return {
        "losses": losses,
        "model": processes.whole(model.state_dict()),
        "optimizers": [processes.whole(optimizer.state_dict()) for optimizer in optimizers],
        "random": processes.of_each(random_state()),
    }


def _restored(
    saved: Mapping[str, Any],
    model: nn.Module,
    optimizers: TorchOptimizers,
    processes: SingleProcess,
) -> LossCurve:
    """Model and optimizers as they were saved, and the losses until then."""
    losses: LossCurve = [float(loss) for loss in saved["losses"]]
    for states in saved["random"]:  # of each process
        require_random_state(states)
    processes.load(model, saved["model"])
    for optimizer, state in zip(optimizers, saved["optimizers"], strict=True):
        processes.load_optimizer(optimizer, state)
    return losses


def random_state() -> list[Tensor]:
    """Of PyTorch's generators."""
    return [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]


def require_random_state(states: Sequence[Tensor]) -> None:
    """Raises `ValueError` where generators cannot be set to these."""
    own = random_state()
    if not states or len(states) > len(own):
        raise ValueError(f"{len(states)} generators, not {len(own)}")
    for state, known in zip(states, own, strict=False):
        if state.dtype != known.dtype or state.shape != known.shape:
            raise ValueError("not the state of a generator")


def set_random_state(states: Sequence[Tensor]) -> None:
    torch.set_rng_state(states[0])
    torch.cuda.set_rng_state_all(list(states[1:]))


def _update(optimizers: Iterable[torch.optim.Optimizer], loss: Tensor) -> None:
    for optimizer in optimizers:
        optimizer.zero_grad()
    torch.autograd.backward(loss)
    for optimizer in optimizers:
        optimizer.step()


def _held_out(job: Job, model: nn.Module, config: Any) -> float | None:
    measured = LossModule(job, model, config)

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
