"""Optimizers that people ask for and that have no law here, and why."""

from __future__ import annotations

from abcparam.algebra.record import Record


class Refusal(Record):
    """`instead` is an optimizer of the language."""

    reason: str
    instead: str


REFUSED = {
    # arXiv 2306.06101, Algorithm 3, and its code, which raises where the learning rates of groups
    # differ: the estimate is one number, and what each tensor has to be told is its own.
    "prodigy": Refusal("it estimates one learning rate for all tensors together", "adamw"),
    # arXiv 2301.07733, Algorithm 4: the same.
    "dadaptadam": Refusal("it estimates one learning rate for all tensors together", "adamw"),
    # arXiv 2305.14342: an estimate of the Hessian's diagonal wants a second kind of backward pass,
    # which a training loop does and an optimizer cannot.
    "sophia": Refusal("it needs an estimate of the Hessian beside the gradient", "signsgd"),
    # github.com/karpathy/nanochat at 92d63d4e, nanochat/optim.py: the update has the Frobenius norm
    # of an orthogonal matrix, so that its spectral norm is 1.1 where the gradient has full rank,
    # and grows with the root of the width where a batch has fewer tokens than that.
    "muonadamw": Refusal(
        "its Muon brings updates of any rank to one Frobenius norm, so that their law is Muon's "
        "only where a batch has more tokens than the width",
        "muon",
    ),
    "lbfgs": Refusal("its step comes from a line search over all tensors at once", "sgd"),
}
