"""µTransfer: tune a small model, give its hyperparameters to a large one of the same spec."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NothingConverged, OtherSpec
from abcparam.diagnostics.source import START
from abcparam.language import syntax
from abcparam.program.dims import Dim
from abcparam.program.expressions import Apply
from abcparam.program.model import Program
from abcparam.tuning.choices import HELD_OUT
from abcparam.tuning.extrapolation import SizeLaws, laws_of
from abcparam.tuning.options import AS_WRITTEN, SweepOptions
from abcparam.tuning.space import axes_of
from abcparam.tuning.sweep import SweepResult
from abcparam.tuning.sweep import swept as sweep_of
from abcparam.tuning.trials import alike, in_json, require_sizes, trials_of
from abcparam.tuning.tunable import ExactValues, Tunable
from abcparam.tuning.workers.scheduler import StepProgress
from abcparam.tuning.workers.trial_batch import data_of
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.tuning.train.cost import Cost

WARNED = ("P0602", "P0603", "P0604")  # warnings of a check: what depends on the width after all


class TransferRequest(Record):
    """What is to be transferred: `target` and `proxy` are sizes and other values of each."""

    target: ExactValues
    proxy: ExactValues
    options: SweepOptions
    steps: int  # of the target's training
    batch: int
    anyway: bool = False
    results: str | None = None  # a sweep's JSON, in place of a search


class Costs(Record):
    """Before anything is trained: of one trial, of how many, and of the target."""

    trial: Cost
    trials: int
    target: Cost
    tuning: float  # operations of all trials, at their sizes

    @property
    def share(self) -> float:
        """Of all operations, those of tuning."""
        return self.tuning / (self.tuning + self.target.flops) if self.tuning else 0.0

    def to_dict(self) -> dict[str, Any]:
        trial, target = self.trial.to_dict(), self.target.to_dict()
        return {"trial": trial, "trials": self.trials, "target": target, "share": self.share}


class TransferPlan(Record):
    """Judged and estimated, not yet tuned."""

    tunable: Tunable
    request: TransferRequest
    report: Report  # of the target
    costs: Costs
    warnings: tuple[str, ...]


class TransferResult(Record):
    """The hyperparameters that were found, and the target's code with them."""

    plan: TransferPlan
    hypers: Mapping[str, Fraction]
    schedule: str
    loss: float
    swept: SweepResult | None
    code: str  # empty where the target is a model of the user's own, as it is
    laws: SizeLaws | None  # where the proxies were of several sizes
    ends: tuple[str, ...]  # hypers whose best value is at an end of what was searched

    def to_dict(self) -> dict[str, Any]:
        """What `hparams.json` holds."""
        report = self.plan.report
        request = self.plan.request
        return {
            "schema": 1,
            "file": report.program.source.file,
            "model": report.program.name,
            "fingerprint": self.plan.tunable.mark(report.program),
            "verdict": report.verdict,
            "hypers": _in_json(self.hypers),
            "at_end": list(self.ends),
            "loss": self.loss,
            "proxy": _in_json(request.proxy),
            "target": _in_json(request.target),
            "training": {
                "steps": request.options.steps,
                "batch": request.options.batch,
                "seeds": request.options.seeds,
                "schedule": self.schedule,
                "chosen_by": request.options.by,
            },
            "cost": self.plan.costs.to_dict(),
            "laws": None if self.laws is None else self.laws.to_dict(),
            "warnings": list(self.plan.warnings),
        }


def prepare(tunable: Tunable, request: TransferRequest) -> TransferPlan:
    """Judges what is tuned and estimates the cost.

    Raises `SpecError`, also where it is not maximal-update, unless it shall be done `anyway`.
    """
    program = tunable.program(request.target)
    found = tunable.report(program)
    if not found.reaches("maximal-update") and not request.anyway:
        verdict = found.verdict or "undecided"
        raise SpecError(tunable.source, [tunable.not_maximal.at(START, verdict=verdict)])
    require_sizes(program)
    costs = _costs(tunable, request)
    warnings = list(_warnings(tunable.kind, found, request))
    if request.results is None and costs.target.parameters <= costs.trial.parameters:
        grown = " ".join(f"{dim.name}=…" for dim in program.dims.values() if _grows(dim))
        warnings.append(f"the target is no larger than the proxy: give its sizes, --set {grown}")
    return TransferPlan(tunable, request, found, costs, tuple(warnings))


def _grows(dim: Dim) -> bool:
    return dim.infinite and not dim.derived


def finish(plan: TransferPlan, progress: StepProgress | None = None) -> TransferResult:
    """Tunes the proxy, unless there are results already, and compiles the target."""
    request, tunable = plan.request, plan.tunable
    swept, laws = None, None
    if request.results is not None:
        mark = tunable.mark(plan.report.program)
        hypers, schedule, loss, ends = _read(mark, request.results)
    else:
        swept = sweep_of(tunable, request.proxy, request.options, progress)
        if not swept.best:
            raise SpecError(tunable.source, [NothingConverged.at(START, count=len(swept.results))])
        best = min(swept.best, key=lambda b: b.loss)
        hypers, loss, ends = best.hypers, best.loss, best.ends
        schedule = best.schedule or request.options.schedule
        dims = plan.report.program.dims.values()
        sizes = {dim.name: float(dim.default) for dim in dims if dim.default is not None}
        laws = laws_of(swept, request.options.sampler, sizes)
    code = tunable.written(request.target, hypers)
    return TransferResult(plan, hypers, schedule, loss, swept, code, laws, ends)


