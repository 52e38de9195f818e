"""Optimizers that people ask for and that have no law here, and why."""

from __future__ import annotations

from abcparam.algebra.record import Record


class Refusal(Record):
    """`instead` is an optimizer of the language."""

    reason: str
    instead: str


REFUSED = {
    # arXiv 1908.03265, Algorithm 2: for the first five steps (at a second beta of 0.999) the update
    # is the first moment itself, whose size is the gradient's; then it is Adam's. No change of
    # (a, b, c) leaves both alone, and the learning rate that one needs is too large or too small
    # for the other by a power of the width.
    "radam": Refusal("its first steps are SGD's and its later ones Adam's", "adam"),
    # arXiv 2305.14342: an estimate of the Hessian's diagonal wants a second kind of backward pass,
    # which a training loop does and an optimizer cannot.
    "sophia": Refusal("it needs an estimate of the Hessian beside the gradient", "signsgd"),
    "lbfgs": Refusal("its step comes from a line search over all tensors at once", "sgd"),
}
