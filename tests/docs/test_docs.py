"""The documentation says what is so: its blocks are checked, compiled and run.

Nothing is left out, either: the reference mentions every operation, optimizer, command and finding.
A block's info line says what it is::

    ```param file=mlp.param verdict=maximal-update  a whole spec, and a file for later blocks
    ```param file=bad.param error=P0301             a spec that is refused
    ```param file=mlp.param line=hyper verdict=…    the file again, the line that starts so replaced
    ```param declarations, ```param body            parts of a spec, which are parsed
    ```console status=1                             commands, and lines that they print
    ```python                                       run, in one namespace for each document
    ```pycon                                        run there too, and prints what it says
    ```python excerpt                               not run, but Python, and its imports are there
    ```python fragment                              not even that
    ```python from=mlp.py                           lines of a file that a command made
    ```python file=mine.py                          a file for later blocks
    ```yaml action                                  a workflow, with inputs that the action has
    ```yaml hooks                                   a configuration, with hooks that there are

In a console a line of `…` stands for any lines, and one that ends in `…` for what begins so.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import json
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import abcparam
from abcparam.commands.cli import main
from abcparam.commands.registry import commands
from abcparam.diagnostics.explain import codes
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.program.vocabulary import VERDICTS
from tests.support.paths import ROOT
from tests.test_architecture import FLOORS

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
REFERENCE = ROOT / "docs" / "language.md"
DESIGN = ROOT / "docs" / "design.md"
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
        elif block.language == "pycon":
            run_session(block, where, namespace)
        elif block.language == "yaml":
            check_yaml(block, where)


def check_yaml(block: Block, where: str) -> None:
    """What is asked of the action and of the hooks of this repository is there."""
    import yaml

    text = yaml.safe_load(block.text)
    if "action" in block.words:
        jobs = text["jobs"].values() if "jobs" in text else [text]
        steps = [s for job in jobs for s in job["steps"] if "/abcparam@" in s.get("uses", "")]
        asked = {key for step in steps for key in step["with"]}
        manifest = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
        known = set(manifest["inputs"])
    else:
        asked = {hook["id"] for repo in text["repos"] for hook in repo["hooks"]}
        manifest = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
        known = {hook["id"] for hook in yaml.safe_load(manifest)}
    assert asked and asked <= known, where


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
    if "excerpt" in block.words:
        check_imports(block, where)
    else:
        importlib.invalidate_caches()
        exec(code, namespace)


def check_imports(block: Block, where: str) -> None:
    """What is imported of the package is there, as is what type checkers alone import."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("abcparam"):
            module = importlib.import_module(str(node.module))
            missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
            assert not missing, f"{where}: {node.module} has no {missing}"


def run_session(block: Block, where: str, namespace: dict[str, object]) -> None:
    """What stands behind `>>>` is run, and prints what stands below it."""
    session = doctest.DocTestParser().get_doctest(block.text, namespace, where, where, block.line)
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(session, out=said.append, clear_globs=False)
    assert result.attempted and not result.failed, "".join(said)
    namespace.update(session.globs)


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


def wanted() -> Iterator[tuple[str, str]]:
    """What the reference has to mention, and what each of it is."""
    named = [o for o in operations().values() if not o.hidden]
    parametrizations = (ROOT / "abcparam" / "parametrizations").glob("*.param")
    yield from ((o.name, "the operation") for o in named)
    yield from ((sign, "the operator") for sign in "@+-*/")
    yield from ((o, "the optimizer") for o in optimizers())
    yield from ((command, "the command") for command in commands())
    yield from ((verdict, "the verdict") for verdict in VERDICTS)
    for optimizer in optimizers().values():
        yield from ((s, f"the setting of `{optimizer.name}`") for s in optimizer.settings)
    for operation in named:
        settings = [s for s in operation.order if s != "shape"]
        yield from ((s, f"the operand or setting of `{operation.name}`") for s in settings)
    yield from ((path.stem, "the parametrization") for path in parametrizations)


def nothing_missing(document: Path, missing: list[str]) -> None:
    """Fails with every line of what a document lacks or gets wrong."""
    if missing:
        pytest.fail("\n".join(f"{name(document)} {what}" for what in missing), pytrace=False)


def test_the_reference_mentions_everything():
    known = mentioned()
    missing = [f"has no row for {kind} `{word}`" for word, kind in wanted() if word not in known]
    nothing_missing(REFERENCE, missing)


def test_what_the_reference_lacks_is_said_by_name(monkeypatch):
    """Without the words of one operation the test above says which one, and in which file."""
    known = mentioned() - {"embed"}
    monkeypatch.setitem(globals(), "mentioned", lambda: known)
    with pytest.raises(pytest.fail.Exception) as failed:
        test_the_reference_mentions_everything()
    assert "docs/language.md has no row for the operation `embed`" in str(failed.value)


def test_the_reference_mentions_every_family_of_diagnostics():
    text = REFERENCE.read_text(encoding="utf-8")
    families = sorted({f"{code[:3]}xx" for code in codes()})
    missing = [f"has no row for the family {family}" for family in families if family not in text]
    findings = [code for code in codes() if code.startswith(("P05", "P06"))]
    missing += [f"has no row for the finding {code}" for code in findings if code not in text]
    nothing_missing(REFERENCE, missing)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_codes_that_documents_name_exist(document):
    named = set(re.findall(r"P0\d\d\d", document.read_text(encoding="utf-8")))
    unknown = sorted(named - set(codes()))
    nothing_missing(document, [f"names {code}, which no rule has" for code in unknown])


