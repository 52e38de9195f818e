"""The report of a check as text: a table that a person wants to read, then the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from abcparam.analysis.judge import TensorLaw
from abcparam.analysis.rows import shape_text
from abcparam.presentation.table import BOLD, END, GREEN, RED, YELLOW, columns
from abcparam.verdict.causes import suffering
from abcparam.verdict.report import Report

SUFFERS = "suffers"
STATUS_COLOURS = {"maximal": GREEN, "under": YELLOW, "over": RED, SUFFERS: YELLOW, "frozen": ""}
SLACK = "slack: the power of a growing dim by which the update of a tensor may still grow"
LEGEND = {
    "under": "under: it could learn faster; its update vanishes beside what it may be",
    "over": "over: it learns too fast, by the slack",
    SUFFERS: "suffers: it is over only because of what is wrong elsewhere",
}
HEADER = ("tensor", "role", "shape", "a", "b", "c", "W·x at init", "ΔW·x", "slack", "status")


def render_report(report: Report, colour: bool = False) -> str:
    """The table of tensors, the named activations and the verdict.

    Sizes are laws in the growth dims.
    """
    program = report.program
    head = f"{program.name} ({program.source.file})"
    parts = [f"{BOLD}{head}{END}" if colour else head, ""]
    only = {law.path for law in suffering(report.judgement)} if report.verdict else set()
    rows = [_row(report, law, law.path in only) for law in report.judgement.tensors]
    parts += [*_table(rows, HEADER, colour), *_legend(rows)]
    activations = [(n, str(x.s0), str(x.d)) for n, x in report.graph.activations.items()]
    outputs = zip(program.outputs, report.graph.outputs, strict=True)
    activations += [
        (n, str(x.s0), str(x.d)) for n, x in outputs if n not in report.graph.activations
    ]
    if activations:
        parts += ["", *_table(activations, ("activation", "at init", "change"), colour)]
    return "\n".join([*parts, *_regions(report), "", _verdict(report, colour), ""])


def fix_lines(report: Report) -> list[str]:
    """The changes that would make it maximal-update, the proposed one first."""
    found = [f"  {number}. {fix}" for number, fix in enumerate(report.fixes, 1)]
    none = "nothing to fix" if report.reaches("maximal-update") else "no fix was found"
    return ["fixes, each judged on the whole model:", *found] if found else [none]


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


def _legend(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """What the words of the table mean, where not all is as it should be."""
    statuses = {row[-1] for row in rows}
    lines = [line for status, line in LEGEND.items() if status in statuses]
    return ["", SLACK, *lines] if lines else []


def _row(report: Report, law: TensorLaw, suffers: bool) -> tuple[str, ...]:
    slack = "-" if law.slack is None else _exponent(law.slack.exponents())
    parameter = law.parameter
    tensor = parameter.tensor
    return (
        law.path,
        tensor.role or "",
        f"[{', '.join(shape_text(report.program, tensor))}]",
        *(_exponent(getattr(parameter, letter).exponents()) for letter in "abc"),
        str(law.at_init),
        str(law.update),
        f"({slack})" if suffers else slack,
        SUFFERS if suffers else law.status or "depends",
    )


def _exponent(exponents: Mapping[str, object]) -> str:
    """`1/2`, or by dim where there are several: `1/2 width, 1 depth`."""
    if len(exponents) == 1:
        return str(next(iter(exponents.values())))
    parts = [f"{value} {name}" for name, value in exponents.items() if str(value) != "0"]
    return ", ".join(parts) or "0"


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
    words = report.verdict or "depends on the symbols"
    words += ", complete" if report.complete else ""
    if colour:
        words = f"{BOLD}{GREEN if report.as_expected else RED}{words}{END}"
    expected = "" if report.as_expected else f" (expected {', '.join(report.expected)})"
    alignment = report.program.alignment
    under = "" if alignment == "tensor-programs" else f" under alignment = {alignment}"
    return f"verdict: {words}{expected}{under}"
