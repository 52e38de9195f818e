"""README keeps what it promises: each line of its table of commands works on its own spec."""

from __future__ import annotations

import io
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from abcparam.commands.cli import main
from abcparam.commands.registry import commands
from benchmarks.__main__ import BENCHMARKS
from tests.docs.test_docs import ROOT, blocks

README = (ROOT / "README.md").read_text(encoding="utf-8")
AUDIT = ROOT / "docs" / "audit.md"
RECIPES = ROOT / "docs" / "recipes.md"
USE = README.partition("## Use\n")[2].partition("\n## ")[0]
FORMATS = {"json", "csv", "latex", "markdown"}
STATUS = {"diff": 1, "audit": 1}  # the two specs are different, the model is standard
# What makes a command short, where the line does not say it itself.
QUICK = {
    "coord-check": "--widths 64,128,256,512 --fresh",
    "sweep": "--steps 2 --trials 2 --fresh",
    "transfer": "--set width=256 --steps 2 --trials 2 --fresh",
}
ELSEWHERE = {"--module mine.py:MLP", "--vary depth"}  # they need a model by hand, another limit
NEEDS = {
    "completion": "shtab",
    "lsp": "pygls",
    "--sampler tpe": "optuna",
    "--plot figures": "matplotlib",
    "map": "matplotlib",
}
SLOW = {"--budget 5m", "--widths 128,256,512"}


def lines() -> list[tuple[str, str]]:
    """Each command of the table, and each with one of the options that its row names."""
    found = []
    for command, about in re.findall(r"^\| `abcparam (.+?)` \| (.*) \|$", USE, re.MULTILINE):
        found.append((command, ""))
        for code in re.findall(r"`([^`]+)`", about):
            if code.startswith("abcparam "):
                found.append((code.removeprefix("abcparam "), ""))
            elif code.startswith("--") or code in FORMATS:
                option = code if code.startswith("--") else f"--format {code}"
                found.append((command, option))
    return [(command, option) for command, option in found if option not in ELSEWHERE]


def cases() -> list[object]:
    return [
        pytest.param(
            command,
            option,
            id=f"{command} {option}".strip(),
            marks=[pytest.mark.slow] if option in SLOW else [],
        )
        for command, option in lines()
    ]


@pytest.fixture
def specs(tmp_path, monkeypatch) -> Path:
    """A folder with README's `mlp.param`, as `standard.param` what it was at first, and a model."""
    first, second = (
        block
        for block in blocks(ROOT / "README.md")
        if block.language == "param" and block.options["file"] == "mlp.param"
    )
    line = re.compile(rf"^{second.options['line']}\b.*\n", re.MULTILINE)
    (tmp_path / "standard.param").write_text(first.text, encoding="utf-8")
    (tmp_path / "mlp.param").write_text(line.sub(second.text, first.text), encoding="utf-8")
    (decoder,) = (b for b in blocks(RECIPES) if b.options.get("file") == "decoder.param")
    (tmp_path / "decoder.param").write_text(decoder.text, encoding="utf-8")
    (model,) = (b for b in blocks(AUDIT) if b.options.get("file") == "model.py")
    (tmp_path / "model.py").write_text(model.text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))  # an editor that has left
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.mark.parametrize(("command", "option"), cases())
def test_each_line_of_the_table_works_on_the_spec(command, option, specs, capsys):
    name = command.split()[0]
    for key in (name, option):
        if key in NEEDS:
            pytest.importorskip(NEEDS[key])
    arguments = shlex.split(f"{command} {shorter(name, option)} {option}")
    status = main(arguments)
    said = capsys.readouterr()
    assert status == STATUS.get(name, 0), said.err or said.out


def shorter(name: str, option: str) -> str:
    """Options that make a command short; what the line says itself comes after them and counts."""
    if option in SLOW:
        return "--fresh"
    return QUICK.get(name, "")


def test_the_table_has_every_command():
    named = {command.split()[0] for command, _ in lines()}
    missing = sorted(set(commands()) - named)
    assert not missing, f"README's table of commands has no row for {missing}"


def test_the_large_model_has_the_size_asked_for(specs):
    assert main(shlex.split("compile mlp.param -o mlp.py --set width=4096")) == 0
    assert "width: int = 4096" in (specs / "mlp.py").read_text(encoding="utf-8")


def test_the_install_section_names_every_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    install = README.partition("## Install\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"^\| `([\w-]+)` \|", install, re.MULTILINE))
    assert named == set(project["optional-dependencies"]) - {"dev"}


def test_the_page_of_benchmarks_has_every_benchmark():
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    missing = [name for name in BENCHMARKS if f"`python -m benchmarks {name}" not in page]
    assert not missing, f"docs/benchmarks.md has no row for {missing}"


def test_what_the_readme_says_was_measured_is_on_the_page_of_benchmarks():
    """The numbers are the same in both places."""
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    said = README.partition("## Measured\n")[2].partition("\n## ")[0]
    numbers = re.findall(r"\d[\d.,]*(?: ms| %|(?:–\d[\d.]*))?", said.replace("\n", " "))
    assert numbers
    missing = [number for number in numbers if number.rstrip(".,") not in page]
    assert not missing, f"docs/benchmarks.md does not say {missing}"