def test_what_the_reference_says_is_missing_is_missing():
    missing = REFERENCE.read_text(encoding="utf-8").partition("## Not in this version")[2]
    words = set(re.findall(r"`([\w-]+)`", missing))
    there = sorted(words & {*operations(), *optimizers(), *commands()})
    nothing_missing(
        REFERENCE, [f"says that `{word}`, which is there, is missing" for word in there]
    )


# How the compiler is made


def test_the_design_names_every_module():
    """By its name, or by its folder's."""
    quoted = re.findall(r"`([\w/]+?)(?:\.py)?`", DESIGN.read_text(encoding="utf-8"))
    missing = [
        f"does not name the module `{module}`"
        for module in modules()
        if not any(covers(word, module) for word in quoted)
    ]
    nothing_missing(DESIGN, missing)


def test_the_design_names_the_modules_that_import_each_library():
    """The table of doors has a row for each library, with all modules that import it."""
    table = section("## Doors")
    rows = {
        row[1]: re.findall(r"`([\w/]+)`", row[2])
        for row in re.finditer(r"^\| `([\w.]+)`[^|]*\| (.*?) \|", table, re.MULTILINE)
    }
    wrong = [
        f"has no door to `{library}` for `{module}`"
        for library, found in importers().items()
        for module in sorted(found)
        if not any(covers(door, module) for door in rows.get(library, []))
    ]
    wrong += [
        f"has a door to `{library}`, `{door}`, that does not import it"
        for library, doors in rows.items()
        for door in doors
        if not any(covers(door, module) for module in importers().get(library, ()))
    ]
    nothing_missing(DESIGN, wrong)


def test_the_design_has_the_floors_of_the_packages():
    """The map has a row for each package, with its floor, from the ground up."""
    table = section("## The packages")
    rows = [(int(n), name) for n, name in re.findall(r"^\| (\d+) \| `(\w+)/?` \|", table, re.M)]
    wanted = [
        (number, package or "__init__")
        for number, packages in enumerate(FLOORS)
        for package in packages
    ]
    assert rows == wanted


def test_the_design_says_where_to_change_what():
    """Each file of the table is there, and what is said to stand in it stands in it."""
    table = section("## Where do I change")
    rows = re.findall(r"^\| [^`|]*(?:`[^`]+`[^`|]*)*\| `([^`]+)` \| (.*) \|$", table, re.MULTILINE)
    assert len(rows) == table.count("\n| ") - 1 >= 25
    missing = []
    for file, there in rows:
        path = next((p for p in (ROOT / "abcparam" / file, ROOT / file) if p.is_file()), None)
        if path is None:
            missing.append(f"names `{file}`, which is not there")
            continue
        text = path.read_text(encoding="utf-8")
        words = re.findall(r"`([^`]+)`", there)
        lacks = [word for word in words if not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text)]
        missing += [f"says that `{word}` is in `{file}`" for word in lacks]
    nothing_missing(DESIGN, missing)


def section(heading: str) -> str:
    """The part of the design under a heading, of which this is the start."""
    text = DESIGN.read_text(encoding="utf-8")
    return text.partition(f"\n{heading}")[2].partition("\n## ")[0]


def modules() -> list[str]:
    """Every module of the package, as `calculus/graph`."""
    package = ROOT / "abcparam"
    files = sorted(package.rglob("*.py"))
    paths = [file.relative_to(package).with_suffix("").as_posix() for file in files]
    return [path for path in paths if not path.rpartition("/")[2].startswith("__")]


def covers(word: str, module: str) -> bool:
    """Whether a name stands for a module: its own, or that of a folder that it is in."""
    word = word.removeprefix("abcparam/")
    return word == module or (word.endswith("/") and module.startswith(word))


@cache
def importers() -> dict[str, set[str]]:
    """The modules that import each library that is not Python's own, but for its types alone."""
    found: dict[str, set[str]] = {}
    for module in modules():
        tree = ast.parse((ROOT / "abcparam" / f"{module}.py").read_text(encoding="utf-8"))
        for imported in run_imports(tree):
            library = imported.partition(".")[0]
            if library not in sys.stdlib_module_names | {"abcparam"}:
                library = SPECIAL.get(imported, library)
                found.setdefault(library, set()).add(module)
    return found


# Parts of torch with a door of their own.
SPECIAL = {part: part for part in ("torch.distributed", "torch.utils.tensorboard")}


def run_imports(tree: ast.AST) -> Iterator[str]:
    """What a tree imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        match node:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
        yield from run_imports(node)


# Files, links and lines


MADE = {"abcparam/operations/flip.py", "abcparam/optimizers/normalized.py"}  # by the recipes
MADE |= {"abcparam/commands/lengths.py", "abcparam/verdict/report_csv.py"}
MADE |= {"tests/diagnostics/bad/CODE.param"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_files_that_documents_name_are_there(document):
    text = document.read_text(encoding="utf-8")
    folders = "abcparam|docs|examples|grammar|templates|tests"
    named = set(re.findall(rf"(?<![\w/.-])((?:{folders})/[\w/.-]*[\w/])", text)) - MADE
    missing = [f"names {path}, which is not there" for path in named if not (ROOT / path).exists()]
    nothing_missing(document, sorted(missing))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith("http"):
            path, _, anchor = target.partition("#")
            linked = document.parent / path if path else document
            if not linked.exists():
                broken.append(f"links to {target}, which is not there")
            elif anchor and anchor not in anchors(linked):
                broken.append(f"links to {target}, but {name(linked)} has no such heading")
    nothing_missing(document, broken)


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
    lines = [line for line in text.splitlines() if not line.startswith("|")]
    long = [f"has a line of {len(line)} characters: {line}" for line in lines if len(line) > WIDTH]
    nothing_missing(document, long)
