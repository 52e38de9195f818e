"""RAdam: SGD's steps first, Adam's then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abcparam.optimizers.adam import Adam
from abcparam.optimizers.refused import Refusal

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter
    from abcparam.program.amounts import Setting

TRACTABLE = 5  # how long an average has to be for its root to be divided by


class RAdam(Adam):
    """Adam, but the mean gradient itself while the root of its square is too rough.

    These are the first five steps at a second beta of 0.999. Sizes are the largest of all steps, so
    that an entry is the larger of SGD's and Adam's: SGD's only where a gradient grows. In another
    gauge the first steps differ.
    """

    name = "radam"
    source = "arXiv 1908.03265, Algorithm 2"
    law = "max(γ, 0) - c"
    torch = "RAdam"
    fused = False
    invariant = False

    def refusal(self, settings: Mapping[str, Setting]) -> Refusal | None:
        if _longest(_second(settings)) > TRACTABLE:
            return None
        return Refusal("with a second beta of at most 2/3 all its steps are SGD's", "sgd")

    def late(self, settings: Mapping[str, Setting]) -> int:
        beta, step = _second(settings), 1
        while _longest(beta) - 2 * step * beta**step / (1 - beta**step) <= TRACTABLE:
            step += 1
        return step - 1

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return (gamma | gamma.space.one) - parameter.c

    def strict(self, parameter: Parameter, gamma: Size) -> Size:
        """Epsilon takes from Adam's steps only."""
        return super().strict(parameter, gamma) | (gamma - parameter.c)

    def first(self, lr: float, gradient: float, fans: tuple[float, float]) -> float:
        return lr * gradient


def _second(settings: Mapping[str, Setting]) -> float:
    """The second beta; its default where it is a hyperparameter, or none that torch takes."""
    betas = settings["betas"]
    assert isinstance(betas, tuple)
    given = betas[1].value.constant
    return 0.999 if given is None or not 0 <= given < 1 else float(given)


def _longest(beta: float) -> float:
    """How long the average of the squares becomes, ρ∞ of Algorithm 2."""
    return 2 / (1 - beta) - 1


OPTIMIZERS = (RAdam(),)
