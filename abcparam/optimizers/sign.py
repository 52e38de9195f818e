"""Lion and sign descent: every coordinate moves by the learning rate."""

from __future__ import annotations

from abcparam.optimizers.adam import Adam
from abcparam.optimizers.base import Step

LION = Step(
    "`w -= lr * sign(b1 * m + (1 - b1) * gradient)`, with decoupled weight decay.",
    "1e-4",
    {"momentum": "torch.zeros_like(parameter)"},
    """
momentum = state["momentum"]
parameter.mul_(1 - group["lr"] * group["weight_decay"])
update = momentum.lerp(parameter.grad, 1 - group["betas"][0])
parameter.sub_(group["lr"] * update.sign())
momentum.lerp_(parameter.grad, 1 - group["betas"][1])
""",
)

SIGN = Step(
    "`w -= lr * sign(m)`, m a running mean of gradients.",
    "1e-3",
    {"momentum": "torch.zeros_like(parameter)"},
    """
momentum = state["momentum"]
momentum.lerp_(parameter.grad, 1 - group["momentum"])
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(group["lr"] * momentum.sign())
""",
)


class Lion(Adam):
    """The sign of an average of gradients: an entry is exactly the learning rate."""

    name = "lion"
    source = "arXiv 2302.06675, Algorithm 2; law of entrywise optimizers, arXiv 2308.01814"
    torch = "Lion"
    step = LION
    fused = False
    settings = {"betas": ("0.9", "0.99"), "weight_decay": "0"}
    decoupled = True
    epsilon = False


class SignSGD(Adam):
    """The sign of the gradient, or of its running mean."""

    name = "signsgd"
    source = "arXiv 1802.04434, Algorithm 1; law of entrywise optimizers, arXiv 2308.01814"
    torch = "SignSGD"
    step = SIGN
    fused = False
    settings = {"momentum": "0", "weight_decay": "0"}
    decoupled = True
    epsilon = False


OPTIMIZERS = (Lion(), SignSGD())
