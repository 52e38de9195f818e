"""What a page shows of a report, and which of its diagnostics say why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.rules.findings import Depends, UnexpectedVerdict
from abcparam.verdict.changes import Change

if TYPE_CHECKING:
    from abcparam.symbolic.regions import Region

FINDINGS = "P05"
BESIDE = {UnexpectedVerdict.code, Depends.code}  # of the verdict as a whole, at no cause


class ShownReport(Protocol):
    """A report, as its page sees it."""

    @property
    def judgement(self) -> Judgement: ...
    @property
    def said(self) -> tuple[Diagnostic, ...] | None: ...
    @property
    def regions(self) -> Mapping[str, Region] | None: ...
    @property
    def fix(self) -> tuple[Change, ...]: ...
    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]: ...
    @property
    def verdict(self) -> str | None: ...
    @property
    def words(self) -> str: ...
    @property
    def expected(self) -> tuple[str, ...]: ...
    @property
    def as_expected(self) -> bool: ...


def findings(subject: ShownReport) -> list[Diagnostic]:
    """The causes of the verdict, in order: the number of one is that in all of the page."""
    return [d for d in subject.diagnostics if d.code.startswith(FINDINGS) and d.code not in BESIDE]


def remarks(subject: ShownReport) -> list[Diagnostic]:
    """What else there is to say."""
    found = findings(subject)
    return [d for d in subject.diagnostics if d not in found]
