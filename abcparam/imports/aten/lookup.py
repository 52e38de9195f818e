"""Lookups: rows of a table by index."""

from __future__ import annotations

from fractions import Fraction

from abcparam.algebra.polynomials import ONE
from abcparam.imports.alike import KnownData, Operand
from abcparam.imports.aten.norms import WEIGHT_NORM, rescaled
from abcparam.imports.seen import Law, Seen, amount
from abcparam.imports.traced import Weight
from abcparam.program.expressions import Expression

HALF = Fraction(1, 2)


def embedding(see: Seen) -> Expression:
    """Rows of a table; of one that is computed, as `weight_norm` does, some of its coordinates."""
    table, step = _table(see, see.get(0)), see.definition(see.get(0))
    if table is not None:
        return see.lookup(table, see.get(1))
    if step is None or step.target != WEIGHT_NORM:
        return see.rearranged(see.get(0))
    made = rescaled(see.with_step(step))
    shape, by = made.rows.shapes[0], ONE / made.length.power(HALF)
    rows = see.apply("*", (made.rows, made.gain), shape=shape)
    return see.reshaped(see.apply("scale", (rows,), {"by": amount(by)}, shape), see.result)


def _table(see: Seen, operand: Operand) -> Weight | None:
    """The parameter that an operand is as it stands."""
    found = see.weight(operand)
    whole = found is not None and found.order == tuple(range(len(found.shape)))
    return found.source if found is not None and whole else None


def index(see: Seen) -> Expression:
    """`table[indices]`; of what is no parameter, some of its coordinates."""
    table, where = _table(see, see.get(0)), see.get(1)
    if table is not None and isinstance(where, tuple) and len(where) == 1 and _is_whole(where[0]):
        return see.lookup(table, where[0])
    return see.rearranged(see.get(0))


def index_select(see: Seen) -> Expression:
    """`index_select` of rows of a table."""
    table = _table(see, see.get(0)) if see.whole(1, "dim") == 0 else None
    if table is not None and _is_whole(see.get(2)):
        return see.lookup(table, see.get(2))
    return see.rearranged(see.get(0))


def _is_whole(operand: Operand) -> bool:
    return isinstance(operand, KnownData) and operand.integer


LAWS: dict[str, Law] = {
    "aten.embedding.default": embedding,
    "aten.index.Tensor": index,
    "aten.index_select.default": index_select,
}
