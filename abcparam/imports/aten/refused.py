"""What has no law for a reason: its gradient is not that of what it computes, say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.seen import Law, Seen

COMPLEX = "complex numbers"
FOURIER = (
    "complex numbers: multiply by buffers of cosines and sines in place of the transform, and have "
    "two real weights for a complex one"
)
ALONG = "sums along an axis, one for each place, as in state space models"
REASONS: Mapping[str, str] = {
    "wrap_with_set_grad_enabled": "a part that turns gradients on or off around others",
    "aten.item.default": "a number that is taken out of values",
    "aten._local_scalar_dense.default": "a number that is taken out of values",
    "aten.view_as_complex.default": COMPLEX,
    "aten.view_as_real.default": COMPLEX,
    "aten.complex.default": COMPLEX,
    "aten.real.default": COMPLEX,
    "aten.polar.default": COMPLEX,
    **{
        f"aten.fft_{kind}fft{axes}.default": FOURIER
        for kind in ("", "i", "r", "ir", "h", "ih")
        for axes in ("", "2", "n")
    },
    "aten.cumsum.default": ALONG,
    "aten.cumprod.default": ALONG,
    "aten.logcumsumexp.default": ALONG,
}


def refuse(see: Seen) -> NoReturn:
    see.refuse(rules.NoLaw, operation=see.step.target, what=REASONS[see.step.target])


LAWS: dict[str, Law] = dict.fromkeys(REASONS.keys() - {"aten.view_as_real.default"}, refuse)
