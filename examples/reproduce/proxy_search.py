"""A random search on a small proxy beside one on the target itself, of the same cost.

    python -m examples.reproduce.proxy_search

An analogue of the comparisons of µTransfer (arXiv 2203.03466, sections 7.1 to 7.3), on a
transformer of width 128 with a proxy of width 32: with the operations of four runs of the target
either four points are drawn and trained there, or so many on the proxy that three of the four are
spent, and the best one is trained on the target. Five times, µP beside standard.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import abcparam
from abcparam.batches.named import data_named
from abcparam.batches.synthetic import Synthetic
from abcparam.driver import emit_program, judged, load
from abcparam.parse import read
from abcparam.pictures import new_figure
from abcparam.tuning.cost import cost_of
from abcparam.tuning.sweep import Swept
from abcparam.tuning.training import job_of
from examples.reproduce.optima import FORMS
from examples.reproduce.scripts import asked, options, report

SPEC = Path(__file__).parent / "transformer.param"
PROXY, TARGET = 32, 128
HYPERS = ("lr", "out_mult", "std")
RUNS, TIMES = 4, 5


class Found(NamedTuple):
    """What a search found: the loss of the target; inf where all diverged."""

    parametrization: str
    time: int
    way: str
    points: int
    loss: float


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(options("searches of the same cost", "proxy_search"), arguments)
    found = list(searches(given))
    report(given, "searches", found, drawn(found), table(found))


def searches(given: argparse.Namespace) -> Iterator[Found]:
    points = (RUNS - 1) * ratio(given)
    for form, time in itertools.product(FORMS, range(1 if given.smallest else TIMES)):
        direct = swept(given, form, time, TARGET, HYPERS, RUNS)
        yield Found(form, time, "on the target", RUNS, least(direct))
        small = swept(given, form, time, PROXY, HYPERS, points)
        values = {name: value for best in small.best for name, value in best.hypers.items()}
        over = [f"{name}={value}" for name, value in values.items()]
        moved = swept(given, form, time, TARGET, over, 0)
        yield Found(form, time, "on the proxy", points, least(moved))


def ratio(given: argparse.Namespace) -> int:
    """How many runs of the proxy cost as much as one of the target, in operations."""
    if given.smallest:
        return 1
    data = data_named(given.data) if given.data else Synthetic()
    flops = []
    for width in (PROXY, TARGET):
        program = load(read(SPEC), {"width": Fraction(width)})
        code = emit_program(judged(program))
        flops.append(cost_of(job_of(program, code, data, steps=1, batch=8), {}).flops)
    return int(flops[1] / flops[0])


def swept(
    given: argparse.Namespace, form: str, time: int, width: int, over: Iterable[str], trials: int
) -> Swept:
    return abcparam.sweep(
        SPEC,
        over,
        data=given.data,
        set={"width": width},
        forms=(form,),
        trials=trials,
        first=time,
        steps=4 if given.smallest else 100,
        batch=2 if given.smallest else 8,
        folder=given.resume,
    )


def least(found: Swept) -> float:
    return min((best.loss for best in found.best), default=math.inf)


def table(found: Sequence[Found]) -> str:
    lines = [f"{'':<20}  points  median  losses of the target"]
    for (form, way), same in grouped(found):
        losses = "  ".join(f"{each.loss:.3f}" for each in same)
        middle = median(each.loss for each in same)
        lines.append(f"{form + ', ' + way:<20}  {same[0].points:<6}  {middle:<6.3f}  {losses}")
    return "\n".join(lines)


def grouped(found: Iterable[Found]) -> list[tuple[tuple[str, str], list[Found]]]:
    groups: dict[tuple[str, str], list[Found]] = {}
    for each in found:
        groups.setdefault((each.parametrization, each.way), []).append(each)
    return list(groups.items())


def drawn(found: Sequence[Found]) -> Any:
    """A column of dots for each way, a line at its median."""
    figure = new_figure(6.5, 4)
    place = figure.subplots()
    groups = grouped(found)
    for number, (_, same) in enumerate(groups):
        losses = [each.loss for each in same if math.isfinite(each.loss)]
        place.plot([number] * len(losses), losses, ".", color=f"C{number % 2}", markersize=10)
        if losses:
            place.hlines(median(losses), number - 0.3, number + 0.3, color=f"C{number % 2}")
    labels = [f"{form},\n{way}" for (form, way), _ in groups]
    place.set_xticks(range(len(groups)), labels)
    place.set(ylabel=f"loss at width {TARGET}", title="searches of the same cost")
    return figure


if __name__ == "__main__":
    main()
