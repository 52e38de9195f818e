"""Trials on clusters: whose worker dies, they go to another."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

import pytest

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.train.training import ALONE
from abcparam.tuning.train.watch import Checkpoint, TrialWatch
from abcparam.tuning.trials import Trial, TrialResult
from abcparam.tuning.tunable import TunableSpec
from abcparam.tuning.workers import scheduler
from abcparam.tuning.workers.cluster import ATTEMPTS, Cluster, WorkerLostError
from abcparam.tuning.workers.ray_cluster import connected, stdout_to_stderr
from abcparam.tuning.workers.slurm_cluster import settings_of
from abcparam.tuning.workers.trial_batch import TrialBatch, TrialBatchResult, train_trials
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.support.running import Run
from tests.tuning.test_sweep import mlp


class Scripted(Cluster):
    """A cluster whose workers do as they are told, one after another: die, or train."""

    option = "--cluster"

    def __init__(self, dying: Iterable[bool]) -> None:
        super().__init__(2)
        self.dying = iter(dying)
        self.batches: list[TrialBatch] = []

    def close(self) -> None:
        pass

    def submitted(self, batch: TrialBatch, watch: TrialWatch) -> int:
        self.batches.append(batch)
        return len(self.batches)

    def ready(self) -> list[int]:
        return list(self.running)[:1]

    def result(self, task: int) -> TrialBatchResult:
        if next(self.dying):
            raise WorkerLostError("killed by signal 9\nand more")
        batch = self.batches[task - 1]
        return TrialBatchResult(batch, [TrialResult(t, (1.0,)) for t in batch.trials], [])


def batch(seed: int) -> TrialBatch:
    source = abcparam.pipeline.to_source(mlp())
    (recipe,) = TunableSpec(source).recipes({}, [""]).values()
    return TrialBatch(recipe.recipe, (Trial("", (), 1, 1, seed),), SweepOptions())


def test_what_a_dead_worker_was_at_goes_to_another():
    cluster = Scripted([True, False, True, True, False])
    steps: list[int] = []
    one, other = batch(0), batch(1)
    cluster.start(one, ALONE)
    cluster.start(other, ALONE)
    assert not cluster.free
    done = []
    while cluster.running:
        done += cluster.finished(steps.append, None)
    assert [each.batch for each in done] == [other, one]
    assert cluster.batches == [one, other, one, one, one] and sum(steps) == 2


def test_where_all_workers_die_it_is_said():
    cluster = Scripted([True] * ATTEMPTS)
    cluster.start(batch(0), ALONE)
    with pytest.raises(SpecError, match=r"P0826.*\(4\): killed by signal 9\n"):
        for _ in range(ATTEMPTS):
            assert cluster.finished(lambda _: None) == []


def test_what_a_cluster_prints_is_no_output(capfd: pytest.CaptureFixture[str]):
    """By Python, and by libraries below it."""
    with stdout_to_stderr():
        print("from Python")
        os.write(1, b"from below\n")
    print("output", flush=True)
    found = capfd.readouterr()
    assert found.out == "output\n" and found.err == "from Python\nfrom below\n"


class InProcess(Cluster):
    """A cluster that trains when it is asked, each part of a batch by a worker of its own."""

    option = "--cluster"

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.sent: list[tuple[TrialBatch, TrialWatch]] = []
        self.steps = 0

    def close(self) -> None:
        pass

    def submitted(self, batch: TrialBatch, watch: TrialWatch) -> int:
        self.sent.append((batch, pickle.loads(pickle.dumps(watch))))
        return len(self.sent)

    def ready(self) -> list[int]:
        return list(self.running)[:1]

    def result(self, task: int) -> TrialBatchResult:
        batch, watch = self.sent[task - 1]
        return train_trials(batch, self.trained, watch=watch)

    def trained(self, steps: int) -> None:
        self.steps += steps


@pytest.mark.parametrize("files", [True, False])
@pytest.mark.parametrize(("together", "size"), [(1, 1), (64, 1), (64, 2), (64, 3)])
def test_elsewhere_trials_are_stopped_as_here(
    together: int, size: int, files: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Compared with all others, whoever trains them.

    Workers that share files go on where others were, those that do not begin anew.
    """
    pytest.importorskip("optuna")
    over, wanted = ["lr=log:1e-3:1:8"], {"steps": 24, "prune": True, "together": together}
    here = abcparam.sweep(mlp(), over, **wanted)
    cluster, began = InProcess(size), list[bool]()
    load = Checkpoint.load

    def loaded(checkpoint: Checkpoint) -> object:
        found = load(checkpoint)
        began.append(found is not None)
        return found

    monkeypatch.setattr(scheduler, "worker_of", lambda *_: cluster)
    monkeypatch.setattr(Checkpoint, "load", loaded)
    found = abcparam.sweep(mlp(), over, folder=tmp_path if files else None, **wanted)
    assert [(r.trial, r.pruned) for r in found.results] == [
        (r.trial, r.pruned) for r in here.results
    ]
    for one, other in zip(found.results, here.results, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-4)
    assert 0 < sum(result.pruned for result in found.results) < 8
    assert len(cluster.sent) > len(here.results) // together
    assert any(began) == files
    assert not list(tmp_path.rglob("*.checkpoint")) and not list(tmp_path.rglob("*.begun"))


