"""The text of a spec with its laws in the margin, causes underlined, and a fix as a diff."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from itertools import pairwise

from abcparam.analysis.judge import Judgement
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.source import START, Source, Span
from abcparam.presentation.markup import element, shown

MOST_LAWS = 3  # of a line
CONTEXT = 1  # lines around those that a diff changes


def listing(
    source: Source,
    found: Sequence[Diagnostic],
    laws: Mapping[int, Sequence[str]],
    prefix: str,
) -> str:
    """The lines, each with an id, the laws of what it declares, and what was found on it marked."""
    marks: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for number, diagnostic in enumerate(found, 1):
        for line, start, end in _stretches(diagnostic.span, source.lines):
            marks[line].append((start, end, number))
    rows = [
        _row(number, text, marks.get(number, ()), laws.get(number, ()), prefix)
        for number, text in enumerate(_lines(source.text), 1)
    ]
    return element("table", "\n".join(rows), class_="spec", role="presentation")


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines and not lines[-1] else lines


def _stretches(span: Span, lines: Sequence[str]) -> Iterable[tuple[int, int, int]]:
    """(line, start, end) of each line that a span of this text is on; columns count from 0."""
    if span.file or span == START:
        return
    for line in range(span.line, min(span.end_line, len(lines)) + 1):
        text = lines[line - 1]
        start = span.column - 1 if line == span.line else len(text) - len(text.lstrip())
        end = span.end_column - 1 if line == span.end_line else len(text.rstrip())
        if end > start or line == span.line:
            yield line, start, max(end, start + 1)


def _row(
    number: int,
    text: str,
    marks: Sequence[tuple[int, int, int]],
    laws: Sequence[str],
    prefix: str,
) -> str:
    place = f"{prefix}L{number}"
    link = _line_link(place, number)
    law = "; ".join(laws)
    cells = (
        element("td", link, class_="line"),
        element("td", _marked(text, marks, prefix) or " ", class_="code"),
        element("td", shown(law), class_="law"),
    )
    return element("tr", "".join(cells), id=place)


def _line_link(place: str, number: object) -> str:
    """The number of a line, for the mouse: keys go from finding to finding."""
    label = f'aria-label="line {number}" data-line="{number}"'
    return f'<a href="#{place}" {label} tabindex="-1"></a>'


def _marked(text: str, marks: Sequence[tuple[int, int, int]], prefix: str) -> str:
    """The text with what something was found on as a link to it, the first of several."""
    padded = text.ljust(max((end for _, end, _ in marks), default=0))
    cuts = sorted({0, len(padded), *(c for start, end, _ in marks for c in (start, end))})
    parts, last = [], 0
    for start, end in pairwise(cuts):
        numbers = [number for a, b, number in marks if a <= start and end <= b]
        piece = _commented(padded, start, end)
        if numbers and numbers[0] == last:
            piece = f'<a class="mark" href="#{prefix}why{last}" tabindex="-1">{piece}</a>'
        elif numbers:
            last = numbers[0]
            label = f"finding {last}: {padded[start:end]}"
            piece = (
                f'<a class="mark" href="#{prefix}why{last}" aria-label="{shown(label)}">{piece}</a>'
            )
        parts.append(piece)
    return "".join(parts)


def _commented(text: str, start: int, end: int) -> str:
    """A stretch of a line, what stands behind a `#` in grey."""
    at = text.find("#")
    if at < 0 or at >= end:
        return shown(text[start:end])
    at = max(at, start)
    return f'{shown(text[start:at])}<span class="comment">{shown(text[at:end])}</span>'


def laws_by_line(judgement: Judgement) -> dict[int, list[str]]:
    """What the margin says: the laws of tensors where they are declared, of names where set."""
    graph = judgement.laws.graph
    found: dict[int, list[str]] = defaultdict(list)
    for law in judgement.tensors:
        span = law.parameter.tensor.span
        if not span.file:
            found[span.line].append(law.sizes)
    for node in graph.nodes:
        span = node.span
        is_named = node.name and " " not in node.name  # steps of an operation have words for names
        if (is_named or node in graph.outputs) and not span.file and span != START:
            found[span.line].append(f"~ {node.s0}, Δ ~ {node.d}")
    return {line: _few(list(dict.fromkeys(texts))) for line, texts in found.items()}


def _few(texts: Sequence[str]) -> list[str]:
    return [*texts[:MOST_LAWS], *(["…"] if len(texts) > MOST_LAWS else [])]


def diff(before: str, after: str, prefix: str) -> str:
    """What a fix changes, line by line; numbers lead to the lines of the text before."""
    old, new = _lines(before), _lines(after)
    rows: list[str] = []
    groups = SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT)
    for group in groups:
        if rows:
            rows.append(_change(" ", "", "⋯", prefix))
        for kind, a, b, c, d in group:
            if kind == "equal":
                rows += [_change(" ", str(n + 1), old[n], prefix) for n in range(a, b)]
                continue
            rows += [_change("-", str(n + 1), old[n], prefix) for n in range(a, b)]
            rows += [_change("+", "", text, prefix) for text in new[c:d]]
    return element("table", "\n".join(rows), class_="spec diff", role="presentation")


def _change(sign: str, number: str, text: str, prefix: str) -> str:
    link = _line_link(f"{prefix}L{number}", number) if number else ""
    kind = {"-": "removed", "+": "added"}.get(sign, "")
    tag = {"-": "del", "+": "ins"}.get(sign, "span")
    cells = (
        element("td", link, class_="line"),
        element("td", sign, class_="sign"),
        element("td", element(tag, shown(text)), class_="code"),
    )
    return element("tr", "".join(cells), class_=kind)
