"""The models of trials that are trained together: one for all that would be made the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from abcparam.tuning.train.training import Job, TrialRun


class Reading:
    """A `Config` that remembers what is read of it."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._read: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        value = self._read[name] = getattr(self._config, name)
        return value


def models_of(job: Job, trials: Sequence[TrialRun]) -> list[nn.Module]:
    """One model for each trial; trials of one seed share it where they can.

    They can where all that their model reads of its `Config` when it is made is equal, as with
    trials that differ in their learning rates alone.
    """
    found: list[nn.Module] = []
    made: dict[object, tuple[nn.Module, dict[str, Any]]] = {}
    names: tuple[str, ...] = ()
    for trial in trials:
        config = job.config(trial.values)
        key = (trial.seed, *(getattr(config, name) for name in names))
        model, read = made.get(key, (None, {}))
        if model is None or any(getattr(config, name) != value for name, value in read.items()):
            reading = Reading(config)
            model = job.model_of(reading, trial.seed)
            for module in configured(model):
                module.config = config
            names = names or tuple(reading._read)
            key = (trial.seed, *(getattr(config, name) for name in names))
            made[key] = model, reading._read
        found.append(model)
    return found


def groups_of(job: Job, model: nn.Module, trial: TrialRun) -> list[dict[str, Any]]:
    """Of a model's optimizers, with the settings of a trial."""
    model.config = job.config(trial.values)
    return [group for made in job.optimizers(model) for group in made.param_groups]


def configured(model: nn.Module) -> Iterator[Any]:
    """The modules that have a `Config`."""
    return (module for module in model.modules() if "config" in vars(module))
