"""Adam and AdamW."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter


class Adam(OptimizerRule):
    """`w -= lr * m / (sqrt(v) + eps)`.

    m and sqrt(v) are of the gradient's size, so an entry is Θ(lr).
    """

    name = "adam"
    source = "arXiv 2308.01814, Definition 2.2.1 and section 2.8"
    law = "-c"
    gauge = 1
    torch = "Adam"
    stacks = True
    fused = True
    settings = {"betas": ("0.9", "0.999"), "eps": "1e-8", "weight_decay": "0"}
    epsilon = True

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return -parameter.c


class AdamW(Adam):
    """Adam with decoupled weight decay, `w *= 1 - lr * weight_decay` (torch's convention)."""

    name = "adamw"
    source = "arXiv 1711.05101; arXiv 2405.13698 for its scaling"
    torch = "AdamW"
    settings = {"betas": ("0.9", "0.999"), "eps": "1e-8", "weight_decay": "1e-2"}
    decoupled = True


OPTIMIZERS = (Adam(), AdamW())
