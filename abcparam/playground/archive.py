"""Packs what runs in the browser: packages compiled by the Python that runs this, in one file.

`make site` runs it in the very Python that the page has, as bytecode is of one version only.
"""

from __future__ import annotations

import os
import py_compile
import tempfile
from collections.abc import Iterable, Iterator
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

RESOURCES = ("grammar", "templates", "examples")  # in the package, once it is built
KEPT = (".param", ".lark", ".json", ".jinja", ".html", ".css", ".typed")
LEFT_OUT = ("__pycache__", "reproduce")


def pack(target: str, packages: Iterable[str], checkout: str) -> int:
    """Writes packages, by their folders, and the resources of a checkout; the number of files."""
    modules = ((folder, os.path.basename(folder)) for folder in packages)
    resources = ((os.path.join(checkout, name), f"abcparam/{name}") for name in RESOURCES)
    found = {n: file for folder, at in modules for n, file in _files(folder, at, (".py", *KEPT))}
    found |= {n: file for folder, at in resources for n, file in _files(folder, at, KEPT)}
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for name, file in sorted(found.items()):
            compiled = name.endswith(".py")
            info = ZipInfo(f"{name}c" if compiled else name)  # of a fixed date
            info.compress_type = ZIP_DEFLATED
            archive.writestr(info, _bytecode(file, name) if compiled else _read(file))
    return len(found)


def _files(folder: str, at: str, endings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """The files in a folder that end so, each with its name in the archive."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        within = os.path.relpath(place, folder)
        for name in files:
            if name.endswith(endings):
                yield os.path.normpath(os.path.join(at, within, name)), os.path.join(place, name)


def _bytecode(file: str, name: str) -> bytes:
    """A module compiled: it is never compared with its source, which is not there."""
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, "module.pyc")
        py_compile.compile(file, made, name, doraise=True, invalidation_mode=mode)
        return _read(made)


def _read(file: str) -> bytes:
    with open(file, "rb") as opened:
        return opened.read()
