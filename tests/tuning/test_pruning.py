"""Trials that are stopped early, and trials that go on where they were killed."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.sweep import SweepResult, sweep_source
from abcparam.tuning.train import stacking, training, watch
from abcparam.tuning.train.stacking import train
from abcparam.tuning.train.training import Job, Trained, TrialRun
from abcparam.tuning.train.watch import TrialWatch
from abcparam.tuning.workers.result_store import forget
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.support import killed_sweeps
from tests.tuning.test_sweep import job, mlp

OVER = ["lr=log:1e-3:1:16"]


def trained_steps(found: SweepResult) -> float:
    steps = sum(len(result.losses) for result in found.results)
    return steps / sum(result.trial.steps for result in found.results)


def test_the_same_search_costs_a_third():
    """The best value is at most a step of the grid away."""
    pytest.importorskip("optuna")
    full = abcparam.sweep(mlp(), OVER, steps=48)
    found = abcparam.sweep(mlp(), OVER, steps=48, prune=True)
    best, other = (each.best[0].hypers["lr"] for each in (full, found))
    assert 10**-0.21 < best / other < 10**0.21
    losses = {result.trial: result.losses for result in full.results}
    for result in found.results:
        assert result.losses == pytest.approx(losses[result.trial][: len(result.losses)], rel=1e-3)
    assert trained_steps(full) == 1 and trained_steps(found) < 0.37
    assert {r.trial for r in found.results} == {r.trial for r in full.results}
    stopped = [result for result in found.results if result.pruned]
    assert {len(result.losses) for result in stopped} == {8, 32} and len(stopped) > 10
    assert any("stopped early" in note for note in found.notes)
    assert found.to_dict()["trials"][-1]["loss"] is None


def test_what_was_stopped_is_kept_apart(tmp_path: Path):
    pytest.importorskip("optuna")
    over, wanted = ["lr=0.01,0.3,0.6"], {"steps": 16, "folder": tmp_path}
    found = abcparam.sweep(mlp(), over, prune=True, **wanted)
    assert 0 < sum(result.pruned for result in found.results) < 3
    assert abcparam.sweep(mlp(), over, prune=True, **wanted).results == found.results
    assert not any(result.pruned for result in abcparam.sweep(mlp(), over, **wanted).results)


@pytest.mark.parametrize("together", [1, 64])
def test_samplers_prune_too(together: int):
    """One by one as well as together, by the mean over the seeds.

    Of the 16 values two are drawn twice, and trained once: 6 points, each with both seeds.
    """
    pytest.importorskip("optuna")
    wanted = {"sampler": "tpe", "trials": 8, "seeds": 2, "steps": 16, "together": together}
    found = abcparam.sweep(mlp(), OVER, prune=True, **wanted)
    assert len({r.trial for r in found.results}) == len(found.results) == 12
    assert 0 < sum(r.pruned for r in found.results) < 12
    assert len(found.best) == 1


# Checkpoints


RUNS = [TrialRun({"lr": Fraction(n, 100)}, 0, schedule) for n, schedule in
        [(1, "cosine"), (3, "constant"), (2, "linear")]]  # fmt: skip


@pytest.mark.parametrize(("optimizer", "model"), [("adam", mlp), ("sgd", mlp)])
@pytest.mark.parametrize("together", [True, False])
def test_killed_in_a_trial_it_goes_on_where_it_was(
    optimizer: str, model, together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its losses are those of one that was not killed, to the last bit; so when trials stopped."""
    monkeypatch.setattr(watch, "EVERY", 0.0)
    runs = RUNS if together else RUNS[:1]

    def watched(name: str) -> TrialWatch:
        return TrialWatch(tuple(range(len(runs))), frozenset({5}), lambda *_: [1], tmp_path / name)

    made = job(model(optimizer), steps=12)
    whole = train(
        made, runs, watch=TrialWatch(tuple(range(len(runs))), frozenset({5}), lambda *_: [1])
    )
    for moment in (3, 8):
        left = iter(range(moment))

        def killed(steps: int, left: Iterator[int] = left) -> None:
            next(left)

        with pytest.raises(StopIteration):
            train(made, runs, killed, watch=watched(f"run{moment}"))
        assert list(tmp_path.glob(f"run{moment}-*"))
        steps: list[int] = []
        found = train(made, runs, steps.append, watch=watched(f"run{moment}"))
        assert [each.losses for each in found] == [each.losses for each in whole]
        assert [each.held_out for each in found] == [each.held_out for each in whole]
        assert sum(steps) == 12 * len(runs)
        forget(tmp_path / f"run{moment}")
    assert not list(tmp_path.iterdir())


