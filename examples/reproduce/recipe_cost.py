"""What tuning costs beside pre-training, by the recipe of µTransfer for GPT-3.

    python -m examples.reproduce.recipe_cost

Section 7.4 and appendix F.4 of arXiv 2203.03466: a proxy of width 256 in place of 4096, 32 layers,
tuned by 350 runs over 4 billion tokens and 117 over 16 billion, a target trained on 300 billion.
The paper counts 6 operations for each parameter and token; here they are counted on PyTorch's
`meta` device too, attention, readout and all. Nothing is trained.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from abcparam.batches.synthetic import Synthetic
from abcparam.driver import emit_program, judged, load
from abcparam.files import write_atomically
from abcparam.kept import Kept
from abcparam.parse import read
from abcparam.pictures import new_figure, write_picture
from abcparam.tuning.cost import cost_of
from abcparam.tuning.training import job_of
from examples.reproduce.optima import options

SPEC = Path(__file__).parents[1] / "gpt3.param"
PROXY, TARGET = {"width": 256, "head": 32}, {"width": 4096, "head": 128}
SEARCH = ((350, 4e9), (117, 16e9))  # runs, tokens of each
TOKENS = 300e9  # of pre-training


class Model(NamedTuple):
    """Of a step over one text: operations, and bytes at once."""

    parameters: int
    flops: float
    memory: int
    tokens: int

    @property
    def rate(self) -> float:
        """Operations for each token."""
        return self.flops / self.tokens

    @property
    def thumb(self) -> float:
        """The same by the rule of thumb."""
        return 6.0 * self.parameters


def main(arguments: Sequence[str] | None = None) -> None:
    given = options("the cost of tuning GPT-3", "recipe_cost").parse_args(arguments)
    smaller = {"depth": 2, "context": 256} if given.smallest else {}
    kept = Kept(given.resume or given.out / "runs", SPEC.read_text(encoding="utf-8"))
    proxy, target = (costed({**sizes, **smaller}, kept) for sizes in (PROXY, TARGET))
    rows = [
        ("6 N D", *bill(proxy.thumb, target.thumb)),
        ("counted", *bill(proxy.rate, target.rate)),
    ]
    given.out.mkdir(parents=True, exist_ok=True)
    write_atomically(str(given.out / "cost.csv"), as_csv(rows))
    write_picture(drawn(rows), str(given.out / "cost.svg"))
    print(table(proxy, target, rows))


def costed(sizes: dict[str, int], kept: Kept) -> Model:
    """A model at some sizes, counted once."""
    name = json.dumps(sizes).translate(str.maketrans(' "{}', "-___"))
    found = kept.read(name)
    if found is None:
        program = load(read(SPEC), {name: Fraction(size) for name, size in sizes.items()})
        job = job_of(program, emit_program(judged(program)), Synthetic(), steps=1, batch=1)
        cost = cost_of(job, {})
        if not cost.exact:
            raise RuntimeError("the model does not run on the meta device")
        context = int(job.config({}).context)
        found = [cost.parameters, cost.flops, cost.memory, context]
        kept.write(name, found)
    return Model(*found)


def bill(proxy: float, target: float) -> tuple[float, float, float]:
    """Operations of tuning and of pre-training, and their ratio, from those for each token."""
    tuning = sum(runs * tokens for runs, tokens in SEARCH) * proxy
    training = TOKENS * target
    return tuning, training, tuning / training


def table(proxy: Model, target: Model, rows: Sequence[tuple[str, float, float, float]]) -> str:
    lines = [f"proxy   {proxy.parameters / 1e6:.1f} M parameters, {proxy.rate:.3g} FLOP a token"]
    lines += [f"target  {target.parameters / 1e9:.2f} G parameters, {target.rate:.3g} FLOP a token"]
    lines += ["", f"{'':<8}  tuning    pre-training  ratio"]
    for name, tuning, training, ratio in rows:
        lines.append(f"{name:<8}  {tuning:<8.3g}  {training:<12.3g}  {100 * ratio:.1f} %")
    return "\n".join(lines)


def as_csv(rows: Sequence[tuple[str, float, float, float]]) -> str:
    out = io.StringIO()
    header = ["counting", "tuning", "pre_training", "ratio"]
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def drawn(rows: Sequence[tuple[str, float, float, float]]) -> Any:
    """Tuning and pre-training side by side, for each way to count."""
    figure = new_figure(5.5, 3.5)
    place = figure.subplots()
    for number, (name, tuning, training, ratio) in enumerate(rows):
        place.barh([number - 0.2], [training], 0.35, color="C0")
        place.barh([number + 0.2], [tuning], 0.35, color="C1")
        place.text(tuning, number + 0.2, f"  {100 * ratio:.1f} %", va="center")
        place.text(0, number - 0.4, name, va="bottom", fontsize="small")
    place.set(xlabel="operations", yticks=[], title="pre-training (blue), tuning (orange)")
    return figure


if __name__ == "__main__":
    main()
