"""Studies of `coord-check`: `python -m benchmarks.coordinates sabotage|random`.

`sabotage`: emitted code in which one tensor's init, multiplier or learning rate is off by a power
n^(1/2) or n^(-1/2) of its own width, held against the laws of the spec; how often that is noticed,
and how often the sound code is found wrong.

`random`: random MLPs and transformers, stable and not; how far what is measured is from exponents.
Batches and learning rates are small there, so that laws show at small widths: a batch adds terms of
the batch over the width, and changes that saturate bend slopes.

Both keep every finished spec in `coordinates_NAME.json` (in `--output`) and go on from there;
`coordinates_NAME_summary.json` is what they come to.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.coordinate_check.check import CoordCheckResult, coordinate_check
from abcparam.coordinate_check.judging import AGREES, CROSSOVER, DISAGREES, TOLERANCE, CheckedRow
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.program.model import Program
from abcparam.program.tensors import OWN
from abcparam.storage.atomic import write_atomically
from abcparam.verdict.check import judged, load
from tests.analysis.test_transformers import spelled, transformer
from tests.support.random_mlps import random_mlps, spec

HALF = Fraction(1, 2)
FORMS = ("mup", "ntk", "mfp", "sp")
RATES = {"sgd": "0.1", "adam": "0.003"}  # changes of about a tenth at base
LETTERS = {"a": "multiplier", "b": "init", "c": "learning rate"}
STABLE = {"trivial", "kernel", "feature-learning", "maximal-update"}
Result = dict[str, Any]


def mlps(count: int, stable: bool, seed: int = 71) -> Iterator[tuple[str, str]]:
    """(name, text) of random MLPs of 1 to 4 hidden layers."""
    found = 0
    for index, mlp in enumerate(random_mlps(seed, 4 * count)):
        text = spec(mlp).replace("hyper lr = 0.1", f"hyper lr = {RATES[mlp.optimizer]}")
        if found < count and (not stable or is_stable(text)):
            found += 1
            yield f"mlp {index}", text


def transformers(count: int, stable: bool, seed: int = 72) -> Iterator[tuple[str, str]]:
    """(name, text) of random transformers of 2 layers."""
    draw, found = random.Random(seed), 0
    while found < count:
        text = random_transformer(draw)
        if not stable or is_stable(text):
            yield f"transformer {found}", text
            found += 1


def random_transformer(draw: random.Random) -> str:
    optimizer = draw.choice(["adam", "sgd"])
    form = draw.choice(FORMS)
    if draw.random() < 0.5:
        hidden, output = ("1", "0") if optimizer == "adam" else ("0", "-1")
        first = "0" if optimizer == "adam" else "-1"
        later = [draw.choice(["0", "1/4", "1/2"]) for _ in range(3)]
        roles = zip(("0 0", "0 1/2", "1 0"), (first, hidden, output), later, strict=True)
        form = spelled(*(f"{ab} {Fraction(c) + Fraction(more)}" for ab, c, more in roles))
    text = transformer(
        form,
        optimizer,
        layers=draw.choice(["pre-norm", "post-norm", "no norm"]),
        heads=draw.choice(["more heads", "larger heads"]),
        readout=draw.choice(["", "init = zeros"]),
    )
    rate = "0.1" if optimizer == "sgd" else "1e-3"
    return text.replace("hyper lr = 1e-3", f"hyper lr = {rate}").replace("base = 256", "base = 64")


def is_stable(text: str) -> bool:
    return judged(load(Source(text))).verdict in STABLE


# Sabotage


def sabotage_specs(mlp: int, transformer: int) -> list[tuple[str, str]]:
    return [*mlps(mlp, True), *transformers(transformer, True)]


def options_of(name: str, first: int) -> CheckOptions:
    """Four widths for MLPs, three for transformers, which cost more."""
    count = 4 if name.startswith("mlp") else 3
    return CheckOptions(
        widths=tuple(64 * 2**k for k in range(count)), seeds=2, steps=3, first=first
    )


def sabotage(program: Program, draw: random.Random) -> tuple[Program, str]:
    """The program with one exponent of one tensor off by 1/2, and what was done in words."""
    while True:
        tensor = program.tensors[draw.choice(list(program.tensors))]
        letter, off = draw.choice("abc"), draw.choice([HALF, -HALF])
        if tensor.own is None or (letter == "b" and tensor.init.is_zero):
            continue
        own = dict(tensor.exponents[letter])
        own[OWN] = own.get(OWN, Affine(Fraction(0))) + Affine(off)
        changed = replace(tensor, exponents={**tensor.exponents, letter: own})
        what = f"{LETTERS[letter]} of {tensor.path} n^{-off}"
        return replace(program, tensors={**program.tensors, tensor.path: changed}), what


def sabotaged(name: str, text: str, index: int) -> Result:
    """What is found of the sound code, and of a sabotaged one."""
    draw = random.Random(index)
    program = load(Source(text))
    sound = coordinate_check(program, options_of(name, 100 * index))
    broken, what = sabotage(sound.report.program, draw)
    code = emit_program(judged(broken))
    caught = coordinate_check(program, options_of(name, 100 * index), code=code)
    return {
        "verdict": sound.report.verdict,
        "false alarm": alarms(sound),
        "sabotage": what,
        "caught": alarms(caught),
    }


def alarms(checked: CoordCheckResult) -> list[str]:
    rows = checked.verdict.of(DISAGREES)
    return [
        f"{row.name} {row.quantity}: {row.law}, measured "
        f"{f'{row.slope.value:.2f}' if row.slope else row.note}"
        for row in rows
    ]


def sabotage_summary(results: list[Result]) -> Result:
    caught = [r for r in results if r["caught"]]
    kinds = Counter(r["sabotage"].split(" of ")[0] for r in results)
    missed = [r for r in results if not r["caught"]]
    return {
        "sabotages": len(results),
        "caught": len(caught) / len(results),
        "by kind": {
            k: sum(r["sabotage"].startswith(k) for r in caught) / n for k, n in kinds.items()
        },
        "missed": [f"{r['name']} ({r['verdict']}): {r['sabotage']}" for r in missed],
        "false alarms": sum(bool(r["false alarm"]) for r in results) / len(results),
    }


# Random specs


def random_specs(mlp: int, transformer: int) -> list[tuple[str, str]]:
    """Mixed, so that the first of them are like all."""
    rest = iter(transformers(transformer, False, 172))
    found = []
    for index, drawn in enumerate(mlps(mlp, False, 171)):
        found += [drawn, *islice(rest, (index % 4) // 3)]
    return [*found, *rest]


def measured(name: str, text: str, index: int) -> Result:
    """How far everything that is measured is from its exponent."""
    if name.startswith("mlp"):
        asked = CheckOptions(seeds=5, tokens=8)
        text = slower(text, 2)
    else:
        asked = CheckOptions(seeds=4, tokens=16)
        text = slower(text, 4)
    first = 500_000 + 100 * index
    asked = replace(asked, widths=(128, 256, 512, 1024), steps=3, first=first)
    checked = coordinate_check(load(Source(text)), asked)
    return {"verdict": checked.report.verdict, "rows": [found(row) for row in checked.verdict.rows]}


def slower(text: str, times: int) -> str:
    """At a smaller learning rate."""
    return re.sub(r"hyper lr = (\S+)", lambda m: f"hyper lr = {float(m[1]) / times:g}", text)


def found(row: CheckedRow) -> Result:
    """A row: how far its slope is off, and what is measured, with its error."""
    off, slope, error = None, None, None
    if row.slope and row.measured and row.law.exponent is not None:
        slope = round(abs(row.slope.value - float(row.law.exponent)), 4)
        off = round(abs(row.measured.value - float(row.law.exponent)), 4)
        error = round(row.measured.error, 4)
    return {
        "name": row.name,
        "quantity": row.quantity,
        "law": str(row.law),
        "off": off,
        "error": error,
        "slope off": slope,
        "outcome": row.outcome,
        "note": row.note,
    }


def random_summary(results: list[Result]) -> Result:
    """Of a crossover the leading exponent is measured where its error is at most TOLERANCE."""
    rows = [row for result in results for row in result["rows"]]
    outcomes = Counter(row["outcome"] for row in rows)
    of = {o: [r for r in rows if r["outcome"] == o and r["off"] is not None] for o in outcomes}
    plain = of.get(AGREES, []) + of.get(DISAGREES, [])
    crossovers = of.get(CROSSOVER, [])
    known = [row for row in crossovers if row["error"] <= TOLERANCE]
    wide = [row for row in crossovers if row["error"] > TOLERANCE]
    return {
        "specs": len(results),
        "verdicts": Counter(str(r["verdict"]) for r in results),
        "rows": len(rows),
        "outcomes": outcomes,
        "measured": off_by([*plain, *known]),
        "one power": off_by(plain),
        "crossovers": off_by(known),
        "crossovers not resolved": len(wide),
        "of those with the exponent in their interval": sum(r["off"] <= r["error"] for r in wide),
        "slopes, crossovers included": percentiles([r["slope off"] for r in plain + crossovers]),
        "more than 0.1 off": [
            f"{r['name']} ({r['verdict']}): {row['name']} {row['quantity']} {row['law']}, off by "
            f"{row['off']}, {row['outcome']} {row['note']}"
            for r in results
            for row in r["rows"]
            if row["outcome"] == DISAGREES or is_off(row)
        ],
    }


def is_off(row: Result) -> bool:
    """Whether what one power explains, or a leading exponent that is known well, is far off."""
    known = row["outcome"] == AGREES or (row["outcome"] == CROSSOVER and row["error"] <= TOLERANCE)
    return known and row["off"] is not None and row["off"] > TOLERANCE


def off_by(rows: list[Result]) -> dict[str, float]:
    return {"rows": len(rows), **percentiles([row["off"] for row in rows])}


def percentiles(values: list[float]) -> dict[str, float]:
    """The 50th, 90th, 95th, 99th and the largest."""
    ranked = sorted(values)
    if not ranked:
        return {}
    shares = {"50": 0.5, "90": 0.9, "95": 0.95, "99": 0.99, "100": 1.0}
    return {k: ranked[min(len(ranked) - 1, int(s * len(ranked)))] for k, s in shares.items()}


Specs = list[tuple[str, str]]
Study = tuple[Callable[[int, int], Specs], Callable[..., Result], Callable[[list[Result]], Result]]
STUDIES: dict[str, Study] = {
    "sabotage": (sabotage_specs, sabotaged, sabotage_summary),
    "random": (random_specs, measured, random_summary),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coordinates", description=__doc__)
    parser.add_argument("study", choices=STUDIES)
    parser.add_argument("--mlps", type=int, default=240)
    parser.add_argument("--transformers", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    options = parser.parse_args()
    drawn, run, summary = STUDIES[options.study]
    path = options.output / f"coordinates_{options.study}.json"
    results: list[Result] = json.loads(path.read_text())["results"] if path.exists() else []
    known = {result["name"] for result in results}
    specs = drawn(options.mlps, options.transformers)
    for index, (name, text) in enumerate(specs):
        if name not in known:
            results.append({"name": name, **run(name, text, index)})
            kept = {"summary": summary(results), "results": results}
            write_atomically(str(path), json.dumps(kept) + "\n")
            print(f"{index + 1}/{len(specs)} {name}", file=sys.stderr, flush=True)
    text = json.dumps(summary(results), indent=2)
    write_atomically(str(options.output / f"coordinates_{options.study}_summary.json"), text + "\n")
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
