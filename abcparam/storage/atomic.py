"""Files that are never half-written."""

from __future__ import annotations

import os
import tempfile

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import files as rules

MARK = "emitted by abcparam from"
COMMANDS = ("\nabcparam adapt ", "\nabcparam transfer ")  # in an adapter of a user's model


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes a file as a whole or not at all.

    A temporary file beside `path` is written, synced, and put in its place; a file's permissions
    are kept. Text is written as UTF-8.
    """
    target = os.path.realpath(path)
    try:
        handle, temporary = tempfile.mkstemp(
            dir=os.path.dirname(target) or ".", prefix=".abcparam-"
        )
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(target))
        os.replace(temporary, target)
    except OSError as error:
        os.unlink(temporary)
        raise _cannot(path, error) from None
    except BaseException:
        os.unlink(temporary)
        raise


def _mode(target: str) -> int:
    try:
        return os.stat(target).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def write_generated(path: str, text: str, force: bool = False) -> None:
    """Writes an emitted module.

    Refuses to overwrite a file that abcparam did not write, unless forced.
    """
    if not force and os.path.exists(path) and not _ours(path):
        raise SpecError.about(path, rules.NotOurs, path=path)
    write_atomically(path, text)


def _ours(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(2000)
    except OSError:
        return False
    return any(mark in head for mark in (MARK, *COMMANDS))


def _cannot(path: str, error: OSError) -> SpecError:
    problem = error.strerror or type(error).__name__
    return SpecError.about(path, rules.CannotWrite, path=path, problem=problem)
