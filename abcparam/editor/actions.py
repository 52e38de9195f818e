"""What a machine may do about diagnostics."""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import Diagnostic, Replacement

LONGEST = 40


class QuickFix(Record):
    """An edit that mends what a diagnostic is about."""

    title: str
    edit: tuple[Replacement, ...]
    diagnostic: Diagnostic


def quick_fixes(diagnostics: Iterable[Diagnostic]) -> list[QuickFix]:
    """An action for each diagnostic that carries an edit."""
    return [QuickFix(_title(d), d.edit, d) for d in diagnostics if d.edit]


def _title(diagnostic: Diagnostic) -> str:
    """`write `width``; of a fix of a verdict, what it changes."""
    text = diagnostic.edit[0].text
    if diagnostic.severity == "error" and diagnostic.help.startswith("this makes it"):
        return diagnostic.help
    short = len(diagnostic.edit) == 1 and len(text) <= LONGEST and "\n" not in text
    return f"write `{text}`" if short else diagnostic.help
