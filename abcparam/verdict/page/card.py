"""A report as a notebook shows it: verdict, causes and drawing; the rest is folded."""

from __future__ import annotations

from hashlib import sha256

from abcparam.presentation.pages import filled, style
from abcparam.verdict.page.sections import Sections
from abcparam.verdict.page.subject import ShownReport


def card(subject: ShownReport) -> str:
    """The report in an element of its own, with its style; the ids are those of its text alone."""
    text = subject.judgement.laws.program.source.text
    sections = Sections(subject, f"a{sha256(text.encode('utf-8', 'replace')).hexdigest()[:8]}-")
    values = {
        "style": style(),
        "title": sections.title(),
        "setting": sections.setting(),
        "why": sections.why(),
        "noted": "" if sections.tone == "bad" else "noted",
        "graph": sections.graph(),
        "legend": sections.legend(),
        "tensors": sections.tensors(),
        "words": sections.words(),
        "regions": sections.regions(),
        "spec": sections.spec(),
        "fix": sections.fix(),
    }
    return filled("card.html", values)
