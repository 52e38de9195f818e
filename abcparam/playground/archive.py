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
NO_TESTS = frozenset({"testing.py"})


def pack(target: str, packages: Iterable[str], checkout: str) -> int:
    """Writes packages, by their folders, and the resources of a checkout; the number of files."""
    found = [(file, os.path.dirname(folder)) for folder in packages for file in _files(folder)]
    resources = (os.path.join(checkout, name) for name in RESOURCES)
    inner = os.path.join(checkout, "abcparam")
    names = {file: os.path.relpath(file, base) for file, base in found}
    for folder in resources:
        for file in _files(folder):
            if not file.endswith(".py"):
                names[file] = os.path.join(
                    "abcparam", os.path.relpath(file, os.path.dirname(inner))
                )
    with ZipFile(target, "w", ZIP_DEFLATED, compresslevel=9) as archive:
        for file, name in sorted(names.items(), key=lambda item: item[1]):
            compiled = file.endswith(".py")
            info = ZipInfo(f"{name}c" if compiled else name)  # of a fixed date
            info.compress_type = ZIP_DEFLATED
            archive.writestr(info, _bytecode(file, name) if compiled else _read(file))
    return len(names)


def _files(folder: str) -> Iterator[str]:
    """The modules and the data in a folder, in order."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT)
        for name in sorted(files):
            if name.endswith((".py", *KEPT)) and name not in NO_TESTS:
                yield os.path.join(place, name)


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
