"""A report as one page that stands alone: no network, no scripts."""

from __future__ import annotations

from abcparam.diagnostics.diagnostic import Diagnostic, in_order
from abcparam.diagnostics.source import START, Source
from abcparam.presentation.markup import element, items, prose, shown
from abcparam.presentation.pages import framed
from abcparam.verdict.page.listing import listing
from abcparam.verdict.page.sections import READING, Sections
from abcparam.verdict.page.subject import ShownReport


def report_page(subject: ShownReport, code: str) -> str:
    """The page of a report; `code` is the module that is emitted, or empty."""
    sections = Sections(subject)
    values = {
        "title": sections.title(),
        "setting": sections.setting(),
        "why": sections.why(),
        "noted": "" if sections.tone == "bad" else "noted",
        "reading": READING,
        "spec": sections.spec(),
        "fix": sections.fix(),
        "legend": sections.legend(),
        "graph": sections.graph(),
        "tensors": sections.tensors(),
        "words": sections.words(),
        "activations": sections.activations(),
        "regions": sections.regions(),
        "code": _code(code),
    }
    return framed("check.html", values, f"{sections.program.name}: {subject.words}")


def _code(code: str) -> str:
    if not code:
        return "<p>No module is emitted: exponents are symbols.</p>"
    return f"<details>\n<summary>The emitted module</summary>\n<pre>{shown(code)}</pre>\n</details>"


def error_page(source: Source, diagnostics: list[Diagnostic]) -> str:
    """The page of a spec that could not be judged: its errors, and its text with them marked."""
    found = in_order(diagnostics)
    reasons = "\n".join(error_item(number, d, "") for number, d in enumerate(found, 1))
    listed = listing(source, found, {}, "") if source.text else ""
    name = source.file if source.file != "-" else "standard input"
    values = {
        "title": f'{shown(name)} <span class="verdict bad">invalid</span>',
        "reasons": f"<ol>\n{reasons}\n</ol>",
        "spec": f"<h2>The spec</h2>\n{listed}" if listed else "",
    }
    return framed("invalid.html", values, f"{name}: invalid")


def error_item(number: int, diagnostic: Diagnostic, prefix: str) -> str:
    """An error in a list of them: its code, place and text, the notes and the way out."""
    span = diagnostic.span
    place = f'<a href="#{prefix}L{span.line}">line {span.line}</a>: '
    more = [*map(prose, diagnostic.notes), *([prose(diagnostic.help)] if diagnostic.help else [])]
    here = "" if span == START or span.file else place
    text = f"{here}{prose(diagnostic.message)} ({diagnostic.code}){items('ul', more)}"
    return element("li", text, id=f"{prefix}why{number}")
