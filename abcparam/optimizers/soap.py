"""SOAP: Adam in the eigenbasis of Shampoo's covariances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abcparam.optimizers.adam import Adam
from abcparam.optimizers.base import Step

if TYPE_CHECKING:
    from abcparam.program.amounts import Setting

ROTATE = '''def _rotate(tensor: Tensor, bases: dict[int, Tensor], back: bool = False) -> Tensor:
    """`tensor` with each of its axes that has a basis in that basis, or back from it."""
    for axis in range(tensor.dim()):
        if axis in bases:  # contracts the first axis and puts it last
            tensor = torch.tensordot(tensor, bases[axis], dims=([0], [int(back)]))
        else:
            tensor = tensor.movedim(0, -1)
    return tensor'''

COVARIANCES = '''def _covariances(tensor: Tensor, largest: int) -> dict[int, Tensor]:
    """`G @ G.T` for each axis of at most `largest`; a vector has none."""
    axes = [axis for axis, size in enumerate(tensor.shape) if size <= largest]
    flat = {axis: tensor.movedim(axis, 0).flatten(1) for axis in axes if tensor.dim() > 1}
    return {axis: matrix @ matrix.T for axis, matrix in flat.items()}'''

SOAP = Step(
    "Adam in the eigenbasis of G @ G.T and G.T @ G. The first gradient only gives the basis.",
    "3e-3",
    {
        "step": "0",
        "mean": "torch.zeros_like(parameter)",
        "square": "torch.zeros_like(parameter)",
        "covariances": '_covariances(parameter.grad, group["largest"])',
        "bases": '{k: torch.linalg.eigh(v)[1] for k, v in state["covariances"].items()}',
    },
    """
first, second = group["betas"]
gradient, bases, step = parameter.grad, state["bases"], state["step"]
state["step"] += 1
if step == 0:
    continue
mean = state["mean"].lerp_(gradient, 1 - first)
square = state["square"].lerp_(_rotate(gradient, bases).square(), 1 - second)
size = (square / (1 - second**step)).sqrt() + group["eps"]
update = _rotate(mean, bases) / (1 - first**step) / size
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(group["lr"] * _rotate(update, bases, back=True))
for axis, matrix in _covariances(gradient, group["largest"]).items():
    covariance = state["covariances"][axis].lerp_(matrix, 1 - second)
    if step % group["interval"] == 0:
        bases[axis] = torch.linalg.qr(covariance @ bases[axis])[0]
""",
    (ROTATE, COVARIANCES),
)


class Soap(Adam):
    """`w -= lr * Q_L @ (m' / (sqrt(v') + eps)) @ Q_R.T`.

    m' and v' are Adam's moments in the eigenbases Q_L and Q_R of the gradients before.

    What is new in a gradient lies in no eigenvector that is known. There the basis is arbitrary, so
    that it has entries everywhere and Adam makes all of them of Θ(lr), along the gradient: Adam's
    law. (A gradient within the known eigenvectors, as of a batch that was seen before, makes an
    update of spectral norm lr only, as Shampoo's.)
    """

    name = "soap"
    source = (
        "arXiv 2409.11321, Algorithm 3; its law as Adam's, "
        "measured in tests/operations/test_slopes.py"
    )
    torch = "SOAP"
    step = SOAP
    stacks = False  # it rotates matrices
    rotates = True
    fused = False
    settings = {
        "betas": ("0.95", "0.95"),
        "eps": "1e-8",
        "weight_decay": "0.01",
        "interval": 10,
        "largest": 10000,
    }
    remarks = {"interval": "between bases", "largest": "axis that gets one"}
    decoupled = True

    def late(self, settings: Mapping[str, Setting]) -> int:
        return 1  # the first gradient only gives the basis


OPTIMIZERS = (Soap(),)
