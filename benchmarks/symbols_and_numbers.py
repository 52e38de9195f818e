"""Symbols against numbers: what is derived for exponents with symbols in them, point by point.

One to three exponents of a random graph, a random MLP or an example become symbols. At points in
and around every region that is derived, the verdict, completeness, the laws of activations and
updates, and whether `solve` counts the point a solution have to be what is judged there of plain
numbers.

`python -m benchmarks.symbols_and_numbers [COUNT [SEED]]` takes so many points and says what came of
them; it prints where the two disagree, and then exits with 1.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction

from abcparam.algebra.budgets import budget
from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import Record
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.program.binding import bind
from abcparam.program.model import Program
from abcparam.program.tensors import exponents_by_key
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.judgement import DeniedError, Symbolic, judge_symbolic
from abcparam.symbolic.points import other_laws
from abcparam.symbolic.solve.solution import UnsolvableError, solve
from abcparam.symbolic.solver import UnprovedError
from abcparam.symbolic.symbols import ExponentPlace, free_places, substituted, with_symbols
from abcparam.verdict.check import load
from abcparam.verdict.work import at_work
from benchmarks.measure import ROOT
from tests.support.limits import TooLongError, within
from tests.support.random_graphs import random_model
from tests.support.random_mlps import random_mlp, spec

EXAMPLES = (
    *("mlp", "gpt", "gpt2", "llama", "mixtral", "transformer_wikitext", "qwen3", "t5", "bert"),
    *("vit", "rnn", "lora", "resnet18"),
)
SPECS = (
    *(f"examples/{name}" for name in EXAMPLES),
    *("tests/specs/gpt_depth", "tests/specs/rnn", "tests/specs/lstm"),
)
SHIFTS = [Fraction(k, 4) for k in (-4, -2, -2, -1, 0, 0, 0, 0, 1, 2, 2, 4)]
LONGEST_S = 30  # of a spec
AROUND = 12  # points of a spec that are drawn around what is written

Values = dict[str, Fraction]


class Opened(Record):
    """A program with symbols, the exponents that were there, and where the symbols are."""

    text: str
    program: Program
    written: Values
    places: dict[str, ExponentPlace]

    def __str__(self) -> str:
        opened = ", ".join(f"{s} = {p.owner} {p.key}" for s, p in self.places.items())
        return f"{opened}\n{self.text}"


def opened_specs(seed: int, examples: bool = True) -> Iterator[Opened]:
    """Specs with one to three exponents opened, always the same ones for a seed."""
    draw = random.Random(seed)
    while True:
        if examples and draw.random() < 0.15:
            text = (ROOT / f"{draw.choice(SPECS)}.param").read_text(encoding="utf-8")
        elif draw.random() < 0.3:
            text = spec(random_mlp(draw))
        else:
            text = random_model(draw, draw.choice(["sgd", "adam"])).text()
        try:
            program = load(Source(text))
        except SpecError:
            continue
        places = free_places(program)
        chosen = draw.sample(places, min(len(places), draw.choice([1, 2, 2, 3])))
        named, found = with_symbols(program, chosen)
        now = {s: exponents_by_key(program.tensors[p.paths[0]])[p.key] for s, p in found.items()}
        yield Opened(text, named, {s: value.constant for s, value in now.items()}, found)


def points_of(draw: random.Random, opened: Opened, found: Symbolic | None) -> Iterator[Values]:
    """What is written, points around it, one in each region, and halfway there."""
    yield opened.written
    for _ in range(AROUND):
        yield {s: value + draw.choice(SHIFTS) for s, value in opened.written.items()}
    for verdict in VERDICTS if found else ():
        values = found.example(verdict) if found else None
        if values is not None:
            yield values
            yield {s: (values[s] + opened.written[s]) / 2 for s in values}


def disagreement(found: Symbolic, at: Values) -> str | None:
    """What symbols say at a point and numbers deny."""
    judgement, symbols = judged_at(found.program, at), found.program.symbols
    there = [v for v in VERDICTS if holds(found.condition(v), at, symbols)]
    if there != [judgement.verdict]:
        return f"the verdict is {' and '.join(there) or 'none'}, of numbers {judgement.verdict}"
    if judgement.verdict.startswith("unstable"):
        return None
    complete = any(holds(c.regions["complete"].condition, at, symbols) for c in found.cases)
    if complete != judgement.complete:
        return f"complete: {complete}, of numbers {judgement.complete}"
    case = next(c for c in found.cases if holds(c.within.condition, at, symbols))
    return next(other_laws(case.judgement, judgement, at), None)


def judged_at(program: Program, at: Values) -> Judgement:
    """What is judged of numbers."""
    return judgement_of(bind(program, at))


def solved(opened: Opened) -> Callable[[Values], bool] | None:
    """What `solve` counts among its solutions; None where it says that it does not know."""
    unknown = {s: Affine(Fraction(0), ((f"?{s}", Fraction(1)),)) for s in opened.places}
    try:
        found = solve(substituted(opened.program, unknown))
    except UnsolvableError:
        return lambda at: False
    except UnprovedError:
        return None
    region, ours = found.region, {(p.paths, p.key): s for s, p in opened.places.items()}
    names = {s: ours[p.paths, p.key] for s, p in found.places.items()}

    def counts(at: Values) -> bool:
        return holds(region.condition, {s: at[names[s]] for s in region.symbols}, region.symbols)

    return counts


class Tally:
    """What came of the points so far."""

    def __init__(self) -> None:
        self.points = Counter[str]()
        self.specs = Counter[str]()
        self.disagreements: list[str] = []

    def take(self, draw: random.Random, opened: Opened, most: int) -> None:
        """Compares at up to so many points of a spec."""
        try:
            with budget(math.inf), at_work(), within(LONGEST_S):
                self._compare(draw, opened, most)
            self.specs["derived"] += 1
        except DeniedError:
            self.specs["nothing is claimed, as numbers deny it"] += 1
        except UnprovedError:
            self.specs["nothing is claimed, as nothing is proved"] += 1
        except TooLongError:
            self.specs[f"given up after {LONGEST_S} s"] += 1

    def _compare(self, draw: random.Random, opened: Opened, most: int) -> None:
        found = judge_symbolic(opened.program)
        solutions = None if found.region("maximal-update").empty else solved(opened)
        for at in list(points_of(draw, opened, found))[:most]:
            said = disagreement(found, at)
            verdict = judged_at(found.program, at).verdict
            if said is None and solutions is not None:
                counted = solutions(at)
                if counted != (verdict == "maximal-update"):
                    said = f"solve counts it {'' if counted else 'not '}among solutions"
            self.points[verdict] += 1
            if said is not None:
                where = ", ".join(f"{s} = {v}" for s, v in at.items())
                self.disagreements.append(f"at {where}: {said}\n{opened}")

    @property
    def count(self) -> int:
        return self.points.total()


def compared(count: int, seed: int, examples: bool = True) -> Tally:
    """So many points, always the same ones for a seed."""
    tally, draw = Tally(), random.Random(seed)
    for opened in opened_specs(seed, examples):
        if tally.count >= count:
            break
        tally.take(draw, opened, count - tally.count)
    return tally


def main(count: int = 5000, seed: int = 0) -> int:
    """0 where symbols say what numbers do at every point, else 1."""
    tally = compared(count, seed)
    for text in tally.disagreements:
        print(text)
    print(f"of {tally.count} points of {tally.specs.total()} specs (seed {seed}):")
    for counter in (tally.specs, tally.points):
        print("\n".join(f"{number:6} {what}" for what, number in counter.most_common()))
    print(f"{len(tally.disagreements):6} disagreements")
    return int(bool(tally.disagreements))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
