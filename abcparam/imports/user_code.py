"""Python of the user's own: found by its name, run, and its exceptions told at its lines."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import io
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError, did_you_mean
from abcparam.diagnostics.rules.imports import FactoryRaises
from abcparam.diagnostics.source import START, Source, Span

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
    module = sys.modules[getattr(value, "__module__", __name__)]
    try:
        file = inspect.getsourcefile(inspect.unwrap(value))
    except TypeError:
        file = None
    return Found(value, module, file or name, name)


def found(reference: str, rule: type[DiagnosticRule]) -> Found:
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
        with running(file, Path(file).name, "when it is imported"):
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
            raise raised(error, files, name, "when it is imported") from error


@contextmanager
def running(file: str, name: str, at: str, *more: str) -> Iterator[None]:
    """Runs code of a file: with what lies beside it at hand, without what it prints.

    What it raises becomes a `SpecError` at the line of `file`, or of `more`, that was the last.
    """
    try:
        folder = str(Path(file).resolve().parent)
        with importable(folder), redirect_stdout(io.StringIO()):
            yield
    except SpecError:
        raise
    except (Exception, SystemExit) as error:
        raise raised(error, (file, *more), name, at) from error


@contextmanager
def importable(folder: str) -> Iterator[None]:
    """With the modules of a folder at hand."""
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def raised(error: BaseException, files: tuple[str, ...], name: str, at: str) -> SpecError:
    """The finding about an exception, in the first file that it passed through."""
    file, span = next(
        ((file, span) for file in files if (span := _line(error, file))),
        (files[0] if files else name, START),
    )
    message = str(error).strip() or "no message"
    problem = f"{type(error).__name__}: {message}"
    return SpecError(source_of(file), [FactoryRaises.at(span, name=name, at=at, problem=problem)])


def source_of(file: str) -> Source:
    """The text of a file of the user's, empty where it cannot be read."""
    try:
        return Source(Path(file).read_text(encoding="utf-8", errors="replace"), file)
    except OSError:
        return Source("", file)


def _line(error: BaseException, file: str) -> Span | None:
    """The innermost line of a file that an exception passed through, or that is no Python."""
    path = str(Path(file).resolve())
    if isinstance(error, SyntaxError) and str(Path(error.filename or "").resolve()) == path:
        line, column = error.lineno or 1, error.offset or 1
        return Span(line, column, line, column)
    spans = [span for name, span in _frames(error.__traceback__) if name == path]
    return spans[-1] if spans else None


def _frames(trace: TracebackType | None) -> Iterator[tuple[str, Span]]:
    """The file and the expression of each frame, the innermost last."""
    for frame in traceback.extract_tb(trace):
        line = frame.lineno or 1
        last = frame.end_lineno or line
        path = str(Path(frame.filename).resolve())
        yield (
            path,
            Span(line, column(path, line, frame.colno), last, column(path, last, frame.end_colno)),
        )


def column(path: str, line: int, offset: int | None) -> int:
    """A column, from an offset in the bytes of a line."""
    text = linecache.getline(path, line).encode()[: offset or 0]
    return len(text.decode(errors="replace")) + 1


def definition(function: Callable[..., Any], file: str) -> tuple[Source, Span]:
    """The line where a function or a class of the user's begins."""
    try:
        inner = inspect.unwrap(function)
        where = inspect.getsourcefile(inner) or file
        lines, line = inspect.getsourcelines(inner)
    except (OSError, TypeError):
        return source_of(file), START
    skipped = next((i for i, text in enumerate(lines) if _defines(text)), 0)
    text = lines[skipped].rstrip()
    start = len(text) - len(text.lstrip()) + 1
    same = Path(where).resolve() == Path(file).resolve()
    span = Span(line + skipped, start, line + skipped, len(text) + 1)
    return source_of(file if same else where), span


def _defines(line: str) -> bool:
    return line.lstrip().startswith(("def ", "class ", "async def "))


def line_at(place: tuple[str, int] | None, file: str) -> tuple[Source, Span]:
    """A whole line of the user's."""
    source = source_of(place[0] if place else file)
    if place is None or not 1 <= place[1] <= len(source.lines):
        return source, START
    return source, replace(whole_line(*place), file="")


def whole_line(file: str, line: int) -> Span:
    """A line of a file, without its indentation."""
    text = linecache.getline(file, line).rstrip()
    start = len(text) - len(text.lstrip()) + 1
    return Span(line, start, line, len(text) + 1, file)


def sources_of(files: Iterable[str], main: str) -> Source:
    """The files that places are in; `main` is that of the factory."""
    others = {file: replace(source_of(file), file=_shown(file)) for file in (*files, main)}
    return replace(others[main], others=others)


def _shown(file: str) -> str:
    """A path as a user has it: from the folder at hand where it lies below."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
