"""A random search on a small proxy beside one on the target itself, of the same cost.

    python -m examples.reproduce.proxy_search
    python -m examples.reproduce.proxy_search --model bert

An analogue of the comparisons of µTransfer (arXiv 2203.03466, sections 7.1 to 7.3), on a
transformer of width 128 with a proxy of width 32: with the operations of two, four and eight runs
of the target either as many points are drawn and trained there, or so many on the proxy that all
runs but one are spent, and the best one is trained on the target. Five times, µP beside standard.
For BERT, as in `recipes`, three times, µP by its proxy beside standard on the target.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import abcparam
from abcparam.data.named import data_named
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.source import Source
from abcparam.language.reader import read
from abcparam.pipeline import emit_program
from abcparam.presentation.figures import new_figure
from abcparam.tuning.sweep import SweepResult
from abcparam.tuning.train.cost import cost_of
from abcparam.tuning.train.training import job_of
from abcparam.verdict.check import judged, load
from examples.reproduce.optima import FORMS
from examples.reproduce.recipes import RECIPES, scaled
from examples.reproduce.scripts import asked, report, trains

SPEC = Path(__file__).parent / "transformer.param"
PROXY, TARGET = 32, 128
RUNS = (2, 4, 8)  # the cost of a search, in runs of the target
DIRECT, SMALL = "on the target", "on the proxy"


class Task(NamedTuple):
    """A model, how it is trained and searched, and how often."""

    source: Callable[[str], Source]  # of a parametrization
    over: tuple[str, ...]
    ways: tuple[tuple[str, str], ...]  # parametrizations, and where each is searched
    times: int
    setting: Mapping[str, Any]


BERT = RECIPES["bert"]
TASKS = {
    "transformer": Task(
        lambda form: read(SPEC),
        ("lr", "out_mult", "std"),
        tuple(itertools.product(FORMS, (DIRECT, SMALL))),
        times=5,
        setting={"data": None, "steps": 100, "batch": 8},
    ),
    "bert": Task(
        lambda form: scaled("bert", BERT, form),
        BERT.over,
        (("mup", SMALL), ("sp", DIRECT)),
        times=3,
        setting={
            "data": BERT.data,
            "steps": BERT.steps,
            "batch": BERT.batch,
            "schedule": "linear:0.1",
        },
    ),
}
SMALLEST = {"steps": 4, "batch": 2}


class Found(NamedTuple):
    """What a search found: the loss of the target; inf where all diverged."""

    parametrization: str
    runs: int
    time: int
    way: str
    points: int
    loss: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("searches of the same cost", "proxy_search")
    parser.add_argument("--model", choices=TASKS, default="transformer")
    given = asked(parser, arguments)
    found = list(searches(TASKS[given.model], given))
    report(given, "searches", found, drawn(found), table(found))


def searches(task: Task, given: argparse.Namespace) -> Iterator[Found]:
    times, each = range(1 if given.smallest else task.times), ratio(task, given)
    costs = RUNS[:1] if given.smallest else RUNS
    for form, runs, time in itertools.product(FORMS, costs, times):
        for way in (way for known, way in task.ways if known == form):
            points = runs if way == DIRECT else (runs - 1) * each
            width = TARGET if way == DIRECT else PROXY
            found = swept(task, given, form, time, width, task.over, points)
            if way == SMALL:
                values = {name: value for best in found.best for name, value in best.hypers.items()}
                over = [f"{name}={value}" for name, value in values.items()]
                found = swept(task, given, form, time, TARGET, over, 0)
            yield Found(form, runs, time, way, points, least(found))


def ratio(task: Task, given: argparse.Namespace) -> int:
    """How many runs of the proxy cost as much as one of the target, in operations."""
    if given.smallest:
        return 1
    named = given.data or task.setting["data"]
    data = data_named(named) if named else Synthetic()
    flops = []
    for width in (PROXY, TARGET):
        program = load(task.source("mup"), {"width": Fraction(width)})
        code = emit_program(judged(program))
        job = job_of(program, code, data, steps=1, batch=task.setting["batch"])
        flops.append(cost_of(job, {}).flops)
    return int(flops[1] / flops[0])


def swept(
    task: Task,
    given: argparse.Namespace,
    form: str,
    time: int,
    width: int,
    over: Iterable[str],
    trials: int,
) -> SweepResult:
    setting = {**task.setting, **(SMALLEST if given.smallest else {})}
    return abcparam.sweep(
        task.source(form),
        over,
        **{**setting, "data": given.data or setting["data"]},
        set={"width": width},
        forms=(form,),
        trials=trials,
        first=time,
        folder=given.resume,
        device=given.device,
    )


def least(found: SweepResult) -> float:
    return min((best.loss for best in found.best), default=math.inf)


def table(found: Sequence[Found]) -> str:
    lines = [f"{'':<20}  runs  points  median  losses of the target"]
    for (form, way, runs), same in grouped(found).items():
        losses = "  ".join(f"{each.loss:.3f}" for each in same)
        middle = median(each.loss for each in same)
        row = f"{form + ', ' + way:<20}  {runs:<4}  {same[0].points:<6}"
        lines.append(f"{row}  {middle:<6.3f}  {losses}")
    return "\n".join(lines)


def grouped(found: Iterable[Found]) -> dict[tuple[str, str, int], list[Found]]:
    groups: dict[tuple[str, str, int], list[Found]] = {}
    for each in found:
        groups.setdefault((each.parametrization, each.way, each.runs), []).append(each)
    return groups


def drawn(found: Sequence[Found]) -> Any:
    """For each parametrization the losses over the cost, a line through the medians of each way."""
    figure = new_figure(8, 4)
    places = dict(zip(FORMS, figure.subplots(1, len(FORMS), sharey=True), strict=True))
    curves: dict[tuple[str, str], dict[int, list[float]]] = {}
    for (form, way, runs), same in grouped(found).items():
        curves.setdefault((form, way), {})[runs] = [each.loss for each in same]
    for (form, way), losses in curves.items():
        place, color = places[form], "C1" if way == SMALL else "C0"
        place.plot(list(losses), [median(each) for each in losses.values()], color=color, label=way)
        dots = [(r, x) for r, each in losses.items() for x in each if math.isfinite(x)]
        place.plot(*zip(*dots, strict=True), ".", color=color)
    for form, place in places.items():
        place.set(title=form, xlabel="cost of the search, runs of the target", xscale="log")
        place.set_xticks(sorted({each.runs for each in found}))
        place.get_xaxis().set_major_formatter("{x:.0f}")
        place.minorticks_off()
        place.legend()
    places[FORMS[0]].set_ylabel(f"loss at width {TARGET}")
    return figure


if __name__ == "__main__":
    main()
