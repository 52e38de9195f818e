"""Locks on work: several processes that share a folder do not do the same work twice.

A process names what it works on in a file that it holds locked. The operating system releases the
lock when the process ends, however it ends: names in a file that can be locked are nobody's.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """While no other process has this file locked, which is made if it is not there."""
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, wait=True)
        yield


class WorkLocks:
    """Names that this process works on, of those that share `folder`; none: nobody shares."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder / "claims" if folder else None
        self.file: IO[str] | None = None
        self.names: set[str] = set()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """While no other process looks at locks or takes some."""
        if self.folder is None:
            yield
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with locked(self.folder / "lock"):
            yield

    def others(self) -> set[str]:
        """What living processes have locked; the files of dead ones go. Only while `exclusive`."""
        found: set[str] = set()
        paths = self.folder.glob("*.claim") if self.folder else ()
        for path in paths:
            if self.file is None or path != Path(self.file.name):
                found |= _of(path)
        return found

    def hold(self, names: Collection[str]) -> None:
        """Locks these too. Only while `exclusive`."""
        self._written(self.names.union(names))

    def release(self, names: Collection[str]) -> None:
        """They are done, and whoever looks can see it."""
        self._written(self.names.difference(names))

    def close(self) -> None:
        """Nothing is locked any more."""
        if self.file is not None:
            os.unlink(self.file.name)
            self.file.close()
            self.file = None

    def _written(self, names: set[str]) -> None:
        self.names = names
        if self.folder is None:
            return
        if self.file is None:
            handle, path = tempfile.mkstemp(".claim", "", self.folder)
            os.close(handle)
            self.file = open(path, "r+", encoding="utf-8")  # noqa: SIM115 - held while at work
            _lock(self.file, wait=True)
        self.file.seek(0)
        self.file.truncate()
        self.file.write("".join(json.dumps(name) + "\n" for name in sorted(names)))
        self.file.flush()


def _of(path: Path) -> set[str]:
    """The names in a file of locks, none if nobody holds it any more."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            if _lock(file, wait=False):
                path.unlink()
                return set()
            return {json.loads(line) for line in file if line.endswith("\n")}
    except OSError:  # closed a moment ago
        return set()


def _lock(file: IO[str], wait: bool) -> bool:
    """Locks a file until it is closed; false if another has it and we do not wait."""
    with suppress(BlockingIOError, PermissionError):
        if sys.platform == "win32":
            file.seek(1 << 30)  # bytes that are locked cannot be read there
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            file.seek(0)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return True
    return False
