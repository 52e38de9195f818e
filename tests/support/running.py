"""Runs the command line inside the test's process."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from abcparam.commands.cli import main
from tests.support.paths import SPECS

GPT, MLP = (SPECS / "gpt.param", SPECS / "mlp.param")


class Ran(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


class Run:
    """`run("check", path, stdin=...)`: the command line with these arguments."""

    def __init__(self, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capfd = capfd
        self.monkeypatch = monkeypatch

    def __call__(self, *arguments: object, stdin: str | bytes = "") -> Ran:
        data = stdin.encode() if isinstance(stdin, str) else stdin
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        self.capfd.readouterr()
        status = _status([str(argument) for argument in arguments])
        out, err = self.capfd.readouterr()
        return Ran(status, out, err)


def _status(arguments: list[str]) -> int:
    try:
        return main(arguments)
    except SystemExit as stopped:
        code: Any = stopped.code
        return int(code or 0)


def changed(path: Path, *pairs: tuple[str, str]) -> str:
    """The text of a spec with some of it replaced."""
    text = path.read_text(encoding="utf-8")
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


UNSTABLE = changed(MLP, ("{ a = 1/2,  b = 1/2, c = 0 }", "{ a = 0,    b = 1/2, c = 0 }"))
INVALID = changed(MLP, ("W2 @ relu(h1)", "W9 @ relu(h1)"), ("[classes,", "[klasses,"))


def write_specs(folder: Path, unstable: str = "unstable") -> Path:
    """Writes a sound spec, an unstable one and an invalid one into a folder."""
    texts = {"good": MLP.read_text(encoding="utf-8"), unstable: UNSTABLE, "invalid": INVALID}
    for name, text in texts.items():
        (folder / f"{name}.param").write_text(text, encoding="utf-8")
    return folder
