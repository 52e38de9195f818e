"""The notebook of the docs runs, in IPython where it is installed and without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import abcparam
from tests.support.markup import stands_alone
from tests.support.paths import ROOT

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


class Shell:
    """As much of IPython as the extension and the notebook ask for."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.magics: dict[str, Callable[[str, str], Any]] = {}

    def push(self, names: dict[str, Any]) -> None:
        self.names |= names

    def register_magic_function(self, function: Any, kind: str, name: str) -> None:
        assert kind == "cell"
        self.magics[name] = function

    def run(self, text: str) -> Any:
        """What the cell gives: of Python, the value of its last line if that is a name."""
        first, _, rest = text.partition("\n")
        if first == "%load_ext abcparam":
            return abcparam.load_ipython_extension(self)
        if first.startswith("%%"):
            name, _, line = first.removeprefix("%%").partition(" ")
            return self.magics[name](line, rest)
        exec(text, self.names)
        last = text.splitlines()[-1]
        return eval(last, self.names) if last.startswith("fixed.") else None


def cells() -> Iterator[tuple[str, bool]]:
    """The text of each cell of code, and whether it raises."""
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            yield "".join(cell["source"]), "raises-exception" in cell["metadata"].get("tags", ())


def test_the_notebook_runs(capsys: pytest.CaptureFixture[str]):
    shell, shown = Shell(), []
    for text, raises in cells():
        if raises:
            with pytest.raises(abcparam.SpecError, match="Did you mean `second`"):
                shell.run(text)
        elif isinstance(result := shell.run(text), abcparam.Report):
            shown.append(result)
    assert [report.verdict for report in shown] == ["unstable", "maximal-update", "maximal-update"]
    assert shell.names["wide"].program.dims["width"].default == 4096
    assert capsys.readouterr().out.startswith("Report(MLP: unstable)\n`second` c = 0 -> 1\n")
    for line in "two names", "a-b":
        with pytest.raises(ValueError, match="takes one name and values"):
            shell.magics["param"](line, "")


def test_it_runs_in_ipython(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    interactive = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    shell = interactive()
    for text, raises in cells():
        ran = shell.run_cell(text, store_history=False)
        assert ran.success != raises
        said = capsys.readouterr().out
        if isinstance(ran.result, abcparam.Report):
            made, _ = shell.display_formatter.format(ran.result)
            assert made["text/plain"] == repr(ran.result)
            stands_alone(made["text/html"])
        if raises:
            assert "error[P0201]" in said and "Traceback" not in said
