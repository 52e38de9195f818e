"""Inputs that try to become code: what commands do is watched by an audit hook of Python's.

Names, strings, comments, file names, options, imports, results and databases, each with payloads
for Python, HTML, LaTeX, CSV, shells and terminals. Nothing is started, connected to or written
but what was asked for, nothing prints a control character, and what is emitted holds no payload.
"""

from __future__ import annotations

import ast
import contextlib
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.storage.atomic import write_atomically
from abcparam.storage.run_cache import RunCache
from abcparam.tuning.studies import restored
from tests.support.paths import ROOT
from tests.support.running import MLP, Run, changed

PAYLOADS = (
    '"""\nopen(\'OWNED\', \'w\')\n"""',
    "'+open('OWNED','w').write('')+'",
    "\\\"\"\"; open('OWNED', 'w')  #",
    "__import__('os').system('touch OWNED')",
    "a; import os; os.system('touch OWNED')",
    "{{ self.__init__.__globals__ }}",
    "{% include '/etc/passwd' %}",
    "{0.__class__.__mro__}",
    "%s%n%x",
    "$(touch OWNED)",
    "`touch OWNED`",
    "| touch OWNED",
    "\\input{/etc/passwd}",
    "\\immediate\\write18{touch OWNED}",
    "$\\def\\x{\\x}\\x$",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "&lt;!--",
    "=cmd|' /C calc'!A0",
    "@SUM(1+1)*cmd",
    "../../../../etc/passwd",
    "/proc/self/environ",
    "--debug",
    "\x1b]0;owned\x07",
    "\x1b[2J\x1b[31m",
    "\u202egnp.exe",
    "\r\nP0000",
    "a" * 5000,
)
PLACES = {  # of the MLP, with the payload as @
    "a comment": ("model MLP", "model MLP  # @"),
    "the first comment": ("model MLP", "# @\nmodel MLP"),
    "a name of a model": ("model MLP", "model @"),
    "a name of a dim": ("dim pixels", "dim @ = 3\ndim pixels"),
    "a name of a tensor": ("tensor W2", "tensor @"),
    "an import": ("model MLP", 'model MLP\nimport "@"'),
    "a string": ("model MLP", 'model MLP\nparametrization "@"'),
    "an init": ("init = zeros", "init = @"),
    "an optimizer": ("optimizer sgd", "optimizer @"),
    "an expression": ("W2 @ relu(h1)", "@"),
}
LINES = [  # of a command, with the payload as @
    ("explain", "@"),
    ("check", "x@"),
    ("check", MLP, "--set", "pixels=@"),
    ("check", MLP, "--set", "@=1"),
    ("new", "@"),
    ("solve", MLP, "--gauge", "@"),
    ("map", MLP, MLP, "--format", "json", "--init", "@"),
    ("compile", MLP, "-o", "no/@/such.py"),
]
FORBIDDEN = (
    *("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty."),
    *("socket.connect", "socket.bind", "ftplib", "urllib", "smtplib", "webbrowser", "ctypes."),
    *("pickle.find_class", "os.remove", "os.rename", "os.symlink", "shutil.", "os.chmod"),
)
OURS = ("made.py", ".abcparam-")  # what commands here are asked to write
WATCHED: list[str] | None = None
HOOKED: list[bool] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    found = WATCHED
    if found is None:
        return
    if event == "open" and isinstance(arguments[0], int):
        return  # what is open already
    if event == "open":
        name, mode = str(arguments[0]), str(arguments[1])
        if set(mode) & set("wax+") and not any(ours in name for ours in OURS):
            found.append(f"writes {name}")
        if name.startswith(("/proc", "/etc")) and "zoneinfo" not in name:
            found.append(f"reads {name}")
    elif event.startswith(FORBIDDEN) and not any(o in str(arguments) for o in OURS):
        found.append(f"{event} {arguments}")


