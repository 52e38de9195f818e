"""Ranks of `torchrun` that train each trial together: the losses of one process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

import abcparam
from abcparam.data.batch import Batch
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.workers.data_parallel import shards_of
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.support.paths import ROOT
from tests.support.rank_sweeps import CASES, EXPERTS, SHARDED, found
from tests.support.running import Run
from tests.tuning.test_sweep import mlp

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def in_two(*arguments: object) -> str:
    """What rank 0 prints."""
    command = [*TORCHRUN, "-m", *map(str, arguments)]
    ran = subprocess.run(
        command, capture_output=True, env=ENVIRONMENT, text=True, timeout=180, cwd=ROOT
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_ranks_have_the_losses_of_one_process():
    """Of 12 trials, or 24 with Optuna's: at each step, on held-out data, where one diverges, where
    some are stopped, and with a part of the parameters on each.
    """
    answer = json.loads(in_two("tests.support.rank_sweeps"))
    assert answer.pop("differ") == ["P0819"]
    assert answer.pop("draws") == 2  # each has its own, for dropout
    assert answer.pop("raised") == [["P0812", "OSError"]] * 2
    assert list(answer) == [*CASES, *(f"sharded {case}" for case in SHARDED)]
    for case, trials in answer.items():
        alone = found(case.removeprefix("sharded "))
        assert len(trials) == len(alone)
        for (losses, held_out), result in zip(trials, alone, strict=True):
            near = 1e-3 if case == "muon" else 2e-5  # it rounds to bfloat16
            assert losses == pytest.approx(result.losses, rel=near, nan_ok=True), case
            assert (held_out is None) == (result.held_out is None), case
            assert held_out is None or held_out == pytest.approx(result.held_out, rel=2e-5)
    assert sum(len(trials) for trials in answer.values()) in (12, 24)


def test_a_sweep_goes_on_in_step(tmp_path: Path, run: Run):
    """What one process finished is not trained again; all ranks agree on what is left."""
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    arguments = ["sweep", spec, "--steps", "8", "--batch", "8", "--resume", kept]
    arguments += ["--format", "json", "--over", "width=16,24"]
    assert run(*arguments, "lr=1e-3,1e-2").status == 0
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    more = [*arguments, "lr=1e-3,1e-2,1e-1"]
    found = json.loads(in_two("abcparam", *more, "--data-parallel"))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(keys(kept)) == len(set(keys(kept))) == 6
    assert json.loads(run(*more).out) == found


@pytest.mark.slow
def test_ranks_that_were_killed_go_on(tmp_path: Path):
    """What was finished by then is not trained again, nothing is kept by halves."""
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    arguments = ["abcparam", "sweep", str(spec), "--over", "lr=log:1e-3:1e-1:6", "--steps", "200"]
    arguments += ["--resume", str(kept), "--format", "json", "--data-parallel"]
    killed = subprocess.Popen(
        [*TORCHRUN, "-m", *arguments], env=ENVIRONMENT, cwd=ROOT, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while len(list(kept.rglob("*.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    assert 2 <= len(before) < 6
    assert len(json.loads(in_two(*arguments))["trials"]) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(keys(kept)) == len(set(keys(kept))) == 6


OFTEN = """
import sys
from abcparam.commands.cli import main
from abcparam.tuning.train import watch

