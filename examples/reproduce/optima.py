"""Where the best value of a hyper lies at each width: how far it drifts, and whether wider is
better.
"""

from __future__ import annotations

import itertools
import math
import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from abcparam.algebra.record import replace
from abcparam.storage.atomic import write_atomically
from abcparam.tuning.extrapolation import FEWEST, LEVEL, Estimate, law_of, optimum
from abcparam.tuning.output.plots import plot
from abcparam.tuning.output.text import render_csv, value_text
from abcparam.tuning.space import SCHEDULE, Axis, AxisValue
from abcparam.tuning.sweep import Cell, SweepResult
from abcparam.tuning.trials import Trial, TrialResult

FORMS = ("mup", "sp")
MARGIN = 1.02  # a loss that is so many times another is worse; less is noise
Curve = Mapping[AxisValue, float]  # the least loss at each value of a hyper; inf: diverged


def curves(swept: SweepResult, form: str, hyper: str, along: str = "width") -> dict[int, Curve]:
    """For each width, or what else grows, the least loss at each value of a hyper, whatever the
    others are.
    """
    found: dict[int, dict[AxisValue, float]] = {}
    for cell, points in swept.cells.items():
        if cell.form == form:
            curve = found.setdefault(_size(cell, cell.sizes, along), {})
            for hypers, loss in points.items():
                value = dict(hypers)[hyper]
                curve[value] = min(loss, curve.get(value, math.inf))
    return dict(sorted(found.items()))


def _size(trained: Cell | Trial, values: Iterable[tuple[str, Fraction]], along: str) -> int:
    settings = {"steps": trained.steps, "batch": trained.batch}
    return settings.get(along) or int(dict(values)[along])


def best(curve: Curve) -> AxisValue:
    return min(curve, key=curve.__getitem__)


def drift(found: Mapping[int, Curve]) -> float:
    """Octaves from the best value at the smallest width to that at the largest: a multiple of the
    grid's step. Of schedules 0 if it is the same one.
    """
    small, *_, large = map(best, found.values())
    if isinstance(small, str) or isinstance(large, str):
        return 0.0 if small == large else math.nan
    return math.log2(large / small)


EDGE = 1.25  # times the least loss


def edge(curve: Curve) -> float:
    """The logarithm, in octaves, of the value above the best at which a loss is `EDGE` times the
    least, between values of the grid; nan where none is that high.

    Where a curve is flat around its least, that one is chance, and this is not.
    """
    points = sorted((float(at), loss) for at, loss in curve.items() if not isinstance(at, str))
    least = min(loss for _, loss in points)
    top = EDGE * least
    for (low, below), (high, above) in itertools.pairwise(points):
        if low >= float(best(curve)) and below <= top < above:
            part = (top - below) / (above - below) if math.isfinite(above) else 0.0
            return math.log2(low) + part * math.log2(high / low)
    return math.nan


def drift_by_law(swept: SweepResult, form: str, hyper: str, along: str) -> Estimate | None:
    """The drift of a power law through the optima between the values of the grid, with its
    interval; None of schedules, and of fewer sizes than make a law.
    """
    found = {}
    for each in swept.best:
        if each.cell.form == form and not isinstance(dict(each.point)[hyper], str):
            found[_size(each.cell, each.cell.sizes, along)] = optimum(swept, each, hyper)
    if len(found) < FEWEST:
        return None
    sizes = sorted(found)
    slope = law_of(sizes, [found[size] for size in sizes]).slope
    octaves = math.log2(sizes[-1] / sizes[0])
    return Estimate(slope.value * octaves, slope.low * octaves, slope.high * octaves)


DRAWS = 2000  # of seeds, with replacement
Losses = Mapping[AxisValue, Mapping[int, float]]  # at each value of a hyper, of each seed


