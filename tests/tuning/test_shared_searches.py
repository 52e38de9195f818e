"""Searches that several processes share in a database, which may be lost for a while."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning import study_storage
from abcparam.tuning.study_storage import StudyStorage
from abcparam.tuning.sweep import SweepResult
from tests.storage.test_locks import ENVIRONMENT, keys
from tests.tuning.test_studies import searched

WAITS = "abcparam: the database does not answer ({}); waiting for it, up to 120 s"
ANSWERS = "abcparam: the database answers again"


def storage_of(folder: Path) -> StudyStorage:
    pytest.importorskip("optuna")
    return StudyStorage(f"sqlite:///{folder / 'studies.db'}")


def test_trials_of_the_dead_are_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whether they ended after their first heartbeat, before it, or gave back what they had."""
    storage = storage_of(tmp_path)
    study = storage.study("one")
    dead, early, given, alive = (storage.ask(study) for _ in range(4))
    for trial in (dead, early, given, alive):
        trial.suggest_float("lr", 0, 1)
    early.set_user_attr(study_storage.AT, None)
    storage.give_back(study, given)
    with monkeypatch.context() as patched:  # as Optuna finds when it has not heard of it for long
        patched.setattr(storage.storage, "_get_stale_trial_ids", lambda _: [dead._trial_id])
        storage.requeue(study)
    states = [trial.state.name for trial in study.trials]
    assert states == ["FAIL", "FAIL", "FAIL", "RUNNING", "WAITING", "WAITING", "WAITING"]
    again = [storage.ask(study).suggest_float("lr", 0, 1) for _ in range(3)]
    assert sorted(again) == sorted(trial.params["lr"] for trial in (dead, early, given))
    storage.requeue(study)
    assert [trial.state.name for trial in study.trials][3:] == ["RUNNING"] * 4


def test_what_another_has_finished_is_not_told_again(tmp_path: Path, monkeypatch):
    """Heartbeats were missed, and a trial was given to another: the search goes on."""
    storage_of(tmp_path)
    tell = study_storage.optuna_of().study.Study.tell
    first: list[int] = []

    def late(study, trial, *given, **settings):
        if not first:
            first.append(trial.number)
            tell(study, trial.number, state=study_storage.optuna_of().trial.TrialState.FAIL)
        return tell(study, trial, *given, **settings)

    monkeypatch.setattr("optuna.study.Study.tell", late)
    assert len(searched(tmp_path).results) == 6


def test_a_database_that_is_lost_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """At longer and longer intervals, which is said once; at the end it is a message."""
    pytest.importorskip("optuna")
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage

    call = RDBStorage.set_trial_user_attr
    times: list[float] = []

    def away(*given, **settings):
        times.append(time.monotonic())
        if len(times) < 4:
            raise StorageInternalError("server closed the connection")
        return call(*given, **settings)

    monkeypatch.setattr(RDBStorage, "set_trial_user_attr", away)
    monkeypatch.setattr(study_storage, "SAID", 0.05)
    whole = searched(tmp_path / "lost", trials=2)
    assert whole.results == searched(tmp_path / "kept", trials=2).results
    first, second, third = (times[n + 1] - times[n] for n in range(3))
    assert first < second < third
    assert [record.getMessage() for record in caplog.records] == [
        WAITS.format("server closed the connection"),
        ANSWERS,
    ]

    monkeypatch.setattr(study_storage, "PATIENCE", 0.2)
    monkeypatch.setattr(RDBStorage, "set_trial_user_attr", away_for_good)
    with pytest.raises(SpecError, match=r"(?s)P0814.*no route to host"):
        searched(tmp_path / "gone", trials=2)


def away_for_good(*_, **__) -> None:
    from optuna.exceptions import StorageInternalError

    raise StorageInternalError("no route to host")


def test_two_studies_at_once_make_one_database(tmp_path: Path):
    """Tables are made under a lock."""
    made: list[object] = []
    storages = [storage_of(tmp_path) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda s=storage: made.append(s.study("one")))
        for storage in storages
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 4


def pairs(count: int, *storage: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.shared_searches", str(count), "0", *storage]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


@pytest.mark.slow
def test_no_pair_of_processes_loses_points():
    """The third is killed."""
    pytest.importorskip("optuna")
    assert pairs(3).stdout == "0 of 3 pairs lost\n"


# PostgreSQL


class Postgres:
    """A server of its own, which root starts as the user `postgres`."""

    def __init__(self, folder: Path) -> None:
        found = shutil.which("postgres")
        if not found:
            pytest.skip("there is no PostgreSQL")
        self.programs, self.folder = Path(found).resolve().parent, folder
        self.user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self.user:
            shutil.chown(folder, "postgres")
        with socket.socket() as found_port:
            found_port.bind(("127.0.0.1", 0))
            self.port = found_port.getsockname()[1]
        self._run("initdb", "-A", "trust", "-U", "postgres")
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1"
        self._run("pg_ctl", "-o", settings, "-l", str(self.folder / "log"), "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self.user, str(self.programs / program), "-D", str(self.folder / "data")]
        subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    for package in ("optuna", "psycopg"):
        pytest.importorskip(package)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:  # of another user
        server = Postgres(Path(folder))
        yield server
        server.stop()


@pytest.mark.slow
def test_a_server_serves_pairs(postgres: Postgres):
    assert pairs(3, postgres.url).stdout == "0 of 3 pairs lost\n"


AWAY = 10  # seconds


@pytest.mark.slow
def test_a_server_may_be_away_in_mid_sweep(
    postgres: Postgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """What was found is what is found where it stays; no trial is trained twice."""

    def away() -> None:
        postgres.stop()
        time.sleep(AWAY)
        postgres.start()

    found = _searched_without_database(tmp_path / "one", postgres.url, away)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2 and said[0].startswith(WAITS[:40]) and said[1] == ANSWERS
    other = searched(tmp_path / "other", storage=postgres.url, trials=16, steps=60, together=1)
    assert other.results == found.results


@pytest.mark.slow
def test_a_file_may_be_locked_in_mid_sweep(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """By another program, for a while."""
    pytest.importorskip("optuna")
    file = tmp_path / "studies.db"

    def locked() -> None:
        with contextlib.closing(sqlite3.connect(file, timeout=60)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(AWAY)
            other.rollback()

    found = _searched_without_database(tmp_path / "one", f"sqlite:///{file}", locked)
    said = [record.getMessage() for record in caplog.records]
    assert said == [WAITS.format("(sqlite3.OperationalError) database is locked"), ANSWERS]
    other = searched(tmp_path / "other", trials=16, steps=60, together=1)
    assert other.results == found.results


def _searched_without_database(
    folder: Path, url: str, takes_away: Callable[[], None]
) -> SweepResult:
    """A search of 16 trials, each kept once; the database goes when the first is finished."""

    def leave() -> None:
        while not list(folder.rglob("*.json")):
            time.sleep(0.01)
        takes_away()

    leaving = threading.Thread(target=leave)
    leaving.start()
    found = searched(folder, storage=url, trials=16, steps=60, together=1)
    leaving.join()
    kept = keys(folder)
    assert len(found.results) == 16 and len(kept) == len(set(kept)) == 16
    return found
