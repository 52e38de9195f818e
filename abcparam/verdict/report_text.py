"""The report of a check as text: a table that a person wants to read, then the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.presentation.table import BOLD, END, GREEN, RED, YELLOW, columns
from abcparam.verdict.report import Report
from abcparam.verdict.tensor_table import HEADER, SUFFERS, activation_rows, legend, tensor_rows

STATUS_COLOURS = {"maximal": GREEN, "under": YELLOW, "over": RED, SUFFERS: YELLOW, "frozen": ""}


def render_report(report: Report, colour: bool = False) -> str:
    """The table of tensors, the named activations and the verdict.

    Sizes are laws in the growth dims.
    """
    program = report.program
    head = f"{program.name} ({program.source.file})"
    parts = [f"{BOLD}{head}{END}" if colour else head, ""]
    rows = tensor_rows(report.judgement)
    parts += _table(rows, HEADER, colour)
    parts += ["", *words] if (words := legend(rows)) else []
    activations = activation_rows(report.judgement)
    if activations:
        parts += ["", *_table(activations, ("activation", "at init", "change"), colour)]
    return "\n".join([*parts, *_regions(report), "", _verdict(report, colour), ""])


def fix_lines(report: Report) -> list[str]:
    """The changes that would make it maximal-update, the proposed one first."""
    found = [f"  {number}. {fix}" for number, fix in enumerate(report.fixes, 1)]
    none = "nothing to fix" if report.reaches("maximal-update") else "no fix was found"
    ended = list(filter(None, [report.fixes_unfinished or report.unfinished]))
    return ["fixes, each judged on the whole model:", *found, *ended] if found else [none, *ended]


def _regions(report: Report) -> list[str]:
    """Where each verdict holds, if that depends on symbols."""
    if report.regions is None or report.verdict is not None:
        return []
    from abcparam.symbolic.regions import region_lines

    lines: list[str] = []
    for word, region in report.regions.items():
        if not region.empty:
            lines += ["", *region_lines(word, region)]
    return lines


def _table(rows: Sequence[tuple[str, ...]], header: tuple[str, ...], colour: bool) -> list[str]:
    lines = columns([header, *rows])
    if not colour:
        return lines
    painted = [f"{BOLD}{lines[0]}{END}"]
    for line, row in zip(lines[1:], rows, strict=True):
        tint = STATUS_COLOURS.get(row[-1], "")
        painted.append(f"{line.removesuffix(row[-1])}{tint}{row[-1]}{END}" if tint else line)
    return painted


def _verdict(report: Report, colour: bool) -> str:
    words = report.words
    if colour:
        words = f"{BOLD}{GREEN if report.as_expected else RED}{words}{END}"
    expected = "" if report.as_expected else f" (expected {', '.join(report.expected)})"
    alignment = report.program.alignment
    under = "" if alignment == "tensor-programs" else f" under alignment = {alignment}"
    return f"verdict: {words}{expected}{under}"
