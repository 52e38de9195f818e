"""RMSProp and Adagrad: like Adam, they divide a gradient by its own size."""

from __future__ import annotations

from abcparam.optimizers.adam import Adam


class RMSprop(Adam):
    """`w -= lr * gradient / (sqrt(v) + eps)`, v a running mean of squares."""

    name = "rmsprop"
    source = "arXiv 2308.01814, section 2.2 (entrywise optimizers)"
    torch = "RMSprop"
    fused = False
    settings = {"alpha": "0.99", "eps": "1e-8", "momentum": "0", "weight_decay": "0"}


class Adagrad(Adam):
    """`w -= lr * gradient / (sqrt(v) + eps)`, v the sum of all squares so far."""

    name = "adagrad"
    source = "arXiv 2308.01814, section 2.2 (entrywise optimizers)"
    torch = "Adagrad"
    fused = False
    settings = {"lr_decay": "0", "eps": "1e-10", "weight_decay": "0"}


OPTIMIZERS = (RMSprop(), Adagrad())
