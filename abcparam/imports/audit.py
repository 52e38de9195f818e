"""A user's own PyTorch model, read and judged as it is, with what makes it maximal-update."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from torch import nn

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.imports.alike import NONE_APART, Model, ReadingError
from abcparam.imports.coincidences import names_in
from abcparam.imports.factory import Factory, find_factory, find_function
from abcparam.imports.held import objections
from abcparam.imports.initial_places import initial_places
from abcparam.imports.inits import Start, notes_of, starts_of
from abcparam.imports.knobs import Knobs
from abcparam.imports.last_layers import without_last_layers
from abcparam.imports.made_models import MadeModels
from abcparam.imports.program import program_of
from abcparam.imports.rates import rates_of
from abcparam.imports.reading import Read, read
from abcparam.imports.remedy import Remedy, remedy_of
from abcparam.imports.result import Audit
from abcparam.imports.settings import settings_of
from abcparam.imports.traced import Trace
from abcparam.imports.traces import Traces, Watch, unwatched
from abcparam.imports.unlike import unlike
from abcparam.imports.unused import unused
from abcparam.user_code.places import sources_of
from abcparam.verdict.check import judged
from abcparam.verdict.findings import reasons
from abcparam.verdict.report import Report
from abcparam.verdict.work import at_work

Grow = Mapping[str, tuple[int, ...]]  # values of each size that grows; none: 1, 2, 4 times


def audited(
    factory: str | Callable[..., Any],
    grow: Grow | Iterable[str],
    optimizer: str | Callable[..., Any] | None = None,
    *,
    output: str | None = None,
    lr_key: str | None = None,
    expect: str | None = None,
    watch: Watch = unwatched,
    exact: bool = False,
) -> Audit:
    """Reads a model and judges it: `abcparam.audit`. For a text of it, its layers are `exact`."""
    values = dict(grow) if isinstance(grow, Mapping) else dict.fromkeys(grow, ())
    names, models = frozenset(values), MadeModels(find_factory(factory))
    found = models.factory
    function = find_function(optimizer) if isinstance(optimizer, str) else optimizer
    settings = settings_of(models, values)
    reader = Traces(models, exact)
    with _placed(found, reader.traces):
        model, chosen = reader.together(settings, names, watch)
        meaning = read(model, chosen[0], names, output)
    starts = starts_of(models, chosen, names)
    rates = rates_of(function, models, chosen, lr_key, names)
    odd = unlike(model, meaning, starts, rates, names_in(reader.traces[0]))
    if odd != NONE_APART:
        with _placed(found, reader.traces):
            model, chosen = reader.apart(odd, names)
            meaning = read(model, chosen[0], names, output)
        starts = starts_of(models, chosen, names)
        rates = rates_of(function, models, chosen, lr_key, names)
    source = sources_of(_files(reader.traces, starts), found.file)

    def judge(model: Model, meaning: Read) -> Report:
        program = program_of(model, meaning, starts, rates, chosen[0], names, source, found.name)
        return judged(program if expect is None else replace(program, expected=(expect,)))

    def remedied(model: Model) -> Remedy:
        meaning = read(model, chosen[0], names, output)
        return remedy_of(judge(model, meaning), meaning, linear)

    with at_work():
        report = judge(model, meaning)
        assert reader.first is not None
        linear = _linear(reader.first.exported.model)
        wrong = objections(*reader.first, model, chosen, names, starts, rates, output)
        if wrong:
            raise SpecError(source, wrong)
        remedy = remedy_of(report, meaning, linear)
        last = None
        if remedy.missing_sums or not remedy.reaches:
            last = without_last_layers(model, chosen, names_in(reader.traces[0]))
        if last is not None:
            other, _ = reader.apart(last, names)
            inner = read(other, chosen[0], names, output)
            unrolled = judge(other, inner)
            better = remedy_of(unrolled, inner, linear)
            if better.reaches and not better.missing:
                model, meaning, report, remedy = other, inner, unrolled, better
        notes = (*_notes(starts, found), *unused(report.program))
        report = replace(report, said=(*_findings(report), *notes))
        if remedy.missing and remedy.reaches:
            remedy = Knobs(models, chosen, names, meaning, remedied).instead(remedy, model)
        initial = initial_places(remedy.changes, starts, models, chosen[0])
        remedy = replace(remedy, initial=initial)
    grown = tuple(values)
    return Audit(
        found,
        chosen,
        grown,
        model,
        meaning,
        report,
        remedy,
        starts,
        rates,
        function,
        output,
        lr_key,
    )


@contextmanager
def _placed(factory: Factory, traces: Sequence[Trace]) -> Iterator[None]:
    """What cannot be read is told with the lines of the user's files."""
    try:
        yield
    except ReadingError as error:
        files = {*_files(traces, {}), error.diagnostic.span.file or factory.file}
        raise SpecError(sources_of(files, factory.file), [error.diagnostic]) from None


def _linear(model: nn.Module) -> frozenset[str]:
    """The paths of modules that compute what `nn.Linear` does."""
    modules = model.named_modules()
    return frozenset(path for path, m in modules if type(m).forward is nn.Linear.forward)


def _findings(report: Report) -> tuple[Diagnostic, ...]:
    """The findings, without a help that is about specs: the remedy says what to change."""
    return tuple(replace(found, help="") for found in reasons(report.judgement, None))


def _notes(starts: Mapping[str, Start], factory: Factory) -> Iterator[Diagnostic]:
    """What was not read exactly."""
    for source, note in notes_of(starts, factory.file):
        yield replace(note, span=replace(note.span, file=source.file))


def _files(traces: Sequence[Trace], starts: Mapping[str, Start]) -> set[str]:
    """The files that places are in."""
    paths = {line.span.file for trace in traces[:1] for line in trace.lines}
    paths |= {start.place[0] for start in starts.values() if start.place is not None}
    return {path for path in paths if path}
