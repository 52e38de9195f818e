"""A coordinate check as text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import (
    AGREES,
    CROSSOVER,
    DISAGREES,
    ROUNDED,
    SCATTERED,
    SMALLER_LEAD,
    UNDECIDED,
    UNRESOLVED,
    CheckedRow,
)
from abcparam.presentation.table import BOLD, END, GREEN, RED, YELLOW, columns

HEADER = ("name", "quantity", "derived", "measured", "error", "")
WORDS = (
    "at_init: the RMS of a value at initialization; change: of its difference to that after the "
    "steps; update: of what the change of a tensor alone makes of its input, ΔW·x; gradient: of "
    "the loss gradient at initialization"
)
VERDICTS = {AGREES: "agree", DISAGREES: "do not agree", UNDECIDED: "are undecided"}
WANTED = {  # by why a row is unresolved
    SCATTERED: "more --seeds, or --widths further apart",
    SMALLER_LEAD: "larger --widths, where the leading term is more of it",
    ROUNDED: "more --steps, or three --widths at which it changes by more",
}
TINTS = {AGREES: GREEN, CROSSOVER: GREEN, DISAGREES: RED, UNRESOLVED: YELLOW}


def render_check(checked: CoordCheckResult, colour: bool = False) -> str:
    """The table of all rows, then what they come to."""
    rows = checked.verdict.rows
    lines = columns([HEADER, *(cells(row) for row in rows)])
    if colour:
        lines = [f"{BOLD}{lines[0]}{END}", *map(_tinted, lines[1:], rows)]
    program = checked.report.program
    head = f"{program.name} ({program.source.file}), {checked.sizes}"
    notes = (f"* {note}" for note in (*checked.notes, *advice(checked)))
    return "\n".join([head, "", *lines, "", *notes, result(checked), ""])


def result(checked: CoordCheckResult) -> str:
    """What all rows come to, in a line."""
    counts = ", ".join(
        f"{len(checked.verdict.of(outcome))} {outcome}"
        for outcome in (AGREES, CROSSOVER, DISAGREES, UNRESOLVED)
        if checked.verdict.of(outcome)
    )
    return f"measured and derived {VERDICTS[checked.verdict.outcome]}: {counts}"


def advice(checked: CoordCheckResult) -> Iterator[str]:
    """What would decide a check that is undecided, by why rows are unresolved."""
    if checked.verdict.outcome != UNDECIDED:
        return
    rows = checked.verdict.of(UNRESOLVED)
    for reason, wanted in WANTED.items():
        if count := sum(row.note.startswith(reason) for row in rows):
            yield f"undecided, as {reason} in {count} of {len(checked.verdict.rows)} rows: {wanted}"
    if not rows:
        yield "undecided, as there is no row to measure"


def cells(row: CheckedRow) -> tuple[str, ...]:
    slope = row.measured
    value, error = (f"{slope.value:.3f}", f"{slope.error:.3f}") if slope else ("-", "-")
    note = f"{row.outcome}: {row.note}" if row.note else row.outcome
    return (row.name, row.quantity, str(row.law), value, error, note)


def _tinted(line: str, row: CheckedRow) -> str:
    note = cells(row)[-1]
    return f"{line.removesuffix(note)}{TINTS[row.outcome]}{note}{END}"


def render_csv(checked: CoordCheckResult) -> str:
    """One line for each row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "quantity", "derived", "measured", "error", "outcome", "note"])
    for row in checked.verdict.rows:
        slope = row.measured
        numbers = [repr(slope.value), repr(slope.error)] if slope else ["", ""]
        writer.writerow([row.name, row.quantity, row.law, *numbers, row.outcome, row.note])
    return out.getvalue()
