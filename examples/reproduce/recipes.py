"""The recipes of µTransfer for GPT-3, BERT and a ResNet, scaled down and run from end to end.

    python -m examples.reproduce.recipes gpt3 bert resnet18

Sections 7.2 to 7.4 of arXiv 2203.03466, with the specs of examples/ at small sizes. A random search
on a narrow proxy, then a finer one of the learning rate there, by `abcparam.transfer`; the target,
of four times the width, gets what was best. Beside it what the target would have chosen for itself,
and the same under the standard parametrization, which at the width of the proxy is the same model.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.presentation.figures import new_figure
from abcparam.storage.atomic import write_atomically
from abcparam.tuning.choices import HELD_OUT, TRAINING
from abcparam.tuning.options import AS_WRITTEN
from abcparam.tuning.output.text import render_csv
from abcparam.tuning.sweep import SweepResult
from examples.reproduce.batches import fashion, images, masked
from examples.reproduce.optima import Curve, best, curves, drift, edge, powers, violations
from examples.reproduce.scripts import asked, report, trains

SPECS = Path(__file__).parents[1]
FORMS = {"mup": AS_WRITTEN, "sp": "sp"}


class Recipe(NamedTuple):
    """What is trained: a spec of examples/ at other sizes; its smallest width is the proxy's."""

    sizes: Mapping[str, int]
    widths: tuple[int, ...]
    over: tuple[str, ...]  # what is searched on the proxy
    trials: int
    steps: int
    batch: int
    seeds: int = 2
    data: Callable[..., Any] | None = None
    octaves: range = range(-4, 4)  # of the learning rate, around the best of the search

    @property
    def by(self) -> str:
        return HELD_OUT if self.data is fashion else TRAINING


RECIPES = {
    "gpt3": Recipe(
        {"head": 16, "depth": 4, "vocab": 256, "context": 32, "buckets": 16},
        (32, 64, 128),
        ("lr", "init_std", "attn_mult", "out_mult"),
        trials=32,
        steps=150,
        batch=8,
    ),
    "bert": Recipe(
        {"head": 8, "depth": 2, "vocab": 19, "context": 18},
        (32, 64, 128),
        ("lr=log:1e-4:1e-1", "init_std=log:1e-3:1", "out_mult"),
        trials=16,
        steps=400,
        batch=16,
        seeds=1,
        data=masked,
        octaves=range(-3, 3),
    ),
    "resnet18": Recipe(
        {"colours": 1, "rows": 28, "columns": 28, "classes": 10},
        (8, 16, 32),
        ("lr=log:1e-3:10",),
        trials=8,
        steps=80,
        batch=32,
        data=fashion,
        octaves=range(-3, 4),
    ),
}


class Row(NamedTuple):
    """Of one architecture in one parametrization; losses are those of the target."""

    architecture: str
    parametrization: str
    drift: float  # octaves of the best learning rate, from the smallest width to the largest
    edge: float  # the same of the rate at which the loss is a quarter above the least
    violations: int
    pairs: int
    rate: float  # the best of the proxy
    transferred: float
    own_rate: float
    own: float


class Done(NamedTuple):
    row: Row
    curves: Mapping[int, Curve]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("recipes, scaled down", "recipes")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--widths", help="in place of its own, the proxy's first: 16,32,64")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seeds", type=int)
    given = asked(parser, arguments)
    if unknown := set(given.names) - RECIPES.keys():
        parser.error(f"no recipe is called {', '.join(sorted(unknown))}")
    found = [done for name in given.names or RECIPES for done in run(name, given)]
    rows = [done.row for done in found]
    report(given, "recipes", rows, drawn(found), table(rows))


def run(name: str, given: argparse.Namespace) -> Iterator[Done]:
    """One recipe, in each parametrization; what is transferred is written beside its trials."""
    recipe = smallest(RECIPES[name]) if given.smallest else RECIPES[name]
    widths = tuple(map(int, given.widths.split(","))) if given.widths else recipe.widths
    seeds, steps = given.seeds or recipe.seeds, given.steps or recipe.steps
    recipe = recipe._replace(widths=widths, steps=steps, seeds=seeds)
    if recipe.data is fashion and not images():
        recipe = recipe._replace(data=None)
    tuned = searched(name, recipe, given)
    grid = f"lr={powers(recipe.octaves, float(tuned.pop('lr')))}"
    rate = transferred(name, recipe, tuned, grid, given)
    for form, known in FORMS.items():
        over = [f"width={','.join(map(str, recipe.widths))}", grid]
        source = scaled(name, recipe, form)
        swept = trained(source, over, recipe, given, set=tuned, forms=(known,))
        write_atomically(str(given.out / name / f"{form}.csv"), render_csv(swept))
        found = curves(swept, known, "lr")
        yield Done(row_of(name, form, found, rate), found)


