"""Loss against learning rate of a perceptron of several widths, µP beside standard.

    python -m examples.reproduce.learning_rates

An analogue of figure 3 of µTransfer (arXiv 2203.03466): widths 64 to 1024 in place of up to 8192,
Adam in place of SGD, small digits where scikit-learn is installed, else a synthetic task.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import abcparam
from examples.reproduce.optima import FORMS, powers, write
from examples.reproduce.scripts import asked, options

SPEC = Path(__file__).parent / "mlp.param"
WIDTHS, SMALLEST = (64, 128, 256, 512, 1024), (64, 128)
OCTAVES, FEW = range(-13, -2), range(-10, -5, 2)


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(options("learning rates of a perceptron", "learning_rates"), arguments)
    small = given.smallest
    digits = "digits" if importlib.util.find_spec("sklearn") else None
    widths = ",".join(map(str, SMALLEST if small else WIDTHS))
    rates = powers(FEW if small else OCTAVES)
    swept = abcparam.sweep(
        SPEC,
        [f"width={widths}", f"lr={rates}"],
        data=given.data or digits,
        forms=FORMS,
        steps=10 if small else 80,
        folder=given.resume,
    )
    write(swept, ["lr"], given.out)


if __name__ == "__main__":
    main()
