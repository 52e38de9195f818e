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
from abcparam.program.model import Program
from abcparam.verdict.check import load


def in_other_form(source: Source, form: str, values: Mapping[str, Fraction]) -> Program:
    """The spec with `parametrization FORM` in place of its own.

    What its tensors say for themselves stays. Raises `UnwritableError`, and `SpecError` where there
    is no such form.
    """
    return load(in_form(source, form), values)


def against(
    source: Source,
    form: str,
    values: Mapping[str, Fraction],
    options: CheckOptions,
    widths: Sequence[int],
    progress: RunProgress | None = None,
) -> CoordCheckResult:
    """The check of the spec in another parametrization, at these widths."""
    same = replace(options, widths=tuple(widths))
    return coordinate_check(in_other_form(source, form, values), same, progress)
