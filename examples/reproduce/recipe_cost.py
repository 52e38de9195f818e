"""What tuning costs beside pre-training, by the recipes of µTransfer for GPT-3 and BERT.

    python -m examples.reproduce.recipe_cost

Sections 7.3 and 7.4 of arXiv 2203.03466. GPT-3: a proxy of width 256 in place of 4096, 32 layers,
467 runs, 350 over 4 billion tokens and 117 over 16 billion. BERT: one proxy of width 256 and 10
layers for base and large, 256 runs of 10^5 steps beside 10^6. By 6 operations for each parameter
and token, and counted on PyTorch's `meta` device, attention, readout and all. Nothing is trained.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from abcparam.data.random import Random
from abcparam.language.reader import read
from abcparam.pipeline import emit_program
from abcparam.presentation.figures import new_figure
from abcparam.storage.run_cache import RunCache
from abcparam.tuning.train.cost import cost_of
from abcparam.tuning.train.training import job_of
from abcparam.verdict.check import judged, load
from examples.reproduce.scripts import asked, options, report

SPECS = Path(__file__).parents[1]
STEP = 256 * 512  # tokens of a step of BERT (arXiv 1810.04805); the ratios do not depend on it
SMALLEST = {"depth": 2, "context": 256}


class Plan(NamedTuple):
    """Sizes, and how many tokens are read."""

    spec: str
    proxy: Mapping[str, int]
    target: Mapping[str, int]
    search: tuple[tuple[int, float], ...]  # runs, tokens of each
    tokens: float  # of pre-training
    published: float | None  # the ratio of the two costs


BERT = {"width": 256, "depth": 10}, ((256, 1e5 * STEP),)
PLANS = {
    "GPT-3 6.7B": Plan(
        "gpt3",
        {"width": 256, "head": 32},
        {"width": 4096, "head": 128},
        ((350, 4e9), (117, 16e9)),
        300e9,
        published=0.07,
    ),
    "BERT-large": Plan(
        "bert", BERT[0], {"width": 1024, "depth": 24}, BERT[1], 1e6 * STEP, published=1.0
    ),
    "BERT-base": Plan(
        "bert", BERT[0], {"width": 768, "depth": 12}, BERT[1], 1e6 * STEP, published=None
    ),
}


class Model(NamedTuple):
    """Parameters, and operations for each token of a step over one text."""

    parameters: int
    rate: float

    @property
    def thumb(self) -> float:
        """The same by the rule of thumb."""
        return 6.0 * self.parameters


class Bill(NamedTuple):
    """Operations of a recipe, by one way to count."""

    model: str
    counting: str
    proxy: float  # for each token
    target: float
    tuning: float
    pre_training: float
    ratio: float
    published: float | None


def main(arguments: Sequence[str] | None = None) -> None:
    given = asked(options("the cost of tuning GPT-3 and BERT", "recipe_cost"), arguments)
    less = SMALLEST if given.smallest else {}
    found = {}
    for name, plan in PLANS.items():
        kept = RunCache(given.resume, (SPECS / f"{plan.spec}.param").read_text(encoding="utf-8"))
        found[name] = [costed(plan.spec, {**s, **less}, kept) for s in (plan.proxy, plan.target)]
    bills = [row for name, models in found.items() for row in bills_of(name, *models)]
    report(given, "cost", bills, drawn(bills), table(found, bills))


def costed(spec: str, sizes: dict[str, int], kept: RunCache) -> Model:
    """A model at some sizes, counted once."""
    name = json.dumps(sizes).translate(str.maketrans(' "{}', "-___"))
    found = kept.read(name, lambda values: Model(*values))
    if found is None:
        path = SPECS / f"{spec}.param"
        program = load(read(path), {name: Fraction(size) for name, size in sizes.items()})
        job = job_of(program, emit_program(judged(program)), Random(), steps=1, batch=1)
        cost = cost_of(job, {})
        if not cost.exact:
            raise RuntimeError("the model does not run on the meta device")
        found = Model(cost.parameters, cost.flops / int(job.config({}).context))
        kept.write(name, list(found))
    return found


def bills_of(name: str, proxy: Model, target: Model) -> Iterator[Bill]:
    plan = PLANS[name]
    ways = {"6 N D": (proxy.thumb, target.thumb), "counted": (proxy.rate, target.rate)}
    for counting, (small, large) in ways.items():
        tuning, training = bill(plan, small, large)
        ratio = tuning / training
        yield Bill(name, counting, small, large, tuning, training, ratio, plan.published)


def bill(plan: Plan, proxy: float, target: float) -> tuple[float, float]:
    """Operations of tuning and of pre-training, from those for each token."""
    return sum(runs * tokens for runs, tokens in plan.search) * proxy, plan.tokens * target


def table(found: Mapping[str, Sequence[Model]], bills: Sequence[Bill]) -> str:
    lines = [f"{'':<10}  {'parameters':<16}"]
    for name, (proxy, target) in found.items():
        sizes = f"{proxy.parameters / 1e6:.1f} M, {target.parameters / 1e6:.1f} M"
        lines.append(f"{name:<10}  {sizes}")
    lines += ["", f"{'':<19}  proxy    target   tuning   pre-training  ratio     published"]
    for row in bills:
        rates = f"{row.proxy:<7.3g}  {row.target:<7.3g}  {row.tuning:<7.3g}"
        costs = f"{rates}  {row.pre_training:<12.3g}  {percent(row.ratio):<8}"
        lines.append(f"{row.model:<10} {row.counting:<8}  {costs}  {percent(row.published)}")
    return "\n".join(lines)


def percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * ratio:.1f} %"


def drawn(bills: Sequence[Bill]) -> Any:
    """A line for each model, a mark for each way to count and one for what is published."""
    figure = new_figure(6, 2.8)
    place = figure.subplots()
    names = list(dict.fromkeys(row.model for row in bills))
    for counting, mark in (("6 N D", "o"), ("counted", "s")):
        rows = [row for row in bills if row.counting == counting]
        places = [names.index(row.model) for row in rows]
        place.plot([row.ratio for row in rows], places, mark, label=counting)
    known = {row.model: row.published for row in bills if row.published}
    place.plot(known.values(), [names.index(name) for name in known], "k|", label="published")
    place.set_yticks(range(len(names)), names)
    place.set(xscale="log", xlabel="operations of tuning / of pre-training", ylim=(2.5, -0.5))
    place.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
