"""Ctrl-C ends every command within a second: one line, status 130, wherever it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from abcparam.commands.cli import OUR_BUG, main
from tests.commands.test_budgets import STRICT
from tests.support.paths import EXAMPLES, ROOT, SPECS
from tests.support.running import MLP

assert torch.__version__  # its import is not what is interrupted
MIXTRAL = SPECS / "mixtral.param"
NET = """from torch import nn, randn


def build(width=64):
    layers = [module for _ in range(60) for module in (nn.Linear(width, width), nn.ReLU())]
    return nn.Sequential(*layers), (randn(8, width),)
"""
DROPPED = """import time


class Slow:
    def __del__(self):
        time.sleep(0.3)  # what is raised here is dropped


def build(width=64):
    Slow()
    time.sleep(30)
"""
ENDLESS = ("--over", "lr=0.1,0.2,0.3", "--steps", "1000000", "--fresh")
COMMANDS = {  # each takes seconds
    "check": ("check", "--format", "html", MIXTRAL),
    "fix": ("check", "--all-fixes", EXAMPLES / "wrong" / "standard_parametrization.param"),
    "solve": ("solve", "strict.param"),
    "derive": ("derive", "--all", MIXTRAL),
    "map": ("map", MIXTRAL, MIXTRAL, "--format", "json", "--budget", "60"),
    "compile": ("compile", MIXTRAL, "-o", "-"),
    "diff": ("diff", MIXTRAL, MIXTRAL),
    "fmt": ("fmt", "--check", "long.param"),
    "coord-check": ("coord-check", MLP, "--widths", "16,32,64", "--steps", "1000000"),
    "sweep": ("sweep", MLP, *ENDLESS, "--set", "width=16"),
    "transfer": ("transfer", MLP, *ENDLESS, "--proxy", "width=16", "--anyway"),
    "import": ("import", "net.py:build", "--grow", "width", "-o", "-"),
    "adapt": ("adapt", "net.py:build", "--grow", "width", "-o", "-"),
    "audit": ("audit", "net.py:build", "--grow", "width"),
    "dropped": ("audit", "dropped.py:build", "--grow", "width"),
}
SECONDS = (0.15, 0.05, 0.02)  # after which each is interrupted, sooner where it has ended by then
PATIENCE = 5  # seconds on a machine that is busy


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_is_interrupted(name: str, tmp_path: Path):
    (tmp_path / "strict.param").write_text(STRICT, encoding="utf-8")
    (tmp_path / "net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "dropped.py").write_text(DROPPED, encoding="utf-8")
    scalars = "".join(f"tensor T{n} : scalar [1]\n" for n in range(20_000))
    (tmp_path / "long.param").write_text(scalars, encoding="utf-8")
    before = set(tmp_path.iterdir())
    for seconds in SECONDS:
        status = _interrupted(COMMANDS[name], tmp_path, seconds)
        if status not in {0, 1}:
            break
    err = (tmp_path / "err").read_text(encoding="utf-8")
    assert status == 130, err
    assert err.endswith("abcparam: interrupted\n") and "Traceback" not in err
    left = {path.name for path in set(tmp_path.iterdir()) - before}
    assert left <= {"err", "__pycache__"}


def _interrupted(arguments: Sequence[object], folder: Path, seconds: float) -> int:
    """The exit status of a command that is interrupted after so many seconds."""
    child = os.fork()  # an interrupt may leave half an import behind
    if not child:
        _run(arguments, folder)
    time.sleep(seconds)
    begun = time.monotonic()
    os.kill(child, signal.SIGINT)
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() - begun > PATIENCE:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            pytest.fail(f"it went on for {PATIENCE} s")
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


def _run(arguments: Sequence[object], folder: Path) -> None:
    """In a child process: a command, what it says in a file."""
    status = OUR_BUG
    try:
        os.chdir(folder)
        said = os.open("err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(said, 2)
        sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8") for n in (1, 2))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = main([str(argument) for argument in arguments])
        sys.stderr.flush()
    finally:
        os._exit(status)


def test_an_interrupt_while_commands_are_imported():
    """`import abcparam` imports nothing else, so that the command is there to say it."""
    code = """
import sys
import abcparam
assert not [name for name in sys.modules if name.startswith("abcparam.")]

class Interrupts:
    def find_spec(self, name, path, target=None):
        if name == "abcparam.commands.cli":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Interrupts())
from abcparam.__main__ import main
sys.exit(main())
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "abcparam: interrupted\n")
