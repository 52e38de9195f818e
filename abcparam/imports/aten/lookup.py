"""Lookups: rows of a table by index."""

from __future__ import annotations

from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.alike import KnownData, Operand
from abcparam.imports.seen import Law, Seen
from abcparam.imports.traced import Weight
from abcparam.program.expressions import Expression


def embedding(see: Seen) -> Expression:
    table = _table(see, see.get(0))
    if table is None:
        what = "a table that is computed from parameters"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    return see.lookup(table, see.get(1))


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
