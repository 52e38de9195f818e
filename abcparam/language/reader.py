"""Reading a spec from a file or from standard input, strictly."""

from __future__ import annotations

import os
import re
import sys

from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, did_you_mean
from abcparam.diagnostics.rules import syntax as rules
from abcparam.diagnostics.source import Source, Span

MAXIMUM_SIZE = 16 * 2**20
ENDING = ".param"
PYTHON = ".py"
MOST_FILES = 1000  # of a folder, to look for a similar name in
REFUSED = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]|\r(?!\n)"
)


def read(path: str | os.PathLike[str], is_spec: bool = True) -> Source:
    """The text of a file, `-` for standard input; raises `SpecError` where it is not a text.

    Code is refused unless it need not be a spec: configurations are written in Python too.
    """
    name = os.fspath(path)
    refuse_name(name)
    folder = None if name == "-" else os.path.dirname(name) or "."
    if is_spec:
        refuse_python(name)
    try:
        data = _bytes(name)
    except (OSError, ValueError) as error:
        fields = {"reason": _reason(error), "suggestion": _similar(name, folder or ".")}
        raise SpecError.about(name, rules.Unreadable, **fields) from None
    return _decode(data, name, folder)


def refuse_name(name: str) -> None:
    """Raises `SpecError` for the name of a file with line ends or characters that do not show.

    Names are printed, and stand in what is emitted.
    """
    if REFUSED.search(name) or not {"\t", "\n", "\r"}.isdisjoint(name):
        shown = name.encode("unicode_escape").decode()
        fields = {"reason": "its name has characters that do not show", "suggestion": ""}
        raise SpecError.about(shown, rules.Unreadable, **fields)


def refuse_python(name: str) -> None:
    """Raises `SpecError` for `FILE.py` and `FILE.py:FUNCTION`, a model of PyTorch."""
    file, _, function = name.partition(f"{PYTHON}:")
    if name.endswith(PYTHON):
        file, function = name, "FUNCTION"
    elif function.isidentifier() and os.path.isfile(file + PYTHON) and not os.path.exists(name):
        file += PYTHON
    else:
        return
    command = f"`abcparam audit {file}:{function} --grow width`"
    suggestion = f" {command} reads a model of PyTorch; `sweep` and `transfer` take it too."
    fields = {"reason": "it is Python, not a spec", "suggestion": suggestion}
    raise SpecError.about(name, rules.Unreadable, **fields)


def _similar(name: str, folder: str) -> str:
    """` Did you mean …?` for a spec of such a name in the folder, where there is one."""
    try:
        specs = [n for n in os.listdir(folder)[:MOST_FILES] if n.endswith(ENDING)]
    except (OSError, ValueError):
        return ""
    known = [os.path.join(os.path.dirname(name), spec) for spec in sorted(specs)]
    whole = name + ENDING
    return f" Did you mean `{whole}`?" if whole in known else did_you_mean(name, known)


def _bytes(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read(MAXIMUM_SIZE + 1)
    with open(name, "rb") as file:
        return file.read(MAXIMUM_SIZE + 1)


def _reason(error: OSError | ValueError) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return (reason or "unknown error").lower()


def from_text(text: str, file: str = "-", folder: str | None = None) -> Source:
    """A text as a source: without a byte order mark, lines ended by `\\n`, nothing hidden in it."""
    source = Source(text.removeprefix("\ufeff").replace("\r\n", "\n"), file, folder)
    refuse_characters(source)
    return source


def _decode(data: bytes, name: str, folder: str | None) -> Source:
    if len(data) > MAXIMUM_SIZE:
        limit = MAXIMUM_SIZE // 2**20
        raise SpecError.about(name, rules.FileTooLarge, limit=limit)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_utf8(data, error.start, name) from None
    return from_text(text, name, folder)


def _not_utf8(data: bytes, start: int, name: str) -> SpecError:
    before = data[:start].decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    diagnostic = rules.NotUtf8.at(Span(line, column, line, column + 1), byte=f"0x{data[start]:02x}")
    rest = data[start:].decode("utf-8", "replace").split("\n")[0]
    return SpecError(Source(REFUSED.sub("\ufffd", before + rest), name), [diagnostic])


def refuse_characters(source: Source) -> None:
    """Raises `SpecError` where there are characters that do not show, one error a line."""
    if not REFUSED.search(source.text):
        return
    found = enumerate(map(REFUSED.search, source.text.replace("\r\n", "\n").split("\n")), 1)
    raise SpecError(source, [_hidden(line, match) for line, match in found if match])


def _hidden(line: int, match: re.Match[str]) -> Diagnostic:
    column = match.start() + 1
    code = f"U+{ord(match[0]):04X}"
    return rules.HiddenCharacter.at(Span(line, column, line, column + 1), code=code)
