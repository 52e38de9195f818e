"""A sweep as one page that stands alone: no network, no scripts."""

from __future__ import annotations

from abcparam.presentation.markup import element, items, shown, table
from abcparam.presentation.pages import framed
from abcparam.tuning.output.drawing import drawings, figure_id, is_clipped, row_ids
from abcparam.tuning.output.text import best_rows, moves, value_text
from abcparam.tuning.sweep import SweepResult

DRAWN = "A line for each size; ringed: its least, which leads to its row."
CLIPPED = "Triangles: losses above what is drawn."


def page(swept: SweepResult) -> str:
    """The page of a sweep."""
    program = swept.program
    title = f"{program.name}: a sweep of {len(swept.results)} trials"
    found = list(moves(swept))
    values = {
        "title": shown(title),
        "setting": shown(program.source.file),
        "result": items("ul", map(shown, found)) or _best(swept),
        "notes": items("ul", map(shown, swept.notes)),
        "legend": shown(f"{DRAWN} {CLIPPED}" if is_clipped(swept) else DRAWN),
        "figures": "\n".join(drawings(swept)) or "<p>Nothing to draw: no hyper was searched.</p>",
        "best": _table(swept),
        "spec": shown(program.source.text),
    }
    return framed("sweep.html", values, title)


def _best(swept: SweepResult) -> str:
    """What is best, in a line, where nothing is to be said of how it moves."""
    if not swept.best:
        return "<p>Every trial diverged.</p>"
    best = min(swept.best, key=lambda found: found.loss)
    point = ", ".join(f"{name} = {value_text(value)}" for name, value in best.hypers.items())
    return f"<p>The least loss is {best.loss:.4f}{shown(f' at {point}' if point else '')}.</p>"


def _table(swept: SweepResult) -> str:
    """The best of each cell; its name leads to the figure that it is in."""
    header, *rows = best_rows(swept)
    ids, made = row_ids(swept), []
    for best, row in zip(swept.best, rows, strict=True):
        name = shown(row[0])
        if swept.tuned:
            name = f'<a href="#{figure_id(0, swept.forms.index(best.cell.form))}">{name}</a>'
        cells = "".join(element("td", shown(text)) for text in row[1:])
        head = element("th", name, scope="row")
        made.append(element("tr", head + cells, id=ids[best.cell]))
    return table(header, made) if made else "<p>Every trial diverged.</p>"