def test_what_was_begun_together_goes_on_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Though others are to be trained by now; a file that is none of ours is nobody's."""
    monkeypatch.setattr(watch, "EVERY", 0.0)
    over = ["lr=1e-2,2e-2,3e-2,4e-2,5e-2"]
    wanted: dict[str, Any] = {"steps": 8, "folder": tmp_path}
    source, left = Source(mlp(), "mlp.param"), iter(range(3 * 8 + 2 * 4))

    @contextmanager
    def killing(steps: int) -> Iterator[Callable[[int], None]]:
        def on_step(count: int) -> None:
            for _ in range(count):
                next(left)

        yield on_step

    with pytest.raises((StopIteration, RuntimeError)):
        options = SweepOptions(over=tuple(over), together=3, **wanted)
        sweep_source(source, {}, options, killing)
    (place,) = tmp_path.rglob("*.checkpoint")
    begun = torch.load(place)["curves"]
    for text in ("[", "7", '{"a": 1}', '["another"]'):
        place.with_name(f"{len(text)}.begun").write_text(text, encoding="utf-8")
    more = ["lr=6e-2,1e-2,2e-2,3e-2,4e-2,5e-2"]
    found = abcparam.sweep(source, more, **wanted)
    last = [r for r in found.results if r.trial.values[0][1] in (Fraction(1, 25), Fraction(1, 20))]
    assert [list(result.losses[: len(begun[0])]) for result in last] == begun
    assert len(keys(tmp_path)) == len(set(keys(tmp_path))) == 6
    assert {path.stem for path in tmp_path.rglob("*.begun")} <= {"8", "11"}
    whole = abcparam.sweep(source, more, steps=8)
    for one, other in zip(found.results, whole.results, strict=True):
        assert one.losses == pytest.approx(other.losses, rel=1e-4)


class Bomb:
    """A pickle that makes a folder."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("OWNED",)


@pytest.mark.parametrize("together", [True, False])
def test_a_checkpoint_of_somebody_elses_is_no_code_and_training_begins_anew(
    together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    runs = RUNS if together else RUNS[:1]
    made = job(mlp(), steps=3)
    wanted = [each.losses for each in train(made, runs)]
    place = tmp_path / f"run-0-{len(runs)}.checkpoint"
    watched = TrialWatch(tuple(range(len(runs))), place=tmp_path / "run")
    like = {"alive": [7], "curves": [[1.0]], "losses": [1.0], "model": {}, "optimizers": []}
    for state in (Bomb(), [1.0], 7, {"losses": 1}, like, {**like, "values": 1, "random": [1]}):
        torch.save(state, place)
        assert [each.losses for each in train(made, runs, watch=watched)] == wanted
    for data in (b"", b"PK\3\4", pickle.dumps(Bomb()), bytes(range(256))):
        place.write_bytes(data)
        assert [each.losses for each in train(made, runs, watch=watched)] == wanted
    assert not (tmp_path / "OWNED").exists()


ERRORS: list[tuple[str, Exception]] = [
    ("restore", torch.OutOfMemoryError("CUDA out of memory")),
    ("restore", MemoryError()),
    ("restore", RuntimeError("DefaultCPUAllocator: can't allocate memory")),
    ("read", OSError(5, "Input/output error")),
    ("draw", ValueError("in a user's data")),
]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(("where", "error"), ERRORS)
def test_what_fails_while_a_checkpoint_is_restored_leaves_it(
    where: str, error: Exception, together: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Memory, a disk or a user's data may do better later: training goes on from it then."""
    monkeypatch.setattr(watch, "EVERY", 0.0)
    runs = RUNS if together else RUNS[:1]
    made, watched = job(mlp(), steps=8), TrialWatch(tuple(range(len(runs))), place=tmp_path / "run")
    left = iter(range(4))
    with pytest.raises(StopIteration):
        train(made, runs, lambda _: next(left), watch=watched)
    [kept] = tmp_path.iterdir()
    saved = kept.read_bytes()

    def fails(*_: object) -> None:
        raise error

    patched: dict[str, tuple[object, str]] = {
        "read": (Path, "read_bytes"),
        "restore": (stacking.Stack, "restore") if together else (training, "_restored"),
        "draw": (stacking.Stack, "draw_again") if together else (training, "set_random_state"),
    }
    with monkeypatch.context() as patch, pytest.raises(type(error)):
        patch.setattr(*patched[where], fails)
        if together:
            stacking.train_together(made, runs, watch=watched)
        else:
            training.train_alone(made, runs[0], watch=watched)
    assert kept.read_bytes() == saved
    steps: list[int] = []
    train(made, runs, steps.append, watch=watched)
    assert steps[0] == 4 * len(runs)


