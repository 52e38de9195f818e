"""Muon: an update is an orthogonal matrix, so its learning rate is a spectral norm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from abcparam.optimizers.base import Rule

if TYPE_CHECKING:
    from abcparam.calculus.parameter import Parameter
    from abcparam.sizes import Size


class Muon(Rule):
    """`w -= lr * adjust * orthogonal(m)`, with `adjust = sqrt(max(1, rows / columns))` (Keller
    Jordan's, torch's default) or `0.2 sqrt(max(rows, columns))` (Moonshot's).
    """

    name = "muon"
    source = "arXiv 2502.16982, section 2.2; torch.optim.Muon"
    gauge = 1
    torch = "Muon"
    settings = {"momentum": "0.95", "nesterov": True, "ns_steps": 5, "weight_decay": "0.1"}
    words = {"adjust": ("original", "match_rms_adamw")}
    axes = 2
    decoupled = True
    spectral = True

    def chosen(self, words: Mapping[str, str]) -> Rule:
        return MATCHING if words["adjust"] == "match_rms_adamw" else self

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        rows, columns = parameter.rho_out, parameter.rho_in
        if parameter.tensor.table:
            rows, columns = columns, rows
        excess = (rows - columns) | rows.space.nought
        return excess.half() - parameter.c


class MatchingMuon(Muon):
    """With updates of the size of AdamW's."""

    fixed = {"adjust_lr_fn": "match_rms_adamw"}

    def entry(self, parameter: Parameter, gamma: Size) -> Size:
        return (parameter.rho_in | parameter.rho_out).half() - parameter.c


MATCHING = MatchingMuon()
OPTIMIZERS = (Muon(),)
