"""Models of which a part is frozen: it starts as it does, unless nothing else makes them stable."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from abcparam.emission.execute import executed
from abcparam.imports.adapter import adapter_of

HALF = -1 / 2


class Net(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(32, width), nn.Linear(width, width), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.tanh(self.b(torch.relu(self.a(x)))))


def frozen_middle(width: int = 64) -> Any:
    """Its middle map starts as large at every width."""
    model = Net(width)
    nn.init.normal_(model.b.weight, std=0.1)
    model.b.requires_grad_(False)
    return model, (torch.randn(16, 32),)


class Taught(Net):
    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.teacher = Net(width).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        wanted = F.softmax(self.teacher(x), -1)
        return F.kl_div(F.log_softmax(super().forward(x), -1), wanted, reduction="batchmean")


def taught(width: int = 64) -> Any:
    return Taught(width), (torch.randn(16, 32),)


def changed(audit: abcparam.Audit) -> dict[str, tuple[float, float]]:
    """What changes: by which powers of the width the initial scale and the learning rate."""
    found = {x.path: (x.init.get("width", 0), x.lr.get("width", 0)) for x in audit.remedy.changes}
    return {path: (float(b), float(c)) for path, (b, c) in found.items() if b or c}


def test_what_is_frozen_is_scaled_where_nothing_else_makes_a_model_stable() -> None:
    """It was said to be, and stayed what it is: slopes of 0.5 where 0 was derived."""
    audit = abcparam.audit(frozen_middle, ["width"])
    assert (audit.verdict, audit.remedy.verdict) == ("unstable-at-init", "maximal-update")
    assert changed(audit) == {"b.weight": (HALF, 0), "c.weight": (HALF, -1)}
    adapter = executed(adapter_of(audit, "adapt"))
    model, _ = frozen_middle(256)
    adapter["init_"](model)
    assert abs(float(model.b.weight.std()) / 0.05 - 1) < 0.02
    groups = adapter["make_optimizer"](model).param_groups
    assert sum(len(group["params"]) for group in groups) == 4
    found = abcparam.coord_check(audit, widths=(64, 128, 256, 512), adapted=True, seeds=3)
    assert "disagrees" not in {row.outcome for row in found.verdict.rows}


def test_a_frozen_teacher_stays_what_it_is() -> None:
    audit = abcparam.audit(taught, ["width"])
    assert audit.remedy.reaches
    assert changed(audit) == {"b.weight": (0, -1), "c.weight": (HALF, -1)}
    found = abcparam.coord_check(audit, widths=(64, 128, 256, 512), adapted=True, seeds=3)
    assert "disagrees" not in {row.outcome for row in found.verdict.rows}
