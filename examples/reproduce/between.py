"""BERT's target between the parametrizations: what a standard model has that one in µP lacks.

    python -m examples.reproduce.between

By `recipes` the small target of BERT is better under the standard parametrization than in µP, each
at the rate that is best for it. At its width the two differ in the rates of hidden maps, by the
factor `base(width) / width`, and in the same factor behind the tied embedding. Here the target also
has one of them alone; and the proxy, where there is none, other output multipliers, which are what
that factor is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from abcparam.presentation.figures import new_figure
from abcparam.tuning.options import AS_WRITTEN
from examples.reproduce.optima import Curve, best, curves, powers
from examples.reproduce.recipes import RECIPES, scaled, searched, smallest, trained
from examples.reproduce.scripts import asked, report, trains

NAME = "bert"
OCTAVES = range(-3, 3)  # of the learning rate, around the best of the proxy
TIMES = (1, 2, 4)  # the output multiplier of the proxy
# The text of which parametrization says what stands behind the embedding; the rates of which.
MODELS = {
    "µP": ("mup", AS_WRITTEN),
    "µP without the embedding's factor": ("sp", AS_WRITTEN),
    "standard with the embedding's factor": ("mup", "sp"),
    "standard": ("sp", "sp"),
}


class Point(NamedTuple):
    """The loss of the target, or of the proxy, at a rate."""

    model: str
    rate: float
    loss: float


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("between the parametrizations", "between")
    parser.add_argument("--seeds", type=int, default=RECIPES[NAME].seeds)
    given = asked(parser, arguments)
    recipe = RECIPES[NAME]._replace(seeds=given.seeds)
    recipe = smallest(recipe) if given.smallest else recipe
    tuned = searched(NAME, recipe, given)
    rates = powers(recipe.octaves if given.smallest else OCTAVES, float(tuned.pop("lr")))
    found: dict[str, Curve] = {}

    def add(model: str, width: int, text: str, form: str, **more: Fraction) -> None:
        source, over = scaled(NAME, recipe, text), [f"width={width}", f"lr={rates}"]
        swept = trained(source, over, recipe, given, set={**tuned, **more}, forms=(form,))
        (found[model],) = curves(swept, form, "lr").values()

    for model, (text, form) in MODELS.items():
        add(model, recipe.widths[-1], text, form)
    for times in TIMES:
        multiplier = times * tuned["out_mult"]
        add(f"proxy, out_mult x {times}", recipe.widths[0], *MODELS["µP"], out_mult=multiplier)
    points = [
        Point(model, float(rate), loss)
        for model, curve in found.items()
        for rate, loss in curve.items()
    ]
    report(given, "between", points, drawn(found), table(found))


def table(found: Mapping[str, Curve]) -> str:
    lines = [f"{'':<36}  best lr    loss    at each rate"]
    for model, curve in found.items():
        losses = "  ".join(f"{loss:.3f}" for _, loss in sorted(curve.items()))
        lines.append(
            f"{model:<36}  {float(best(curve)):<9.3g}  {min(curve.values()):.4f}  {losses}"
        )
    return "\n".join(lines)


def drawn(found: Mapping[str, Curve]) -> Any:
    figure = new_figure(6, 4)
    place = figure.subplots()
    for model, curve in found.items():
        points = [
            (float(rate), loss) for rate, loss in sorted(curve.items()) if math.isfinite(loss)
        ]
        place.plot(*zip(*points, strict=True), marker=".", label=model)
    place.set(xscale="log", xlabel="lr", ylabel="loss")
    place.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
