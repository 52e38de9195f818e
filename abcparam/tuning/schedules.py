"""Schedules by name, over a run of so many steps.

`cosine`, or `cosine:0.1` after a warm-up of a tenth of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil

from abcparam import schedules
from abcparam.diagnostics.diagnostic import SpecError, did_you_mean
from abcparam.diagnostics.rules.tuning import NoSchedule
from abcparam.schedules import Schedule

CONSTANT = "constant"
SCHEDULES: Mapping[str, Callable[[int, int], Schedule]] = {  # of steps, and of those that warm up
    CONSTANT: lambda steps, warmup: schedules.constant(warmup),
    "linear": lambda steps, warmup: schedules.linear(steps, warmup=warmup),
    "cosine": lambda steps, warmup: schedules.cosine(steps, warmup=warmup),
    "step": lambda steps, warmup: schedules.step(ceil(steps / 3), warmup=warmup),
    "inverse-sqrt": lambda steps, warmup: schedules.inverse_sqrt(max(warmup, ceil(steps / 10))),
    "wsd": lambda steps, warmup: schedules.warmup_stable_decay(
        steps, ceil(steps / 5), warmup=warmup
    ),
}


def schedule_named(text: str, steps: int) -> Schedule:
    """The factor of every learning rate at each of so many steps. Raises `SpecError`."""
    name, colon, fraction = text.partition(":")
    if name not in SCHEDULES:
        raise _none(text, did_you_mean(name, SCHEDULES))
    try:
        warmup = float(fraction) if colon else 0.0
    except ValueError:
        raise _none(text) from None
    if not 0 <= warmup < 1:
        raise _none(text)
    return SCHEDULES[name](steps, round(warmup * steps))


def _none(text: str, suggestion: str | None = None) -> SpecError:
    known = ", ".join(SCHEDULES)
    fields = {"suggestion": suggestion, "text": text, "known": known}
    return SpecError.about("--schedule", NoSchedule, **fields)
