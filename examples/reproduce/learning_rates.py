"""Loss against learning rate of a perceptron of widths 128 to 8192, µP beside standard.

    python -m examples.reproduce.learning_rates
    python -m examples.reproduce.learning_rates --optimizer sgd

An analogue of figure 3 of µTransfer (arXiv 2203.03466): under Adam on digits that are turned,
scaled and shifted at random, where scikit-learn is installed; under SGD on fresh examples of a
random teacher. Every octave is tried at the narrow widths, with several seeds; at all widths half
octaves around the best rate, from where the next narrower model had it.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.tuning.sweep import SweepResult
from examples.reproduce.optima import FORMS, joined, powers, write
from examples.reproduce.scripts import asked, trains

SPEC = Path(__file__).parent / "perceptron.param"
DIGITS = "examples.reproduce.augmented:digits"
OPTIMIZERS = {"adam": "adam { lr = lr, eps = 1e-12 }", "sgd": "sgd { lr = lr }"}
OCTAVES = {"adam": range(-14, -2), "sgd": range(-8, 2)}
STEPS = {"adam": 40, "sgd": 80}
WIDTHS = tuple(2**octave for octave in range(7, 14))
BATCH = 64


class Effort(NamedTuple):
    """How much is trained. Up to the width `narrow` every octave is tried, with several seeds; up
    to `wide` as many half octaves `around` the best rate, beyond it one.
    """

    steps: int
    narrow: int = 1024
    wide: int = 4096
    seeds: int = 3
    every: int = 1  # of the octaves
    around: int = 2  # on either side


SMALLEST = Effort(steps=10, narrow=128, seeds=1, every=4, around=0)


class Search(NamedTuple):
    """The search for the best rate of one parametrization."""

    source: Source
    form: str
    data: str | None
    folder: Path
    device: str
    effort: Effort

    def over(self, widths: Iterable[int], octaves: range) -> list[SweepResult]:
        """What was found at each width; each starts where the narrower one was best."""
        found, best = [], 0
        for width in widths:
            near = {best - 1, best, best + 1}
            if width <= self.effort.narrow:
                near = {2 * octave for octave in octaves[:: self.effort.every]}
            found.append(self.around_best(width, near))
            best = _place(found[-1])
        return found

    def around_best(self, width: int, places: set[int]) -> SweepResult:
        around = self.effort.around if width <= self.effort.wide else 1
        found: list[SweepResult] = []

        def best_of(tried: set[int]) -> int:
            found.append(self.trained(width, tried))
            return _place(found[-1])

        bracketed(best_of, places, around)
        return found[-1]

    def trained(self, width: int, places: Iterable[int]) -> SweepResult:
        """At these rates, in half octaves."""
        rates = powers(place / 2 for place in sorted(places))
        narrow = width <= self.effort.narrow
        return abcparam.sweep(
            self.source,
            [f"width={width}", f"lr={rates}"],
            data=self.data,
            forms=(self.form,),
            seeds=self.effort.seeds if narrow else 1,
            steps=self.effort.steps,
            batch=BATCH,
            together=64 if narrow else 1,
            folder=self.folder,
            device=self.device,
        )


def bracketed(best_of: Callable[[set[int]], int], places: set[int], around: int) -> set[int]:
    """These, and what is added until the best has as many neighbours on both sides."""
    while True:
        best = best_of(places)
        wanted = places | set(range(best - around, best + around + 1))
        if wanted == places:
            return places
        places = wanted


def _place(found: SweepResult) -> int:
    """Of the best rate, in half octaves."""
    (best,) = found.best
    return round(2 * math.log2(best.hypers["lr"]))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("learning rates of a perceptron", "learning_rates")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam")
    parser.add_argument("--steps", type=int, help=f"default: {STEPS}")
    parser.add_argument("--widest", type=int, default=WIDTHS[-1], help="up to this width")
    given = asked(parser, arguments)
    effort = SMALLEST if given.smallest else Effort(given.steps or STEPS[given.optimizer])
    text = SPEC.read_text(encoding="utf-8")
    source = Source(text.replace(OPTIMIZERS["adam"], OPTIMIZERS[given.optimizer]), SPEC.name)
    digits = given.optimizer == "adam" and importlib.util.find_spec("sklearn")
    data = given.data or (DIGITS if digits else None)
    widths = WIDTHS[:2] if given.smallest else [w for w in WIDTHS if w <= given.widest]
    octaves = OCTAVES[given.optimizer]
    searches = [Search(source, form, data, given.resume, given.device, effort) for form in FORMS]
    found = [part for search in searches for part in search.over(widths, octaves)]
    write(joined(found), ["lr"], given.out)


if __name__ == "__main__":
    main()
