"""Tensors that learn less, by a power of the width, than what they start at."""

from __future__ import annotations

from abcparam.algebra.sizes import Size, numeric
from abcparam.analysis.judge import Judgement
from abcparam.program.vocabulary import VERDICTS
from abcparam.verdict.forward_factors import powers_of


def mended(found: Judgement | None, lazy: frozenset[str]) -> bool:
    """Whether it is maximal-update, with no tensor lazy but those that may be.

    None: it is unstable.
    """
    if found is None or found.verdict != VERDICTS[-1]:
        return False
    return lazy_tensors(found) <= lazy


def lazy_tensors(found: Judgement) -> frozenset[str]:
    """Tensors whose update makes less, by a power of a width, than what they make at init."""
    widths: set[str] = set()
    for law in found.tensors:
        p = law.parameter
        widths |= powers_of(p.rho_in | p.rho_out).keys()
    return frozenset(
        law.path
        for law in found.tensors
        if law.at_init.vectors
        and not law.parameter.tensor.frozen
        and _less(law.update, law.at_init, widths)
    )


def _less(update: Size, size: Size, widths: set[str]) -> bool:
    if not update.vectors:
        return True
    gap = numeric(update - size)
    return gap < gap.space.one and any(
        value < 0 for name, value in gap.exponents().items() if name in widths
    )
