"""Sweeps by Optuna's samplers, on a Ray cluster, under torchrun, watched by TensorBoard."""

from __future__ import annotations

import json
import math
import pickle
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.sweep import SweepResult
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.support.running import Run
from tests.tuning.test_sweep import mlp

OVER = ["lr=log:1e-4:1", "schedule=constant,linear"]


def searched(folder: Path | None, **wanted: object) -> SweepResult:
    setting = {"sampler": "tpe", "trials": 6, "steps": 5, "batch": 8, **wanted}
    return abcparam.sweep(mlp(), OVER, folder=folder, **setting)


# Optuna


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc"])
def test_samplers_of_optuna(sampler: str, tmp_path: Path):
    """Within the ranges, the same again, other points for another seed; later ones are better."""
    pytest.importorskip("optuna")
    found = searched(tmp_path, sampler=sampler)
    assert len(found.results) == 6
    rates = [dict(result.trial.values)["lr"] for result in found.results]
    assert len(set(rates)) == 6 and all(Fraction("1e-4") <= rate <= 1 for rate in rates)
    assert {r.trial.schedule for r in found.results} == {"constant", "linear"}
    assert searched(tmp_path / "again", sampler=sampler).results == found.results
    other = searched(tmp_path, sampler=sampler, first=1).results
    assert not {r.trial for r in other} & {r.trial for r in found.results}


def test_a_sampler_learns_from_what_it_is_told(tmp_path: Path):
    """Of 3 searches of 40 points the last halves lie nearer to the best rate, on the whole."""
    pytest.importorskip("optuna")
    first, last = 0.0, 0.0
    for seed in range(3):
        found = searched(None, trials=40, steps=20, first=seed)
        rates = [math.log10(dict(result.trial.values)["lr"]) for result in found.results]
        best = math.log10(found.best[0].hypers["lr"])
        first += sum(abs(rate - best) for rate in rates[:20])
        last += sum(abs(rate - best) for rate in rates[20:])
    assert last < 0.7 * first


def test_every_cell_has_its_own_study(tmp_path: Path):
    pytest.importorskip("optuna")
    over = ["width=16,24", "steps=4,5", "lr=log:1e-4:1"]
    wanted = {"sampler": "tpe", "trials": 3, "seeds": 2, "folder": tmp_path}
    found = abcparam.sweep(mlp(), over, forms=("mup", "sp"), **wanted)
    assert len(found.best) == 8
    assert len(found.results) == 8 * 3 * 2
    assert {len(points) for points in found.cells.values()} == {3}


@pytest.mark.slow
def test_processes_share_a_search_and_take_over_what_a_killed_one_was_at(tmp_path: Path):
    """Points are asked for again, what is finished is not trained again."""
    pytest.importorskip("optuna")
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    command = [sys.executable, "-m", "abcparam", "sweep", str(spec), "--over", *OVER]
    command += ["--sampler", "tpe", "--trials", "12", "--together", "2", "--steps", "40"]
    command += ["--resume", str(kept), "--format", "json"]
    killed = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    other = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT, text=True)
    deadline = time.monotonic() + 90
    while not list(kept.rglob("*.json")) and time.monotonic() < deadline:
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert 1 <= len(keys(kept)) < 12
    assert len(json.loads(other.communicate(timeout=120)[0])["trials"]) == 12
    assert len(keys(kept)) == len(set(keys(kept))) == 12


def test_what_was_asked_and_not_told_is_asked_again(tmp_path: Path, monkeypatch):
    """Killed between: the same points, and of those on disk none is trained again."""
    pytest.importorskip("optuna")
    whole = searched(tmp_path / "whole")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("optuna.study.Study.tell", killed)
        with pytest.raises(KeyboardInterrupt):
            searched(tmp_path / "cut")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cut").rglob("*.json")}
    assert before
    found = searched(tmp_path / "cut")
    assert {path: path.stat().st_mtime_ns for path in before} == before
    first = {result.trial for result in whole.results[:4]}
    assert first <= {result.trial for result in found.results}
    assert len(keys(tmp_path / "cut")) == len(set(keys(tmp_path / "cut"))) == 6


def test_machines_share_a_database(tmp_path: Path):
    """Of another folder there are no files: results come from the database."""
    pytest.importorskip("optuna")
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    found = searched(tmp_path / "one", storage=storage)
    again = searched(tmp_path / "other", storage=storage)
    assert again.results == found.results
    assert keys(tmp_path / "other") == []


def test_a_database_that_is_none(run: Run, tmp_path: Path):
    pytest.importorskip("optuna")
    with pytest.raises(SpecError, match="P0814"):
        searched(tmp_path, storage="nothing://at/all")


@pytest.mark.parametrize(
    ("wanted", "package"),
    [({"sampler": "tpe", "trials": 2}, "optuna"), ({"ray": "local"}, "ray")],
)
def test_what_is_not_installed(
    wanted: dict[str, object], package: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SpecError, match="P0813") as caught:
        abcparam.sweep(mlp(), ["lr=0.1"], steps=1, **wanted)
    assert f"abcparam[{package}]" in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [("--sampler", "tpe"), ("--fresh", "--storage", "sqlite://")],
)
def test_command_lines_without_sense(run: Run, tmp_path: Path, arguments: tuple[str, ...]):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    assert run("sweep", spec, *arguments).status == 2


