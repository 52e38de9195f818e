"""Lines of the user's own Python, and the findings that stand there."""

from __future__ import annotations

import inspect
import linecache
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import FactoryRaises
from abcparam.diagnostics.source import START, Source, Span


def raised(
    error: BaseException, files: tuple[str, ...], name: str, at: str, remedy: str
) -> SpecError:
    """The finding about an exception, in the first file that it passed through."""
    file, span = next(
        ((file, span) for file in files if (span := _line(error, file))),
        (files[0] if files else name, START),
    )
    message = str(error).strip() or "no message"
    problem = f"{type(error).__name__}: {message}"
    found = FactoryRaises.at(span, name=name, at=at, problem=problem, remedy=remedy)
    return SpecError(source_of(file), [found])


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
