"""Assertions for tests of your own: they fail with the text of the report.

def test_the_model_is_in_mup():
    abcparam.testing.assert_maximal_update(pathlib.Path("gpt.param"), complete=True)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.diagnostic import rendered
from abcparam.pipeline import GivenValues, check
from abcparam.verdict.report_text import render_report

if TYPE_CHECKING:
    from abcparam.coordinate_check.check import CoordCheckResult
    from abcparam.imports.result import Audit
    from abcparam.verdict.report import Report

MAXIMAL = "maximal-update"
GrownSizes = Iterable[str] | Mapping[str, tuple[int, ...]]
Tested = Any  # a spec as text, file or source, or with `grow` a factory as `audit` takes it


def assert_maximal_update(
    source: Tested,
    /,
    *,
    complete: bool = False,
    grow: GrownSizes | None = None,
    optimizer: str | Callable[..., Any] | None = None,
    lr_key: str | None = None,
    set: GivenValues | None = None,
) -> Report:
    """Fails where a spec is not maximal-update, or not complete where that is asked for.

    `source` is a spec as for `abcparam.check`, with values in `set`; or, with `grow`, a PyTorch
    model of your own as for `abcparam.audit`, with its `optimizer` and `lr_key`. Gives the report.
    """
    __tracebackhide__ = True
    audited = None
    if grow is None:
        found = check(source, set=set)
    else:
        from abcparam.imports.api import audit

        audited = audit(source, grow, optimizer, lr_key=lr_key)
        found = audited.report
    if found.verdict == MAXIMAL and (found.complete or not complete):
        return found
    wanted = f"{MAXIMAL}, complete" if complete else MAXIMAL
    raise AssertionError(f"not {wanted}\n\n{_text(found, audited)}")


def assert_coordinates(
    source: Tested,
    /,
    *,
    grow: GrownSizes | None = None,
    optimizer: str | Callable[..., Any] | None = None,
    lr_key: str | None = None,
    **options: Any,
) -> CoordCheckResult:
    """Fails where slopes that are measured disagree with exponents that are derived.

    `source` is a spec; with `module="mine.py:Model"` that class of yours is measured in place of
    the emitted model. With `grow` it is a PyTorch model of your own as for `abcparam.audit`.
    `options` are those of `abcparam.coord_check`: `widths`, `seeds`, `steps`, `data`, … Where too
    few rows are resolved to say, it fails too, and says what to add. Gives what was measured.
    """
    __tracebackhide__ = True
    from abcparam.coordinate_check.api import coord_check
    from abcparam.coordinate_check.output.text import render_check

    if grow is not None:
        from abcparam.imports.api import audit

        source = audit(source, grow, optimizer, lr_key=lr_key)
    found = coord_check(source, **options)
    if not found.agree:
        raise AssertionError(render_check(found))
    return found


def _text(found: Report, audited: Audit | None) -> str:
    diagnostics = rendered(found.diagnostics, found.program.source)
    if audited is None:
        return f"{render_report(found)}\n{diagnostics}"
    from abcparam.imports.audit_text import render_audit

    return f"{diagnostics}\n{render_audit(audited)}"


__all__ = ["assert_coordinates", "assert_maximal_update"]
