"""The same model in a shipped parametrization."""

from __future__ import annotations

from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import Edit, Page, UnwritableError, parametrization_of
from abcparam.language.parser import parse


def in_form(source: Source, form: str) -> Source:
    """The spec with `parametrization FORM` in place of its own.

    What its tensors say for themselves stays. Raises `UnwritableError`, and `SpecError` where the
    spec cannot be parsed.
    """
    declared = parametrization_of(parse(source))
    if declared is None:
        raise UnwritableError("--against needs a spec with a `parametrization` to replace")
    page = Page(source.text)
    edit = Edit(page.start(declared), page.stop(declared), f"parametrization {form}")
    return replace(source, text=page.edited([edit]), file=form)
