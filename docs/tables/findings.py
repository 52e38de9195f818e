"""Findings and warnings: what each code says."""

from __future__ import annotations

from abcparam.diagnostics.explain import codes
from docs.tables.markdown import Table

FAMILIES = ("P05", "P06")


def table() -> Table:
    found = {code: rule for code, rule in codes().items() if code.startswith(FAMILIES)}
    return Table(("code", "says"), tuple((code, rule.summary) for code, rule in found.items()))
