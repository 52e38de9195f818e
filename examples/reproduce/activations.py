"""How far activations have moved after each step, over widths: µP beside standard.

    python -m examples.reproduce.activations

An analogue of the coordinate checks of µTransfer (arXiv 2203.03466, appendix D.1) on a perceptron:
widths 64 to 1024, Adam, changes since initialization on one batch, in double precision.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from abcparam.coordinate_check.laws import CHANGE
from abcparam.coordinate_check.measure.measuring import Probe, RunSetting
from abcparam.coordinate_check.measure.store import Store, StoredSizes
from abcparam.data.named import data_named
from abcparam.diagnostics.source import Source
from abcparam.editing.parametrization import in_form
from abcparam.presentation.figures import new_figure
from abcparam.verdict.check import judged, load
from examples.reproduce.optima import FORMS
from examples.reproduce.scripts import asked, options, report

SPEC = Path(__file__).parent / "mlp.param"
WIDTHS, SMALLEST = (64, 128, 256, 512, 1024), (64, 128, 256)
NAMES = ("hidden", "output")


class Size(NamedTuple):
    """A geometric mean over seeds of a root mean square, `step` steps after initialization."""

    parametrization: str
    name: str
    step: int
    width: int
    size: float


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(options("sizes of activations", "activations"), arguments)
    found = list(measured(given))
    report(given, "activations", found, drawn(found), table(found))


def measured(given: argparse.Namespace) -> Iterator[Size]:
    """Of every parametrization, name, step and width, runs that are on disk read from there."""
    widths, seeds = (SMALLEST, 1) if given.smallest else (WIDTHS, 3)
    data = data_named(given.data) if given.data else None
    setting = RunSetting(steps=2 if given.smallest else 4, data=data, each=True)
    source = Source(SPEC.read_text(encoding="utf-8"), SPEC.name)
    for form in FORMS:
        probe = Probe(judged(load(in_form(source, form))))
        identity = (probe.code, setting.steps, setting.batch, data.identity if data else "")
        store = Store(given.resume, *identity)
        runs = {w: [run(probe, store, w, s, setting) for s in range(seeds)] for w in widths}
        for name, step in itertools.product(NAMES, range(setting.steps)):
            for width, found in runs.items():
                logs = [math.log(sizes[name, CHANGE][step]) for sizes in found]
                yield Size(form, name, step + 1, width, math.exp(math.fsum(logs) / len(logs)))


def run(probe: Probe, store: Store, width: int, seed: int, setting: RunSetting) -> StoredSizes:
    found = store.read((width, seed))
    if found is None:
        found = probe.run({"width": width}, seed, setting)
        store.write((width, seed), found)
    return found


def lines(found: list[Size]) -> Iterator[tuple[tuple[str, str, int], list[Size]]]:
    for key, line in itertools.groupby(found, key=lambda size: size[:3]):
        yield key, list(line)


def slope(line: list[Size]) -> float:
    """Of log size on log width, from the smallest width to the largest."""
    low, high = line[0], line[-1]
    return math.log(high.size / low.size) / math.log(high.width / low.width)


def table(found: list[Size]) -> str:
    rows = [f"{'change of':<12}  step  {'smallest':<9}  {'largest':<9}  slope"]
    for (form, name, step), line in lines(found):
        ends = f"{line[0].size:<9.3g}  {line[-1].size:<9.3g}"
        rows.append(f"{form + ' ' + name:<12}  {step:<4}  {ends}  {slope(line):+.2f}")
    return "\n".join(rows)


def drawn(found: list[Size]) -> Any:
    """Parametrizations side by side, a line for each name and step."""
    figure = new_figure(11, 4.5)
    places = dict(zip(FORMS, figure.subplots(1, len(FORMS), sharey=True), strict=True))
    for (form, name, step), line in lines(found):
        style = {"color": f"C{step}", "linestyle": "-" if name == "output" else "--"}
        label = f"{name}, step {step}"
        places[form].plot([s.width for s in line], [s.size for s in line], label=label, **style)
    for form, place in places.items():
        place.set(xscale="log", yscale="log", xlabel="width", ylabel="change (RMS)", title=form)
        place.legend(fontsize="x-small")
    return figure


if __name__ == "__main__":
    main()
