"""LAMB and LARS: an update has the norm of its tensor, times the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule, Step

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter

ADAM_STATE = {
    "step": "0",
    "mean": "torch.zeros_like(parameter)",
    "square": "torch.zeros_like(parameter)",
}
ADAM_UPDATE = """
first, second = group["betas"]
state["step"] += 1
mean, square = state["mean"], state["square"]
mean.lerp_(parameter.grad, 1 - first)
square.lerp_(parameter.grad.square(), 1 - second)
size = (square / (1 - second ** state["step"])).sqrt()
update = mean / (1 - first ** state["step"]) / (size + group["eps"])
"""

LAMB_STEP = Step(
    "Adam's update, scaled to the norm of its tensor; as it is where that is zero.",
    "1e-3",
    ADAM_STATE,
    ADAM_UPDATE
    + """\
update = update + group["weight_decay"] * parameter
norm, length = parameter.norm(), update.norm()
trust = torch.where((norm > 0) & (length > 0), norm / length, 1.0)
parameter.sub_(group["lr"] * trust * update)
""",
)

LARS_STEP = Step(
    "A gradient scaled to the norm of its tensor, with momentum; as it is where that is zero.",
    "1e-3",
    {"momentum": "torch.zeros_like(parameter)"},
    """
gradient = parameter.grad + group["weight_decay"] * parameter
norm, length = parameter.norm(), gradient.norm()
trust = torch.where((norm > 0) & (length > 0), norm / length, 1.0)
momentum = state["momentum"]
momentum.mul_(group["momentum"]).add_(trust * gradient)
parameter.sub_(group["lr"] * momentum)
""",
)


class LAMB(OptimizerRule):
    """`w -= lr * ||w|| * r / ||r||`, r Adam's update: relative to the weights.

    What starts at exact zero moves as under Adam.
    """

    name = "lamb"
    source = "arXiv 1904.00962, Algorithm 2 (trust ratio without bounds)"
    law = "w - c"
    in_words = "`-c` plus that of the tensor's weights (from exact zero: `-c`)"
    gauge = 0
    torch = "LAMB"
    step = LAMB_STEP
    settings = {"betas": ("0.9", "0.999"), "eps": "1e-6", "weight_decay": "0"}

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        weights = parameter.weights
        return -parameter.c if weights.is_zero else weights - parameter.c

    def counts_epsilon(self, parameter: Parameter) -> bool:
        """Epsilon goes with the norm of Adam's update, but where the weights are exactly zero."""
        return parameter.weights.is_zero

    def beside(self, parameter: Parameter) -> Size:
        return parameter.c.space.one


class LARS(LAMB):
    """`w -= lr * ||w|| * gradient / ||gradient||`. What starts at exact zero moves as under SGD."""

    name = "lars"
    source = "arXiv 1708.03888, section 4 (without bounds)"
    law = "w - c"
    in_words = "`-c` plus that of the tensor's weights (from exact zero: `γ - c`)"
    torch = "LARS"
    step = LARS_STEP
    settings = {"momentum": "0", "weight_decay": "0"}

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        weights = parameter.weights
        return gamma - parameter.c if weights.is_zero else weights - parameter.c

    def beside(self, parameter: Parameter) -> Size:
        return parameter.gamma


OPTIMIZERS = (LAMB(), LARS())
