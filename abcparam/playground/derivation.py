"""What is derived with symbols, as a panel: laws by tensor, and where each verdict holds."""

from __future__ import annotations

from collections.abc import Iterator

from abcparam.presentation.markup import element, shown, table
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.derive.derived import Derived, DerivedCase
from abcparam.symbolic.regions import Region, clause_texts

LAWS = ("W·x at init", "ΔW·x", "gradient")
WORDS = ("stable", *reversed(VERDICTS), "complete")


def derivation(derived: Derived) -> str:
    """The laws of each case, and the constraints of each verdict."""
    parts = [element("p", f"<strong>{shown(_verdict(derived))}</strong>")]
    for number, case in enumerate(derived.cases, 1):
        if len(derived.cases) > 1 and case.within:
            where = "; ".join(clause_texts(case.within)) or "anything"
            parts.append(element("h2", f"Case {number}: where {shown(where)}"))
        parts += [_tensors(case), _activations(case), *_regions(case)]
    if derived.elsewhere:
        reasons = shown("; ".join(derived.elsewhere))
        parts.append(element("p", f"Never stable elsewhere: {reasons}"))
    return "\n".join(parts)


def _verdict(derived: Derived) -> str:
    if derived.unfinished:
        return f"Verdict {derived.verdict_text}; {derived.unfinished}."
    if derived.verdict is None:
        return "Depends on the symbols."
    return f"{derived.verdict}{', complete' if derived.complete else ''}, whatever the symbols are."


def _tensors(case: DerivedCase) -> str:
    rows = [
        (law.path, str(law.at_init), str(law.update), str(law.parameter.gamma))
        for law in case.judgement.tensors
    ]
    return table(("tensor", *LAWS), map(_row, rows))


def _activations(case: DerivedCase) -> str:
    rows = [(name, str(x.s0), str(x.d), str(x.g)) for name, x in case.activations.items()]
    return table(("activation", "at init", "change", "gradient"), map(_row, rows))


def _row(cells: tuple[str, ...]) -> str:
    first, *others = map(shown, cells)
    laws = "".join(element("td", text) for text in others)
    return element("tr", element("th", first, scope="row") + laws)


def _regions(case: DerivedCase) -> Iterator[str]:
    if case.regions:
        yield "<h2>Where each verdict holds</h2>"
    for word in WORDS:
        if word in case.regions:
            yield _region(word, case.regions[word])


def _region(word: str, region: Region) -> str:
    if region.empty or region.everywhere:
        return element("p", f"<strong>{word}</strong>: {'nowhere' if region.empty else 'always'}")
    clauses = "".join(element("li", shown(text)) for text in clause_texts(region))
    summary = element("summary", f"<strong>{word}</strong>: {len(region.clauses)} conditions")
    return element("details", f"{summary}<ul>{clauses}</ul>")
