"""Reports as the panels beside the text: the same parts that a page to send around is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from abcparam.algebra.record import Record
from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.diagnostic import Diagnostic, in_order
from abcparam.pipeline import emit_program
from abcparam.presentation.markup import element, shown
from abcparam.verdict.changes import Change
from abcparam.verdict.page.page import error_item
from abcparam.verdict.page.sections import Sections
from abcparam.verdict.page.subject import ShownReport
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.symbolic.regions import Region

PREFIX = "spec-"  # of ids, and of links to lines


class UnsearchedReport(Record):
    """A report as it is known at once, without the fix that takes a search."""

    report: Report

    @property
    def judgement(self) -> Judgement:
        return self.report.judgement

    @property
    def said(self) -> tuple[Diagnostic, ...] | None:
        return self.report.said

    @property
    def regions(self) -> Mapping[str, Region] | None:
        return self.report.regions

    @property
    def fix(self) -> tuple[Change, ...]:
        return self.report.fix if self.report.is_searched else ()

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        return self.report.unsearched

    @property
    def verdict(self) -> str | None:
        return self.report.verdict

    @property
    def words(self) -> str:
        return self.report.words

    @property
    def expected(self) -> tuple[str, ...]:
        return self.report.expected

    @property
    def as_expected(self) -> bool:
        return self.report.as_expected


def panel(name: str, subject: ShownReport) -> str:
    """A panel of a report; of one that it does not have, nothing."""
    make = PANELS.get(name)
    return make(Sections(subject, PREFIX)) if make else ""


def _laws(sections: Sections) -> str:
    parts = (
        element("p", sections.setting(), class_="soft"),
        sections.why(),
        sections.fix(),
        "<h2>Tensors</h2>",
        sections.tensors(),
        element("div", sections.words(), class_="soft"),
        "<h2>Activations</h2>",
        sections.activations(),
        sections.regions(),
    )
    return "\n".join(filter(None, parts))


def _graph(sections: Sections) -> str:
    legend = element("p", sections.legend(), class_="soft")
    label = 'class="scroll" tabindex="0" aria-label="The forward graph"'
    return f"{legend}\n<figure {label}>\n{sections.graph()}\n</figure>"


def _code(sections: Sections) -> str:
    if sections.program.symbols:
        return "<p>No module is emitted: exponents are symbols.</p>"
    from abcparam.playground.links import links

    module = emit_program(Report(sections.subject.judgement))
    found = links(sections.program.source, module)
    lines = " ".join(f"{line}:{origin}" for line, origin in sorted(found.items()))
    return element("pre", shown(module), class_="python", data_lines=lines)


PANELS: dict[str, Callable[[Sections], str]] = {"laws": _laws, "graph": _graph, "code": _code}


def errors_panel(diagnostics: Iterable[Diagnostic]) -> str:
    """The errors of a text that cannot be judged, each leading to its line."""
    found = "\n".join(error_item(n, d, PREFIX) for n, d in enumerate(in_order(diagnostics), 1))
    return element("section", f"<ol>\n{found}\n</ol>", class_="why bad")
