"""Trials of one shape trained together: parameters stacked on a new first axis, [trials, …].

One model stands for all of them (`torch.func.functional_call` under `vmap`). Numbers that differ
from trial to trial, such as multipliers, become buffers of it; its own parameters are where an
emitted optimizer writes updates (`updates.py`). An optimizer's rule says whether that is the same
mathematics (`stacks`).
"""

from __future__ import annotations

import contextlib
import gc
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from abcparam.algebra.budgets import ran_out_of_memory
from abcparam.data.batch import Batch, loss_of, tuple_of
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import DoesNotFit
from abcparam.diagnostics.source import START
from abcparam.emission.views.training import optimizers_used
from abcparam.presentation.words import first_line
from abcparam.program.model import Program
from abcparam.tuning.schedules import CONSTANT, schedule_named
from abcparam.tuning.train.attention import Attending, decomposed
from abcparam.tuning.train.models import configured, groups_of, models_of
from abcparam.tuning.train.training import (
    Job,
    Trained,
    TrialRun,
    mean_losses,
    train_alone,
)
from abcparam.tuning.train.updates import Settings, Updates, home_of, in_memory
from abcparam.tuning.train.watch import ForeignFileError, LossCurve, TrialWatch
from abcparam.tuning.trials import OnStep, silent

NUMBERS = (bool, int, float)
PER_TRIAL = ("lr", "weight_decay")  # settings of a group that may differ within a stack
UNEQUAL = ("params", "name", "lr_scale", *PER_TRIAL)


Reporter = Callable[[str], None]


def _silent(reason: str) -> None:
    """Nobody wants to know."""


class UnstackableError(Exception):
    """These trials are trained one by one; the text says why."""


CANNOT = (UnstackableError, RuntimeError, TypeError, ValueError, MemoryError)  # be trained so


def train(
    job: Job,
    trials: Sequence[TrialRun],
    on_step: OnStep = silent,
    report: Reporter = _silent,
    watch: TrialWatch | None = None,
) -> list[Trained]:
    """The losses of each trial, trained together where that is possible.

    Those that do not fit into memory are trained by halves. Where they cannot be trained together
    they are trained one by one, and `report` is called with the reason. Raises `SpecError` where
    one by itself does not fit.
    """
    watch = watch or TrialWatch(tuple(range(len(trials))))
    fits = True
    if len(trials) > 1:
        try:
            _require_stackable(job)
            return train_together(job, trials, on_step, watch)
        except CANNOT as error:
            fits = not ran_out_of_memory(error)
            if fits:  # `vmap` has no rule for dropout, experts
                report(first_line(error))
    if not fits:  # outside of `except`, whose error holds on to all tensors of the stack
        gc.collect()
        half, whole = len(trials) // 2, range(len(trials))
        return [
            found
            for part in (whole[:half], whole[half:])
            for found in train(job, [trials[n] for n in part], on_step, report, watch.part(part))
        ]
    return [_by_itself(job, trial, on_step, watch.part([n])) for n, trial in enumerate(trials)]


def _by_itself(job: Job, trial: TrialRun, on_step: OnStep, watch: TrialWatch) -> Trained:
    try:
        return train_alone(job, trial, on_step, watch)
    except CANNOT as error:
        if not ran_out_of_memory(error):
            raise
        problem = first_line(error)
    values = ", ".join(f"{name} = {float(x):g}" for name, x in trial.values.items())
    trained = f"{values}, batch = {job.batch}"
    found = DoesNotFit.at(START, trial=trained, device=job.device, problem=problem)
    raise SpecError(job.program.source, [found])


def _require_stackable(job: Job) -> None:
    if job.builder.alone:
        raise UnstackableError(job.builder.alone)
    for optimizer in optimizers_used(job.program).values():
        if not optimizer.rule.stacks:
            raise UnstackableError(f"updates of {optimizer.rule.name} are not entry by entry")


