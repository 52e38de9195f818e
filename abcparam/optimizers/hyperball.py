"""AdamH and MuonH: a tensor keeps its norm, and an update has that norm times the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule, Step
from abcparam.optimizers.lamb import ADAM_STATE, ADAM_UPDATE
from abcparam.optimizers.muon import NESTEROV, ORTHOGONAL

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter

ON_SPHERE = '''def _on_sphere(parameter: Tensor, update: Tensor, lr: float, radius: Tensor) -> None:
    """A step of length `lr * radius` against `update`, and back to the norm `radius`."""
    tiny = torch.finfo(update.dtype).tiny
    parameter.sub_(lr * radius / update.norm().clamp(min=tiny) * update)
    parameter.mul_(radius / parameter.norm().clamp(min=tiny))'''

ADAM_STEP = Step(
    "Adam on the sphere of tensors that have the norm of the initial one.",
    "1e-3",
    {"radius": "parameter.norm()", **ADAM_STATE},
    f'{ADAM_UPDATE}_on_sphere(parameter, update, group["lr"], state["radius"])\n',
    (ON_SPHERE,),
)

MUON_STEP = Step(
    "Muon on the sphere of matrices that have the norm of the initial one.",
    "2e-2",
    {"radius": "parameter.norm()", "momentum": "torch.zeros_like(parameter)"},
    NESTEROV
    + """\
update = _orthogonal(momentum, group["ns_steps"])
_on_sphere(parameter, update, group["lr"], state["radius"])
""",
    (ORTHOGONAL, ON_SPHERE),
)


class AdamH(OptimizerRule):
    """`w -= lr * R * u / ||u||`, u Adam's update, then `w *= R / ||w||`, R the initial norm.

    Relative to the weights, which keep their size; exact zero would stay, and is refused.
    """

    name = "adamh"
    source = "Wen, Dang, Lyu, Ma, Liang, Hyperball Optimization, 2025"
    law = "w + min(-c, 0)"
    in_words = "`-c`, at most 0, plus that of the tensor's weights"
    gauge = 0
    torch = "AdamH"
    step = ADAM_STEP
    settings = {"betas": ("0.9", "0.999"), "eps": "1e-8"}
    epsilon = True
    keeps_norm = True

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return parameter.weights + (-parameter.c & parameter.c.space.one)

    def counts_epsilon(self, parameter: Parameter) -> bool:
        """Epsilon goes with the norm of Adam's update."""
        return False


class MuonH(AdamH):
    """The same with Muon's update.

    That of a batch has finite rank, so that its norm is its spectral norm: an update has entries of
    one size as Adam's, along the gradient.
    """

    name = "muonh"
    torch = "MuonH"
    step = MUON_STEP
    settings = {"momentum": "0.95", "nesterov": True, "ns_steps": 5}
    axes = 2
    rotates = True
    epsilon = False


OPTIMIZERS = (AdamH(), MuonH())