def test_what_does_not_fit_into_memory_is_trained_by_halves(monkeypatch: pytest.MonkeyPatch):
    """Down to one at a time, whose losses are the same."""
    whole, tried = stacking.train_together, list[int]()

    def small(made: Job, trials: Sequence[TrialRun], *rest: Any) -> list[Trained]:
        tried.append(len(trials))
        if len(trials) > 2:
            raise torch.OutOfMemoryError
        return whole(made, trials, *rest)

    made, runs = job(mlp(), steps=3), [*RUNS, *RUNS[:2]]
    wanted = [each.losses for each in train(made, runs)]
    monkeypatch.setattr(stacking, "train_together", small)
    found = [each.losses for each in train(made, runs)]
    assert tried == [5, 2, 3, 2] and len(found) == 5
    torch.testing.assert_close(torch.tensor(found), torch.tensor(wanted), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
        MemoryError(),
    ],
)
def test_halves_have_the_memory_of_what_did_not_fit(
    error: Exception, monkeypatch: pytest.MonkeyPatch
):
    """Of a stack that failed in its second step nothing is left when the next is made."""
    step, make = stacking.Stack.step, stacking.Stack.__init__
    alive, made_before, reported = weakref.WeakSet[stacking.Stack](), list[int](), list[str]()

    def fails(stack: stacking.Stack, number: int) -> torch.Tensor:
        if number == 1 and len(stack.alive) > 2:
            raise type(error)(*error.args)  # whose traceback nobody else keeps
        return step(stack, number)

    def counted(stack: stacking.Stack, *given: Any) -> None:
        made_before.append(len(alive))
        alive.add(stack)
        make(stack, *given)

    monkeypatch.setattr(stacking.Stack, "step", fails)
    monkeypatch.setattr(stacking.Stack, "__init__", counted)
    found = train(job(mlp(), steps=3), [*RUNS, *RUNS[:2]], report=reported.append)
    assert len(found) == 5 and made_before == [0] * 4 and not reported


def test_one_that_does_not_fit_is_told(monkeypatch: pytest.MonkeyPatch):
    def never(*_: Any) -> Trained:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(stacking, "train_together", never)
    monkeypatch.setattr(stacking, "train_alone", never)
    with pytest.raises(SpecError, match=r"P0831.*batch = 8 .*of `cpu`: CUDA out of memory"):
        train(job(mlp(), steps=3), RUNS)


LIMITED = """
import resource, sys
import torch._dynamo, torch.func
from abcparam.tuning.train import stacking
from abcparam.commands.cli import main

together = stacking.train_together


def noted(job, trials, *rest):
    print("together", len(trials), file=sys.stderr)
    return together(job, trials, *rest)


stacking.train_together = noted
with open("/proc/self/statm") as file:
    now = int(file.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(sys.argv.pop(1)) * 2**20,) * 2)
sys.exit(main())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="there is no limit of memory elsewhere")
def test_a_process_with_little_memory_trains_by_halves(tmp_path: Path):
    """Sixteen models of 4 million weights, of 64 MB with a gradient and an update, in 1.2 GB."""
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp("sgd").replace("context = 12", "context = 4"), encoding="utf-8")

    def swept(megabytes: int, width: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LIMITED, str(megabytes), "sweep", str(spec), "--fresh"]
        command += ["--over", "lr=log:1e-3:1e-1:16", "--set", f"width={width}", "--steps", "2"]
        command += ["--batch", "4", "--format", "json"]
        return subprocess.run(command, capture_output=True, env=ENVIRONMENT, text=True)

    found = swept(1200, 2048)
    sizes = [line for line in found.stderr.splitlines() if line.startswith("together")]
    assert not found.returncode and len(json.loads(found.stdout)["trials"]) == 16
    assert sizes[0] == "together 16" and len(sizes) > 2, found.stderr
    nothing = swept(300, 8192)
    assert nothing.returncode == 2 and "[P0831]" in nothing.stderr


def test_dropout_goes_on_with_its_random_numbers(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(watch, "EVERY", 0.0)
    dropping = mlp("adam").replace("relu(second @ h)", "dropout(relu(second @ h), 0.5)")
    made = job(dropping, steps=6)
    whole = train(made, RUNS[:1])
    watched = TrialWatch((0,), place=tmp_path / "run")

    def killed(steps: int) -> None:
        if list(tmp_path.iterdir()):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made, RUNS[:1], killed, watch=watched)
    torch.manual_seed(7)
    assert train(made, RUNS[:1], watch=watched)[0].losses == whole[0].losses


@pytest.mark.slow
def test_a_sweep_that_was_killed_has_the_same_results(tmp_path: Path):
    spec, kept = tmp_path / "mlp.param", tmp_path / "kept"
    spec.write_text(mlp(), encoding="utf-8")
    program = "from abcparam.tuning.train import watch\nwatch.EVERY = 0.05\n"
    program += "import sys\nfrom abcparam.commands.cli import main\nsys.exit(main())"
    command = [sys.executable, "-c", program, "sweep", str(spec), "--over", "lr=1e-2,1e-1"]
    command += ["--steps", "500", "--format", "json", "--resume"]
    killed = subprocess.Popen([*command, str(kept)], stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    deadline = time.monotonic() + 90
    while not list(kept.rglob("*.checkpoint")) and time.monotonic() < deadline:
        time.sleep(0.05)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not list(kept.rglob("*.json"))
    both = [
        subprocess.run([*command, str(folder)], capture_output=True, env=ENVIRONMENT, text=True)
        for folder in (kept, tmp_path / "other")
    ]
    assert json.loads(both[0].stdout) == json.loads(both[1].stdout)
    assert not list(kept.rglob("*.checkpoint"))


@pytest.mark.slow
def test_a_sweep_that_is_killed_again_and_again_loses_what_is_behind_checkpoints():
    found = killed_sweeps.tried(trials=128, kills=3)
    assert found.trials == 128 and found.kills >= 2
    assert not found.wrong and found.again < found.needed // 2
