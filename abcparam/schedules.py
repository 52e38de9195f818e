"""Learning rate schedules that keep the ratios between groups: factors of a step.

schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, cosine(10_000, floor=0.1, warmup=500))

Each is a function of the number of the step, from 0, which every group's own rate is multiplied
by. Floors are relative to the peak, unlike PyTorch's `eta_min` and `min_lr`, which are rates. A
warm-up is linear and reaches 1 at step `warmup`; its first factor is `1 / (warmup + 1)`, not 0.
"""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sqrt

Schedule = Callable[[int], float]


def constant(warmup: int = 0) -> Schedule:
    """1 throughout."""
    return _warmed(lambda step: 1.0, warmup)


def linear(steps: int, floor: float = 0.0, warmup: int = 0) -> Schedule:
    """From 1 down to `floor` at step `steps`, where it stays."""
    return _warmed(lambda step: 1 - (1 - floor) * _done(step, warmup, steps), warmup)


def cosine(steps: int, floor: float = 0.0, warmup: int = 0) -> Schedule:
    """From 1 along half a cosine to `floor` at step `steps`, where it stays."""

    def factor(step: int) -> float:
        return floor + (1 - floor) * (1 + cos(pi * _done(step, warmup, steps))) / 2

    return _warmed(factor, warmup)


def step(every: int, factor: float = 0.1, warmup: int = 0) -> Schedule:
    """Multiplied by `factor` after each `every` steps."""
    return _warmed(lambda step: float(factor ** (step // every)), warmup)


def inverse_sqrt(warmup: int) -> Schedule:
    """After the warm-up `sqrt(warmup / step)` (arXiv 1706.03762, section 5.3)."""
    peak = max(warmup, 1)
    return _warmed(lambda step: sqrt(peak / max(step, peak)), warmup)


def warmup_stable_decay(steps: int, decay: int, floor: float = 0.0, warmup: int = 0) -> Schedule:
    """1 until the last `decay` of `steps` steps, which go down linearly to `floor`.

    arXiv 2404.06395, section 4.
    """
    return _warmed(lambda step: 1 - (1 - floor) * _done(step, steps - decay, steps), warmup)


def _warmed(after: Schedule, warmup: int) -> Schedule:
    return lambda step: (step + 1) / (warmup + 1) if step < warmup else after(step)


def _done(step: int, start: int, end: int) -> float:
    """The part of the way from `start` to `end`."""
    return min(max((step - start) / max(end - start, 1), 0.0), 1.0)
