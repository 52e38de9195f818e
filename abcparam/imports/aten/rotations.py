"""Rotations of pairs, written as products of complex numbers with constants."""

from __future__ import annotations

from abcparam.imports.alike import KnownData, Operand, TracedStep
from abcparam.imports.aten.refused import refuse
from abcparam.imports.seen import Law, Seen
from abcparam.program.expressions import Expression


def rotated(see: Seen) -> Expression:
    """`view_as_real(view_as_complex(x) * rotation)`; other complex numbers have no law."""
    product = see.definition(see.get(0))
    if product is None or product.target != "aten.mul.Tensor":
        refuse(see)
    for x, by in (product.arguments, product.arguments[::-1]):
        pairs = _pairs(see, x)
        if pairs is not None and isinstance(by, KnownData) and by.size is not None:
            return see.scaled(see.rearranged(pairs.arguments[0]), by.size)
    refuse(see)


def _pairs(see: Seen, x: Operand) -> TracedStep | None:
    """The call that takes pairs of numbers as complex ones, if it is one that made a value."""
    step = see.definition(x)
    return step if step is not None and step.target == "aten.view_as_complex.default" else None


LAWS: dict[str, Law] = {"aten.view_as_real.default": rotated}