def smallest(recipe: Recipe) -> Recipe:
    sizes = {name: 1 if name == "depth" else size for name, size in recipe.sizes.items()}
    less: dict[str, Any] = {
        "widths": recipe.widths[:2],
        "trials": 2,
        "steps": 3,
        "batch": 2,
        "seeds": 1,
    }
    data = None if recipe.data is fashion else recipe.data
    return recipe._replace(sizes=sizes, data=data, octaves=range(2), **less)


def scaled(name: str, recipe: Recipe, form: str) -> Source:
    """The spec at these sizes, without dropout, as the texts are fresh. A `base(width) / width`
    beside a tied embedding is µP's, and the standard parametrization has none.
    """
    text = (SPECS / f"{name}.param").read_text(encoding="utf-8")
    text = re.sub(r"base = \d+", f"base = {recipe.widths[0]}", text, count=1)
    for dim, size in recipe.sizes.items():
        text = re.sub(rf"^dim {dim}\b.*", f"dim {dim} = {size}", text, flags=re.MULTILINE)
    text = re.sub(r"dropout\((.*), 0\.1\)", r"\1", text)
    if form == "sp":
        text = text.replace("base(width) / width * (embedding.T", "(embedding.T")
    return Source(text, f"{name}.param")


def trained(
    source: Source, over: Sequence[str], recipe: Recipe, given: argparse.Namespace, **more: Any
) -> SweepResult:
    return abcparam.sweep(source, over, **{**setting(recipe, given), **more})


def setting(recipe: Recipe, given: argparse.Namespace) -> dict[str, Any]:
    return {
        "data": given.data or recipe.data,
        "steps": recipe.steps,
        "batch": recipe.batch,
        "seeds": recipe.seeds,
        "schedule": "linear:0.1",
        "by": recipe.by,
        "folder": given.resume,
        "device": given.device,
    }


def searched(name: str, recipe: Recipe, given: argparse.Namespace) -> dict[str, Fraction]:
    """The best of some points at random on the proxy."""
    width, trials = {"width": recipe.widths[0]}, recipe.trials
    source = scaled(name, recipe, "mup")
    swept = trained(source, recipe.over, recipe, given, set=width, trials=trials, seeds=1)
    return dict(min(swept.best, key=lambda found: found.loss).hypers)


def transferred(
    name: str, recipe: Recipe, tuned: Mapping[str, Fraction], grid: str, given: argparse.Namespace
) -> Fraction:
    """The best learning rate of the proxy, given to the target with what else was tuned."""
    source = scaled(name, recipe, "mup")
    target = {**tuned, "width": recipe.widths[-1]}
    found = abcparam.transfer(source, target, over=[grid], trials=0, **setting(recipe, given))
    folder = given.out / name
    folder.mkdir(parents=True, exist_ok=True)
    hypers = json.dumps(found.to_dict(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(str(folder / source.file), source.text)
    write_atomically(str(folder / "hparams.json"), hypers)
    write_atomically(str(folder / "target.py"), found.code)
    return found.hypers["lr"]


def row_of(name: str, form: str, found: Mapping[int, Curve], rate: Fraction) -> Row:
    target = found[max(found)]
    own = best(target)
    assert isinstance(own, Fraction)
    losses = (float(rate), target[rate], float(own), target[own])
    moved = edge(target) - edge(found[min(found)])
    return Row(name, form, drift(found), moved, *violations(found), *losses)


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'':<13}  drift  edge   worse     the proxy's  loss    its own    loss"]
    for row in rows:
        moved = f"{row.drift:<+5.0f}  {row.edge:<+5.1f}  {row.violations:>2} of {row.pairs:<3}"
        rates = f"{row.rate:<11.3g}  {row.transferred:<6.4f}  {row.own_rate:<9.3g}  {row.own:.4f}"
        lines.append(f"{row.architecture + ' ' + row.parametrization:<13}  {moved}  {rates}")
    return "\n".join(lines)


def drawn(found: Sequence[Done]) -> Any:
    """A row for each architecture, parametrizations side by side; the proxy's best rate dotted."""
    figure = new_figure(9, 3.2 * len(found) / len(FORMS))
    places = figure.subplots(len(found) // len(FORMS), len(FORMS), squeeze=False).flatten()
    for place, done in zip(places, found, strict=True):
        for width, curve in done.curves.items():
            points = sorted((float(lr), loss) for lr, loss in curve.items())
            (line,) = place.plot(*zip(*points, strict=True), marker=".", label=f"width {width}")
            least = min(points, key=lambda point: point[1])
            place.plot(*least, color=line.get_color(), marker="*", markersize=11)
        place.axvline(done.row.rate, color="grey", linestyle=":")
        title = f"{done.row.architecture}: {done.row.parametrization}"
        place.set(xscale="log", xlabel="lr", ylabel="loss", title=title)
        place.legend(fontsize="x-small")
    return figure


if __name__ == "__main__":
    main()
