"""Finished runs on disk: killed at any moment, what measures or trains goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from abcparam.storage.atomic import write_atomically
from abcparam.storage.digests import digest

T = TypeVar("T")
CHECKPOINT = ".checkpoint"  # ends the names of files beside runs, about those that go on


class RunCache:
    """A folder of JSON files that belong to one code and one setting, `identity`.

    Without a folder nothing is kept.
    """

    def __init__(self, folder: Path | None, *identity: object) -> None:
        self.name = digest(repr(identity))
        self.folder = folder / self.name if folder else None

    def names(self) -> list[str]:
        """Of all that is kept, in order."""
        if self.folder is None or not self.folder.is_dir():
            return []
        return sorted(file.stem for file in self.folder.glob("*.json"))

    def read(self, name: str, made: Callable[[Any], T]) -> T | None:
        """What was kept under a name, or None; also where `made` cannot make anything of it.

        Files may be of another version, or of somebody who means no good.
        """
        if self.folder is None:
            return None
        try:
            return made(json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None

    def write(self, name: str, value: object) -> None:
        """Keeps a value under a name: all of it or, if killed, nothing."""
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(str(self.folder / f"{name}.json"), json.dumps(value) + "\n")


def default_folder(name: str) -> Path:
    """Where runs of a kind are kept unless a folder is given."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache) / "abcparam" / name


def code_of(folders: Iterable[Path]) -> str:
    """The code that runs: results of another version are not taken for its own."""
    files = (file for folder in folders for file in sorted(folder.rglob("*.py")))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
