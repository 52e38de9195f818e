"""Lines added to the text of a spec, behind its dims and hypers."""

from __future__ import annotations

from collections.abc import Sequence

from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.language import syntax
from abcparam.language.parser import parse

HEADS = (syntax.Model, syntax.Import, syntax.Dim, syntax.Hyper, syntax.Exponent)


def inserted(source: Source, lines: Sequence[str]) -> Source:
    """The source with these lines, and an empty one, before the first declaration that is no dim,
    hyper or the like, and the comments above it.
    """
    before = _line_before(source) - 1
    old = source.text.split("\n")
    return replace(source, text="\n".join([*old[:before], *lines, "", *old[before:]]))


def _line_before(source: Source) -> int:
    """The line of the first declaration that is no dim, hyper or the like, with its comments."""
    first = next(d for d in parse(source).declarations if not isinstance(d, HEADS))
    line, lines = first.span.line, source.text.split("\n")
    while line > 1 and lines[line - 2].lstrip().startswith("#"):
        line -= 1
    return line
