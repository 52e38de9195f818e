"""`abcparam.coord_check`: what the command does, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.installed import installed
from abcparam.diagnostics.source import Source
from abcparam.pipeline import GivenValues, asked, given, to_source
from abcparam.program.binding import require_no_unknowns, require_numbers
from abcparam.verdict.check import load

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.coordinate_check.check import CoordCheckResult
    from abcparam.coordinate_check.measure.runs import RunProgress
    from abcparam.coordinate_check.options import CheckOptions
    from abcparam.imports.result import Audit


@installed("coord_check")
def coord_check(
    source: str | Path | Source | Audit,
    /,
    *,
    adapted: bool = False,
    widths: Iterable[int] = (),
    data: str | Callable[..., Any] | None = None,
    module: str | None = None,
    against: str | None = None,
    plot: str | Path | None = None,
    html: str | Path | None = None,
    folder: str | Path | None = None,
    set: GivenValues | None = None,
    **options: Any,
) -> CoordCheckResult:
    """Trains the emitted model at several widths, as `abcparam coord-check` does.

    The slope of the size of every activation, gradient and tensor is set beside its derived
    exponent.

    Of an `Audit` the user's own model is measured and trained, as it is, or `adapted` as its
    adapter would have it; of its layers that are equal, the first. Nothing of it is kept.

    `widths` are at least three sizes of the dim that is varied (default: those that `budget`
    seconds pay for; of an `Audit`, 1, 2, 4 and 8 times the base). `data` is a name or a function
    (default: random numbers), `module` a `file.py:Class` that is measured in place of the emitted
    model. Finished runs are kept in `folder` (default: nowhere). `plot` is a folder for figures
    (which need matplotlib) and `html` a file for a page, with those of the shipped parametrization
    `against` beside them. `set` gives dims and hypers values. `options` are the other fields of
    `abcparam.CheckOptions`: `budget`, `seeds`, `steps`, `vary`, `device`, `compiled`, `first`,
    `tokens`. Imports torch.

    Slopes are exponents of the width: d log(size) / d log(width), a size being a root mean square.

    Raises `SpecError` if the spec is invalid, exponents are unknown or symbols, or the data or the
    module do not fit, `ValueError` where no widths fit, `TypeError` for an option that is none.
    """
    from pathlib import Path

    from abcparam.coordinate_check.against import in_other_form
    from abcparam.coordinate_check.measure.handwritten import handwritten
    from abcparam.coordinate_check.options import CheckOptions
    from abcparam.data.named import data_named

    if against and (module or not (plot or html)):
        raise ValueError("`against` is drawn beside an emitted model: it needs `plot` or `html`")
    values, sizes = given(set, {}), tuple(sorted({*widths}))
    if sizes and (len(sizes) < 3 or sizes[0] < 1):
        raise ValueError("`widths` takes at least three different widths: a slope needs them")
    fields = {
        **options,
        "widths": sizes,
        "given": tuple(values),
        "data": data_named(data) if data else None,
        "module": handwritten(module) if module else None,
        "folder": Path(folder) if folder else None,
    }
    asked_for = asked(CheckOptions, "coord_check", fields)
    if not isinstance(source, (str, Path, Source)):
        from abcparam.coordinate_check.of_model import check_of_model

        return check_of_model(source, asked_for, adapted)
    written = to_source(source)
    if against:
        in_other_form(written, against, values)  # refused before anything is trained
    found = checked(written, values, asked_for)
    if plot or html:
        _draw(found, written, values, asked_for, (against, plot, html))
    return found


def checked(
    source: Source,
    values: Mapping[str, Fraction],
    options: CheckOptions,
    progress: RunProgress | None = None,
) -> CoordCheckResult:
    """The check of a source. Raises `SpecError`, and `ValueError` where no widths fit."""
    from abcparam.coordinate_check.check import coordinate_check

    program = load(source, values)
    require_no_unknowns(program)
    require_numbers(program)
    return coordinate_check(program, options, progress)


def _draw(
    found: CoordCheckResult,
    source: Source,
    values: Mapping[str, Fraction],
    options: CheckOptions,
    wanted: tuple[str | None, str | Path | None, str | Path | None],
) -> None:
    """Figures, a page; beside those of the spec in another parametrization if one is given."""
    from pathlib import Path

    from abcparam.coordinate_check.against import against
    from abcparam.coordinate_check.output.page import page
    from abcparam.coordinate_check.output.plots import plot
    from abcparam.storage.atomic import write_atomically

    form, folder, file = wanted
    checks = [found, against(source, form, values, options, found.widths)] if form else [found]
    if folder:
        plot(checks, Path(folder))
    if file:
        write_atomically(str(file), page(checks))
