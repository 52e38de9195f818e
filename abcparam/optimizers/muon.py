"""Muon: an update is an orthogonal matrix, so its learning rate is a spectral norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abcparam.optimizers.base import OptimizerRule, Step

if TYPE_CHECKING:
    from abcparam.algebra.sizes import Size
    from abcparam.calculus.parameter import Parameter


ORTHOGONAL = '''def _orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """Every singular value brought to about 1, by torch.optim.Muon's Newton-Schulz steps."""
    x = matrix.T if len(matrix) > len(matrix.T) else matrix
    x = x / x.norm().clamp(min=torch.finfo(x.dtype).tiny)
    for _ in range(steps):
        square = x @ x.T
        x = 3.4445 * x + (2.0315 * square @ square - 4.7750 * square) @ x
    return x.T if len(matrix) > len(matrix.T) else x'''

NESTEROV = """
momentum = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
if group["nesterov"]:
    momentum = parameter.grad.lerp(momentum, group["momentum"])
"""

SPECTRAL = Step(
    "Muon with updates of spectral norm `lr * sqrt(rows / columns)`.",
    "1e-3",
    {"momentum": "torch.zeros_like(parameter)"},
    NESTEROV
    + """\
rows, columns = parameter.shape
rate = group["lr"] * (rows / columns) ** 0.5
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(rate * _orthogonal(momentum, group["ns_steps"]))
""",
    (ORTHOGONAL,),
)

NEURONS = '''def _by_neurons(update: Tensor, squares: Tensor, beta: float) -> Tensor:
    """The same norm, shared equally by the rows; `squares` are their running mean squares."""
    squares.lerp_(update.square().mean(1, keepdim=True), 1 - beta)
    made = update / squares.sqrt().clamp(min=1e-10)
    return made * (update.norm() / made.norm().clamp(min=1e-10))'''


def _by_neurons_step(doc: str, adjust: str) -> Step:
    """The step that multiplies updates by neurons by `adjust`."""
    update = f"""\
update = _orthogonal(momentum, group["ns_steps"])
update = _by_neurons(update, state["squares"], group["beta2"])
parameter.mul_(1 - group["lr"] * group["weight_decay"])
adjust = {adjust}
parameter.sub_(group["lr"] * adjust * update)
"""
    state = {
        "momentum": "torch.zeros_like(parameter)",
        "squares": "torch.zeros_like(parameter[:, :1])",
    }
    return Step(doc, "2e-2", state, NESTEROV + update, (ORTHOGONAL, NEURONS))


NORMUON_STEP = _by_neurons_step(
    "Muon whose updates have rows of about the same length.",
    "max(1, parameter.shape[0] / parameter.shape[1]) ** 0.5",
)
MATCHING_STEP = _by_neurons_step(
    "Muon whose updates have rows of about the same length, and AdamW's size.",
    "0.2 * parameter.numel() ** 0.5 / update.norm().clamp(min=1e-10)",
)


class Muon(OptimizerRule):
    """`w -= lr * adjust * orthogonal(m)`, with one of three factors `adjust`.

    They are `sqrt(max(1, rows / columns))` (Keller Jordan's, torch's default), `0.2 sqrt(max(rows,
    columns))` (Moonshot's) and `sqrt(rows / columns)` (of the spectral condition).
    """

    name = "muon"
    source = "arXiv 2502.16982, section 2.2; torch.optim.Muon"
    law = "max(ρo - ρi, 0)/2 - c"
    in_words = "`-c` plus half of rows over columns where that grows"
    gauge = 1
    torch = "Muon"
    settings = {"momentum": "0.95", "nesterov": True, "ns_steps": 5, "weight_decay": "0.1"}
    words = {"adjust": ("original", "match_rms_adamw", "spectral")}
    axes = 2
    decoupled = True
    spectral = True
    rotates = True

    def chosen(self, words: Mapping[str, str]) -> OptimizerRule:
        return VARIANTS.get(words["adjust"], self)

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        excess = _excess(parameter)
        return (excess | excess.space.one).half() - parameter.c


class MatchingMuon(Muon):
    """With updates of the size of AdamW's."""

    law = "max(ρi, ρo)/2 - c"
    in_words = "`-c` plus half of the larger of rows and columns"
    variant = "match_rms_adamw"
    fixed = {"adjust_lr_fn": variant}

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return (parameter.rows | parameter.columns).half() - parameter.c


class SpectralMuon(Muon):
    """With updates whose spectral norm is that of a map from RMS to RMS."""

    source = "arXiv 2310.17813, section 3; arXiv 2409.20325, section 2"
    law = "(ρo - ρi)/2 - c"
    in_words = "`-c` plus half of rows over columns"
    variant = "spectral"
    torch = "SpectralMuon"
    step = SPECTRAL

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return _excess(parameter).half() - parameter.c


class NorMuon(Muon):
    """Muon with the rows of an update brought to one length, its norm as before.

    Rows are scaled, so that directions of inputs stay, and with them Muon's law.
    """

    name = "normuon"
    source = "arXiv 2510.05491, Algorithm 1, and its code"
    torch = "NorMuon"
    step = NORMUON_STEP
    settings = {
        "momentum": "0.95",
        "beta2": "0.95",
        "nesterov": True,
        "ns_steps": 5,
        "weight_decay": "0",
    }
    words = {"adjust": ("original", "match_rms_adamw")}

    def chosen(self, words: Mapping[str, str]) -> OptimizerRule:
        return MATCHING_NORMUON if words["adjust"] == MatchingMuon.variant else self


class MatchingNorMuon(NorMuon):
    """With updates whose root mean square is 0.2, whatever their rank: Adam's law.

    Of a batch that is small beside the width, that is; of full rank, 0.2 of a root mean square is a
    spectral norm smaller by a root of the width.
    """

    law = "-c"
    in_words = "`-c`"
    variant = MatchingMuon.variant
    torch = "MatchingNorMuon"
    step = MATCHING_STEP
    spectral = False

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return -parameter.c


def _excess(parameter: Parameter) -> Size:
    """Rows over columns."""
    return parameter.rows - parameter.columns


VARIANTS: Mapping[str, OptimizerRule] = {
    rule.variant: rule for rule in (MatchingMuon(), SpectralMuon())
}
MATCHING_NORMUON = MatchingNorMuon()
OPTIMIZERS = (Muon(), NorMuon())