# SLURM


def test_settings_of_jobs(run: Run, tmp_path: Path):
    assert settings_of("slurm_partition=gpu, timeout_min=5") == (
        False,
        {"slurm_partition": "gpu", "timeout_min": 5},
    )
    assert settings_of("local,jobs=2") == (True, {"jobs": 2})
    for wrong in ("gpu", "jobs=0", "=3"):
        with pytest.raises(SpecError, match="P0828"):
            settings_of(wrong)
    pytest.importorskip("submitit")
    with pytest.raises(SpecError, match="P0828"):
        abcparam.sweep(mlp(), ["lr=1"], slurm="local,nothing_of_it=1", folder=tmp_path)
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    assert run("sweep", spec, "--ray", "local", "--slurm", "local").status == 2


@pytest.mark.slow
def test_jobs_train_the_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By processes of this machine, the first of which is killed; what they raise comes back."""
    pytest.importorskip("submitit")
    from abcparam.tuning.workers.slurm_cluster import SlurmCluster

    killed: list[object] = []
    submitted = SlurmCluster.submitted

    def submit(cluster, batch, watch):
        job = submitted(cluster, batch, watch)
        if not killed:
            killed.append(job)
            job._process.kill()
        return job

    monkeypatch.setattr(SlurmCluster, "submitted", submit)
    over, wanted = ["lr=1e-2,1e-1"], {"steps": 4, "slurm": "local,jobs=2"}
    found = abcparam.sweep(mlp(), over, folder=tmp_path, **wanted)
    here = abcparam.sweep(mlp(), over, steps=4)
    for one, other in zip(found.results, here.results, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-3)
    assert killed and len(keys(tmp_path)) == 2
    with pytest.raises(SpecError, match="P0812"):
        abcparam.sweep(mlp(), ["lr=1"], folder=tmp_path, by="held-out", **wanted)


# Ray

KILLING = """
import os, signal, sys
import ray
from abcparam.commands.cli import main
from abcparam.tuning.workers import ray_cluster

train, once = ray_cluster.train_trials, sys.argv.pop(1)

def dying(batch, watch):
    if not os.path.exists(once):
        open(once, "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    return train(batch, watch=watch)

ray_cluster.train_trials = dying
sys.exit(main())
"""


def test_a_local_cluster_is_a_new_one(monkeypatch: pytest.MonkeyPatch):
    """Without an address Ray looks for one that it has a note of, for minutes where it is gone."""
    asked: list[str] = []
    ray = SimpleNamespace(is_initialized=lambda: False, init=lambda where, **_: asked.append(where))
    monkeypatch.setitem(sys.modules, "ray", ray)
    assert connected("local") is ray
    connected("head:6379")
    assert asked == ["local", "head:6379"]


@pytest.mark.slow
def test_a_ray_worker_that_is_killed_loses_no_trial(tmp_path: Path):
    """And Ray, which tells of it, does not print among the results."""
    pytest.importorskip("ray")
    import json

    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    command = [sys.executable, "-c", KILLING, str(tmp_path / "once"), "sweep", str(spec)]
    command += ["--over", "lr=1e-2,1e-1", "--steps", "4", "--fresh", "--ray", "local"]
    ran = subprocess.run(
        [*command, "--format", "json"],
        capture_output=True, env=ENVIRONMENT, text=True, timeout=240,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = [trial["loss"] for trial in json.loads(ran.stdout)["trials"]]
    here = abcparam.sweep(spec, ["lr=1e-2,1e-1"], steps=4)
    assert found == pytest.approx([result.loss for result in here.results], rel=1e-5)
    assert (tmp_path / "once").exists()
