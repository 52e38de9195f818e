"""Lines added to the text of a spec, behind its dims and hypers."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import Edit, Page
from abcparam.language import syntax
from abcparam.language.parser import parse

HEADS = (syntax.Model, syntax.Import, syntax.Dim, syntax.Hyper, syntax.Exponent)


def inserted(source: Source, lines: Sequence[str]) -> Source:
    """The source with these lines, and an empty one, after the dims, the hypers and the like.

    They come before the first other declaration, and before the comments above it.
    """
    page = Page(source.text)
    first = next(d for d in parse(source).declarations if not isinstance(d, HEADS))
    start = stop = page.start(first)
    text = "".join(line + page.newline for line in [*lines, ""])
    if page.is_first(start):
        start = stop = page.line_start(page.comments_above(start))
    else:
        start, text = page.end_before(start), page.newline + text
    return replace(source, text=page.edited([Edit(start, stop, text)]))