@contextlib.contextmanager
def watched(folder: Path) -> Iterator[None]:
    """Fails where anything but what was asked for is done inside."""
    global WATCHED
    if not HOOKED:  # a hook stays for good
        sys.addaudithook(_hook)
        HOOKED.append(True)
    seen: list[str] = []
    with contextlib.chdir(folder):
        WATCHED = seen
        try:
            yield
        finally:
            WATCHED = None
    assert not seen
    assert not list(folder.rglob("OWNED"))


def harmless(run: Run, *arguments: object, stdin: str = "") -> int:
    """The status; what is printed is text."""
    ran = run(*arguments, stdin=stdin)
    printed = ran.out + ran.err
    assert ran.status in {0, 1, 2}, ran
    assert "Traceback" not in printed and len(printed) < 50_000
    assert all(c.isprintable() or c == "\n" for c in printed), arguments
    return ran.status


@pytest.fixture(autouse=True)
def imported(run: Run) -> None:
    """What commands import is imported before anything is watched."""
    if HOOKED:
        return
    for command in ("check", "derive", "solve", "compile -o -", f"diff {MLP}", "fmt --check"):
        name, *more = command.split()
        run(name, *more, MLP)
    run("derive", MLP, "--format", "latex")


@pytest.mark.parametrize("place", PLACES)
def test_specs(run: Run, tmp_path: Path, place: str):
    old, new = PLACES[place]
    for payload in PAYLOADS:
        text = changed(MLP, (old, new.replace("@", payload)))
        with watched(tmp_path):
            valid = harmless(run, "check", "-", "--format", "json", stdin=text) < 2
            harmless(run, "fmt", "-", stdin=text)
            if valid:
                harmless(run, "check", "-", stdin=text)
                if "\\" in payload:
                    harmless(run, "derive", "-", "--format", "latex", stdin=text)
        if valid:
            _is_plain(abcparam.compile(text))


def _is_plain(code: str) -> None:
    """Nothing of a payload but in a comment or a docstring."""
    tree = ast.parse(code)
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    assert imported <= {"dataclasses", "hashlib", "math", "torch", "torch.nn.functional"}
    called = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert not called & {"open", "eval", "exec", "__import__", "os.system", "compile"}


def test_command_lines(run: Run, tmp_path: Path):
    for line in LINES:
        for payload in PAYLOADS:
            arguments = [str(word).replace("@", payload) for word in line]
            with watched(tmp_path):
                harmless(run, *arguments)


def test_names_of_files(run: Run, tmp_path: Path):
    for number, payload in enumerate(PAYLOADS):
        folder = tmp_path / str(number)
        folder.mkdir()
        name = f"{payload.replace('/', '_')[:80]}.param"
        (folder / name).write_text(MLP.read_text(encoding="utf-8"), encoding="utf-8")
        with watched(folder):
            harmless(run, "check", f"./{name}")
            if harmless(run, "compile", f"./{name}", "-o", "made.py") == 0:
                _is_plain((folder / "made.py").read_text(encoding="utf-8"))
            harmless(run, "compile", MLP, "-o", f"./{name}")


def test_imports_that_are_no_files(run: Run, tmp_path: Path):
    folder = tmp_path / "specs"
    folder.mkdir()
    (tmp_path / "secret.param").write_text("secret", encoding="utf-8")
    (folder / "out.param").symlink_to(tmp_path / "secret.param")
    (folder / "proc.param").symlink_to("/proc/self/environ")
    (folder / "round.param").symlink_to(folder / "round.param")
    (folder / "folder.param").mkdir()
    os.mkfifo(folder / "pipe.param")
    spec = folder / "spec.param"
    for name in ("out", "proc", "round", "folder", "pipe", "none"):
        text = changed(MLP, ("model MLP", f'model MLP\nimport "{name}.param"'))
        spec.write_text(text, encoding="utf-8")
        with watched(tmp_path):
            ran = run("check", spec)
        assert ran.status == 2 and "secret" not in ran.err.replace("secret.param", ""), name


