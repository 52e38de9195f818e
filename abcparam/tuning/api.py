"""`abcparam.sweep` and `abcparam.transfer`: what the commands do, from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from abcparam.diagnostics.source import Source
from abcparam.pipeline import exact_values, to_source
from abcparam.verdict.check import load

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.tuning.sweep import Swept
    from abcparam.tuning.transfer import Transferred
    from abcparam.tuning.trials import Wish


def sweep(
    source: str | Path | Source,
    over: Iterable[str] = (),
    *,
    data: str | Callable[..., Any] | None = None,
    set: Mapping[str, object] | None = None,
    **wanted: Any,
) -> Swept:
    """Trains the emitted model over ranges of its hypers and sizes, as `abcparam sweep` does.

    `over` is as on the command line, `data` a name or a function, `set` values of dims and hypers;
    the rest is `abcparam.tuning.trials.Wish`: `trials` (drawn by `sampler`; 0: a grid), `seeds`,
    `steps`, `batch`, `schedule`, `by`, `forms`, `folder`, `device`, `ray`, `data_parallel`. Raises
    `SpecError`. Imports torch.
    """
    from abcparam.tuning.sweep import sweep_source

    return sweep_source(to_source(source), exact_values(set or {}), _wish(over, data, wanted))


def transfer(
    source: str | Path | Source,
    target: Mapping[str, object],
    proxy: Mapping[str, object] | None = None,
    over: Iterable[str] = (),
    *,
    data: str | Callable[..., Any] | None = None,
    anyway: bool = False,
    **wanted: Any,
) -> Transferred:
    """Tunes the spec at the sizes of `proxy` (those of `target`, with growing dims at base) and
    compiles it with what was best at those of `target`, as `abcparam transfer` does. The rest is
    as for `sweep`, with 32 `trials` at random. Raises `SpecError`. Imports torch.
    """
    from abcparam.tuning.transfer import Order, finish, prepare, proxy_values

    written, large = to_source(source), exact_values(target)
    small = proxy_values(load(written), large, exact_values(proxy or {}))
    wish = _wish(over, data, {"trials": 32, **wanted})
    order = Order(large, small, wish, wish.steps, wish.batch, anyway)
    return finish(prepare(written, order))


def _wish(
    over: Iterable[str], data: str | Callable[..., Any] | None, wanted: Mapping[str, Any]
) -> Wish:
    from abcparam.data.named import data_named
    from abcparam.tuning.trials import Wish

    return Wish(over=tuple(over), data=data_named(data) if data else None, **wanted)
