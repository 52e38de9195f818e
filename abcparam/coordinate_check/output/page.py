"""A coordinate check as one page that stands alone: no network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from abcparam.analysis.rows import tensor_row
from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import AGREES, DISAGREES, UNRESOLVED
from abcparam.coordinate_check.output.plots import figures
from abcparam.coordinate_check.output.text import WORDS, advice, cells, result
from abcparam.pipeline import emit_program
from abcparam.presentation.figures import drawn, inline
from abcparam.presentation.pages import framed

CLASSES = {AGREES: AGREES, DISAGREES: DISAGREES}  # classes of rows; of what is undecided, another


def page(checks: Iterable[CoordCheckResult]) -> str:
    """The page of a check, drawn beside others. Raises `SpecError` without matplotlib."""
    found = list(checks)
    checked = found[0]
    program = checked.report.program
    notes = (*checked.notes, *advice(checked))
    pictures = [(name, drawn(figure, "svg").decode()) for name, figure in figures(found)]
    values = {
        "title": escape(f"{program.name}: {checked.report.verdict}"),
        "outcome": CLASSES.get(checked.verdict.outcome, UNRESOLVED),
        "result": escape(result(checked)),
        "words": escape(WORDS),
        "setting": escape(f"{program.source.file}, {checked.sizes}"),
        "notes": "\n".join(f"<li>{escape(note)}</li>" for note in notes),
        "rows": "\n".join(_row(cells(row), row.outcome) for row in checked.verdict.rows),
        "laws": "\n".join(_laws(checked)),
        "figures": "\n".join(inline(name, svg) for name, svg in pictures),
        "spec": escape(program.source.text),
        "code": escape(emit_program(checked.report)),
    }
    return framed("coordinates.html", values, f"{program.name}: {checked.report.verdict}")


def _row(texts: tuple[str, ...], outcome: str) -> str:
    name, quantity, law, value, error, note = map(escape, texts)
    numbers = "".join(f'<td class="number">{text}</td>' for text in (law, value, error))
    return f'<tr><td>{name}</td><td>{quantity}</td>{numbers}<td class="{outcome}">{note}</td></tr>'


def _laws(checked: CoordCheckResult) -> Iterable[str]:
    for law in checked.report.judgement.tensors:
        row = tensor_row(checked.report.program, law)
        exponents = (", ".join(row[letter].values()) or "0" for letter in "abc")
        slack = "-" if row["slack"] is None else ", ".join(row["slack"].values())
        texts = (law.path, str(row["role"]), *exponents, str(law.at_init), str(law.update), slack)
        yield f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in texts)}</tr>"
