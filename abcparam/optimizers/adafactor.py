"""Adafactor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter


class Adafactor(OptimizerRule):
    """`w -= lr * max(floor, RMS(w)) * gradient / sqrt(v)`: an update is relative to its weights.

    What starts at exact zero starts from the floor, a constant.
    """

    name = "adafactor"
    source = "arXiv 1804.04235, section 8; arXiv 2407.05872, section 2 (parameter scaling)"
    law = "w - c"
    in_words = "`-c` plus that of the tensor's weights (from exact zero: `-c`, a constant floor)"
    gauge = 0
    torch = "Adafactor"
    settings = {"beta2_decay": "-0.8", "d": "1", "weight_decay": "0"}
    decoupled = True

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        weights = parameter.weights
        return -parameter.c if weights.is_zero else weights - parameter.c

    def first(self, lr: float, gradient: float, fans: tuple[float, float]) -> float:
        return 1e-3 * lr


OPTIMIZERS = (Adafactor(),)
