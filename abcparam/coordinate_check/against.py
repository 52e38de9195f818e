"""The same model in a shipped parametrization, to be drawn beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.coordinate_check.check import CoordCheckResult, coordinate_check
from abcparam.coordinate_check.measure.runs import RunProgress
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.source import Source
from abcparam.editing.parametrization import in_form
from abcparam.verdict.check import load


def against(
    source: Source,
    form: str,
    values: Mapping[str, Fraction],
    options: CheckOptions,
    widths: Sequence[int],
    progress: RunProgress | None = None,
) -> CoordCheckResult:
    """The check of the spec with `parametrization FORM` in place of its own, at these widths.

    What its tensors say for themselves stays. Raises `UnwritableError`.
    """
    same = replace(options, widths=tuple(widths))
    return coordinate_check(load(in_form(source, form), values), same, progress)
