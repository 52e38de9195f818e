"""A sweep of many trials is killed again and again, and nothing is lost that had been kept.

`python -m tests.support.killed_sweeps TRIALS KILLS [SEED]` runs it twice by `abcparam sweep`: once
whole, and once with so many kills at random moments, each followed by the same command. It exits
with 1 where results differ, a finished trial was trained again, or a batch that was under way lost
more than its steps since its last checkpoint.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT, SPECS

SEEDS = 8  # of each learning rate
STEPS = 200
# Notes each step and each checkpoint of each batch of trials, and when a batch is finished.
TRACED = """
import os, sys
from abcparam.tuning.train import stacking, watch
from abcparam.tuning.workers import result_store
from abcparam.commands.cli import main

watch.EVERY = 0.3
log = os.open(sys.argv.pop(1), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
step, save, keep = stacking.Stack.step, watch.Checkpoint.save, result_store.ResultStore.keep
train = stacking.train_together
batch = None


def note(*words):
    os.write(log, (" ".join(map(str, words)) + "\\n").encode())


def named(job, trials, on_step, watched):
    global batch
    batch = watched.place.name
    return train(job, trials, on_step, watched)


def stepped(stack, number):
    losses = step(stack, number)
    note("step", batch, number, len(stack.alive))
    return losses


def saved(checkpoint, state):
    save(checkpoint, state)
    note("saved", batch, state["done"])


def kept(store, results):
    keep(store, results)
    note("kept", result_store.name_of(result.trial.key for result in results))


stacking.Stack.step, watch.Checkpoint.save = stepped, saved
result_store.ResultStore.keep, stacking.train_together = kept, named
sys.exit(main())
"""


class Outcome(NamedTuple):
    """Steps are of trials: one of a batch of 64 counts 64 times."""

    trials: int
    kills: int  # that met the sweep at work
    wrong: list[str]
    needed: int  # steps
    again: int  # steps that were trained twice
    seconds: float


def _started(
    folder: Path, kept: str, log: str, trials: int, out: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    rates = -(-trials // SEEDS)
    command = [sys.executable, "-c", TRACED, str(folder / log), "sweep", str(folder / "mlp.param")]
    command += ["--over", f"lr=log:1e-3:1:{rates}", "--seeds", str(SEEDS), "--steps", str(STEPS)]
    command += ["--batch", "8", "--set", "width=16", "--format", "json"]
    command += ["--resume", str(folder / kept)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    none = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdout=out, stderr=none, text=True)


def tried(trials: int, kills: int, seed: int = 0) -> Outcome:
    """A whole sweep beside one that is killed."""
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        text = (SPECS / "mlp.param").read_text(encoding="utf-8")
        small = text.replace("pixels = 784", "pixels = 16")
        (folder / "mlp.param").write_text(small, encoding="utf-8")
        begun = time.monotonic()
        whole = _started(folder, "whole", "whole.log", trials).communicate()[0]
        needed = _lines(folder / "whole.log")
        apart = 3 * len(needed) // (2 * kills + 2)
        met = sum(_killed(folder, trials, draw.randint(1, apart)) for _ in range(kills))
        found = _started(folder, "kept", "log", trials).communicate()[0]
        wrong = ["other results"] * (json.loads(found) != json.loads(whole))
        again, mistakes = _repeated(_lines(folder / "log"))
        return Outcome(
            *(len(json.loads(whole)["trials"]), met, wrong + mistakes),
            *(_steps(needed), again, time.monotonic() - begun),
        )


def _killed(folder: Path, trials: int, count: int) -> bool:
    """Whether the sweep was at work, when it had noted so much more."""
    log = folder / "log"
    process = _started(folder, "kept", "log", trials, subprocess.DEVNULL)
    there = len(_lines(log))
    while process.poll() is None and len(_lines(log)) < there + count:
        time.sleep(0.01)
    at_work = process.poll() is None
    process.kill()
    process.wait()
    return at_work


def _lines(log: Path) -> list[str]:
    """What was noted by now."""
    return log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []


def _steps(lines: list[str]) -> int:
    return sum(int(words[3]) for words in map(str.split, lines) if words[0] == "step")


def _repeated(lines: list[str]) -> tuple[int, list[str]]:
    """How many steps of trials were trained twice, and what should not have been."""
    saved: Counter[str] = Counter()  # of each batch, how many steps its last checkpoint has
    reached: Counter[str] = Counter()
    finished: set[str] = set()
    again, wrong = 0, dict[str, None]()
    for kind, *words in map(str.split, lines):
        batch = words[0] if words else ""
        if kind == "step":
            number, alive = int(words[1]), int(words[2])
            if batch in finished:
                wrong[f"{batch} was finished, and is trained again"] = None
            elif number < saved[batch]:
                wrong[f"steps of {batch} are in a checkpoint, and are trained again"] = None
            again += alive * (number < reached[batch])
            reached[batch] = max(reached[batch], number + 1)
        elif kind == "saved":
            saved[batch] = int(words[1])
        elif kind == "kept":
            finished.add(batch)
    return again, list(wrong)


def main(trials: int = 1000, kills: int = 10, seed: int = 0) -> int:
    """0 where nothing was lost."""
    found = tried(trials, kills, seed)
    print("\n".join(found.wrong), end="\n" * bool(found.wrong))
    print(
        f"{found.trials} trials, {found.kills} kills: {found.again} of {found.needed} steps "
        f"trained twice, {len(found.wrong)} mistakes, {found.seconds:.0f} s"
    )
    return int(bool(found.wrong))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
