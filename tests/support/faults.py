"""Commands are killed at random moments: what they write is as it was, or as it is to be.

`python -m tests.support.faults COUNT [SEED]` kills so many, says what was left half-written or
lost, and then exits with 1. Runs of sweeps and coordinate checks that had finished are kept, and
the same command gives the same result afterwards.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path

from tests.support.paths import ROOT, SPECS

MLP = (SPECS / "mlp.param").read_text(encoding="utf-8")
OPEN = MLP.replace("c = 0 }", "c = ? }")
WRONG = MLP.replace("{ a = 1/2,  b = 1/2, c = 0 }", "{ a = 0,    b = 1/2, c = 0 }")
UGLY = MLP.replace(" = ", "  =  ")
SMALL = MLP.replace("pixels = 784", "pixels = 16")
KEPT = ("--resume", "kept", "--format", "json")
NET = """import torch
from torch import nn


def build(width=64):
    layers = [nn.Linear(20, width), nn.ReLU(), nn.Linear(width, 10)]
    return nn.Sequential(*layers), (torch.randn(8, 20),)
"""
COMMANDS = {  # the spec and the command; what it writes is in WRITTEN, or lies in `kept`
    "compile": (MLP, ("compile", "a.param", "-o", "made.py")),
    "fmt": (UGLY, ("fmt", "a.param")),
    "solve": (OPEN, ("solve", "-w", "a.param")),
    "fix": (WRONG, ("check", "--fix", "a.param")),
    "sweep": (
        SMALL,
        ("sweep", "a.param", "--over", "lr=0.1,0.2", "width=16,32", "--steps", "20", *KEPT),
    ),
    "coord-check": (
        SMALL,
        ("coord-check", "a.param", "--widths", "16,32,64", "--seeds", "2", *KEPT),
    ),
    "transfer": (
        SMALL,
        (
            *("transfer", "a.param", "--over", "lr=0.1,0.2", "--proxy", "width=16"),
            *("--set", "width=32", "--steps", "20", *KEPT),
            *("--hparams", "found.json", "-o", "made.py"),
        ),
    ),
    "import": (MLP, ("import", "net.py:build", "--grow", "width", "-o", "made.param")),
}
WRITTEN = ("a.param", "made.py", "made.param", "found.json")


def prepared(folder: Path, name: str) -> None:
    (folder / "a.param").write_text(COMMANDS[name][0], encoding="utf-8")
    if name == "import":
        (folder / "net.py").write_text(NET, encoding="utf-8")


def texts(folder: Path) -> dict[str, str]:
    """What the files hold that a command writes."""
    paths = (folder / name for name in WRITTEN)
    return {path.name: path.read_text(encoding="utf-8") for path in paths if path.exists()}


def damage(folder: Path, before: dict[str, str], after: dict[str, str]) -> Iterator[str]:
    """What is neither as it was nor as it is to be."""
    found = texts(folder)
    for name in WRITTEN:
        if found.get(name) not in (before.get(name), after.get(name)):
            yield f"{name} is half-written"
    for path in folder.rglob("*.json"):
        try:
            json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            yield f"{path.name} is half-written"


@cache
def _whole(name: str) -> tuple[dict[str, str], str, float]:
    """What an undisturbed command writes and prints, and how long it takes."""
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        prepared(folder, name)
        begun = time.monotonic()
        printed = _started(name, folder).communicate()[0]
        return texts(folder), printed, time.monotonic() - begun


def _started(name: str, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "abcparam", *COMMANDS[name][1]]
    pipe, none = subprocess.PIPE, subprocess.DEVNULL
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=pipe, stderr=none, text=True
    )


def killed(name: str, draw: random.Random) -> list[str]:
    """What is wrong after a command was killed at a random moment, and after it ran again."""
    after, printed, seconds = _whole(name)
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        prepared(folder, name)
        before = texts(folder)
        process = _started(name, folder)
        time.sleep(draw.uniform(0, seconds))
        process.kill()
        process.communicate()
        wrong = list(damage(folder, before, after))
        kept = _times(folder)
        again = _started(name, folder).communicate()[0]
        wrong += damage(folder, after, after)
        if "--resume" in COMMANDS[name][1]:
            now = _times(folder)
            wrong += [f"{path} was lost" for path in kept if now.get(path) != kept[path]]
            wrong += ["another result afterwards"] * (again != printed)
        return wrong


def _times(folder: Path) -> dict[str, int]:
    """When the results that are kept were written."""
    paths = (folder / "kept").rglob("*.json")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in paths}


def crashed_at_each_write(run: Callable[[Sequence[str]], int], name: str, at: Path) -> list[str]:
    """What is wrong after a command was killed before each of its steps with files, one by one."""
    prepared(at, name)
    before, wrong, step = texts(at), [], 0
    after = _whole_here(run, name, at)
    while True:
        folder = at / f"{name} {step}"
        folder.mkdir()
        prepared(folder, name)
        child = os.fork()
        if not child:
            _crash(run, name, folder, step)
        _, status = os.waitpid(child, 0)
        wrong += [f"{what} at step {step}" for what in damage(folder, before, after)]
        if os.WIFEXITED(status):
            return [*wrong, *damage(folder, after, after)] if step else ["nothing was written"]
        shutil.rmtree(folder)
        step += 1


def _whole_here(run: Callable[[Sequence[str]], int], name: str, at: Path) -> dict[str, str]:
    folder = at / "whole"
    folder.mkdir()
    prepared(folder, name)
    here = os.getcwd()
    os.chdir(folder)
    try:
        run(COMMANDS[name][1])
    finally:
        os.chdir(here)
    found = texts(folder)
    shutil.rmtree(folder)
    return found


def _crash(run: Callable[[Sequence[str]], int], name: str, folder: Path, step: int) -> None:
    """In a child process: ends it before one of its steps with files in the folder."""
    done = 0

    def dies(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal done
        writes = event == "open" and str(arguments[1]) not in ("r", "rb")
        if event in {"tempfile.mkstemp", "os.chmod", "os.rename"} or writes:
            if done == step:
                os.kill(os.getpid(), 9)
            done += 1

    os.chdir(folder)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    sys.addaudithook(dies)
    try:
        run(COMMANDS[name][1])
    finally:
        os._exit(0)


def main(count: int = 200, seed: int = 0) -> int:
    """0 where nothing was half-written or lost."""
    from tqdm import tqdm

    draw, wrong = random.Random(seed), 0
    for number in tqdm(range(count), unit="kill"):
        name = list(COMMANDS)[number % len(COMMANDS)]
        for what in killed(name, draw):
            wrong += 1
            print(f"\nkill {number} of seed {seed}, {name}: {what}", flush=True)
    print(f"{count} kills, seed {seed}: {wrong} left something half-written or lost")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
