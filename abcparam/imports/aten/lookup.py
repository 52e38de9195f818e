"""Lookups: rows of a table by index."""

from __future__ import annotations

from abcparam.diagnostics.rules import imports as rules
from abcparam.imports.seen import Law, Seen
from abcparam.program.expressions import Expression


def embedding(see: Seen) -> Expression:
    found = see.weight(see.get(0))
    if found is None or found[1] != tuple(range(len(found[1]))):
        what = "a table that is computed from parameters"
        see.refuse(rules.NoLaw, operation=see.step.target, what=what)
    return see.lookup(found[0], see.get(1))


LAWS: dict[str, Law] = {"aten.embedding.default": embedding}
