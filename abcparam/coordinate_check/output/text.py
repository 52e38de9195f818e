"""A coordinate check as text and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from textwrap import wrap

from abcparam.coordinate_check.alignment import AS_ASSUMED, LESS, MORE, OF, AlignmentRow
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
from abcparam.coordinate_check.ranges import RangeRow, range_words
from abcparam.presentation.table import BOLD, END, GREEN, RED, YELLOW, columns

ALIGNMENT_HEADER = ("name", "of", "step", "assumed", "measured", "error", "over none", "")
ALIGNMENT_WORDS = (
    "assumed and measured: how a sum over the inputs of a map exceeds one of its terms, as an "
    "exponent; half of the fan-in's is no alignment, all of it full alignment; over none: how many "
    "times what signs drawn at random give, at the largest width"
)
LINE = 96  # characters of prose
RANGE_HEADER = ("name", "quantity", "smallest", "largest", "")
HEADER = ("name", "quantity", "derived", "measured", "error", "")
WORDS = (
    "at_init: the RMS of a value at initialization; change: of its difference to that after the "
    "steps; update: of what the change of a tensor alone makes of its input, ΔW·x; relative: that "
    "over what the tensor makes of its input at initialization, W·x; gradient: of the loss "
    "gradient at initialization"
)
VERDICTS = {AGREES: "agree", DISAGREES: "do not agree", UNDECIDED: "are undecided"}
WANTED = {  # by why a row is unresolved
    SCATTERED: "more --seeds, or --widths further apart",
    SMALLER_LEAD: "larger --widths, where the leading term is more of it",
    ROUNDED: "more --steps, or three --widths at which it changes by more",
}
TINTS = {
    AGREES: GREEN,
    CROSSOVER: GREEN,
    DISAGREES: RED,
    UNRESOLVED: YELLOW,
    AS_ASSUMED: GREEN,
    LESS: YELLOW,
    MORE: RED,
}


def render_check(checked: CoordCheckResult, colour: bool = False) -> str:
    """The table of all rows, then what they come to."""
    rows = [(cells(row), row.outcome) for row in checked.verdict.rows]
    lines = _table(HEADER, rows, colour)
    program = checked.report.program
    head = f"{program.name} ({program.source.file}), {checked.sizes}"
    notes = (f"* {note}" for note in (*checked.notes, *advice(checked)))
    lines += _alignment(checked, colour)
    lines += _ranges(checked, colour)
    return "\n".join([head, "", *lines, "", *notes, result(checked), ""])


def _alignment(checked: CoordCheckResult, colour: bool) -> list[str]:
    """The table of alignments, where they were measured."""
    if not checked.alignment:
        return []
    rows = [(alignment_cells(row), row.outcome) for row in checked.alignment]
    return ["", *_table(ALIGNMENT_HEADER, rows, colour), "", *wrap(ALIGNMENT_WORDS, LINE)]


def _ranges(checked: CoordCheckResult, colour: bool) -> list[str]:
    """The table of sizes at init, where they are to lie in a range."""
    rows = [(range_cells(row), AGREES if row.is_inside else DISAGREES) for row in checked.ranges]
    return ["", *_table(RANGE_HEADER, rows, colour)] if rows else []


def _table(
    header: tuple[str, ...], rows: Sequence[tuple[tuple[str, ...], str]], colour: bool
) -> list[str]:
    """Rows, each with its outcome, in whose colour the last cell is."""
    head, *lines = columns([header, *(texts for texts, _ in rows)])
    if not colour:
        return [head, *lines]
    tinted = (
        f"{line.removesuffix(texts[-1])}{TINTS[outcome]}{texts[-1]}{END}"
        for line, (texts, outcome) in zip(lines, rows, strict=True)
    )
    return [f"{BOLD}{head}{END}", *tinted]


def range_cells(row: RangeRow) -> tuple[str, ...]:
    sizes = (f"{row.low:.3g}", f"{row.high:.3g}")
    return (row.name, row.quantity, *sizes, "inside" if row.is_inside else "outside")


def alignment_cells(row: AlignmentRow) -> tuple[str, ...]:
    slope, ratio = row.measured, row.ratio
    value, error = (f"{slope.value:.3f}", f"{slope.error:.3f}") if slope else ("-", "-")
    over = f"{ratio:.3g}" if ratio else "-"
    assumed = str(row.law.assumed)
    note = f"{row.outcome}: {row.note}" if row.note else row.outcome
    return (row.name, OF[row.quantity], str(row.step), assumed, value, error, over, note)


def result(checked: CoordCheckResult) -> str:
    """What all rows come to, in a line, and sizes that are to lie in a range."""
    counts = ", ".join(
        f"{len(checked.verdict.of(outcome))} {outcome}"
        for outcome in (AGREES, CROSSOVER, DISAGREES, UNRESOLVED)
        if checked.verdict.of(outcome)
    )
    found = f"measured and derived {VERDICTS[checked.outcome]}: {counts}"
    return f"{found}; {range_words(checked.ranges)}" if checked.ranges else found


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


def render_csv(checked: CoordCheckResult) -> str:
    """One line for each row."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "quantity", "derived", "measured", "error", "outcome", "note"])
    for row in checked.verdict.rows:
        slope = row.measured
        numbers = [repr(slope.value), repr(slope.error)] if slope else ["", ""]
        writer.writerow([row.name, row.quantity, row.law, *numbers, row.outcome, row.note])
    for aligned in checked.alignment:
        slope = aligned.measured
        numbers = [repr(slope.value), repr(slope.error)] if slope else ["", ""]
        law, step = aligned.law.assumed, f"step {aligned.step}"
        writer.writerow([aligned.name, aligned.quantity, law, *numbers, aligned.outcome, step])
    return out.getvalue()
