"""What is measured and reproduced on a GPU, unattended and in ten minutes.

    make bench-gpu          python -m benchmarks.gpu bench
    make reproduce-gpu      python -m benchmarks.gpu reproduce

Each part is a process of its own: one that fails, or is stopped as the time is over, costs no
other. What is done is kept: the same command goes on with the rest. It ends with what it did, and
with 0 where every part is done. `--device cpu --quick` tries all of it without a GPU, at the
smallest size.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import ROOT, Comparison, table

BUDGET = 600.0  # seconds
GRACE = 5.0  # until a part that was asked to end is killed
BENCHMARKS = ("step", "mup", "sweep", "unit", "coordinates")
SCRIPTS = {  # of examples/reproduce, and how they are called
    "learning_rates": ("learning_rates",),
    "learning_rates_sgd": ("learning_rates", "--optimizer", "sgd"),
    "init_plane": ("init_plane", "--model", "perceptron", "--widths", "256,1024,4096"),
    "transformer_optima": ("transformer_optima", "--widths", "64,256,1024"),
}


class Part(NamedTuple):
    """A command, and the file that is there once it is done."""

    name: str
    command: tuple[str, ...]
    done: Path


class Outcome(NamedTuple):
    name: str
    what: str
    ok: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every part is done, else 1; 2 where there is no such device."""
    given = parser().parse_args(arguments)
    if given.device == "cuda" and (problem := no_gpu()):
        print(f"{problem}; --device cpu --quick tries the same without", file=sys.stderr)
        return 2
    kind = f"{given.what}-{given.device}{'-quick' if given.quick else ''}"
    folder = (given.out or ROOT / "build" / "gpu") / kind
    folder.mkdir(parents=True, exist_ok=True)
    parts = bench_parts(given, folder) if given.what == "bench" else script_parts(given, folder)
    outcomes = list(run_all(parts, folder, given.budget))
    if given.what == "bench":
        found = table(compared(parts))
        (folder / "results.md").write_text(found, encoding="utf-8")
        print(found, end="")
    for outcome in outcomes:
        print(f"{outcome.name}: {outcome.what}")
    left = sum(not outcome.ok for outcome in outcomes)
    print(f"{len(parts) - left} of {len(parts)} parts are done; all of it lies in {folder}")
    return int(left > 0)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("what", choices=["bench", "reproduce"])
    made.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    made.add_argument("--quick", action="store_true", help="the smallest size, fewer rounds")
    made.add_argument("--budget", type=float, default=BUDGET, metavar="SECONDS")
    made.add_argument("--out", type=Path, metavar="FOLDER", help="default: build/gpu")
    made.add_argument("--only", help="some parts: step,sweep")
    return made


def no_gpu() -> str:
    import torch

    return "" if torch.cuda.is_available() else "PyTorch finds no GPU"


def chosen(given: argparse.Namespace, names: Sequence[str]) -> list[str]:
    wanted = given.only.split(",") if given.only else names
    return [name for name in names if name in wanted]


def bench_parts(given: argparse.Namespace, folder: Path) -> list[Part]:
    parts = []
    for name in chosen(given, BENCHMARKS):
        done = folder / f"{name}.json"
        quick = ("--quick",) if given.quick else ()
        command = ("benchmarks", name, "--device", given.device, "--json", str(done), *quick)
        parts.append(Part(name, command, done))
    return parts


def script_parts(given: argparse.Namespace, folder: Path) -> list[Part]:
    parts = []
    for name in chosen(given, tuple(SCRIPTS)):
        script, *more = SCRIPTS[name]
        out = folder / name
        small = ("--smallest",) if given.quick else ()
        command = (f"examples.reproduce.{script}", *more, "--device", given.device, *small)
        parts.append(Part(name, (*command, "--out", str(out)), out / "done"))
    return parts


def run_all(parts: Sequence[Part], folder: Path, budget: float) -> Iterator[Outcome]:
    """One after another, each for as long as there is time; its output is kept beside it."""
    deadline = time.monotonic() + budget
    for part in parts:
        left = deadline - time.monotonic()
        if part.done.exists():
            yield Outcome(part.name, "was done before", True)
        elif left <= 0:
            yield Outcome(part.name, "not begun, as the time is over", False)
        else:
            print(f"{part.name}: python -m {' '.join(part.command)} …", file=sys.stderr, flush=True)
            yield run(part, folder / f"{part.name}.log", left)


def run(part: Part, log: Path, limit: float) -> Outcome:
    begun = time.monotonic()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *part.command],
            cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            status = process.wait(limit)
        except subprocess.TimeoutExpired:
            end(process)
            return Outcome(part.name, f"stopped after {limit:.0f} s: go on by the same", False)
        except BaseException:
            end(process)
            raise
    took = f"{time.monotonic() - begun:.0f} s"
    if status not in (0, 1) or (status and not part.done.exists()):  # 1: a target was missed
        return Outcome(part.name, f"failed with {status} after {took}: see {log}", False)
    part.done.touch()
    return Outcome(part.name, f"done in {took}", True)


def end(process: subprocess.Popen[bytes]) -> None:
    """With all that it started."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def compared(parts: Sequence[Part]) -> list[Comparison]:
    """What the parts that are done have found."""
    found = []
    for part in parts:
        if part.done.exists():
            kept = json.loads(part.done.read_text(encoding="utf-8"))
            rows = [{k: v for k, v in row.items() if k != "verdict"} for row in kept["comparisons"]]
            found += [Comparison(**row) for row in rows]
    return found


if __name__ == "__main__":
    sys.exit(main())
