"""Where the best learning rate of a small transformer lies as other things than its width grow.

    python -m examples.reproduce.transformer_scales

An analogue of figures on transfer across depth, batch size, sequence length and training time of
µTransfer (arXiv 2203.03466, section 6.1): width 64, µP, each alone from 2 layers, 8 texts of 32
bytes and 100 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import abcparam
from examples.reproduce.optima import powers, write
from examples.reproduce.scripts import asked, trains

SPEC = Path(__file__).parent / "transformer.param"
GROWN = {"depth": "1,2,4,8", "batch": "4,8,16,32", "context": "16,32,64", "steps": "50,100,200"}


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(trains("transfer across depth and the rest", "transformer_scales"), arguments)
    small = given.smallest
    rates = powers(range(0, 3, 2) if small else range(-2, 5), 2**-8)
    for name, sizes in GROWN.items():
        some = "3,6" if small else sizes
        swept = abcparam.sweep(
            SPEC,
            [f"{name}={some}", f"lr={rates}"],
            data=given.data,
            set={"width": 32 if small else 64},
            forms=("mup",),
            steps=4 if small else 100,
            batch=2 if small else 8,
            folder=given.resume,
            device=given.device,
        )
        write(swept, ["lr"], given.out / name, name, along=name)


if __name__ == "__main__":
    main()
