"""Random models over the whole language: `python -m benchmarks.random_truth compare|measure`.

`compare [COUNT [SEED]]`: what `check` says of each beside the second implementation of the theory
in `tests/support/truth`, and how often each operation, optimizer and setting came up; it prints
every difference, and then exits with 1.

`measure [COUNT [SEED]]`: slopes of emitted models in training beside their exponents. Finished
models are kept in `random_truth.jsonl` (in `--output`), and it goes on from there; the summary is
`random_truth_summary.json`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

from abcparam.coordinate_check.check import coordinate_check
from abcparam.coordinate_check.judging import AGREES, DISAGREES
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.program.binding import bind
from abcparam.storage.atomic import write_atomically
from abcparam.verdict.check import judged, load
from benchmarks.measure import ROOT
from tests.support.truth.comparing import differences, used_in
from tests.support.truth.models import Model, random_model

RATES = {  # learning rates at which laws show at small widths
    "sgd": Fraction(1, 2),
    **dict.fromkeys(("adafactor", "lamb", "lars", "muon", "shampoo"), Fraction(1, 10)),
}
RATE = Fraction(3, 100)
WIDTHS, SMALL_WIDTHS = (64, 128, 256, 512), (32, 64, 128, 256)
SLOW = ("conv", "optimizer soap", "optimizer shampoo")  # spatial, or with decompositions
SEEDS, TOKENS = 2, 32
VARIANTS = (  # factors of rates and widths, and steps
    (Fraction(1), 1, 3),
    (Fraction(1), 2, 5),
    (Fraction(1, 8), 1, 3),
    (Fraction(8), 1, 3),
)
UNSTABLE = 6  # one in so many unstable models is measured, of which the first step has laws
SHARP = 0.1  # a slope whose interval is wider says little of its exponent


def models(seed: int) -> Iterator[tuple[int, Model]]:
    """Always the same ones for a seed."""
    for number in count():
        yield number, random_model(random.Random(f"{seed} {number}"))


def compare(most: int, seed: int) -> int:
    """0 where `check` says what the reference does of every model, else 1."""
    verdicts, refusals, used = Counter[str](), Counter[str](), Counter[str]()
    wrong = 0
    for number, model in models(seed):
        if verdicts.total() >= most:
            break
        try:
            judgement, found = differences(model)
        except SpecError as error:
            refusals[error.diagnostics[0].code] += 1
            continue
        verdicts[judgement.verdict] += 1
        used.update(name for name in model.used if name not in operations())
        used.update(used_in(judgement.laws.program))
        if found:
            wrong += 1
            print(f"model {number} of seed {seed}:\n{model.text}" + "\n".join(found) + "\n")
    print(
        f"of {verdicts.total()} models (seed {seed}), {sum(refusals.values())} refused {refusals}:"
    )
    for name, times in verdicts.most_common():
        print(f"{times:6} {name}")
    print("\n".join(coverage(used)))
    print(f"{wrong:6} differences")
    return int(wrong > 0)


def coverage(used: Counter[str]) -> Iterator[str]:
    """How much of the language came up, and what did not."""
    for what, names in (("operations", language()), ("optimizers", trainers())):
        missing = [name for name in names if not used[name]]
        yield f"{len(names) - len(missing)} of {len(names)} {what} and settings came up"
        if missing:
            yield f"  not: {', '.join(missing)}"


def language() -> list[str]:
    """Every operation, and every setting that changes what it computes."""
    found = []
    for name, operation in operations().items():
        found.append(name)
        found += [f"{name}: {s}" for s in (*operation.settings, *operation.optional)]
    return found


def trainers() -> list[str]:
    """Every optimizer, with each of its settings and words, and clipping."""
    found = ["clip_norm"]
    for name, rule in optimizers().items():
        found.append(f"optimizer {name}")
        found += [f"{name}: {key}" for key in rule.settings]
        found += [f"{name}: {key} = {word}" for key, words in rule.words.items() for word in words]
    return found


# Measurement


def measurable(model: Model) -> bool:
    """Whether it trains, doubling widths fit, nothing is assumed, and a batch may come again.

    SOAP knows the gradients of a batch that it has seen: its law is of others.
    """
    graph = model.graph
    assumed = graph.strict or graph.alignment != "tensor-programs"
    trained = not all(tensor.frozen for tensor in graph.tensors)
    return model.measurable and trained and not assumed and "optimizer soap" not in model.text


def measured(number: int, model: Model) -> dict[str, Any] | None:
    """Slopes of one model; None where it is unstable at initialization, and has few laws.

    Or refused, for shapes that do not fit. Rows that disagree are measured anew at other rates and
    widths, until they do not.
    """
    try:
        program = load(Source(model.text))
    except SpecError:
        return None
    verdict = judged(program).judgement.verdict
    if verdict == "unstable-at-init" or (verdict == "unstable" and number % UNSTABLE):
        return None
    rate = RATES.get(program.optimizers[0].rule.name, RATE)
    widths = SMALL_WIDTHS if any(word in model.text for word in SLOW) else WIDTHS
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for factor, wider, steps in VARIANTS:
        options = CheckOptions(
            widths=tuple(wider * w for w in widths), seeds=SEEDS, steps=steps, tokens=TOKENS
        )
        checked = coordinate_check(bind(program, {"lr": factor * rate}), options)
        for row in checked.verdict.rows:
            key = row.name, row.quantity
            if key not in found or found[key]["outcome"] == DISAGREES:
                at = f"rate times {factor}, widths times {wider}, {steps} steps"
                found[key] = {**row.to_dict(), "outcome": row.outcome, "at": at}
        if all(row["outcome"] != DISAGREES for row in found.values()):
            break
    return {"model": number, "verdict": verdict, "rows": list(found.values())}


def measure(most: int, seed: int, output: Path) -> int:
    """Measures so many models, those that are kept among them, and writes what they come to."""
    kept = output / "random_truth.jsonl"
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.exists() else []
    done = {found["model"]: found for found in map(json.loads, lines) if found["seed"] == seed}
    with kept.open("a", encoding="utf-8") as file:
        for number, model in models(seed):
            if sum(found["rows"] is not None for found in done.values()) >= most:
                break
            if number not in done:
                found = measured(number, model) if measurable(model) else None
                done[number] = {"model": number, "rows": None, **(found or {}), "seed": seed}
                print(json.dumps(done[number]), file=file, flush=True)
    summary = summarized([found for found in done.values() if found["rows"] is not None])
    text = json.dumps(summary, indent=2)
    write_atomically(str(output / "random_truth_summary.json"), text + "\n")
    print(text)
    return 0


def summarized(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Shares of slopes near their exponents; a crossover counts by its leading exponent."""
    rows = [row for model in found for row in model["rows"]]
    off = [
        abs(row["measured"] - float(Fraction(row["derived"])))
        for row in rows
        if row["outcome"] in (AGREES, DISAGREES) and (row["error"] or math.inf) <= SHARP
    ]
    within = {f"within {t}": round(sum(o <= t for o in off) / len(off), 4) for t in (0.05, 0.1)}
    return {
        "models": len(found),
        "verdicts": Counter(model["verdict"] for model in found),
        "rows": Counter(row["outcome"] for row in rows),
        "measured at": Counter(row["at"] for row in rows),
        "sharp slopes": len(off),
        **within,
        "disagree": [
            {"model": model["model"], **row}
            for model in found
            for row in model["rows"]
            if row["outcome"] == DISAGREES
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", choices=["compare", "measure"])
    parser.add_argument("count", nargs="?", type=int, default=0)
    parser.add_argument("seed", nargs="?", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "build")
    options = parser.parse_args()
    if options.study == "compare":
        return compare(options.count or 10_000, options.seed)
    options.output.mkdir(parents=True, exist_ok=True)
    return measure(options.count or 1_000, options.seed, options.output)


if __name__ == "__main__":
    sys.exit(main())
