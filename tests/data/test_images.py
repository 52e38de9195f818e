"""`--data FOLDER`: images by class, as the model wants them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from abcparam.data.named import data_named
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import load
from tests.support.running import Run

Image = pytest.importorskip("PIL.Image")

NETWORK = """model Net
dim width -> inf, base = 16
dim channels = 3
dim rows = 4
dim columns = 6
dim classes = 3
hyper lr = 0.1
parametrization mup
tensor first   : input  [width, channels, 3, 3]
tensor readout : output [classes, width]
forward(image : [channels, rows, columns]) {
    x = relu(conv2d(first, image, padding = 1))
    return readout @ mean(mean(x, axis = -1), axis = -1)
}
optimizer sgd { lr = lr }
loss cross_entropy
"""
COLOURS = {"blue": (0, 0, 255), "green": (0, 255, 0), "red": (255, 0, 0)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of one, two and three images in their colour, of several sizes and kinds."""
    home = tmp_path / "photos"
    for count, (name, colour) in enumerate(COLOURS.items(), 1):
        (home / name / "more").mkdir(parents=True)
        for k in range(count):
            ending = ("png", "bmp", "gif")[k]
            Image.new("RGB", (5 + k, 9), colour).save(home / name / "more" / f"{k}.{ending}")
    (home / "notes.txt").write_text("no class", encoding="utf-8")
    return home


class Config:
    width, channels, rows, columns, classes, lr = 16, 3, 4, 6, 3, 0.1


def test_images_come_in_epochs_with_the_number_of_their_folder(folder: Path):
    program = load(Source(NETWORK))
    batches = data_named(str(folder)).batches(program, Config, 6, 1)
    for _ in range(2):
        (images,), (labels,) = next(batches)
        assert images.shape == (6, 3, 4, 6)
        assert sorted(labels.tolist()) == [0, 1, 1, 2, 2, 2]
        for image, label in zip(images, labels, strict=True):
            wanted = torch.full((3,), -2.0).index_fill(0, torch.tensor(2 - int(label)), 2.0)
            assert torch.equal(image, wanted[:, None, None].expand(3, 4, 6))
    again = data_named(str(folder)).batches(program, Config, 6, 1)
    next(again)
    assert torch.equal(next(again).targets[0], labels)


def test_channels_are_those_of_the_model(folder: Path):
    class Grey(Config):
        channels = 1

    (images,), _ = next(data_named(str(folder)).batches(load(Source(NETWORK)), Grey, 2, 0))
    assert images.shape == (2, 1, 4, 6)


@pytest.mark.parametrize("command", [("coord-check", "--widths", "16,32,64"), ("sweep",)])
def test_commands_take_a_folder(run: Run, folder: Path, tmp_path: Path, command: tuple[str, ...]):
    spec = tmp_path / "net.param"
    spec.write_text(NETWORK, encoding="utf-8")
    over = ("--over", "lr=0.1") if command[0] == "sweep" else ("--seeds", "1")
    name, *rest = command
    ran = run(name, spec, *rest, *over, "--steps", "2", "--data", folder, "--fresh")
    assert ran.status in {0, 1, 3}, ran.err
    assert f"the images of {folder}" in ran.out + ran.err


def test_a_folder_that_does_not_serve_is_refused(run: Run, folder: Path, tmp_path: Path):
    spec = tmp_path / "net.param"
    spec.write_text(NETWORK, encoding="utf-8")

    def refused(data: Path, *more: str) -> str:
        ran = run("sweep", spec, "--over", "lr=0.1", "--steps", "2", "--data", data, *more)
        assert (ran.status, ran.out) == (2, "")
        return ran.err

    (tmp_path / "empty").mkdir()
    assert "error[P0804]" in refused(tmp_path / "empty")
    assert "one for each class, holds images" in refused(tmp_path / "empty")
    few = refused(folder, "--set", "classes=2")
    assert "error[P0803]" in few and "3 classes or more" in few
    assert "1 or 3 channels" in refused(folder, "--set", "channels=2")
    (folder / "red" / "broken.png").write_bytes(b"no image")
    for path in folder.rglob("*.*"):
        if path.name != "broken.png":
            path.unlink()
    assert "broken.png is no image that can be read" in refused(folder)


def test_without_pillow(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(SpecError, match="P0804"):
        data_named(str(folder))


def test_a_tenth_is_held_out(folder: Path):
    """Of 6 images none; of 26 two, and no batch has one of them."""
    program = load(Source(NETWORK))
    assert data_named(str(folder)).held_out(program, Config, 4) is None
    for k in range(20):
        Image.new("RGB", (6, 4), (k, k, k)).save(folder / "red" / f"{k:02}.png")
    data = data_named(str(folder))
    (kept,) = data.held_out(program, Config, 4) or ()
    batches = data.batches(program, Config, 24, seed=0)
    trained = {tuple(image.flatten().tolist()) for image in next(batches).inputs[0]}
    assert len(kept.inputs[0]) == len(kept.targets[0]) == 2
    assert not any(tuple(image.flatten().tolist()) in trained for image in kept.inputs[0])
