"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter


class SGD(OptimizerRule):
    """`w -= lr * gradient`: momentum adds finitely many gradients of the same size."""

    name = "sgd"
    source = "arXiv 2011.14522, Definition 3.2"
    law = "γ - c"
    gauge = 2
    stacks = True
    torch = "SGD"
    fused = False  # torch's kernel takes no sharded tensors
    settings = {"momentum": "0", "nesterov": False, "weight_decay": "0"}

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return gamma - parameter.c


OPTIMIZERS = (SGD(),)
