"""Adan and AdEMAMix: Adam with one more running mean."""

from __future__ import annotations

from abcparam.optimizers.adam import AdamW
from abcparam.optimizers.base import Step

ADAN_STEP = Step(
    "Adam with Nesterov's momentum, from differences of gradients; decay as AdamW's.",
    "1e-3",
    {
        "step": "0",
        "last": "parameter.grad.clone()",
        "mean": "torch.zeros_like(parameter)",
        "change": "torch.zeros_like(parameter)",
        "square": "torch.zeros_like(parameter)",
    },
    """
first, second, third = group["betas"]
state["step"] += 1
step, gradient = state["step"], parameter.grad
change = gradient - state["last"]
state["last"] = gradient.clone()
mean = state["mean"].lerp_(gradient, 1 - first)
changes = state["change"].lerp_(change, 1 - second)
square = state["square"].lerp_((gradient + second * change).square(), 1 - third)
size = (square / (1 - third**step)).sqrt() + group["eps"]
update = mean / (1 - first**step) + second * changes / (1 - second**step)
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(group["lr"] * update / size)
""",
)

ADEMAMIX_STEP = Step(
    "AdamW whose mean gradient has `alpha` times a slower one added.",
    "1e-3",
    {
        "step": "0",
        "mean": "torch.zeros_like(parameter)",
        "slow": "torch.zeros_like(parameter)",
        "square": "torch.zeros_like(parameter)",
    },
    """
first, second, third = group["betas"]
state["step"] += 1
step, gradient = state["step"], parameter.grad
part = min(1.0, step / group["warmup"]) if group["warmup"] else 1.0
ends = math.log(0.5) / math.log(first), math.log(0.5) / math.log(third)
slower = 0.5 ** (1 / ((1 - part) * ends[0] + part * ends[1]))
mean = state["mean"].lerp_(gradient, 1 - first)
slow = state["slow"].lerp_(gradient, 1 - slower)
square = state["square"].lerp_(gradient.square(), 1 - second)
size = (square / (1 - second**step)).sqrt() + group["eps"]
update = mean / (1 - first**step) + part * group["alpha"] * slow
parameter.mul_(1 - group["lr"] * group["weight_decay"])
parameter.sub_(group["lr"] * update / size)
""",
)


class Adan(AdamW):
    """All its running means are of the gradient's size, so an entry is Θ(lr)."""

    name = "adan"
    source = "arXiv 2208.06677, Algorithm 1, with AdamW's decay; law as Adam's"
    torch = "Adan"
    step = ADAN_STEP
    fused = False
    settings = {"betas": ("0.98", "0.92", "0.99"), "eps": "1e-8", "weight_decay": "0"}


class AdEMAMix(AdamW):
    """Both means are of the gradient's size, so an entry is Θ(lr)."""

    name = "ademamix"
    source = "arXiv 2409.03137, Algorithm 1; law as Adam's"
    torch = "AdEMAMix"
    step = ADEMAMIX_STEP
    fused = False
    settings = {
        "betas": ("0.9", "0.999", "0.9999"),
        "alpha": "5",
        "warmup": 0,
        "eps": "1e-8",
        "weight_decay": "0",
    }
    remarks = {"warmup": "steps of the slow mean"}


OPTIMIZERS = (Adan(), AdEMAMix())
