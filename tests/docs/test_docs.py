"""The documentation says what is so: its blocks are checked, compiled and run.

Nothing is left out, either: the reference mentions every operation, optimizer, command and finding.
A block's info line says what it is::

    ```param file=mlp.param verdict=maximal-update  a whole spec, and a file for later blocks
    ```param file=bad.param error=P0301             a spec that is refused
    ```param file=mlp.param line=hyper verdict=…    the file again, the line that starts so replaced
    ```param declarations, ```param body            parts of a spec, which are parsed
    ```console status=1                             commands, and lines that they print
    ```python                                       run, in one namespace for each document
    ```python excerpt                               not run, but it is Python
    ```python fragment                              not even that
    ```python from=mlp.py                           lines of a file that a command made
    ```python file=mine.py                          a file for later blocks

In a console a line of `…` stands for any lines, and one that ends in `…` for what begins so.
"""

from __future__ import annotations

import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import abcparam
from abcparam.commands.cli import COMMANDS, main
from abcparam.diagnostics.explain import codes
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.program.vocabulary import VERDICTS
from tests.support.paths import ROOT

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
REFERENCE = ROOT / "docs" / "language.md"
WIDTH = 110


class Block(NamedTuple):
    """A fenced block: its language, what else its info line says, its text, its first line."""

    language: str
    words: frozenset[str]
    options: dict[str, str]
    text: str
    line: int


def blocks(document: Path) -> Iterator[Block]:
    pattern = re.compile(r"^```(\S+)[ ]*(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
    text = document.read_text(encoding="utf-8")
    for match in pattern.finditer(text):
        words = match[2].split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = frozenset(word for word in words if "=" not in word)
        yield Block(match[1], plain, options, match[3], text.count("\n", 0, match.start()) + 1)


def name(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """An empty folder to work and to import from; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    yield tmp_path
    for module in {file.stem for file in tmp_path.glob("*.py")}:
        sys.modules.pop(module, None)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_blocks(document, folder, capsys):
    """In the order of the document, in a folder of their own."""
    namespace: dict[str, object] = {}
    for block in blocks(document):
        where = f"{name(document)}:{block.line}"
        if block.language == "param":
            check_spec(block, where, folder)
        elif block.language == "console":
            run_commands(block, where, capsys)
        elif block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            run_python(block, where, folder, namespace)


def run_python(block: Block, where: str, folder: Path, namespace: dict[str, object]) -> None:
    if "from" in block.options:
        written = (folder / block.options["from"]).read_text(encoding="utf-8").splitlines()
        missing = not_printed(block.text.splitlines(), written)
        assert missing is None, f"{where}: not in {block.options['from']}: {missing!r}"
        return
    if "file" in block.options:
        (folder / block.options["file"]).write_text(block.text, encoding="utf-8")
        return
    if "fragment" in block.words:
        return
    code = compile(block.text, where, "exec", dont_inherit=True)
    if "excerpt" not in block.words:
        importlib.invalidate_caches()
        exec(code, namespace)


def check_spec(block: Block, where: str, folder: Path) -> None:
    if "declarations" in block.words:
        parse(Source(block.text))
    elif "body" in block.words:
        parse(Source("forward(x : [n]) {\n" + block.text + "}\n"))
    else:
        text, file = block.text, folder / block.options.get("file", "nameless.param")
        if "line" in block.options:
            line = re.compile(rf"^{block.options['line']}\b.*\n", re.MULTILINE)
            text, count = line.subn(text, file.read_text(encoding="utf-8"))
            assert count == 1, f"{where}: {count} lines to replace"
        file.write_text(text, encoding="utf-8")
        assert {"verdict", "error"} & block.options.keys(), f"{where}: say which verdict or error"
        found = outcome(text)
        wanted = {block.options.get("verdict"), block.options.get("error")} - {None}
        assert wanted == {found}, where


def outcome(text: str) -> str:
    try:
        return str(abcparam.check(text).verdict)
    except abcparam.SpecError as error:
        return error.diagnostics[0].code


def run_commands(block: Block, where: str, capsys) -> None:
    """Each `$ abcparam …` with the lines that it prints; the last one exits with `status`."""
    parts = re.split(r"^\$ abcparam ", block.text, flags=re.MULTILINE)
    assert not parts[0].strip(), f"{where}: not a command: {parts[0]!r}"
    status = None
    for part in parts[1:]:
        command, _, shown = part.partition("\n")
        status = main(shlex.split(command))
        captured = capsys.readouterr()
        printed = (captured.err + "\n" + captured.out).splitlines()
        missing = not_printed(shown.splitlines(), printed)
        assert missing is None, f"{where}: `abcparam {command}` does not print {missing!r}"
    assert status == int(block.options.get("status", "0")), where


def not_printed(shown: list[str], printed: list[str]) -> str | None:
    """The first line shown that is not printed, or not printed as often."""
    left = list(printed)
    for line in shown:
        if line in {"", "…"}:
            continue
        start = line.removesuffix("…").rstrip()
        found = next(
            (p for p in left if p == line or (start != line and p.startswith(start))), None
        )
        if found is None:
            return line
        left.remove(found)
    return None


def mentioned() -> set[str]:
    """Every word that the reference writes as code."""
    text = REFERENCE.read_text(encoding="utf-8").partition("## Not in this version")[0]
    quoted = re.findall(r"`([^`\n]+)`", text)
    return {word for code in quoted for word in re.findall(r"[A-Za-z_][\w-]*|\S", code)}


def test_the_reference_mentions_everything():
    known = mentioned()
    named = [o for o in operations().values() if not o.hidden]
    wanted = {o.name for o in named} | set("@+-*/")
    wanted |= set(optimizers()) | set(COMMANDS) | set(VERDICTS)
    wanted |= {setting for o in optimizers().values() for setting in o.settings}
    wanted |= {setting for o in named for setting in o.order} - {"shape"}
    wanted |= {p.stem for p in (ROOT / "abcparam" / "parametrizations").glob("*.param")}
    assert not wanted - known


def test_the_reference_mentions_every_family_of_diagnostics():
    text = REFERENCE.read_text(encoding="utf-8")
    assert not {code for code in codes() if f"{code[:3]}xx" not in text}
    findings = {code for code in codes() if code.startswith(("P05", "P06"))}
    assert not {code for code in findings if code not in text}


def test_codes_that_documents_name_exist():
    for document in DOCUMENTS:
        named = set(re.findall(r"P0\d\d\d", document.read_text(encoding="utf-8")))
        assert named <= set(codes()), name(document)


def test_what_the_reference_says_is_missing_is_missing():
    missing = REFERENCE.read_text(encoding="utf-8").partition("## Not in this version")[2]
    words = set(re.findall(r"`([\w-]+)`", missing))
    assert not words & {*operations(), *optimizers(), *COMMANDS}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            linked = document.parent / path if path else document
            assert linked.exists(), f"{name(document)}: {target}"
            assert not anchor or anchor in anchors(linked), f"{name(document)}: {target}"


def anchors(document: Path) -> set[str]:
    """The headings, as GitHub makes links of them."""
    if document.suffix != ".md":
        return set()
    headings = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_lines_of_prose_are_short(document):
    text = document.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    long = [line for line in text.splitlines() if len(line) > WIDTH and not line.startswith("|")]
    assert not long
