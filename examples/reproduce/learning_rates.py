"""Loss against learning rate of a perceptron of widths 128 to 8192, or of a transformer of widths
32 to 1024, µP beside standard.

    python -m examples.reproduce.learning_rates
    python -m examples.reproduce.learning_rates --optimizer sgd
    python -m examples.reproduce.learning_rates --model transformer

An analogue of figures 3 and 1 of µTransfer (arXiv 2203.03466): under Adam on digits that are
turned, scaled and shifted at random, where scikit-learn is installed; under SGD on fresh examples
of a random teacher; the transformer under Adam on texts of a random grammar. Every octave is tried
at the narrow widths, with several seeds; at all widths half octaves around the best rate, from
where the next narrower model had it.
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

SPECS = Path(__file__).parent
DIGITS = "examples.reproduce.augmented:digits"
OPTIMIZERS = {"adam": "adam { lr = lr, eps = 1e-12 }", "sgd": "sgd { lr = lr }"}


class Effort(NamedTuple):
    """How much is trained. Up to the width `narrow` every octave is tried, with several seeds; up
    to `wide` as many half octaves `around` the best rate, beyond it one.
    """

    steps: int
    batch: int = 64
    narrow: int = 1024
    wide: int = 4096
    seeds: int = 3
    every: int = 1  # of the octaves
    around: int = 2  # on either side


class Setting(NamedTuple):
    """What is trained where nothing else is asked for; octaves of the rate at narrow widths."""

    widths: tuple[int, ...]
    octaves: range
    effort: Effort
    data: str | None = None


PERCEPTRON = tuple(2**octave for octave in range(7, 14))
SETTINGS = {  # by model and optimizer
    ("perceptron", "adam"): Setting(PERCEPTRON, range(-14, -2), Effort(steps=40), DIGITS),
    ("perceptron", "sgd"): Setting(PERCEPTRON, range(-8, 2), Effort(steps=80)),
    ("transformer", "adam"): Setting(
        tuple(2**octave for octave in range(5, 11)),
        range(-10, -2),
        Effort(steps=150, batch=8, narrow=128, wide=512, seeds=5),
    ),
}


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
            batch=self.effort.batch,
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
    parser = trains("learning rates of several widths", "learning_rates")
    parser.add_argument("--model", choices=("perceptron", "transformer"), default="perceptron")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="adam", help="of a perceptron")
    parser.add_argument("--steps", type=int, help="default: 40 under Adam, 80 SGD, 150 transformer")
    parser.add_argument("--seeds", type=int, help="at narrow widths; default: 3, transformer 5")
    parser.add_argument("--widest", type=int, help="up to this width; default: 8192 and 1024")
    given = asked(parser, arguments)
    setting = SETTINGS.get((given.model, given.optimizer))
    if setting is None:
        parser.error("a transformer is trained by Adam")
    widths, effort = list(setting.widths), setting.effort
    effort = effort._replace(steps=given.steps or effort.steps, seeds=given.seeds or effort.seeds)
    if given.smallest:
        widths = widths[:2]
        effort = effort._replace(steps=10, narrow=widths[0], seeds=1, every=4, around=0)
    widths = [width for width in widths if width <= (given.widest or widths[-1])]
    source = source_of(given.model, given.optimizer)
    sklearn = importlib.util.find_spec("sklearn")
    data = given.data or (setting.data if sklearn else None)
    searches = [Search(source, form, data, given.resume, given.device, effort) for form in FORMS]
    found = [part for search in searches for part in search.over(widths, setting.octaves)]
    write(joined(found), ["lr"], given.out)


def source_of(model: str, optimizer: str) -> Source:
    """The spec, with this optimizer in place of its own."""
    spec = SPECS / f"{model}.param"
    text = spec.read_text(encoding="utf-8")
    return Source(text.replace(OPTIMIZERS["adam"], OPTIMIZERS[optimizer]), spec.name)


if __name__ == "__main__":
    main()
