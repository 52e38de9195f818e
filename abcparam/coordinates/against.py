"""The same model in a shipped parametrization, to be drawn beside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from abcparam.coordinates.check import Checked, Progress, Wish, coordinate_check
from abcparam.driver import load
from abcparam.source import Source

BRACES = r"\{(?:[^{}]|\{[^{}]*\})*\}"
PARAMETRIZATION = re.compile(rf"^parametrization\b[^{{\n]*({BRACES})?", re.MULTILINE)


class Unwritten(ValueError):
    """The spec has no parametrization that could be replaced."""


def against(
    source: Source,
    form: str,
    values: Mapping[str, Fraction],
    wish: Wish,
    progress: Progress | None = None,
) -> Checked:
    """The check of the spec with `parametrization FORM` in place of its own; what its tensors say
    for themselves stays.
    """
    text, count = PARAMETRIZATION.subn(f"parametrization {form}", source.text, count=1)
    if not count:
        raise Unwritten("--against needs a spec with a `parametrization` to replace")
    other = Source(text, form)
    return coordinate_check(load(other, values), wish, progress)
