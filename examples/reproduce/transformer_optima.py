"""Loss against learning rate and output multiplier of a small transformer of several widths.

    python -m examples.reproduce.transformer_optima --data text.txt

An analogue of figure 4 of µTransfer (arXiv 2203.03466), µP beside standard: widths 32 to 128 in
place of up to 4096, Adam, texts of 32 bytes; without --data of a random grammar.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import abcparam
from examples.reproduce.optima import FORMS, options, write

SPEC = Path(__file__).parent / "transformer.param"
HYPERS = ("lr", "out_mult")


def main(arguments: Sequence[str] | None = None) -> None:
    given = options("optima of a transformer", "transformer_optima").parse_args(arguments)
    small = given.smallest
    rates = range(-8, -5, 2) if small else range(-10, -2)
    multipliers = (0,) if small else (-2, 0, 2)
    swept = abcparam.sweep(
        SPEC,
        [
            "width=32,64" if small else "width=32,64,128",
            "lr=" + ",".join(str(2.0**octave) for octave in rates),
            "out_mult=" + ",".join(str(2.0**octave) for octave in multipliers),
        ],
        data=given.data,
        forms=FORMS,
        steps=4 if small else 100,
        batch=4 if small else 8,
        folder=given.resume or given.out / "runs",
    )
    write(swept, HYPERS, given.out)


if __name__ == "__main__":
    main()
