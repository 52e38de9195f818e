"""A folder of images, each class in a folder of its own, a tenth of them held out.

This is the door to Pillow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abcparam.data.batch import Batch, lengths, output_shapes, refuse, values_of
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoData
from abcparam.program.model import Program

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
MODES = {1: "L", 3: "RGB"}  # Pillow's, by the number of channels
HALF, QUARTER = 127.5, 63.75  # what makes 0 to 255 numbers from -2 to 2


class Images:
    """In epochs, each in another order, with the size and channels of the model's input.

    Labels are the folders' numbers by name. Raises `ImportError` without Pillow, `SpecError` where
    there are no images.
    """

    def __init__(self, folder: Path) -> None:
        from PIL import Image

        self.open = Image.open
        self.name = f"the images of {folder}"
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self.images = [(path, k) for k, home in enumerate(classes) for path in _images(home)]
        self.classes = len(classes)
        self.folder = folder
        if not self.images:
            raise self.refused("no folder in it, one for each class, holds images")
        self.identity = _identity(folder, [path for path, _ in self.images])
        order = torch.randperm(len(self.images), generator=torch.Generator().manual_seed(0))
        mixed = [self.images[i] for i in order]
        self.kept, self.images = mixed[: len(mixed) // 10], mixed[len(mixed) // 10 :]

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        shape = self._shape(program, config)
        draw = torch.Generator().manual_seed(seed)
        order: list[int] = []
        while True:
            while len(order) < size:
                order += torch.randperm(len(self.images), generator=draw).tolist()
            chosen, order = [self.images[i] for i in order[:size]], order[size:]
            yield self._batch(program, chosen, shape)

    def held_out(self, program: Program, config: Any, size: int) -> Iterator[Batch] | None:
        """A tenth of the images, chosen at random, the same always."""
        shape, kept = self._shape(program, config), self.kept
        parts = (kept[i : i + size] for i in range(0, len(kept), size))
        return (self._batch(program, part, shape) for part in parts) if kept else None

    def _batch(
        self, program: Program, chosen: list[tuple[Path, int]], shape: tuple[int, ...]
    ) -> Batch:
        pixels = torch.stack([self.pixels(path, shape) for path, _ in chosen])
        labels = torch.tensor([label for _, label in chosen])
        return Batch((pixels,), (labels,) * len(program.losses))

    def pixels(self, path: Path, shape: tuple[int, ...]) -> Tensor:
        """An image as `[channels, rows, columns]`, its numbers from -2 to 2."""
        channels, rows, columns = shape
        try:
            with self.open(path) as image:
                made = image.convert(MODES[channels]).resize((columns, rows))
        except Exception as error:  # a broken file: Pillow raises of many kinds
            raise self.refused(f"{path} is no image that can be read ({error})") from None
        values = torch.frombuffer(bytearray(made.tobytes()), dtype=torch.uint8)
        grid = values.view(rows, columns, channels).permute(2, 0, 1)
        return (grid.float() - HALF) / QUARTER

    def refused(self, problem: str) -> SpecError:
        return SpecError.about("--data", NoData, reference=str(self.folder), problem=problem)

    def _shape(self, program: Program, config: Any) -> tuple[int, ...]:
        """An image as the model wants it."""
        given, values = program.inputs[0], values_of(program, config)
        shape = lengths(tuple(axis.value for axis in given.axes), values)
        single = len(program.inputs) == 1 and not given.index and len(shape) == 3
        if not single or shape[0] not in MODES:
            wanted = "one real input [channels, rows, columns] of 1 or 3 channels"
            raise refuse(program, self.name, wanted)
        outputs = output_shapes(program, values)
        for loss in program.losses:
            found = outputs[loss.output]
            if loss.kind != "cross_entropy" or len(found) != 1 or found[0] < self.classes:
                wanted = f"cross_entropy of an output of {self.classes} classes or more"
                raise refuse(program, self.name, wanted)
        return shape


def _images(folder: Path) -> list[Path]:
    """All in a folder and those below it, by name."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def _identity(folder: Path, paths: list[Path]) -> str:
    """Of the names, sizes and times of the files."""
    digest = hashlib.sha256()
    for path in paths:
        found = path.stat()
        line = f"{path.relative_to(folder)} {found.st_size} {found.st_mtime_ns}\n"
        digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
