"""The same model in a shipped parametrization."""

from __future__ import annotations

import re

from abcparam.algebra.record import replace
from abcparam.diagnostics.source import Source

BRACES = r"\{(?:[^{}]|\{[^{}]*\})*\}"
PARAMETRIZATION = re.compile(rf"^parametrization\b[^{{\n]*({BRACES})?", re.MULTILINE)


class Unwritten(ValueError):
    """The spec has no parametrization that could be replaced."""


def in_form(source: Source, form: str) -> Source:
    """The spec with `parametrization FORM` in place of its own; what its tensors say for themselves
    stays. Raises `Unwritten`.
    """
    text, count = PARAMETRIZATION.subn(f"parametrization {form}", source.text, count=1)
    if not count:
        raise Unwritten("--against needs a spec with a `parametrization` to replace")
    return replace(source, text=text, file=form)