def train_together(
    job: Job, trials: Sequence[TrialRun], on_step: OnStep = silent, watch: TrialWatch | None = None
) -> list[Trained]:
    """The losses of trials of one shape, trained in one program.

    Raises `UnstackableError`, or whatever `vmap` raises, in the first step.
    """
    watch = watch or TrialWatch(tuple(range(len(trials))))
    stack, checkpoint = Stack(job, trials), watch.checkpoint()
    curves = Curves(stack, [[] for _ in trials])
    if saved := checkpoint.load():
        try:
            with checkpoint.restoring():
                stack.restore(saved)
                curves = Curves(stack, saved["curves"])
        except ForeignFileError:
            checkpoint.discard()
            return train_together(job, trials, on_step, watch)
        stack.draw_again()
        left = job.steps - stack.done
        on_step(len(trials) * job.steps - len(stack.alive) * left)
    for step in range(stack.done, job.steps):
        if step in watch.rungs:
            found = curves.each()
            if step == watch.until:
                checkpoint.save({"curves": found, **stack.state()})
                return [_until_diverged(row, None) for row in found]
            stopped = watch.stopped(step, {n: found[n] for n in stack.alive})
            on_step(len(stopped) * (job.steps - step))
            if len(stopped) == len(stack.alive):
                return [_until_diverged(row, None) for row in found]
            stack.keep([n for n, index in enumerate(stack.alive) if index not in stopped])
        curves.add(stack.step(step))
        on_step(len(stack.alive))
        if step % 16 == 15 and curves.diverged:
            break
        if checkpoint.due:
            checkpoint.save({"curves": curves.each(), **stack.state()})
    held_out: list[float | None] = [None] * len(trials)
    for index, loss in zip(stack.alive, stack.held_out(), strict=False):
        held_out[index] = loss
    return [_until_diverged(*each) for each in zip(curves.each(), held_out, strict=True)]


def _until_diverged(losses: LossCurve, held_out: float | None) -> Trained:
    first = next((n for n, loss in enumerate(losses) if not math.isfinite(loss)), None)
    return Trained(losses, held_out) if first is None else Trained(losses[: first + 1])


class Curves:
    """The losses of all trials of a stack. They are asked for before some of them are left out."""

    def __init__(self, stack: Stack, curves: list[LossCurve]) -> None:
        self.stack, self.curves = stack, curves
        self.last: list[Tensor] = []

    def add(self, losses: Tensor) -> None:
        """One for each that is alive; nothing waits for it to be computed."""
        self.last.append(losses)

    @property
    def diverged(self) -> bool:
        """Whether all have."""
        return not bool(self.last[-1].isfinite().any())

    def each(self) -> list[LossCurve]:
        rows = torch.stack(self.last, 1).tolist() if self.last else []
        self.last = []
        for index, row in zip(self.stack.alive, rows, strict=False):
            self.curves[index] += row
        return self.curves


