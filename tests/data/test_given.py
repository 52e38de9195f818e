"""Data of the user's own function: what goes wrong in it is told as such, and loses no trial."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

import abcparam
from abcparam.commands.cli import main
from abcparam.data.named import data_named
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import load as load_spec
from tests.support.emitted import load
from tests.support.paths import SPECS

MLP = (SPECS / "mlp.param").read_text(encoding="utf-8").replace("pixels = 784", "pixels = 16")
WORDS = """model Words
dim width -> inf, base = 16
dim vocab = 9
dim context = 6
parametrization mup
tensor table : input [vocab, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) { return readout @ tanh(embed(table, tokens)) }
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""
X, T = torch.zeros(4, 16), torch.zeros(4, dtype=torch.long)
TOKENS = torch.zeros(4, 6, dtype=torch.long)


def told(text: str, batch: Any, folder: Path) -> str:
    """What is said of a batch behind one that is as it should be."""

    def function(config: Any, size: int, seed: int) -> Iterator[Any]:
        yield (X, T) if text == MLP else (TOKENS, TOKENS)
        yield (X, T - 100) if text == MLP else (TOKENS[:, :2], TOKENS[:, :2])
        if isinstance(batch, BaseException):
            raise batch
        yield batch

    config = load(abcparam.compile(text), folder).Config()
    batches = data_named(function).batches(load_spec(Source(text)), config, 4, 0)
    assert len(list(islice(batches, 2))) == 2
    with pytest.raises(SpecError) as caught:
        next(batches)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "P0830"
    return diagnostic.message.partition("function` ")[2]


@pytest.mark.parametrize(
    ("text", "batch", "said"),
    [
        (MLP, RuntimeError("gone"), "raises RuntimeError: gone"),
        (MLP, SystemExit(0), "raises SystemExit: 0"),
        (MLP, None, "gives a value of type NoneType, not tensors `(inputs, targets)`"),
        (MLP, ("a", "b"), "gives a value of type str, not tensors `(inputs, targets)`"),
        (MLP, ((X, X), T), "gives 2 inputs and 1 targets, not 1 and 1"),
        (MLP, (X[:, :9], T), "gives `x` of shape (4, 9), not (batch, 16)"),
        (MLP, (X[0], T), "gives `x` of shape (16,), not (batch, 16)"),
        (MLP, (X.long(), T), "gives `x` of torch.int64, not of real numbers"),
        (MLP, (X, X[:, 0]), "gives target 0 of torch.float32, not of whole numbers"),
        (MLP, (X, T + 10), "gives target 0 from 10 to 10, not from 0 to 9"),
        (WORDS, (TOKENS + 9, TOKENS), "gives `tokens` from 9 to 9, not from 0 to 8"),
        (WORDS, (TOKENS.float(), TOKENS), "gives `tokens` of torch.float32, not of whole numbers"),
        (
            WORDS,
            (torch.cat([TOKENS, TOKENS], 1), TOKENS),
            "gives `tokens` of shape (4, 12), not (batch, 6)",
        ),
    ],
)
def test_what_a_function_does_wrong_is_told(text: str, batch: Any, said: str, tmp_path: Path):
    assert told(text, batch, tmp_path) == said


FUNCTION = """import torch
def batches(config, size, seed):
    draw = torch.Generator().manual_seed(seed)
    for step in range(8):
        if step == 5 and config.width > 16 and BROKEN:
            raise OSError("the disk is gone")
        yield torch.randn(size, 16, generator=draw), torch.randint(10, (size,), generator=draw)
"""


def test_trials_that_had_finished_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A sweep whose data break at the second width goes on there once they are mended."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlp.param").write_text(MLP, encoding="utf-8")
    sweep = ["sweep", "mlp.param", "--over", "lr=0.1", "width=16,32", "--steps", "6"]
    sweep += ["--data", "sometimes:batches", "--resume", "kept", "--together", "1"]
    (tmp_path / "sometimes.py").write_text(f"BROKEN = True\n{FUNCTION}", encoding="utf-8")
    assert main(sweep) == 2
    error = capsys.readouterr().err
    assert "[P0830]: the data `sometimes:batches` raises OSError: the disk is gone" in error
    assert len([*(tmp_path / "kept").rglob("*.json")]) > 0
