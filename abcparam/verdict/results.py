"""What a check of a file comes to, a report or an error, for the formats that other tools read."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, in_order
from abcparam.diagnostics.source import START, Source, Span
from abcparam.verdict.report import Report

CheckResult = Report | SpecError


def source_of(result: CheckResult) -> Source:
    """The text that was checked."""
    return result.program.source if isinstance(result, Report) else result.source


def diagnostics_of(result: CheckResult) -> list[Diagnostic]:
    """Everything to say about it, errors first, with the edits that mend it."""
    return in_order(result.editable if isinstance(result, Report) else result.diagnostics)


def placed(result: CheckResult) -> Iterator[tuple[Diagnostic, str, Span | None]]:
    """Each diagnostic with its file and its place there; None where it is about all of the file."""
    source = source_of(result)
    for diagnostic in diagnostics_of(result):
        span = diagnostic.span
        yield diagnostic, source.holding(span).file, None if span == START else span


def whole_message(diagnostic: Diagnostic) -> str:
    """The message with what stands beside the caret, the notes and the way out, a line each."""
    label = f" ({diagnostic.label})" if diagnostic.label else ""
    notes = [f"note: {note}" for note in diagnostic.notes]
    help = [f"help: {diagnostic.help}"] if diagnostic.help else []
    return "\n".join([f"{diagnostic.message}{label}", *notes, *help])
