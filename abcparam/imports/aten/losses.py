"""Losses that a model computes itself: its output is what the loss is of."""

from __future__ import annotations

LOSSES = {
    "aten.cross_entropy_loss.default": "cross_entropy",
    "aten.nll_loss_nd.default": "cross_entropy",
    "aten.mse_loss.default": "mse",
    "aten.binary_cross_entropy_with_logits.default": "cross_entropy",
}