def _read(mark: str, path: str) -> tuple[dict[str, Fraction], str, float, tuple[str, ...]]:
    """The best hypers of a sweep's JSON, which must be of this spec."""
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if found["fingerprint"] != mark:
            raise _other(path, "the spec, or what it imports, has changed")
        mine = [b for b in found["best"] if b["parametrization"] is None]
        score = _score(found["chosen_by"])
        best = min(mine, key=score)
        hypers = {str(n): Fraction(str(v)) for n, v in best["hypers"].items()}
        ends = tuple(name for name in map(str, best["at_end"]) if name in hypers)
        return hypers, str(best["schedule"]), score(best), ends
    except OSError as error:
        raise _other(path, error.strerror or "it cannot be read") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ZeroDivisionError):
        raise _other(path, "it holds no best trial of a sweep") from None


def _score(by: str) -> Callable[[Mapping[str, Any]], float]:
    return lambda best: float(best["held_out" if by == HELD_OUT else "loss"])


def _other(path: str, problem: str) -> SpecError:
    return SpecError.about(path, OtherSpec, path=path, problem=problem)


def _in_json(values: ExactValues) -> dict[str, float | str]:
    return {name: in_json(value) for name, value in values.items()}


# Cost


def _costs(tunable: Tunable, request: TransferRequest) -> Costs:
    options = request.options
    trial = _cost(tunable, request.proxy, options, options.steps, options.batch)
    count, tuning = 0, 0.0
    if request.results is None:
        proxy = tunable.program(request.proxy)
        trials = trials_of(proxy, axes_of(proxy, options.over), options)
        count = len(trials)
        for same in alike(proxy, trials):
            sizes = {name: value for name, value in same[0].values if name in proxy.dims}
            own = {**request.proxy, **sizes}
            each = _cost(tunable, own, options, same[0].steps, same[0].batch) if sizes else trial
            tuning += each.flops * len(same)
    target = _cost(tunable, request.target, options, request.steps, request.batch)
    return Costs(trial, count, target, tuning)


def _cost(
    tunable: Tunable, values: ExactValues, options: SweepOptions, steps: int, batch: int
) -> Cost:
    from abcparam.tuning.train.cost import cost_of
    from abcparam.tuning.train.training import Job

    (found,) = tunable.recipes(values, [AS_WRITTEN]).values()
    recipe = found.recipe
    job = Job(recipe.program, recipe.builder(False), data_of(options), steps=steps, batch=batch)
    return cost_of(job, {})


# What does not transfer


def _warnings(kind: str, found: Report, request: TransferRequest) -> Iterator[str]:
    program, options = found.program, request.options
    if found.verdict != "maximal-update":
        yield f"the {kind} is {found.verdict}: the best values move with the width"
    tuned = (
        {axis.name for axis in axes_of(program, options.over)} if request.results is None else set()
    )
    regular = _regularising(program)
    for name in sorted(regular & tuned):
        yield f"{name} regularises: its best value depends on data and size, not on the width alone"
    if _decays(program):
        yield "weight decay regularises and does not transfer: tune it on the target"
    if any(isinstance(e, Apply) and e.operation.name == "dropout" for e in program.expressions()):
        yield "dropout regularises and does not transfer: tune it on the target"
    for diagnostic in found.diagnostics:
        if diagnostic.code in WARNED:
            yield f"{diagnostic.message} [{diagnostic.code}]"
    yield from _sizes(program, request)


def _sizes(program: Program, request: TransferRequest) -> Iterator[str]:
    """What else differs between proxy and target than what the laws are about."""
    finite = [dim.name for dim in program.finite]
    changed = [n for n in finite if request.proxy.get(n) != request.target.get(n)]
    if changed:
        names = ", ".join(changed)
        yield f"{names} differs between proxy and target: the laws are about growing dims only"
    if (request.options.steps, request.options.batch) != (request.steps, request.batch):
        yield "steps or batch differ between proxy and target: transfer over them is by experience"


def _decays(program: Program) -> bool:
    decays = (t.weight_decay for t in program.tensors.values() if not t.frozen)
    return any(decay is not None and decay.value.terms for decay in decays)


def _regularising(program: Program) -> set[str]:
    """Hypers in weight decays and in dropout."""
    written = [t.weight_decay.written for t in program.tensors.values() if t.weight_decay]
    for value in program.expressions():
        if isinstance(value, Apply) and value.operation.name == "dropout":
            p = value.settings["p"]
            written += [p.written] if not isinstance(p, bool | tuple) else []
    return {name for found in written for name in syntax.names_in(found)} & program.hypers.keys()


def proxy_values(tunable: Tunable, target: ExactValues, proxy: ExactValues) -> dict[str, Fraction]:
    """The proxy's values: those of the target, growing dims at base, then its own."""
    return {**target, **tunable.bases(), **proxy}
