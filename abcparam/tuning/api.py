"""`abcparam.sweep` and `abcparam.transfer`: what the commands do, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.installed import installed
from abcparam.diagnostics.source import Source
from abcparam.pipeline import GivenValues, asked, exact_values, given, to_source

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.imports.result import Audit
    from abcparam.tuning.options import SweepOptions
    from abcparam.tuning.sweep import SweepResult
    from abcparam.tuning.transfer import TransferPlan, TransferResult
    from abcparam.tuning.tunable import Tunable


@installed("sweep")
def sweep(
    source: str | Path | Source | Audit,
    /,
    over: Iterable[str] = (),
    *,
    adapted: bool = False,
    data: str | Callable[..., Any] | None = None,
    plot: str | Path | None = None,
    html: str | Path | None = None,
    set: GivenValues | None = None,
    **options: Any,
) -> SweepResult:
    """Trains the emitted model over ranges of its hypers and sizes, as `abcparam sweep` does.

    Of an `Audit` the user's own model is trained, by its own optimizer, or as it is `adapted`. Its
    hypers are `lr` and `weight_decay`, as they are at base.

    `over` has `NAME=VALUES` as on the command line: `lr=log:1e-4:1e-1`, `width=64,128` (default:
    the ranges that the spec declares). `data` is a name or a function (default: a synthetic task),
    `set` gives dims and hypers values. `plot` is a folder for figures (which need matplotlib) and
    `html` a file for a page. `options` are the fields of `abcparam.SweepOptions`: `trials` (drawn
    by `sampler`; 0: a grid), `seeds`, `steps`, `batch` (examples a step), `schedule`, `by`, `forms`
    (shipped parametrizations), `folder` (where finished runs are kept; default: nowhere), `device`,
    `ray`, `data_parallel`, … Imports torch.

    Losses are those of the spec, in nats for `cross_entropy`; inf where a trial diverged.

    Raises `SpecError` if the spec or a range is invalid or the data do not fit, `TypeError` for an
    option that is none, `ValueError` for a count or a value that is none.
    """
    from abcparam.tuning.sweep import swept

    wanted = _options("sweep", over, data, options)
    found = swept(_tunable(source, adapted), given(set, {}), wanted)
    if plot:
        from pathlib import Path

        from abcparam.tuning.output.plots import plot as write_figures

        write_figures(found, Path(plot))
    if html:
        from abcparam.storage.atomic import write_atomically
        from abcparam.tuning.output.page import page

        write_atomically(str(html), page(found))
    return found


@installed("transfer")
def transfer(
    source: str | Path | Source | Audit,
    /,
    target: GivenValues | None = None,
    proxy: GivenValues | None = None,
    over: Iterable[str] = (),
    **options: Any,
) -> TransferResult:
    """Tunes the spec at the sizes of `proxy` and compiles it at those of `target`.

    As `abcparam transfer` does; the result has the `hypers` that were best, and the target's `code`
    with them: of an `Audit` that is `adapted`, its adapter; of one as it is, none. Arguments and
    errors are those of `plan_transfer`; a `SpecError` also where every trial diverged. Imports
    torch.
    """
    from abcparam.tuning.transfer import finish

    return finish(plan_transfer(source, target, proxy, over, **options))


@installed("plan_transfer")
def plan_transfer(
    source: str | Path | Source | Audit,
    /,
    target: GivenValues | None = None,
    proxy: GivenValues | None = None,
    over: Iterable[str] = (),
    *,
    adapted: bool = False,
    data: str | Callable[..., Any] | None = None,
    anyway: bool = False,
    results: str | Path | None = None,
    target_steps: int | None = None,
    target_batch: int | None = None,
    set: GivenValues | None = None,
    **options: Any,
) -> TransferPlan:
    """What a transfer would cost and what does not transfer, as `transfer --estimate` says.

    It has `costs` (floating-point operations, bytes) and `warnings`. Nothing is trained.

    `target`, or `set`, has values of the large model, `proxy` those of the small one (default: the
    target's, with growing dims at base). `results` is the JSON file of a sweep, in place of a
    search. `target_steps` and `target_batch` say how long the target will be trained; `anyway`
    lets a spec pass that is not maximal-update. The rest is as for `sweep`, with 32 `trials` at
    random. Of an `Audit` the user's own model is tuned, as it is or `adapted`. Imports torch.

    Raises `SpecError` also where the spec is not maximal-update, or a size is missing.
    """
    from abcparam.tuning.options import SEARCHED
    from abcparam.tuning.transfer import TransferRequest, prepare, proxy_values

    tunable, large = _tunable(source, adapted), given(set, target or {})
    small = proxy_values(tunable, large, exact_values(proxy or {}))
    wanted = _options("transfer", over, data, {"trials": SEARCHED, **options})
    request = TransferRequest(
        large,
        small,
        wanted,
        target_steps or wanted.steps,
        target_batch or wanted.batch,
        anyway,
        str(results) if results is not None else None,
    )
    return prepare(tunable, request)


def _tunable(source: str | Path | Source | Audit, adapted: bool) -> Tunable:
    """A spec, or a model of the user's own as an audit has read it."""
    from pathlib import Path

    from abcparam.tuning.tunable import TunableSpec

    if isinstance(source, (str, Path, Source)):
        return TunableSpec(to_source(source))
    from abcparam.tuning.own_model import OwnModel

    return OwnModel(source, adapted)


def _options(
    function: str,
    over: Iterable[str],
    data: str | Callable[..., Any] | None,
    options: Mapping[str, Any],
) -> SweepOptions:
    from pathlib import Path

    from abcparam.data.named import data_named
    from abcparam.tuning.options import SweepOptions

    fields = {**options, "over": tuple(over), "data": data_named(data) if data else None}
    for name in ("folder", "board"):
        if isinstance(fields.get(name), str):
            fields[name] = Path(fields[name])
    return asked(SweepOptions, function, fields)
