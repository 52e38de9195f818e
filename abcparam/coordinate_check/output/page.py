"""A coordinate check as one page that stands alone: no network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.analysis.rows import tensor_row
from abcparam.coordinate_check.alignment import AlignmentRow
from abcparam.coordinate_check.check import CoordCheckResult
from abcparam.coordinate_check.judging import AGREES, DISAGREES
from abcparam.coordinate_check.output.drawing import (
    ALIGNMENT_KINDS,
    NumberedRow,
    alignment,
    missing,
    numbered,
    overview,
    panels,
)
from abcparam.coordinate_check.output.plots import QUANTITIES, is_drawn
from abcparam.coordinate_check.output.text import (
    ALIGNMENT_HEADER,
    ALIGNMENT_WORDS,
    RANGE_HEADER,
    VERDICTS,
    WORDS,
    advice,
    alignment_cells,
    cells,
    range_cells,
    result,
)
from abcparam.coordinate_check.ranges import RangeRow, range_words
from abcparam.pipeline import emit_program
from abcparam.presentation.markup import element, items, shown, table
from abcparam.presentation.pages import framed

TONES = {AGREES: "good", DISAGREES: "bad"}  # of what is undecided, open
HEADER = ("name", "quantity", "derived", "measured", "±", "outcome")
ALIGNMENT_NUMBERS = ALIGNMENT_HEADER[2:-1]
NUMBERS = ("derived", "measured", "±")
LAWS = ("tensor", "role", "a", "b", "c", "W·x at init", "ΔW·x", "slack")


def page(checks: Iterable[CoordCheckResult]) -> str:
    """The page of a check, drawn beside others."""
    found = list(checks)
    checked, rows = found[0], numbered(found)
    program = checked.report.program
    tone = TONES.get(checked.outcome, "open")
    verdict = element("span", VERDICTS[checked.outcome], class_=f"verdict {tone}")
    values = {
        "title": f"{shown(program.name)}: derived and measured {verdict}",
        "setting": shown(f"{program.source.file}, {checked.sizes}, {checked.report.verdict}"),
        "tone": tone,
        "result": shown(result(checked)),
        "notes": items("ul", map(shown, (*checked.notes, *advice(checked)))),
        "overviews": "\n".join(_overviews(found, rows)),
        "varied": element("code", shown(checked.varied)),
        "sizes": "\n".join(_sizes(found, rows)),
        "words": shown(WORDS),
        "rows": "\n".join((*_tables(found, rows), *_alignments(found), *_ranges(found))),
        "laws": table(LAWS, _laws(checked)),
        "spec": shown(program.source.text),
        "code": shown(emit_program(checked.report)),
    }
    return framed("coordinates.html", values, f"{program.name}: {checked.report.verdict}")


def _overviews(
    checks: Sequence[CoordCheckResult], rows: Sequence[Sequence[NumberedRow]]
) -> Iterable[str]:
    """Slopes beside exponents, a figure for each check."""
    for checked, of_one in zip(checks, rows, strict=True):
        yield from _heading(checks, checked)
        yield element("figure", overview(checked, of_one), class_="scroll", tabindex=0)
        if words := missing(checked, of_one, rows[0]):
            yield element("p", shown(words), class_="soft")


def _heading(checks: Sequence[CoordCheckResult], checked: CoordCheckResult) -> Iterable[str]:
    if len(checks) > 1:
        report = checked.report
        yield element("h3", shown(f"{report.program.source.file}: {report.verdict}"))


def _sizes(
    checks: Sequence[CoordCheckResult], rows: Sequence[Sequence[NumberedRow]]
) -> Iterable[str]:
    """Sizes against widths, a group of panels for each quantity."""
    for quantity, title in QUANTITIES.items():
        if any(n.row.quantity == quantity and is_drawn(n.row) for one in rows for n in one):
            yield element("h3", shown(title[:1].upper() + title[1:]))
            yield panels(checks, rows, quantity)


def _tables(
    checks: Sequence[CoordCheckResult], rows: Sequence[Sequence[NumberedRow]]
) -> Iterable[str]:
    for checked, of_one in zip(checks, rows, strict=True):
        yield from _heading(checks, checked)
        yield table(HEADER, map(_checked, of_one), NUMBERS) if of_one else "<p>There is no row.</p>"


def _alignments(checks: Sequence[CoordCheckResult]) -> Iterable[str]:
    """How far updates and inputs are aligned, where it was measured."""
    for checked in checks:
        if not checked.alignment:
            continue
        yield element("h2", "Alignment")
        yield from _heading(checks, checked)
        yield element("p", shown(ALIGNMENT_WORDS), class_="soft")
        yield element("figure", alignment(checked.alignment), class_="scroll", tabindex=0)
        yield table(ALIGNMENT_HEADER, map(_aligned, checked.alignment), ALIGNMENT_NUMBERS)


def _ranges(checks: Sequence[CoordCheckResult]) -> Iterable[str]:
    """Sizes at init, where they are to lie in a range."""
    for checked in checks:
        if checked.ranges:
            yield element("h2", "Sizes at init")
            yield element("p", shown(range_words(checked.ranges)))
            yield table(RANGE_HEADER, map(_range, checked.ranges), RANGE_HEADER[2:4])


def _checked(found: NumberedRow) -> str:
    panel = found.panel if is_drawn(found.row) else ""
    return _row(cells(found.row), found.row.outcome, panel, id=found.id)


def _aligned(row: AlignmentRow) -> str:
    return _row(alignment_cells(row), ALIGNMENT_KINDS[row.outcome])


def _range(row: RangeRow) -> str:
    return _row(range_cells(row), AGREES if row.is_inside else DISAGREES)


def _row(cells: Sequence[str], kind: str, panel: str = "", **attributes: str) -> str:
    """A name, led to its panel, what of it was measured, the numbers, and what comes of them."""
    name, quantity, *numbers, outcome = map(shown, cells)
    name = f'<a href="#{panel}">{name}</a>' if panel else name
    made = [element("th", name, scope="row"), element("td", quantity)]
    made += [element("td", number, class_="number") for number in numbers]
    made.append(element("td", outcome, class_=kind))
    return element("tr", "".join(made), **attributes)


def _laws(checked: CoordCheckResult) -> Iterable[str]:
    for law in checked.report.judgement.tensors:
        row = tensor_row(checked.report.program, law)
        exponents = (", ".join(row[letter].values()) or "0" for letter in "abc")
        slack = "-" if row["slack"] is None else ", ".join(row["slack"].values())
        texts = (law.path, str(row["role"]), *exponents, str(law.at_init), str(law.update), slack)
        yield element("tr", "".join(element("td", shown(text)) for text in texts))
