"""Loss against four hyperparameters of a small transformer of several widths.

    python -m examples.reproduce.transformer_optima --data text.txt

An analogue of figure 4 of µTransfer (arXiv 2203.03466), µP beside standard: learning rate, output
multiplier, initial scale of the hidden weights and schedule, each alone with the others as the spec
has them. Widths 32 to 128 in place of up to 4096, Adam, texts of 32 bytes; without --data of a
random grammar.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import abcparam
from examples.reproduce.optima import FORMS, powers, write
from examples.reproduce.scripts import asked, trains

SPEC = Path(__file__).parent / "transformer.param"
SCHEDULES = "constant,linear,cosine,step,inverse-sqrt,wsd"


def axes(small: bool) -> dict[str, str]:
    """What is searched, one at a time."""
    few: Iterable[int] = (-1, 1)
    return {
        "lr": powers(few if small else range(-3, 5), 2**-7),
        "out_mult": powers(few if small else range(-3, 5)),
        "std": powers(few if small else range(-4, 4)),
        "schedule": "constant,linear" if small else SCHEDULES,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = trains("optima of a transformer", "transformer_optima")
    parser.add_argument("--widths", default="32,64,128", help="others: 64,256,1024")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--hypers", default="lr,out_mult,std,schedule", help="default: all four")
    given = asked(parser, arguments)
    small = given.smallest
    for name in given.hypers.split(","):
        swept = abcparam.sweep(
            SPEC,
            [f"width={'32,64' if small else given.widths}", f"{name}={axes(small)[name]}"],
            data=given.data,
            forms=FORMS,
            seeds=1 if small else given.seeds,
            steps=4 if small else 150,
            batch=2 if small else 8,
            folder=given.resume,
            device=given.device,
        )
        write(swept, [name], given.out, name)


if __name__ == "__main__":
    main()
