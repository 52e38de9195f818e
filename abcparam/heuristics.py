"""Rules of thumb for batch size, length of training and weight decay.

They are heuristics: fits and limiting cases from the literature, each with the condition under
which it was found. Nothing here follows from the calculus, no verdict uses it. A parametrization
says what may stay as it is when the width grows; these say where to start looking when something
else changes.
"""

from __future__ import annotations

from math import sqrt


def linear_batch_rule(lr: float, batch: float, base_batch: float) -> float:
    """SGD's learning rate at another batch size, `lr * batch / base_batch`.

    k small steps make about one large one, while the loss gradient hardly changes over them. Goyal
    et al., arXiv 1706.02677, section 2.1; not beyond the critical batch size, and with a warm-up.
    """
    _positive(batch, base_batch)
    return lr * batch / base_batch


def square_root_batch_rule(lr: float, batch: float, base_batch: float) -> float:
    """Adam's learning rate at another batch size, `lr * sqrt(batch / base_batch)`.

    Where noise dominates the gradient, the noise of the same number of examples stays the same.
    Malladi et al., arXiv 2205.10287, Definition 2.
    """
    _positive(batch, base_batch)
    return lr * sqrt(batch / base_batch)


def square_root_betas(
    betas: tuple[float, float], batch: float, base_batch: float
) -> tuple[float, float]:
    """Adam's betas for the square root rule: `1 - (1 - beta) * batch / base_batch`.

    So moments remember as many examples. arXiv 2205.10287, Definition 2; meaningless where the
    result is not positive.
    """
    _positive(batch, base_batch)
    first, second = (1 - (1 - beta) * batch / base_batch for beta in betas)
    return first, second


def square_root_epsilon(eps: float, batch: float, base_batch: float) -> float:
    """Adam's epsilon for the square root rule, `eps / sqrt(batch / base_batch)`.

    Gradients that are mostly noise shrink so. arXiv 2205.10287, Definition 2.
    """
    _positive(batch, base_batch)
    return eps / sqrt(batch / base_batch)


def decay_time(lr: float, weight_decay: float, steps: float) -> float:
    """AdamW's time scale in passes of the whole training, `1 / (lr * weight_decay * steps)`.

    Its weights are an average of the updates over that long. Wang and Aitchison, arXiv 2405.13698,
    section 3. `lr` is the rate of the tensor's own group.
    """
    _positive(lr, weight_decay, steps)
    return 1 / (lr * weight_decay * steps)


def decay_for_time(lr: float, time: float, steps: float) -> float:
    """The weight decay with a given `decay_time`.

    Keeping it when the batch, the number of tokens or the learning rate changes is the advice of
    arXiv 2405.13698 and 2505.13738.
    """
    _positive(lr, time, steps)
    return 1 / (lr * time * steps)


def _positive(*values: float) -> None:
    if any(value <= 0 for value in values):
        raise ValueError(f"expected positive numbers, not {values}")
