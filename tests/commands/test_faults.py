"""What happens to files when a command is killed, the disk is full, or nothing may be written."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from abcparam.commands.cli import main
from tests.support.faults import COMMANDS, crashed_at_each_write, prepared, texts
from tests.support.paths import ROOT
from tests.support.running import MLP, Run

WRITERS = ("compile", "fmt", "solve", "fix")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("name", WRITERS)
def test_killed_at_any_step_a_file_is_as_before_or_as_after(name: str, tmp_path: Path):
    assert crashed_at_each_write(main, name, tmp_path) == []


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_leaves_what_was_there(
    run: Run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    prepared(tmp_path, name)
    before = texts(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.chdir(tmp_path)
    ran = run(*COMMANDS[name][1])
    assert ran.status == 2 and "No space left" in ran.err
    assert texts(tmp_path) == before and os.listdir(tmp_path) == ["a.param"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_output_that_goes_nowhere():
    """A closed or full standard output, a reader that left, no home: no traceback, no 101."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for name in ("HOME", "XDG_CACHE_HOME"):
        environment.pop(name, None)
    check = f"{sys.executable} -m abcparam check {MLP}"
    for line, status in (
        (f"{check} >/dev/full", 2),
        (f"{check} >&-", 0),
        (f"{check} >&- 2>&-", 0),
        (f"{{ {check}; echo $? >&3; }} 3>&1 >&1 | true; true", 0),
    ):
        ran = subprocess.run(
            ["sh", "-c", line], env=environment, capture_output=True, text=True, cwd="/"
        )
        assert ran.returncode == status, (line, ran)
        assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr, ran
