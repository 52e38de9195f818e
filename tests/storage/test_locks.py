"""Several processes at one sweep: none trains what another is at, none waits for the dead."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from abcparam.storage.locks import WorkLocks
from tests.tuning.test_sweep import mlp

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def keys(folder: Path) -> list[str]:
    """Of all trials that were kept there, as often as they were."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("*.json"))
    return [key for kept in found for key in kept]


def sweep(folder: Path, *more: str) -> list[str]:
    """The command of a sweep of 8 trials, two at a time."""
    spec = folder / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    command = [sys.executable, "-m", "abcparam", "sweep", str(spec), "--over", "width=16,24"]
    command += ["lr=log:1e-3:1e-1:4", "--together", "2", "--resume", str(folder / "kept")]
    return [*command, "--steps", "60", "--format", "json", *more]


def test_claims_are_of_those_who_live(tmp_path: Path):
    ours, theirs = WorkLocks(tmp_path), WorkLocks(tmp_path)
    with ours.exclusive():
        ours.hold(["a", "b"])
        assert ours.others() == set()
    with theirs.exclusive():
        assert theirs.others() == {"a", "b"}
        theirs.hold(["c"])
    with ours.exclusive():
        ours.release(["a"])
        assert ours.others() == {"c"}
    with theirs.exclusive():
        assert theirs.others() == {"b"}
    ours.close()
    with theirs.exclusive():
        assert theirs.others() == set()
    theirs.close()
    assert list(tmp_path.rglob("*.claim")) == []


def test_the_claims_of_a_process_that_was_killed_are_nobodys(tmp_path: Path):
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom abcparam.storage.locks import WorkLocks\n"
        "locks = WorkLocks(Path(sys.argv[1]))\nwith locks.exclusive():\n    locks.hold(['a'])\n"
        "print('held', flush=True)\ntime.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        locks = WorkLocks(tmp_path)
        with locks.exclusive():
            assert locks.others() == {"a"}
        process.send_signal(signal.SIGKILL)
    with locks.exclusive():
        assert locks.others() == set()
    assert list(tmp_path.rglob("*.claim")) == []


def test_processes_share_a_sweep_and_take_over_what_a_killed_one_was_at(tmp_path: Path):
    """Of three one is killed when some are done. Each is kept once, the others print all."""
    command, kept = sweep(tmp_path), tmp_path / "kept"
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
        for _ in range(3)
    ]
    deadline = time.monotonic() + 60
    while not list(kept.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    processes[0].send_signal(signal.SIGKILL)
    processes[0].communicate()
    outputs = [process.communicate(timeout=120)[0] for process in processes[1:]]
    assert outputs[0] == outputs[1]
    assert len(json.loads(outputs[0])["trials"]) == 8
    found = keys(kept)
    assert len(found) == len(set(found)) == 8


def test_a_folder_that_nothing_can_be_kept_in(run, tmp_path: Path):
    spec, file = tmp_path / "mlp.param", tmp_path / "file"
    spec.write_text(mlp(), encoding="utf-8")
    file.write_text("", encoding="utf-8")
    ran = run("sweep", spec, "--over", "lr=0.1", "--steps", "1", "--resume", file / "kept")
    assert ran.status == 2
    assert "--fresh" in ran.err or "P09" in ran.err
