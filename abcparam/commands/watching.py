"""`check --watch`: specs are judged again whenever they, or what they import, change."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from abcparam.commands.interrupts import INTERRUPTS
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read
from abcparam.resolve.parametrizations import imported_files

PAUSE = 0.2  # seconds between two looks
SETTLING = 0.05  # in which a file that is being written changes again
FileStamp = tuple[int, int, int] | None  # None: it is not there


def watch(files: Sequence[str], judge: Callable[[], int]) -> int:
    """Judges at once and after each change, until an interrupt; gives the last exit status."""
    status = 0
    try:
        while True:
            seen = _stamps(files)
            status = judge()
            sys.stdout.flush()
            print(f"watching {', '.join(seen)}; Ctrl-C ends it", file=sys.stderr, flush=True)
            while {file: _stamp(file) for file in seen} == seen:
                time.sleep(PAUSE)
            _settle(seen)
    except KeyboardInterrupt:
        INTERRUPTS.came = False  # it is how this ends
        return status


def _settle(files: Iterable[str]) -> None:
    """Waits until a change is whole: a file may be emptied before it is written."""
    before: dict[str, FileStamp] | None = None
    while (found := {file: _stamp(file) for file in files}) != before:
        before = found
        time.sleep(SETTLING)


def _stamps(files: Sequence[str]) -> Mapping[str, FileStamp]:
    """What tells a changed file, of each that the specs are made of."""
    return {path: _stamp(path) for path in dict.fromkeys(_all_files(files))}


def _all_files(files: Sequence[str]) -> Iterator[str]:
    for file in files:
        yield file
        try:
            yield from imported_files(read(file))
        except SpecError:
            continue  # it is read again once it has changed


def _stamp(path: str) -> FileStamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