class Stack:
    """Trials in training."""

    def __init__(self, job: Job, trials: Sequence[TrialRun]) -> None:
        self.job = job
        models = models_of(job, trials)
        groups = [groups_of(job, *each) for each in zip(models, trials, strict=True)]
        _require_equal(groups)
        self.model = models[0].to(job.device)
        self.config = job.config(trials[0].values)
        self.alive, self.done = list(range(len(trials))), 0
        self.seeds = [trial.seed for trial in trials]
        self.several = len(set(self.seeds)) > 1
        self.sources = {seed: job.batches(self.config, seed) for seed in self.seeds}
        self.factors = _factors(job, trials)
        self.values = self._values(models)
        self.settings = self._settings(models, groups)
        self.updates: Updates | None = None
        self.remembered: list[dict[str, Any]] = []  # of optimizers that are still to be made
        _guard(self.model, trials)
        axis = 0 if self.several else None
        # Nothing here refers back to the stack, whose memory is free as soon as nobody needs it.
        self.losses = partial(_losses, job.program, self.model)
        losses = vmap(self.losses, in_dims=(0, axis, axis))
        self.batched = torch.compile(losses) if job.compiled else losses

    def _values(self, models: list[nn.Module]) -> dict[str, Tensor]:
        """Parameters and buffers, stacked; what differs among plain attributes becomes a buffer."""
        for path, own, numbers in list(_differing(models)):
            for model, number in dict(zip(models, numbers, strict=True)).items():
                module = model.get_submodule(path)
                delattr(module, own)
                module.register_buffer(own, torch.tensor(float(number)))
        found = {}
        for name, first in [*models[0].named_parameters(), *models[0].named_buffers()]:
            each = (_member(model, name).detach() for model in models)
            stacked = torch.stack([value.to(self.job.device) for value in each])
            found[name] = stacked.requires_grad_(first.requires_grad)
        return found

    def _settings(self, models: list[nn.Module], groups: list[list[dict[str, Any]]]) -> Settings:
        names = {id(p): name for name, p in models[0].named_parameters()}
        rates, decays = {}, {}
        for number, group in enumerate(groups[0]):
            lr, decay = (
                torch.tensor([float(mine[number].get(key, 0.0)) for mine in groups])
                for key in PER_TRIAL
            )
            for parameter in group["params"]:
                name = names[id(parameter)]
                shape = (-1, *(1,) * parameter.ndim)
                rates[name] = lr.to(self.job.device).view(shape)
                if decay.any():
                    decays[name] = decay.to(self.job.device).view(shape)
        return Settings(rates, decays)

    def keep(self, places: Sequence[int]) -> None:
        """Goes on with these of the trials alone."""
        if len(places) == len(self.alive):
            return
        indices = torch.tensor(places, device=self.job.device)
        self.alive = [self.alive[place] for place in places]
        self.seeds = [self.seeds[place] for place in places]
        for name, value in self.values.items():
            self.values[name] = _kept(value.detach(), indices).requires_grad_(value.requires_grad)
        rates, decays = (
            {name: value[indices] for name, value in each.items()} for each in self.settings
        )
        self.settings = Settings(rates, decays)
        if self.factors is not None:
            self.factors = self.factors[:, indices]
        for state in (each for saved in self.remembered for each in saved["state"].values()):
            state |= {k: v[indices] for k, v in state.items() if isinstance(v, Tensor) and v.ndim}
        if self.updates is not None:
            self.updates.keep(indices)
            self.updates.values, self.updates.settings = self.values, self.settings

    def state(self) -> dict[str, Any]:
        """All that changes in training."""
        optimizers = self.updates.optimizers if self.updates else []
        return {
            "alive": self.alive,
            "done": self.done,
            "values": {name: value.detach() for name, value in self.values.items()},
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """As it was saved."""
        self.keep(saved["alive"])
        for name, value in self.values.items():
            kept = saved["values"][name].to(self.job.device)
            self.values[name] = kept.requires_grad_(value.requires_grad)
        self.remembered, self.done = saved["optimizers"], int(saved["done"])

    def draw_again(self) -> None:
        """What it was trained on by then."""
        for source in self.sources.values():
            for _ in range(self.done):
                next(source)

    def held_out(self) -> Sequence[float | None]:
        """The loss of each trial on held-out data, where there are some."""
        losses = vmap(self.losses, in_dims=(0, None, None))

        def each(batch: Batch) -> Tensor:
            with _attention(self.job):
                found: Tensor = losses(self.values, *batch)
                return found

        return mean_losses(self.job, self.model, self.config, each)

    def step(self, step: int) -> Tensor:
        """The losses before a step, [trials]."""
        inputs, targets = self._batch()
        with _attention(self.job):
            losses = self.batched(self.values, inputs, targets)
        gradients = self._gradients(losses)
        with torch.no_grad():
            updates = self.updates = self.updates or self._updates(gradients)
            updates.apply(gradients, None if self.factors is None else self.factors[step])
        self.done = step + 1
        return losses.detach()

    def _gradients(self, losses: Tensor) -> dict[str, Tensor]:
        """Of what is trained and the losses depend on."""
        trained = [self.values[name] for name in self.settings.rates]
        found: Sequence[Tensor | None] = torch.autograd.grad(
            losses.sum(), trained, allow_unused=True
        )
        named = zip(self.settings.rates, found, strict=True)
        return {name: gradient for name, gradient in named if gradient is not None}

    def _updates(self, gradients: dict[str, Tensor]) -> Updates:
        """Optimizers read the `Config`, for rates that count no more."""
        guard, self.model.config = self.model.config, self.config
        made = Updates(self.job, self.model, self.values, self.settings, gradients)
        self.model.config = guard
        for optimizer, state in zip(made.optimizers, self.remembered, strict=False):
            optimizer.load_state_dict(state)
        return made

    def _batch(self) -> Batch:
        """One for all, or one for each trial, by its seed."""
        drawn = {seed: self.job.placed(next(source)) for seed, source in self.sources.items()}
        if not self.several:
            return drawn[self.seeds[0]]
        batches = [drawn[seed] for seed in self.seeds]
        inputs, targets = (
            tuple(torch.stack(same) for same in zip(*parts, strict=True))
            for parts in zip(*batches, strict=True)
        )
        return Batch(inputs, targets)


def _losses(
    program: Program,
    model: nn.Module,
    values: dict[str, Tensor],
    inputs: tuple[Tensor, ...],
    targets: tuple[Tensor, ...],
) -> Tensor:
    return loss_of(program, tuple_of(functional_call(model, values, inputs)), targets)


def _kept(value: Tensor, indices: Tensor) -> Tensor:
    """Some of the trials, which lie in memory as they did."""
    order = in_memory(value)
    back = sorted(range(len(order)), key=order.__getitem__)
    return value.permute(order)[indices].permute(back)


def _factors(job: Job, trials: Sequence[TrialRun]) -> Tensor | None:
    """Of the learning rate of each trial at each step, [steps, trials]; None: all 1."""
    if all(trial.schedule == CONSTANT for trial in trials):
        return None
    schedules = [schedule_named(trial.schedule, job.steps) for trial in trials]
    factors = [[factor(step) for factor in schedules] for step in range(job.steps)]
    return torch.tensor(factors, device=job.device)


def _require_equal(groups: list[list[dict[str, Any]]]) -> None:
    """Settings of optimizers that are no factor of an update are the same in all trials."""
    settings = [[{k: v for k, v in g.items() if k not in UNEQUAL} for g in mine] for mine in groups]
    if any(mine != settings[0] for mine in settings):
        raise UnstackableError("settings of the optimizer differ")


def _differing(models: list[nn.Module]) -> Iterator[tuple[str, str, list[float]]]:
    """Numbers of modules that are not the same in all models: module, name, the numbers."""
    modules = {model: dict(model.named_modules()) for model in models}
    for path, module in modules[models[0]].items():
        for name, value in list(vars(module).items()):
            if type(value) in NUMBERS:
                values = [getattr(modules[model][path], name) for model in models]
                if any(other != value for other in values):
                    yield path, name, values


def _member(model: nn.Module, name: str) -> Tensor:
    home, own = home_of(model, name)
    found = getattr(home, own)
    assert isinstance(found, Tensor)
    return found


class _Guard:
    """A `Config` that does not tell what differs from trial to trial."""

    def __init__(self, config: Any, differing: frozenset[str]) -> None:
        self._config, self._differing = config, differing

    def __getattr__(self, name: str) -> Any:
        if name in self._differing:
            raise UnstackableError(f"the model reads {name} while it runs")
        return getattr(self._config, name)


def _guard(model: nn.Module, trials: Sequence[TrialRun]) -> None:
    first = trials[0].values
    differing = frozenset(n for n in first for t in trials if t.values[n] != first[n])
    for module in configured(model):
        module.config = _Guard(module.config, differing)


@contextlib.contextmanager
def _attention(job: Job) -> Iterator[None]:
    """On a CPU fused attention has no rule for `vmap`."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        if job.device != "cpu":
            yield
        else:
            with decomposed() if job.compiled else Attending():
                yield
