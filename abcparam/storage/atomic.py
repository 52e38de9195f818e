"""Files that are never half-written."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules import files as rules
from abcparam.storage.digests import digest

MARK = "by abcparam from"  # "emitted", "read": in what a spec or a model was made into
COMMANDS = ("\nabcparam adapt ", "\nabcparam transfer ")  # in an adapter of a user's model
DIGEST = "# digest of the lines above: "  # the last line of what was written to a file


def write_atomically(path: str, content: str | bytes) -> None:
    """Writes a file as a whole or not at all.

    A temporary file beside `path` is written, synced, and put in its place; a file's permissions
    are kept. Text is written as UTF-8.
    """
    target = os.path.realpath(path)
    _refuse_what_is_no_file(path, target)
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
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _cannot(path, error) from None
        raise


def _refuse_what_is_no_file(path: str, target: str) -> None:
    """Raises `SpecError` for a device, a pipe or a folder, and for a name that does not show."""
    if not path.isprintable():
        shown = path.encode("unicode_escape").decode()
        raise _refused(shown, "its name has characters that do not show")
    if os.path.isdir(target):
        raise _refused(path, "it is a folder")
    if os.path.exists(target) and not os.path.isfile(target):
        raise _refused(path, "it is no regular file; `-` is standard output")


def _mode(target: str) -> int:
    try:
        return os.stat(target).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def write_generated(path: str, text: str, force: bool = False) -> None:
    """Writes what was made of a spec or a model, and its digest; see `spare_others`."""
    spare_others(path, force)
    write_atomically(path, f"{text}{DIGEST}{digest(text)}\n")


def spare_others(path: str, force: bool = False) -> None:
    """Refuses to overwrite a file that abcparam did not write, or somebody edited, unless forced.

    What was printed into a file has no digest: whether that was edited is not known.
    """
    _refuse_what_is_no_file(path, os.path.realpath(path))
    if force or not os.path.exists(path):
        return
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        text = ""
    if not any(mark in text[:2000] for mark in (MARK, *COMMANDS)):
        raise SpecError.about(path, rules.NotOurs, path=path, state=rules.NOT_WRITTEN)
    body, mark, written = text.rpartition(DIGEST)
    if mark and written.strip() != digest(body):
        raise SpecError.about(path, rules.NotOurs, path=path, state=rules.EDITED)


def _cannot(path: str, error: OSError) -> SpecError:
    return _refused(path, error.strerror or type(error).__name__)


def _refused(path: str, problem: str) -> SpecError:
    return SpecError.about(path, rules.CannotWrite, path=path, problem=problem)