def losses_by_seed(swept: SweepResult, form: str, hyper: str, along: str) -> dict[int, Losses]:
    """For each width, or what else grows, and each value of the hyper, the loss of each seed, the
    least where others differ too.
    """
    found: dict[int, dict[AxisValue, dict[int, float]]] = {}
    for result in swept.results:
        trial = result.trial
        if trial.form == form:
            value = trial.schedule if hyper == SCHEDULE else dict(trial.values)[hyper]
            seeds = found.setdefault(_size(trial, trial.values, along), {}).setdefault(value, {})
            seeds[trial.seed] = min(result.score(swept.by), seeds.get(trial.seed, math.inf))
    return dict(sorted(found.items()))


def drift_over_seeds(swept: SweepResult, form: str, hyper: str, along: str) -> Estimate | None:
    """The drift, with the interval that a bootstrap over seeds gives: at each of both sizes as many
    seeds are drawn as there are, with replacement, and the best value is that of their mean losses.

    None of schedules, and where a size has fewer than `FEWEST` seeds.
    """
    small, *_, large = losses_by_seed(swept, form, hyper, along).values()
    if hyper == SCHEDULE or min(len(_seeds(end)) for end in (small, large)) < FEWEST:
        return None
    draw = random.Random(0)
    drawn = [math.log2(_best_of(large, draw) / _best_of(small, draw)) for _ in range(DRAWS)]
    low, high = interval(drawn)
    return Estimate(drift(curves(swept, form, hyper, along)), low, high)


def _seeds(losses: Losses) -> list[int]:
    """Those that every value has."""
    each = [set(seeds) for seeds in losses.values()]
    return sorted(set.intersection(*each))


def _best_of(losses: Losses, draw: random.Random) -> float:
    """By the mean losses of seeds drawn at random."""
    seeds = _seeds(losses)
    drawn = draw.choices(seeds, k=len(seeds))
    mean = {
        value: statistics.fmean(found[seed] for seed in drawn) for value, found in losses.items()
    }
    return float(best(mean))


def interval(drawn: Sequence[float]) -> tuple[float, float]:
    """The quantiles between which lies `LEVEL` of a bootstrap's draws."""
    ordered, out = sorted(drawn), (1 - LEVEL) / 2
    last = len(ordered) - 1
    return ordered[round(out * last)], ordered[round((1 - out) * last)]


def gain_over_seeds(swept: SweepResult, hyper: str, along: str) -> Estimate | None:
    """The least loss under µP over that of the standard parametrization at the largest size, each
    at its best value, with the interval of a bootstrap over seeds; both draw the same ones.

    None where there are fewer than `FEWEST`, or one parametrization alone.
    """
    if not set(FORMS) <= set(swept.forms):
        return None
    ends = [[*losses_by_seed(swept, form, hyper, along).values()][-1] for form in FORMS]
    seeds = [seed for seed in _seeds(ends[0]) if seed in _seeds(ends[1])]
    if len(seeds) < FEWEST:
        return None

    def ratio(drawn: Sequence[int]) -> float:
        least = [
            min(statistics.fmean(found[seed] for seed in drawn) for found in end.values())
            for end in ends
        ]
        return least[0] / least[1]

    draw = random.Random(0)
    low, high = interval([ratio(draw.choices(seeds, k=len(seeds))) for _ in range(DRAWS)])
    return Estimate(ratio(seeds), low, high)


def violations(found: Mapping[int, Curve]) -> tuple[int, int]:
    """How often a model is worse than the next smaller one with the same hyper, of how many pairs;
    pairs whose smaller model diverged say nothing, nor do values of one width alone.
    """
    pairs = [
        (small[value], large[value])
        for small, large in itertools.pairwise(found.values())
        for value in small.keys() & large.keys()
        if math.isfinite(small[value])
    ]
    return sum(large > MARGIN * small for small, large in pairs), len(pairs)


