"""Pairs of processes that share one search: none may end without its points.

Two processes begin at the same search in one database within a tenth of a second, in one folder or
as two machines in a folder each; of every third pair one is killed at some moment. Whoever lives
has to find all points, and both have to find the same.

`python -m benchmarks.shared_searches [PAIRS [SEED [URL]]]` says what became of each pair that was
lost, and how many were. `URL` names a server with a database in it that may be emptied, as
`--storage` does; without it each pair has an SQLite file of its own.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

import abcparam
from abcparam.tuning import study_storage

TRIALS = 6
PATIENT = 120  # seconds that a pair may take
SPEC = """model MLP
dim width -> inf, base = 8
dim pixels = 8
dim classes = 4
hyper lr = 0.1 in log [1e-3, 1]
parametrization mup
tensor first   : input  [width, pixels]
tensor readout : output [classes, width]
forward(x : [pixels]) { return readout @ relu(first @ x) }
optimizer sgd { lr = lr }
loss cross_entropy
"""


def search(folder: Path, storage: str, seed: int, result: Path) -> None:
    """One process: writes the learning rates that it found."""
    found = abcparam.sweep(
        SPEC, trials=TRIALS, sampler="tpe", steps=4, batch=4, first=seed, together=2,
        folder=folder, storage=storage,
    )  # fmt: skip
    rates = sorted(str(dict(each.trial.values)["lr"]) for each in found.results)
    result.write_text(json.dumps(rates), encoding="utf-8")


def pair(number: int, seed: int, storage: str | None, folder: Path) -> str:
    """What is wrong with a pair; empty: nothing."""
    draw = random.Random(f"{seed} {number}")
    results = [folder / f"{n}.result" for n in range(2)]
    folders = [folder / "kept", folder / ("kept" if draw.random() < 0.5 else "elsewhere")]
    url = storage or f"sqlite:///{folder / 'shared.db'}"
    started = []
    for kept, result in zip(folders, results, strict=True):
        started.append(_started(search, (kept, url, seed + number, result), result))
        time.sleep(draw.choice([0.0, 0.1 * draw.random()]))
    killed = draw.randrange(2) if number % 3 == 2 else None
    if killed is not None:
        time.sleep(1.5 * draw.random())
        os.kill(started[killed].pid or 0, signal.SIGKILL)
    return "; ".join(_wrong(started, results, killed))


def _started(target: object, arguments: Sequence[object], result: Path) -> BaseProcess:
    context = multiprocessing.get_context("fork")  # torch and Optuna are imported once
    made = context.Process(target=_told, args=(target, arguments, result.with_suffix(".error")))
    made.start()
    return made


def _told(target: object, arguments: Sequence[object], error: Path) -> None:
    """Runs in the new process; what it raises is written down."""
    assert callable(target)
    try:
        target(*arguments)
    except BaseException:
        error.write_text(traceback.format_exc(), encoding="utf-8")
        os._exit(1)
    os._exit(0)


def _wrong(
    started: Sequence[BaseProcess], results: Sequence[Path], killed: int | None
) -> Iterator[str]:
    deadline = time.monotonic() + PATIENT
    for process in started:
        process.join(max(0.0, deadline - time.monotonic()))
    for number, (process, result) in enumerate(zip(started, results, strict=True)):
        if process.is_alive():
            process.kill()
            process.join()
            yield f"process {number} did not end"
        elif process.exitcode and number != killed:
            yield result.with_suffix(".error").read_text(encoding="utf-8")
    found = [
        json.loads(result.read_text(encoding="utf-8")) for result in results if result.exists()
    ]
    if any(len(rates) != TRIALS or rates != found[0] for rates in found):
        yield f"not the same {TRIALS} points: {found}"


def lost(count: int, seed: int = 0, storage: str | None = None) -> Iterator[str]:
    """What went wrong in each of so many pairs that was lost."""
    import torch

    torch.set_num_threads(1)
    study_storage.HEARTBEAT, study_storage.GRACE = 1, 5
    with tempfile.TemporaryDirectory() as folder:  # what is imported is not imported in each
        search(Path(folder), f"sqlite:///{folder}/first.db", seed, Path(folder) / "first")
    for number in range(count):
        with tempfile.TemporaryDirectory() as folder:
            if wrong := pair(number, seed, storage, Path(folder)):
                yield f"pair {number}: {wrong}"


def main() -> int:
    """Prints what was lost; 0: nothing."""
    given = sys.argv[1:]
    count = int(given[0]) if given else 100
    seed = int(given[1]) if len(given) > 1 else 0
    storage = given[2] if len(given) > 2 else None
    found = 0
    for wrong in lost(count, seed, storage):
        print(wrong, flush=True)
        found += 1
    print(f"{found} of {count} pairs lost")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
