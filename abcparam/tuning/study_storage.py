"""Where studies are kept, the door to Optuna's databases.

They are made under a lock, and are waited for when they are lost for a while; a line says so. Who
asked for a trial records heartbeats of it; one without is failed and queued again, by Optuna's own
callbacks.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial, wraps
from pathlib import Path
from typing import Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.installed import missing
from abcparam.diagnostics.rules.tuning import NoStore
from abcparam.presentation.words import first_line
from abcparam.storage.locks import locked

HEARTBEAT, GRACE = 3, 30  # seconds between heartbeats, and until a trial without is given away
PATIENCE = 120.0  # seconds that a database may be away
SHORTEST, LONGEST = 0.1, 5.0  # seconds between two attempts
SAID = 2.0  # seconds that it is away for before we say so
LOCKED = 1  # seconds in which SQLite itself waits for a lock, deaf to Ctrl-C
AT = "at"  # a trial's own number, once its first heartbeat is recorded
LOG = logging.getLogger("abcparam")  # a line on stderr, unless its user has set up another handler
KEY = 0x6162637061726D  # of our lock in a database
LOCKS = {  # held by a connection until it is closed
    "postgresql": f"SELECT pg_advisory_lock({KEY})",
    "mysql": f"SELECT GET_LOCK('{KEY}', -1)",
}


def optuna_of() -> Any:
    """Optuna, silent. Raises `SpecError` without it."""
    try:
        import optuna
    except ImportError as error:
        raise missing("--sampler", "Optuna", error) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class StudyStorage:
    """A database of studies; without an address they are in memory, and nobody shares them."""

    def __init__(self, url: str | None) -> None:
        self.optuna, self.url = optuna_of(), url
        self.storage: Any = None
        self.away = False

    def study(self, name: str) -> Any:
        """The study of that name. Raises `SpecError` where the database cannot be had."""
        try:
            with self.exclusive(), _unannounced(self.optuna):
                self.storage = self._made() if self.url else self.optuna.storages.InMemoryStorage()
                return self.optuna.create_study(
                    storage=self.storage, study_name=name, load_if_exists=True
                )
        except Exception as error:  # of the database's driver, which may be any
            raise self.lost(error) from None

    def _made(self) -> Any:
        storages, settings = self.optuna.storages, {}
        if str(self.url).startswith("sqlite"):
            settings = {"connect_args": {"timeout": LOCKED}}
        made = partial(
            storages.RDBStorage,
            self.url,
            engine_kwargs={"pool_pre_ping": True, **settings},
            heartbeat_interval=HEARTBEAT,
            grace_period=GRACE,
            heartbeat_stale_trial_callback=storages.RetryHeartbeatStaleTrialCallback(),
        )
        # A lock is waited for from the start; whatever else is wrong then is an address.
        found = storages.get_storage(self._patient(made, lambda error: "locked" in str(error))())
        calls = [name for name in dir(storages.BaseStorage) if not name.startswith("_")]
        for call in (*calls, "record_heartbeat", "_get_stale_trial_ids"):
            setattr(found, call, self._patient(getattr(found, call)))
        return found

    def _patient(
        self, call: Callable[..., Any], passes: Callable[[Exception], bool] = bool
    ) -> Callable[..., Any]:
        """Tries again while the database is lost, at longer and longer intervals.

        Not where the loss is none that `passes`.
        """

        @wraps(call)
        def tried(*args: Any, **kwargs: Any) -> Any:
            begun, wait = time.monotonic(), SHORTEST
            while True:
                try:
                    found = call(*args, **kwargs)
                except self.losses as error:
                    away = time.monotonic() - begun
                    if away + wait > PATIENCE or not passes(error):
                        raise
                    if away >= SAID:
                        self._waits(error)
                else:
                    self._answers()
                    return found
                time.sleep(wait)
                wait = min(2 * wait, LONGEST)

        return tried

    def _waits(self, error: Exception) -> None:
        """Says so, once until it answers."""
        if not self.away:
            self.away = True
            text = "abcparam: the database does not answer (%s); waiting for it, up to %.0f s"
            LOG.warning(text, _problem(error), PATIENCE)

    def _answers(self) -> None:
        if self.away:
            self.away = False
            LOG.warning("abcparam: the database answers again")

    @property
    def losses(self) -> tuple[type[Exception], ...]:
        """What is raised where a database does not answer."""
        from sqlalchemy.exc import InterfaceError, OperationalError

        return (self.optuna.exceptions.StorageInternalError, InterfaceError, OperationalError)

    def lost(self, error: Exception) -> SpecError:
        """What is said of a database that does not answer."""
        return SpecError.about("--storage", NoStore, url=self.url, problem=_problem(error))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """While no other process asks for trials, or makes the database."""
        with self._lock(self.url) if self.url else nullcontext():
            yield

    @contextmanager
    def _lock(self, url: str) -> Iterator[None]:
        from sqlalchemy import make_url

        address = make_url(url)
        kind = address.get_backend_name()
        if kind == "sqlite" and address.database not in (None, "", ":memory:"):
            with locked(Path(f"{address.database}.lock")):
                yield
        elif kind in LOCKS:
            # Until it answers; a wrong address is found out when the database is made.
            connect = self._patient(_locking) if self.storage else _locking
            connection = connect(url, LOCKS[kind])
            try:
                yield
            finally:
                with suppress(*self.losses):  # lost by now, and the lock with it
                    connection.close()
        else:
            yield

    def alive(self, trial: Any) -> None:
        """Records a heartbeat of a trial that is being worked on."""
        if self.url:
            self.storage.record_heartbeat(trial._trial_id)

    def ask(self, study: Any) -> Any:
        """A trial, with its first heartbeat. Only while `exclusive`."""
        with _unannounced(self.optuna):
            trial = study.ask()
        self.alive(trial)
        trial.set_user_attr(AT, trial.number)
        return trial

    def requeue(self, study: Any) -> None:
        """Trials of the dead wait to be asked for again. Only while `exclusive`."""
        if not self.url:
            return
        with _unannounced(self.optuna):
            self.optuna.storages.fail_stale_trials(study)
        running = (self.optuna.trial.TrialState.RUNNING,)
        for trial in study.get_trials(deepcopy=False, states=running):
            if trial.user_attrs.get(AT) != trial.number:  # killed before the first heartbeat
                self.give_back(study, trial)

    def give_back(self, study: Any, trial: Any) -> None:
        """A trial that nobody will finish waits to be asked for again."""
        failed = self.optuna.trial.TrialState.FAIL
        with suppress(self.optuna.exceptions.UpdateFinishedTrialError), _unannounced(self.optuna):
            if self.storage.set_trial_state_values(trial._trial_id, state=failed):
                retry = self.optuna.storages.RetryHeartbeatStaleTrialCallback()
                retry(study, self.storage.get_trial(trial._trial_id))


def _locking(url: str, statement: str) -> Any:
    """A connection that holds our lock."""
    from sqlalchemy import NullPool, create_engine, text

    connection = create_engine(url, poolclass=NullPool).connect()
    connection.execute(text(statement))
    return connection


def _problem(error: Exception) -> str:
    """What a driver says, in one line."""
    cause = error.__cause__ or error
    return first_line(cause) or type(cause).__name__


@contextmanager
def _unannounced(optuna: Any) -> Iterator[None]:
    """That something is experimental, or that heartbeats are recorded by us and not by Optuna."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", message="Heartbeat of storage")
        yield


class Heartbeats:
    """Records those of the trials that this process is at, in a thread of its own."""

    def __init__(self, storage: StudyStorage) -> None:
        self.storage = storage
        self.trials: dict[int, Any] = {}
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Heartbeats:
        if self.storage.url:
            self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()

    def _run(self) -> None:
        while not self.ended.wait(HEARTBEAT):
            for trial in list(self.trials.values()):
                with suppress(Exception):  # the database is away: whoever needs it says so
                    self.storage.alive(trial)
