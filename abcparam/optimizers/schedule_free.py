"""Schedule-free AdamW: steps from an average of the weights, in place of a schedule."""

from __future__ import annotations

from abcparam.optimizers.adam import AdamW
from abcparam.optimizers.base import Step

STEP = Step(
    """AdamW without a schedule: gradients are taken between the weights and their average.

    Call `eval()` before the model is evaluated or saved, and `train()` before it trains on.
    """,
    "2.5e-3",
    {
        "step": "0",
        "total": "0.0",
        "largest": "0.0",
        "weights": "parameter.clone()",
        "square": "torch.zeros_like(parameter)",
    },
    """
if group.get("averaged"):
    raise RuntimeError("the parameters are averages: call `train()` before a step")
first, second = group["betas"]
state["step"] += 1
square = state["square"].lerp_(parameter.grad.square(), 1 - second)
size = (square / (1 - second ** state["step"])).sqrt() + group["eps"]
rate = group["lr"] * min(1.0, state["step"] / max(1, group["warmup_steps"]))
update = parameter.grad / size + group["weight_decay"] * parameter
state["largest"] = max(state["largest"], rate)
state["total"] += state["largest"] ** 2
share = state["largest"] ** 2 / state["total"] if state["total"] else 0.0
parameter.lerp_(state["weights"], share)
parameter.sub_(rate * (1 - first * (1 - share)) * update)
state["weights"].sub_(rate * update)
""",
    methods='''
    @torch.no_grad()
    def eval(self) -> None:
        """Gives the parameters their average."""
        self._move(True)

    @torch.no_grad()
    def train(self) -> None:
        """Gives the parameters back where gradients are taken."""
        self._move(False)

    def _move(self, averaged: bool) -> None:
        for group in self.param_groups:
            if group.get("averaged", False) != averaged:
                group["averaged"] = averaged
                first = group["betas"][0]
                for parameter in group["params"]:
                    if parameter in self.state:
                        by = 1 - 1 / first if averaged else 1 - first
                        parameter.lerp_(self.state[parameter]["weights"], by)
''',
)


class ScheduleFreeAdamW(AdamW):
    """`z -= lr * g / (sqrt(v) + eps)`, g at `(1 - beta) z + beta x`, x the average of z.

    All three move by Θ(lr), so that its law is Adam's.
    """

    name = "schedule_free_adamw"
    source = "arXiv 2405.15682, Algorithm 1; law as Adam's"
    torch = "AdamWScheduleFree"
    step = STEP
    stacks = False  # it keeps weights of its own
    fused = False
    settings = {"betas": ("0.9", "0.999"), "warmup_steps": 0, "eps": "1e-8", "weight_decay": "0"}


OPTIMIZERS = (ScheduleFreeAdamW(),)
