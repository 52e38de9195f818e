"""Shampoo: a gradient between the inverse fourth roots of its two covariances."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule, Step

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter

ROOT = '''def _inverse_root(matrix: Tensor, ridge: float) -> Tensor:
    """`matrix^(-1/4)`, with `ridge` of its largest eigenvalue added to all of them."""
    values, vectors = torch.linalg.eigh(matrix)
    values = values.clamp(min=torch.finfo(matrix.dtype).tiny) + ridge * values[-1]
    return vectors * values**-0.25 @ vectors.T'''

SHAMPOO = Step(
    "`w -= lr * L^(-1/4) @ m @ R^(-1/4)`, L and R the sums of G @ G.T and G.T @ G.",
    "1e-3",
    {
        "momentum": "torch.zeros_like(parameter)",
        "rows": "parameter.new_zeros(len(parameter), len(parameter))",
        "columns": "parameter.new_zeros(len(parameter.T), len(parameter.T))",
    },
    """
gradient, momentum = parameter.grad, state["momentum"]
rows = state["rows"].addmm_(gradient, gradient.T)
columns = state["columns"].addmm_(gradient.T, gradient)
momentum.lerp_(gradient, 1 - group["momentum"])
left, right = (_inverse_root(matrix, group["ridge"]) for matrix in (rows, columns))
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(group["lr"] * (left @ momentum @ right))
""",
    (ROOT,),
)


class Shampoo(OptimizerRule):
    """`w -= lr * L^(-1/4) @ gradient @ R^(-1/4)`.

    L and R are the sums of all G @ G.T and G.T @ G so far. L is at least the present G @ G.T, so
    that the update is of spectral norm lr at most; the first is orthogonal. The ridge under the
    roots is relative to the largest eigenvalue, so that nothing sees the gradient's scale.
    """

    name = "shampoo"
    source = "arXiv 1802.09568, Algorithm 1; arXiv 2312.12226 and 2310.17813 for its scaling"
    law = "-c"
    remarks = {"ridge": "of the largest eigenvalue"}
    gauge = 1
    torch = "Shampoo"
    step = SHAMPOO
    settings = {"momentum": "0", "ridge": "1e-6", "weight_decay": "0"}
    axes = 2
    decoupled = True
    spectral = True
    rotates = True

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return -parameter.c


OPTIMIZERS = (Shampoo(),)
