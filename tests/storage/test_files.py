"""Files: what abcparam wrote it writes again, what it did not write it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from abcparam.commands.cli import main
from tests.support.paths import EXAMPLES

SPEC = (EXAMPLES / "mlp.param").read_text(encoding="utf-8")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "mlp.param"
    path.write_text(SPEC, encoding="utf-8")
    return path


def test_compile_writes_beside_the_spec_and_again(spec: Path):
    assert main(["compile", str(spec)]) == 0
    first = spec.with_suffix(".py").read_bytes()
    assert main(["compile", str(spec)]) == 0
    assert spec.with_suffix(".py").read_bytes() == first


def test_what_was_edited_is_left_alone(spec: Path, capsys: pytest.CaptureFixture[str]):
    made = spec.with_suffix(".py")
    assert main(["compile", str(spec)]) == 0
    text = made.read_text(encoding="utf-8")
    assert text.splitlines()[-1].startswith("# digest of the lines above: ")
    edited = text.replace("width: int = 128", "width: int = 256")
    assert edited != text
    made.write_text(edited, encoding="utf-8")
    assert main(["compile", str(spec)]) == 2
    assert f"[P0902]: `{made}` exists and was edited since abcparam wrote it" in (
        capsys.readouterr().err
    )
    assert made.read_text(encoding="utf-8") == edited
    assert main(["compile", str(spec), "--force"]) == 0
    assert made.read_text(encoding="utf-8") == text


def test_what_was_printed_into_a_file_has_no_digest(spec: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["compile", str(spec), "-o", "-"]) == 0
    spec.with_suffix(".py").write_text(capsys.readouterr().out, encoding="utf-8")
    assert main(["compile", str(spec)]) == 0


def test_compile_leaves_other_files_alone(spec: Path, capsys: pytest.CaptureFixture[str]):
    other = spec.with_suffix(".py")
    other.write_text("print('mine')\n", encoding="utf-8")
    assert main(["compile", str(spec)]) == 2
    assert "P0902" in capsys.readouterr().err
    assert other.read_text(encoding="utf-8") == "print('mine')\n"
    assert main(["compile", str(spec), "--force"]) == 0


MODEL = """
import torch
from torch import nn

def build(width=64):
    layers = nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4)
    return nn.Sequential(*layers), (torch.randn(8, 8),)
"""


@pytest.mark.parametrize("command", ["adapt", "import"])
def test_what_is_made_of_a_model_leaves_other_files_alone(
    command: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):
    """It is refused before the model is read; what the same command wrote may be replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text("raise SystemExit\n", encoding="utf-8")
    (tmp_path / "out").write_text("mine\n", encoding="utf-8")
    words = [command, "net.py:build", "--grow", "width", "-o", "out"]
    assert main(words) == 2
    assert "error[P0902]: `out` exists and was not written by abcparam" in capsys.readouterr().err
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine\n"
    (tmp_path / "net.py").write_text(MODEL, encoding="utf-8")
    assert main([*words, "--force"]) == 0
    assert main(words) == 0
    text = (tmp_path / "out").read_text(encoding="utf-8")
    (tmp_path / "out").write_text(f"{text}# mine\n", encoding="utf-8")
    assert main(words) == 2
    assert "`out` exists and was edited since" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["compile", "mlp.param", "-o", "mlp.param", "--force"],
        ["check", "mlp.param", "--format", "json", "-o", "./mlp.param"],
        ["check", "link.param", "--format", "json", "-o", "mlp.param"],
        ["export", "mlp.param", "--recipe", "nanogpt", "-o", "link.param"],
        ["coord-check", "mlp.param", "--html", "mlp.param"],
        ["sweep", "mlp.param", "--data", "mine.py:data", "--over", "lr=1", "--html", "mine.py"],
        ["transfer", "mlp.param", "--hparams", "mlp.param"],
        ["import", "mine.py:build", "--grow", "width", "-o", "mine.py"],
        ["adapt", "mine.py:build", "--grow", "width", "-o", "mine.py"],
        ["adapt", "a.py:b", "--grow", "width", "--optimizer", "mine.py:make", "-o", "mine.py"],
    ],
)
def test_no_command_writes_over_what_it_reads(
    command: list[str],
    spec: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """A model's own code least of all; through a link neither."""
    monkeypatch.chdir(spec.parent)
    (spec.parent / "mine.py").write_text("print('mine')\n", encoding="utf-8")
    (spec.parent / "link.param").symlink_to(spec)
    assert main(command) == 2
    assert "error[P0904]: `" in capsys.readouterr().err
    assert spec.read_text(encoding="utf-8") == SPEC
    assert (spec.parent / "mine.py").read_text(encoding="utf-8") == "print('mine')\n"


def test_a_refused_or_invalid_spec_writes_nothing(spec: Path):
    text = SPEC.replace("a = 1/2,  b = 1/2, c = 0", "a = 0,  b = 1/2, c = 0")
    spec.write_text(text, encoding="utf-8")
    assert main(["check", str(spec)]) == 1
    assert main(["compile", str(spec), "--require", "maximal-update"]) == 1
    spec.write_text(SPEC.replace("W2 @", "W9 @"), encoding="utf-8")
    assert main(["check", str(spec)]) == 2
    assert main(["compile", str(spec)]) == 2
    assert sorted(path.name for path in spec.parent.iterdir()) == ["mlp.param"]


@pytest.mark.parametrize(
    ("tensor", "verdict"),
    [("[width, width + pixels]", "maximal-update"), ("[width, pixels + width]", "maximal-update")],
)
@pytest.mark.parametrize("name", ["pixels", "zzz"])
def test_the_largest_term_of_a_length_decides(tensor: str, verdict: str, name: str):
    import abcparam

    text = f"""model M
dim width -> inf, base = 128
dim pixels = 784
dim classes = 10
hyper lr = 1
parametrization mup
tensor W : input [width + pixels, pixels]
tensor U : hidden {tensor}
tensor V : output [classes, width]
forward(x : [pixels]) {{ return V @ tanh(U @ tanh(W @ x)) }}
optimizer adam {{ lr = lr }}
loss cross_entropy
"""
    assert abcparam.check(text.replace("pixels", name)).verdict == verdict
