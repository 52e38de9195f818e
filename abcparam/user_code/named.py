"""Python of the user's own, found by its name and run."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from abcparam.algebra.record import Record
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError, did_you_mean
from abcparam.diagnostics.rules.imports import FactoryRaises
from abcparam.user_code.places import raised

IMPORTED = "when it is imported"
FILES: dict[str, tuple[str, ModuleType]] = {}  # those that were run: text and module by path


class Found(Record):
    """What a reference names: a member of a module, and the file that it lies in."""

    value: Any
    module: ModuleType
    file: str
    name: str


def itself(value: Callable[..., Any]) -> Found:
    """What a function or class of the user's is found to be."""
    name = getattr(value, "__name__", type(value).__name__)
    module = sys.modules.get(getattr(value, "__module__", None) or __name__) or _unlisted(value)
    try:
        file = inspect.getsourcefile(inspect.unwrap(value))
    except TypeError:
        file = None
    return Found(value, module, file or name, name)


def _unlisted(value: Callable[..., Any]) -> ModuleType:
    """The module of what was made by `exec`, or loaded by hand, and is not in `sys.modules`."""
    module = ModuleType(value.__module__)
    vars(module).update(getattr(value, "__globals__", {}))
    return module


def looked_up(reference: str, rule: type[DiagnosticRule]) -> Found:
    """What `file.py:name` or `module:name` names. Raises `SpecError` where nothing is."""

    def refuse(problem: str) -> SpecError:
        return SpecError.about(reference, rule, reference=reference, problem=problem)

    where, colon, name = reference.rpartition(":")
    if not (colon and where and name.isidentifier()):
        raise refuse("it is not FILE.py:NAME")
    is_file = where.endswith(".py") or os.path.exists(where)
    try:
        module = _of_file(where) if is_file else _of_name(where)
    except OSError as error:
        raise refuse(error.strerror or str(error)) from None
    if module is None:
        raise refuse(f"Python finds no module `{where}`")
    if not callable(getattr(module, name, None)):
        what = "is no function" if hasattr(module, name) else "is not in it"
        near = did_you_mean(name, [n for n, v in vars(module).items() if callable(v)])
        raise refuse(f"`{name}` {what}.{near}")
    file = where if is_file else str(getattr(module, "__file__", where))
    return Found(getattr(module, name), module, file, name)


def _of_file(file: str) -> ModuleType:
    """The module that a file is, run unless it was and is as it was."""
    path = str(Path(file).resolve())
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    if path in FILES and FILES[path][0] == text:
        return FILES[path][1]
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise OSError(0, "it is no Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        with running(file, Path(file).name, IMPORTED, remedy=FactoryRaises.imported):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    FILES[path] = text, module
    return module


def _module_name(path: str) -> str:
    """Its stem, by which files beside it import it, unless that is another module's name."""
    stem = Path(path).stem
    present = sys.modules.get(stem)
    ours = present is not None and any(present is module for _, module in FILES.values())
    taken = (present is not None and not ours) or stem in sys.stdlib_module_names
    return f"_imported_{stem}" if taken or not stem.isidentifier() else stem


def _of_name(name: str) -> ModuleType | None:
    """A module that Python finds, also in the folder at hand; None if there is none."""
    with importable(os.getcwd()):
        try:
            return importlib.import_module(name)
        except (Exception, SystemExit) as error:
            missing = error.name if isinstance(error, ModuleNotFoundError) else None
            if missing is not None and f"{name}.".startswith(f"{missing}."):
                return None
            spec = importlib.util.find_spec(name)
            files = (str(spec.origin),) if spec else ()
            raise raised(error, files, name, IMPORTED, FactoryRaises.imported) from error


@contextmanager
def running(file: str, name: str, at: str, *more: str, remedy: str) -> Iterator[None]:
    """Runs code of a file: with what lies beside it at hand, without what it prints.

    What it raises becomes a `SpecError` at the line of `file`, or of `more`, that was the last,
    with this `remedy`.
    """
    try:
        folder = str(Path(file).resolve().parent)
        with importable(folder), redirect_stdout(io.StringIO()):
            yield
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(error, (file, *more), name, at, remedy) from error


@contextmanager
def importable(folder: str) -> Iterator[None]:
    """With the modules of a folder at hand."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)
