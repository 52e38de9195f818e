"""NAdam and Adamax: Adam with Nesterov's momentum, Adam with the largest gradient so far."""

from __future__ import annotations

from abcparam.optimizers.adam import Adam


class NAdam(Adam):
    """Adam whose first moment looks ahead by Nesterov's step."""

    name = "nadam"
    source = "Dozat, Incorporating Nesterov Momentum into Adam (2016); law as Adam's"
    torch = "NAdam"
    fused = False
    settings = {
        "betas": ("0.9", "0.999"),
        "eps": "1e-8",
        "weight_decay": "0",
        "momentum_decay": "4e-3",
    }


class Adamax(Adam):
    """`w -= lr * m / u`, u the largest `|gradient| + eps` so far, decaying."""

    name = "adamax"
    source = "arXiv 1412.6980, section 7.1; law as Adam's"
    torch = "Adamax"
    fused = False
    settings = {"betas": ("0.9", "0.999"), "eps": "1e-8", "weight_decay": "0"}


OPTIMIZERS = (NAdam(), Adamax())