# Several processes


@pytest.mark.slow
def test_ranks_of_torchrun_share_a_sweep(tmp_path: Path):
    """One prints; each trial is trained once, by one of two, four of one shape at a time."""
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
    ]
    command += ["-m", "abcparam", "sweep", str(spec), "--over", "width=16,24"]
    command += ["lr=log:1e-3:1e-1:8", "--steps", "20", "--resume", str(kept), "--format", "json"]
    ran = subprocess.run(command, capture_output=True, env=ENVIRONMENT, text=True, timeout=180)
    assert ran.returncode == 0, ran.stderr
    assert len(json.loads(ran.stdout)["trials"]) == 16
    assert sorted(len(json.loads(p.read_text("utf-8"))) for p in kept.rglob("*.json"))[-1] <= 4
    assert len(keys(kept)) == len(set(keys(kept))) == 16


@pytest.mark.slow
def test_a_ray_cluster_trains_the_trials(tmp_path: Path):
    """The losses of this process; data of a module that the workers do not have."""
    ray = pytest.importorskip("ray")
    over = ["width=16,24", "lr=log:1e-3:1e-1:4"]
    try:
        found = abcparam.sweep(mlp(), over, steps=10, ray="local", folder=tmp_path)
        here = abcparam.sweep(mlp(), over, steps=10)
        for one, other in zip(found.results, here.results, strict=True):
            assert one.losses == pytest.approx(other.losses, rel=1e-3)
        assert len(keys(tmp_path)) == 8
        with pytest.raises(SpecError, match="P0812"):
            abcparam.sweep(mlp(), over, steps=1, ray="local", by="held-out")
    finally:
        ray.shutdown()


def test_errors_go_from_process_to_process():
    with pytest.raises(SpecError) as caught:
        abcparam.check("model M\ndim width ->")
    same = pickle.loads(pickle.dumps(caught.value))
    assert str(same) == str(caught.value)
    assert same.diagnostics == caught.value.diagnostics


def test_a_cluster_that_is_not_there(monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray")
    with pytest.raises(SpecError, match="P0815"):
        abcparam.sweep(mlp(), ["lr=0.1"], steps=1, ray="no:address:at:all")


# TensorBoard


def test_tensorboard_has_every_trial(run: Run, tmp_path: Path):
    pytest.importorskip("tensorboard")
    events = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    ).EventAccumulator
    spec, board = tmp_path / "mlp.param", tmp_path / "board"
    spec.write_text(mlp(), encoding="utf-8")
    arguments = ("sweep", spec, "--over", "lr=1e-2,1e-1", "--steps", "6", "--format", "json")
    shared = ("--resume", tmp_path / "kept", "--tensorboard", board)
    trials = json.loads(run(*arguments, *shared).out)["trials"]
    files = sorted(board.rglob("*tfevents*"))
    found = [events(str(path.parent)).Reload().Scalars("loss") for path in files]
    losses = {tuple(round(event.value, 5) for event in each) for each in found}
    assert {len(each) for each in losses} == {6}
    assert {round(each[-1], 4) for each in losses} == {round(t["loss"], 4) for t in trials}
    assert run(*arguments, *shared).status == 0
    assert sorted(board.rglob("*tfevents*")) == files


# Weights & Biases, MLflow


def test_weights_and_biases_have_every_trial(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Offline, in its own files; a trial that diverged too."""
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp("sgd"), encoding="utf-8")
    arguments = ("sweep", spec, "--over", "lr=1e-2,1e20", "--steps", "6", "--fresh")
    ran = run(*arguments, "--wandb", "abcparam", "--format", "json")
    assert ran.status == 0, ran.err
    assert [trial["diverged"] for trial in json.loads(ran.out)["trials"]] == [False, True]
    assert len(list(tmp_path.rglob("run-*.wandb"))) == 2


def test_mlflow_has_every_trial(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Its curve, its settings and its losses at the end; none twice when the sweep goes on."""
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    shared = ("--steps", "6", "--resume", tmp_path / "kept", "--mlflow", "abcparam")
    assert run("sweep", spec, "--over", "lr=1e-2", *shared).status == 0
    ran = run("sweep", spec, "--over", "lr=1e-2,1e-1", *shared, "--format", "json")
    wanted = {trial["hypers"]["lr"]: trial["loss"] for trial in json.loads(ran.out)["trials"]}
    client = tracking.MlflowClient()
    experiment = client.get_experiment_by_name("abcparam").experiment_id
    found = client.search_runs([experiment])
    assert {float(r.data.params["lr"]): r.data.metrics["loss"] for r in found} == wanted
    assert len(found) == 2 and all(run.info.status == "FINISHED" for run in found)
    curve = client.get_metric_history(found[0].info.run_id, "training_loss")
    assert [point.step for point in curve] == list(range(6))
