"""What is packed for the browser: bytecode that needs no source, and the resources."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from abcparam.playground.archive import pack
from tests.support.paths import ROOT


def test_what_is_packed_runs_without_its_sources(tmp_path: Path):
    package = tmp_path / "abcparam"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "answer.py").write_text("ANSWER = 42\n")
    (package / "notes.md").write_text("left out\n")
    target, again = tmp_path / "a.zip", tmp_path / "b.zip"
    count = pack(str(target), [str(package)], str(ROOT))
    pack(str(again), [str(package)], str(ROOT))
    assert target.read_bytes() == again.read_bytes()
    with ZipFile(target) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "out")
    assert len(names) == count and "abcparam/answer.pyc" in names
    assert {"abcparam/examples/gpt.param", "abcparam/templates/style.css"} <= set(names)
    assert not [name for name in names if name.endswith((".py", ".md"))]
    command = [sys.executable, "-c", "import abcparam.answer as a; print(a.ANSWER)"]
    ran = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True, check=True)
    assert ran.stdout == "42\n"
