"""Ranks of `torchrun` that train each trial together: the losses of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.data.batch import Batch
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.workers.data_parallel import shards_of
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.support.paths import ROOT
from tests.support.rank_sweeps import CASES, found
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
    """Of 8 trials, or 12 with Optuna's: at each step, on held-out data, where one diverges."""
    answer = json.loads(in_two("tests.support.rank_sweeps"))
    assert answer.pop("differ") == ["P0819"]
    assert answer.pop("draws") == 2  # each has its own, for dropout
    assert answer.pop("raised") == [["P0812", "OSError"]] * 2
    assert list(answer) == list(CASES)
    for case, trials in answer.items():
        alone = found(case)
        assert len(trials) == len(alone)
        for (losses, held_out), result in zip(trials, alone, strict=True):
            near = 1e-3 if case == "muon" else 2e-5  # it rounds to bfloat16
            assert losses == pytest.approx(result.losses, rel=near, nan_ok=True), case
            assert (held_out is None) == (result.held_out is None), case
            assert held_out is None or held_out == pytest.approx(result.held_out, rel=2e-5)
    assert sum(len(trials) for trials in answer.values()) in (8, 12)


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