watch.EVERY = 0.05
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", ["--data-parallel", "--sharded"])
def test_killed_in_a_trial_other_ranks_go_on(how: str, tmp_path: Path):
    """Two ranks begin; three, or one process, go on from where they were."""
    spec, kept, often = tmp_path / "mlp.param", tmp_path / "kept", tmp_path / "often.py"
    spec.write_text(mlp("adamw"), encoding="utf-8")
    often.write_text(OFTEN, encoding="utf-8")
    arguments = ["sweep", str(spec), "--over", "lr=1e-2", "--steps", "250", "--batch", "6"]
    arguments += ["--format", "json"]
    whole = json.loads(here(often, *arguments, "--fresh"))["trials"]
    alone = [often, *arguments, "--resume", kept]
    killed = subprocess.Popen(
        [*TORCHRUN, *map(str, alone), how], env=ENVIRONMENT, cwd=ROOT, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not list(kept.rglob("*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    (saved,) = kept.rglob("*.checkpoint")
    begun = torch.load(saved)["losses"]
    shutil.copytree(kept, tmp_path / "other")
    three = [*TORCHRUN[:-1], "3", *map(str, alone), how]
    subprocess.run(three, env=ENVIRONMENT, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    here(*alone[:-1], tmp_path / "other")
    for folder in (kept, tmp_path / "other"):
        ((losses, _),) = [v for path in folder.rglob("*.json") for v in read(path).values()]
        assert losses[: len(begun)] == begun and len(losses) == 250
        assert sum(losses[-25:]) / 25 == pytest.approx(whole[0]["loss"], rel=1e-3)
        assert not list(folder.rglob("*.checkpoint"))


def ranks_of(torchrun: subprocess.Popen[str]) -> dict[int, int]:
    """The processes that a torchrun has started, by their rank."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended
            parent = status.read_text().rpartition(")")[2].split()[1]
            variables = status.with_name("environ").read_bytes().split(b"\0")
            rank = [v.partition(b"=")[2] for v in variables if v.startswith(b"RANK=")]
            if int(parent) == torchrun.pid and rank:
                found[int(rank[0])] = int(status.parent.name)
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="no /proc here")
@pytest.mark.parametrize(("how", "which"), [("--data-parallel", 1), ("--sharded", 0)])
def test_one_rank_is_killed(how: str, which: int, tmp_path: Path):
    """The other one ends with it; three ranks, or one process, find what a whole sweep finds."""
    spec, kept, often = tmp_path / "mlp.param", tmp_path / "kept", tmp_path / "often.py"
    spec.write_text(mlp("adamw"), encoding="utf-8")
    often.write_text(OFTEN, encoding="utf-8")
    arguments = ["sweep", str(spec), "--over", "lr=1e-3,1e-2,1e-1", "--steps", "250"]
    arguments += ["--batch", "6", "--format", "json"]
    whole = json.loads(here(often, *arguments, "--fresh"))["trials"]
    alone = [str(often), *arguments, "--resume", str(kept)]
    torchrun = subprocess.Popen(
        [*TORCHRUN, *alone, how], env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not (list(kept.rglob("*.json")) and list(kept.rglob("*.checkpoint"))):
        assert torchrun.poll() is None
        time.sleep(0.005)
    ranks = ranks_of(torchrun)
    os.kill(ranks[which], signal.SIGKILL)
    assert "SIGKILL" in torchrun.communicate(timeout=60)[1] and torchrun.returncode == 1
    assert sorted(ranks) == [0, 1] and not any(Path(f"/proc/{p}").exists() for p in ranks.values())
    before = {path: path.stat().st_mtime_ns for path in kept.rglob("*.json")}
    shutil.copytree(kept, tmp_path / "other")
    three = [*TORCHRUN[:-1], "3", *alone, how]
    subprocess.run(three, env=ENVIRONMENT, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    for folder in (kept, tmp_path / "other"):
        found = json.loads(here(*alone[:-1], folder))["trials"]
        assert [trial["loss"] for trial in found] == pytest.approx(
            [trial["loss"] for trial in whole], rel=1e-4
        )


def here(*command: object) -> str:
    """By one process."""
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, env=ENVIRONMENT, text=True, check=True).stdout


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


# What is refused


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one of two ranks."""
    variables = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def refused(text: str, over: list[str], **wanted: object) -> str:
    with pytest.raises(SpecError) as caught:
        abcparam.sweep(text, over, data_parallel=True, **wanted)
    return str(caught.value)


@pytest.mark.parametrize("arguments", [(), ("--ray", "local")])
def test_without_torchrun(arguments: tuple[str, ...], tmp_path: Path, run: Run):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    for command in ("sweep", "transfer"):
        ran = run(command, spec, "--over", "lr=0.1", "--data-parallel", *arguments)
        assert (ran.status, "error[P0816]" in ran.err) == (2, True)


@pytest.mark.usefixtures("launched")
def test_on_a_ray_cluster():
    answer = refused(mlp(), ["lr=0.1"], ray="local")
    assert "error[P0816]: a Ray cluster has no ranks" in answer


@pytest.mark.usefixtures("launched")
def test_a_batch_that_cannot_be_shared():
    answer = refused(mlp(), ["lr=0.1", "batch=8,9"])
    assert "error[P0817]: 9 examples of a batch cannot be shared by 2 ranks alike" in answer
    assert "P0817" in refused(mlp(), ["lr=0.1"], batch=1)


@pytest.mark.usefixtures("launched")
def test_batch_norm_is_refused_where_it_stands():
    text = mlp().replace("relu(second @ h)", "batchnorm(second @ h)")
    answer = refused(text, ["lr=0.1"])
    assert "error[P0818]: `batchnorm` needs the whole batch" in answer
    assert "h = batchnorm(second @ h)" in answer


@pytest.mark.usefixtures("launched")
def test_what_takes_whole_parameters_is_not_sharded():
    lamb = refused(mlp("lamb"), ["lr=0.1"], sharded=True)
    assert "error[P0827]: an update of `lamb` takes whole parameters" in lamb
    experts = refused(EXPERTS, ["lr=0.1"], sharded=True)
    assert "error[P0827]: a `mixture` takes whole parameters" in experts


def test_shares_are_alike():
    """As many examples in each, and as many targets that are not left out."""
    inputs, targets = torch.arange(12.0).view(6, 2), torch.tensor([0, 1, -100, 1, -100, 0])
    shards = shards_of(Batch((inputs,), (targets, inputs)), 2)
    assert [shard.inputs[0].tolist() for shard in shards] == [
        [[0, 1], [2, 3], [4, 5]],
        [[6, 7], [8, 9], [10, 11]],
    ]
    assert [shard.targets[0].tolist() for shard in shards] == [[0, 1, -100], [1, -100, 0]]
    with pytest.raises(SpecError, match=r"P0817.* 4 targets of a batch"):
        shards_of(Batch((inputs,), (targets,)), 3)
    with pytest.raises(SpecError, match=r"P0817.* 6 examples of a batch"):
        shards_of(Batch((inputs,), (targets,)), 4)
