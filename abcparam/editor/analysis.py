"""What is known of a text while it is typed: what of it can be read, and what it means."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, in_order
from abcparam.diagnostics.source import Source
from abcparam.editor.index import NameIndex, index_of
from abcparam.editor.laws import KnownLaws, laws_of
from abcparam.editor.words import Words, words_of
from abcparam.language import syntax
from abcparam.language.parser import pieces, recovered
from abcparam.language.reader import refuse_characters
from abcparam.program.binding import bind, require_no_unknowns
from abcparam.resolve.resolver import resolve
from abcparam.verdict.report import Report
from abcparam.verdict.work import at_work


class Analysis(Record):
    """All that editors ask about a text.

    `spec` and `index` are of what can be read of it. `laws` are its own where it can be judged,
    else the last good ones before it. It is `open` where a search, which takes longer, would say
    more: which change makes the spec maximal-update, or what holds for all values of its symbols.
    """

    source: Source
    words: Words
    spec: syntax.Spec
    index: NameIndex
    diagnostics: tuple[Diagnostic, ...]
    laws: KnownLaws | None = None
    open: bool = False

    @property
    def report(self) -> Report | None:
        """The report of this very text."""
        report = self.laws.report if self.laws else None
        return report if report and report.program.source is self.source else None


@at_work()
def analyse(source: Source, before: Analysis | None = None) -> Analysis:
    """The analysis of a text; of one that was edited, with the analysis `before`."""
    cut = pieces(source.text)
    spec, errors, tokens = recovered(cut)
    words = words_of(cut, tokens)
    report, open = None, False
    found = _hidden(source) or errors
    if not found:
        report, found, open = _judged(spec, source)
    laws = laws_of(spec, report) if report else before.laws if before else None
    index = index_of(spec, source, words)
    return Analysis(source, words, spec, index, tuple(in_order(found)), laws, open)


def _hidden(source: Source) -> tuple[Diagnostic, ...]:
    """Errors about characters that do not show."""
    try:
        refuse_characters(source)
    except SpecError as error:
        return tuple(error.diagnostics)
    return ()


def _judged(
    spec: syntax.Spec, source: Source
) -> tuple[Report | None, tuple[Diagnostic, ...], bool]:
    """The report, what there is to say, and whether a search would say more."""
    try:
        program = bind(resolve(spec, source), {})
        require_no_unknowns(program)
        if program.symbols:
            return None, program.warnings, True
        report = Report(judgement_of(program))
    except SpecError as error:
        return None, tuple(error.diagnostics), False
    return report, report.unsearched, not report.is_searched