def violations_by_seed(swept: SweepResult, form: str, hyper: str, along: str) -> tuple[int, int]:
    """Each pair of sizes is compared by the seeds that both have."""
    trained: dict[int, list[TrialResult]] = {}
    for result in swept.results:
        if result.trial.form == form:
            size = _size(result.trial, result.trial.values, along)
            trained.setdefault(size, []).append(result)
    worse = pairs = 0
    for sizes in itertools.pairwise(sorted(trained)):
        seeds = [{result.trial.seed for result in trained[size]} for size in sizes]
        both = [r for size in sizes for r in trained[size] if r.trial.seed in seeds[0] & seeds[1]]
        found = violations(curves(replace(swept, results=tuple(both)), form, hyper, along))
        worse, pairs = worse + found[0], pairs + found[1]
    return worse, pairs


def table(swept: SweepResult, hypers: Sequence[str], along: str) -> str:
    """The best values, their drift, and violations, for each parametrization."""
    lines = []
    forms = dict.fromkeys(cell.form for cell in swept.cells)
    for form, hyper in itertools.product(forms, hypers):
        found = curves(swept, form, hyper, along)
        lines += [f"{form}: {hyper}", f"{along:<7}  best          loss"]
        for width, curve in found.items():
            lines.append(f"{width:<7}  {value_text(best(curve)):<12}  {min(curve.values()):.4f}")
        worse, pairs = violations_by_seed(swept, form, hyper, along)
        moved = drift(found)
        law = drift_by_law(swept, form, hyper, along)
        by = "the best is another one" if math.isnan(moved) else f"drift {moved:+.1f} octaves"
        over = drift_over_seeds(swept, form, hyper, along)
        if over is not None:
            by += f" ({over.low:+.1f} to {over.high:+.1f} over seeds)"
        more = "wider" if along == "width" else "more"
        lines.append(f"{by}; {more} is worse in {worse} of {pairs}")
        if law is not None:
            between = f"{law.low:+.1f} to {law.high:+.1f} at {100 * LEVEL:.0f} %"
            lines.append(f"by a power law through the optima {law.value:+.1f} octaves, {between}")
        lines.append("")
    for hyper in hypers:
        gain = gain_over_seeds(swept, hyper, along)
        if gain is not None:
            between = f"{gain.low:.3f} to {gain.high:.3f} over seeds"
            lines += [
                f"{hyper}: the least loss, µP over standard, {gain.value:.3f} ({between})",
                "",
            ]
    return "\n".join(lines)


def joined(parts: Sequence[SweepResult]) -> SweepResult:
    """Of several sweeps over the same names, one over all of them, parametrizations in order."""
    found: dict[str, dict[AxisValue, None]] = {}
    for axis in (axis for part in parts for axis in part.axes):
        found.setdefault(axis.name, {}).update(dict.fromkeys(axis.values))
    axes = tuple(Axis(name, tuple(_ordered(values))) for name, values in found.items())
    results = tuple(result for part in parts for result in part.results)
    forms = list(dict.fromkeys(result.trial.form for result in results))
    ordered = sorted(results, key=lambda result: forms.index(result.trial.form))
    return replace(parts[0], axes=axes, results=tuple(ordered))


def _ordered(values: Iterable[AxisValue]) -> list[AxisValue]:
    named = [value for value in values if isinstance(value, str)]
    return [*sorted(value for value in values if not isinstance(value, str)), *named]


def powers(octaves: Iterable[float], unit: float = 1.0) -> str:
    """Values for `over`, an octave apart where the numbers are."""
    return ",".join(str(unit * 2.0**octave) for octave in octaves)


def write(
    swept: SweepResult,
    hypers: Sequence[str],
    folder: Path,
    name: str = "trials",
    along: str = "width",
) -> None:
    """Prints the table; writes it, every trial as CSV and a figure for each hyper."""
    plot(swept, folder)
    text = table(swept, hypers, along)
    write_atomically(str(folder / f"{name}.csv"), render_csv(swept))
    write_atomically(str(folder / f"{name}.txt"), text)
    print(text, *(f"* {note}" for note in swept.notes), f"written: {folder}", sep="\n")
