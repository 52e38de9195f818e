"""Whether wider is better: loss against learning rate of a perceptron that is trained for longer.

    python -m examples.reproduce.wider

An analogue of the claim of µTransfer (arXiv 2203.03466, section 6) that under µP a wider model is
never worse at the same hyperparameters: 400 steps of 128 examples, a warm-up over a tenth and then
a linear decay, three seeds. Digits (--data digits) are 1,437 images, seen 36 times each; without
--data a random teacher gives fresh examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import abcparam
from abcparam.algebra.record import replace
from abcparam.tuning.choices import HELD_OUT
from examples.reproduce.optima import FORMS, powers, write
from examples.reproduce.scripts import asked, trains

SPEC = Path(__file__).parent / "mlp.param"


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(trains("is wider better", "wider"), arguments)
    small = given.smallest
    rates = powers(range(-9, -5, 2) if small else range(-12, -3))
    swept = abcparam.sweep(
        SPEC,
        ["width=64,128" if small else "width=64,128,256,512", f"lr={rates}"],
        data=given.data,
        forms=FORMS,
        seeds=1 if small else 3,
        steps=10 if small else 400,
        batch=32 if small else 128,
        schedule="linear:0.1",
        folder=given.resume,
        device=given.device,
    )
    write(swept, ["lr"], given.out)
    if any(best.losses.held_out is not None for best in swept.best):
        print("by the loss on held-out data:\n")
        write(replace(swept, by=HELD_OUT), ["lr"], given.out / HELD_OUT)


if __name__ == "__main__":
    main()
