"""What each word of a spec is, for colours: by position, and by what names mean."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.diagnostics.source import Span
from abcparam.editor.analysis import Analysis
from abcparam.editor.words import kinds
from abcparam.operations import operations
from abcparam.program.vocabulary import VERDICTS
from abcparam.resolve.keywords import LOSSES, ROLES
from abcparam.resolve.names import AMOUNT_FUNCTIONS, INITS

FUNCTIONS = frozenset((*INITS, *LOSSES, *AMOUNT_FUNCTIONS))
CONSTANTS = frozenset((*ROLES, *VERDICTS, "true", "false"))


class Coloured(Record):
    """A word: `kind` is that of `words.kinds`, or of an occurrence, or what else a name may be.

    That is a `function`, a `constant` or a `key`.
    """

    span: Span
    kind: str
    declares: bool = False


def coloured(analysis: Analysis) -> list[Coloured]:
    """Every word of a text, in order."""
    named = {o.span.start: o for o in analysis.index.occurrences if not o.implied}
    found = []
    for piece, kind in kinds(analysis.words):
        occurrence = named.get((piece.line, piece.column))
        if occurrence is not None:
            found.append(Coloured(piece.span, occurrence.kind, occurrence.declares))
        else:
            found.append(Coloured(piece.span, word_kind(piece.text) if kind == "name" else kind))
    return found


def word_kind(text: str) -> str:
    """What a name is that no declaration of the spec gives a meaning."""
    if text in CONSTANTS:
        return "constant"
    return "function" if text in FUNCTIONS or text in operations() else "key"
