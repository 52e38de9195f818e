"""The parts of a report that its page and a notebook share, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import START
from abcparam.editing.comments import doubtful_comments
from abcparam.editing.exponents import UnwritableError, edited
from abcparam.presentation.markup import element, items, prose, shown, table
from abcparam.verdict.changes import texts_of, values_of
from abcparam.verdict.page.drawing import drawing
from abcparam.verdict.page.flow import JoinedGraph, flow
from abcparam.verdict.page.listing import diff, laws_by_line, listing
from abcparam.verdict.page.subject import ShownReport, findings, remarks
from abcparam.verdict.tensor_table import HEADER, activation_rows, legend, tensor_rows

NUMBERS = ("a", "b", "c", "slack")
READING = (
    "In the margin of a tensor W·x at initialization and ΔW·x, of a value its size and its change, "
    "as laws in the growing dims."
)
DRAWN = "Beneath a box: its size at initialization · its change."
MARKED = {
    "bad": "Thick, with a number: a cause. Dashed: follows from one.",
    "open": "With a number: what a finding is about.",
}
LINKED = "A box leads to its line and tells, pointed at, how its size came to be."


class Sections:
    """The parts of one report; ids begin with `prefix`, so that several can stand on one page."""

    def __init__(self, subject: ShownReport, prefix: str = "") -> None:
        self.subject = subject
        self.prefix = prefix
        self.program = subject.judgement.laws.program
        self.found = findings(subject)
        self.helps = list(dict.fromkeys(d.help for d in self.found if d.help))

    @property
    def tone(self) -> str:
        """Whether it is as it should be: good, bad, or open, where it depends or is only noted."""
        if self.subject.as_expected:
            return "open" if self.found else "good"
        return "bad" if self.subject.verdict else "open"

    def title(self) -> str:
        verdict = element("span", shown(self.subject.words), class_=f"verdict {self.tone}")
        return f"{shown(self.program.name)} {verdict}"

    def setting(self) -> str:
        """The file, what was expected, and under what it was judged."""
        parts = [
            shown(self.program.source.file) if self.program.source.file != "-" else "",
            f"expected {shown(', '.join(self.subject.expected))}",
            f"alignment {shown(self.program.alignment)}",
        ]
        return " · ".join(part for part in parts if part)

    def why(self) -> str:
        """The causes, each with its place; the way out, once; what else there is to say."""
        others = [self._remark(d) for d in remarks(self.subject)]
        count = len(self.found)
        heading = {0: "", 1: "One cause:"}.get(count, f"{count} causes:")
        if self.subject.as_expected:
            heading = "As expected." if not count else "As expected, for these reasons:"
        parts = [element("p", f"<strong>{heading}</strong>") if heading else ""]
        if count:
            reasons = "\n".join(self._reason(n, d) for n, d in enumerate(self.found, 1))
            parts.append(f"<ol>\n{reasons}\n</ol>")
        parts += [element("p", f"<strong>Way out:</strong> {prose(help)}") for help in self.helps]
        if others:
            parts += [element("p", "<strong>Also:</strong>"), items("ul", others)]
        return element("section", "\n".join(filter(None, parts)), class_=f"why {self.tone}")

    def _reason(self, number: int, diagnostic: Diagnostic) -> str:
        notes = items("ul", map(prose, diagnostic.notes))
        text = f"{self._place(diagnostic)}{prose(diagnostic.message)}{self._label(diagnostic)}"
        return element("li", text + notes, id=f"{self.prefix}why{number}")

    def _label(self, diagnostic: Diagnostic) -> str:
        return f", {prose(diagnostic.label)}" if diagnostic.label else ""

    def _place(self, diagnostic: Diagnostic) -> str:
        span = diagnostic.span
        if span == START or span.file:
            return ""
        return f'<a href="#{self.prefix}L{span.line}">line {span.line}</a>: '

    def _remark(self, diagnostic: Diagnostic) -> str:
        text = f"{self._place(diagnostic)}{prose(diagnostic.message)}"
        help = "" if diagnostic.help in self.helps else diagnostic.help
        return f"{text}. {prose(help[:1].upper() + help[1:])}" if help else text

    def spec(self) -> str:
        laws = laws_by_line(self.subject.judgement)
        return listing(self.program.source, self.found, laws, self.prefix)

    def fix(self) -> str:
        """The fix as a diff of the text; why there is none, where one was looked for."""
        changes = self.subject.fix
        if not changes:
            return ""
        heading = "<h2>The fix as a diff</h2>"
        before = self.program.source.text
        try:
            after = edited(self.program, values_of(changes), texts_of(changes))
        except UnwritableError as error:
            return f"{heading}\n<p>It cannot be written into this text: {prose(str(error))}.</p>"
        doubtful = [
            f"line {c.line}: <code>{shown(c.text)}</code>" for c in doubtful_comments(before, after)
        ]
        warning = "<p>Comments that may then be false, by their lines in the new text:</p>"
        comments = [warning, items("ul", doubtful)] if doubtful else []
        return "\n".join([heading, diff(before, after, self.prefix), *comments])

    def graph(self) -> str:
        return drawing(self._flow(), self.prefix)

    def _flow(self) -> JoinedGraph:
        return flow(self.subject.judgement, self.found)

    def legend(self) -> str:
        marked = MARKED.get(self.tone, "") if self.found else ""
        return " ".join(filter(None, [DRAWN, marked, LINKED]))

    def tensors(self) -> str:
        """The table of tensors, each leading to its line."""
        rows = tensor_rows(self.subject.judgement)
        lines = [law.parameter.tensor.span for law in self.subject.judgement.tensors]
        if not rows:
            return "<p>The model has no tensors.</p>"
        made = (
            self._row(row, 0 if span.file else span.line)
            for row, span in zip(rows, lines, strict=True)
        )
        return table(HEADER, made, NUMBERS)

    def _row(self, row: Sequence[str], line: int) -> str:
        name = shown(row[0])
        first = f'<a href="#{self.prefix}L{line}">{name}</a>' if line else name
        cells = [element("th", first, scope="row")]
        for head, text in zip(HEADER[1:], row[1:], strict=True):
            cells.append(element("td", shown(text), class_="number" if head in NUMBERS else ""))
        return element("tr", "".join(cells), class_=row[-1])

    def words(self) -> str:
        """What the words of the table mean."""
        return items("ul", map(shown, legend(tensor_rows(self.subject.judgement))))

    def activations(self) -> str:
        """The table of values that have names."""
        rows = activation_rows(self.subject.judgement)
        if not rows:
            return "<p>No value of the forward has a name.</p>"
        cells = ("".join(element("td", shown(text)) for text in row) for row in rows)
        return table(("activation", "at init", "change"), (element("tr", row) for row in cells))

    def regions(self) -> str:
        """Where each verdict holds, if that depends on symbols."""
        if self.subject.regions is None or self.subject.verdict is not None:
            return ""
        from abcparam.symbolic.regions import region_lines

        found: Iterable[list[str]] = (
            region_lines(word, region)
            for word, region in self.subject.regions.items()
            if not region.empty
        )
        text = "\n\n".join("\n".join(lines) for lines in found)
        return f"<h2>Where each verdict holds</h2>\n<pre>{shown(text)}</pre>"
