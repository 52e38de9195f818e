"""Projects that people ask a recipe of and that have none, and why."""

from __future__ import annotations

from abcparam.algebra.record import Record


class RefusedProject(Record):
    """`instead` is what to do, `settings` those of its configurations that the reason is about."""

    reason: str
    instead: str
    settings: tuple[str, ...]


REFUSED_PROJECTS = {
    # github.com/karpathy/nanochat at 92d63d4e, scripts/base_train.py, nanochat/gpt.py and optim.py:
    # flags say the depth, from which the code makes the width (`aspect-ratio` times it).
    "nanochat": RefusedProject(
        "its flags say how deep the model is, and what follows from that is in its code; and its "
        "`MuonAdamW`, which `matrix_lr` is the rate of, has no law (P0425)",
        "`abcparam audit` judges its model as it is, with PyTorch's Muon in place of MuonAdamW's: "
        "docs/recipes.md has the function to hand it",
        ("matrix_lr", "depth"),
    ),
}
