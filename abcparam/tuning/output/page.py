"""A sweep as one page that stands alone: no network, no scripts."""

from __future__ import annotations

from html import escape

from abcparam.presentation.figures import drawn, inline
from abcparam.presentation.pages import framed
from abcparam.tuning.output.plots import figures
from abcparam.tuning.output.text import best_rows, moves
from abcparam.tuning.sweep import SweepResult


def page(swept: SweepResult) -> str:
    """The page of a sweep. Raises `SpecError` without matplotlib."""
    program = swept.program
    pictures = [(name, drawn(figure, "svg").decode()) for name, figure in figures(swept)]
    header, *rows = best_rows(swept)
    values = {
        "title": escape(f"{program.name}: a sweep of {len(swept.results)} trials"),
        "setting": escape(program.source.file),
        "notes": "\n".join(f"<li>{escape(note)}</li>" for note in [*swept.notes, *moves(swept)]),
        "header": _cells("th", header),
        "rows": "\n".join(f"<tr>{_cells('td', row)}</tr>" for row in rows),
        "figures": "\n".join(inline(name, svg) for name, svg in pictures),
        "spec": escape(program.source.text),
    }
    return framed("sweep.html", values, f"{program.name}: a sweep of {len(swept.results)} trials")


def _cells(tag: str, texts: tuple[str, ...]) -> str:
    return "".join(f"<{tag}>{escape(text)}</{tag}>" for text in texts)