def test_outputs_that_are_no_files(run: Run, tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder", "/dev/null", "/dev/full", "none/such.py", "x\x1b[2J.py"):
        for force in ((), ("--force",)):
            with contextlib.chdir(tmp_path):
                assert harmless(run, "compile", MLP, "-o", name, *force) == 2, name
    assert Path("/dev/null").is_char_device()
    with pytest.raises(SpecError, match="no regular file"):
        write_atomically(str(tmp_path / "pipe"), "")
    link, target = tmp_path / "link.py", tmp_path / "target.py"
    link.symlink_to(target)
    assert harmless(run, "compile", MLP, "-o", link) == 0
    assert link.is_symlink() and "class MLP" in target.read_text(encoding="utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("folder", "link.py", "pipe", "target.py")
    ]


TRACED = "execve,connect,bind,open,openat,creat,unlink,unlinkat,rename,renameat2,mkdir,chmod"
MAY = re.compile(  # each line of strace's is one of these
    r"execve\([^)]*-m\W+abcparam"
    r"|open(at)?\(.*O_RDONLY(?!.*O_CREAT)(?!.*\"/etc/passwd)"
    r"|open(at)?\(.*\"/dev/(null|tty)\""
    r"|(---|\+\+\+) "
)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")
def test_the_kernel_sees_reading_alone(tmp_path: Path):
    """All hostile specs, in files with hostile names, in one process that strace follows."""
    for number, (old, new) in enumerate(PLACES.values()):
        for payload in PAYLOADS:
            name = f"{number} {payload.replace('/', '_')[:80]}.param"
            text = changed(MLP, (old, new.replace("@", payload)))
            (tmp_path / name).write_text(text, encoding="utf-8")
    names = [f"./{name}" for name in sorted(os.listdir(tmp_path))]
    assert len(names) >= 200
    log = tmp_path.parent / "strace.log"
    trace = ["strace", "-f", "-s", "300", "-o", str(log), "-e", f"trace={TRACED}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    ran = subprocess.run(
        [*trace, sys.executable, "-m", "abcparam", "check", "--budget", "0.1", *names],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    if "ptrace" in ran.stderr:
        pytest.skip("strace may follow nothing here")
    assert ran.returncode == 2 and "Traceback" not in ran.stderr
    lines = [line.split(maxsplit=1)[-1] for line in log.read_text(encoding="utf-8").splitlines()]
    assert len(lines) > 200 and sum(line.startswith("execve") for line in lines) == 1
    assert not [line for line in lines if not MAY.match(line)]
    assert sorted(os.listdir(tmp_path)) == [name[2:] for name in names]


class Bomb:
    """A pickle that opens a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return open, ("OWNED", "w")


def test_results_of_somebody_else(tmp_path: Path):
    """Neither sweeps' results, nor a search's database, are more than numbers."""
    cache = RunCache(tmp_path, "sweep")
    cache.write("good", {"a": [[1, 2], None]})
    assert cache.read("good", dict) == {"a": [[1, 2], None]}
    assert cache.folder is not None
    for number, text in enumerate(("", "[", "null", "7", '"a"', '{"a": 1}', "[" * 10**5)):
        (cache.folder / f"{number}.json").write_text(text, encoding="utf-8")
        assert cache.read(str(number), lambda x: {k: len(v) for k, v in x.items()}) is None
    numbers = pickle.dumps(Bomb()).hex()
    for text in (numbers, "zz", pickle.dumps(os.system).hex()):
        trial = SimpleNamespace(system_attrs={"cma:optimizer:0": text})
        with contextlib.chdir(tmp_path):
            assert restored([trial]) is None
    assert restored([SimpleNamespace(system_attrs={})]) is None
    assert not (tmp_path / "OWNED").exists()
