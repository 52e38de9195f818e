"""scikit-learn's digits, the door to it: 1,797 images of 8 x 8 pixels, a fifth of them held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from abcparam.data.batch import Batch, lengths, output_shapes, refuse, values_of
from abcparam.program.model import Program

PIXELS, CLASSES = 64, 10
HELD_OUT = 360  # images, chosen at random, the same always


class Digits:
    """In epochs, each in another order; pixels have mean 0 and deviation 1.

    Raises `ImportError` without scikit-learn.
    """

    name = "scikit-learn's digits"
    identity = "digits"

    def __init__(self) -> None:
        from sklearn.datasets import load_digits

        data = load_digits()
        pixels = torch.from_numpy(data.data).float()
        images = (pixels - pixels.mean()) / pixels.std()
        labels = torch.from_numpy(data.target).long()
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        parts = [HELD_OUT, len(order) - HELD_OUT]
        self.kept, self.images = images[order].split(parts)
        self.kept_labels, self.labels = labels[order].split(parts)

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        shape = self._shape(program, config)
        draw = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(self.labels), generator=draw)
        while True:
            while len(order) < size:
                order = torch.cat([order, torch.randperm(len(self.labels), generator=draw)])
            chosen, order = order[:size], order[size:]
            images = self.images[chosen].unflatten(-1, shape)
            yield Batch((images,), (self.labels[chosen],) * len(program.losses))

    def held_out(self, program: Program, config: Any, size: int) -> Iterator[Batch]:
        shape = self._shape(program, config)
        for images, labels in zip(self.kept.split(size), self.kept_labels.split(size), strict=True):
            yield Batch((images.unflatten(-1, shape),), (labels,) * len(program.losses))

    def _shape(self, program: Program, config: Any) -> tuple[int, ...]:
        """An image as the model wants it."""
        given, values = program.inputs[0], values_of(program, config)
        shape = lengths(tuple(axis.value for axis in given.axes), values)
        if len(program.inputs) != 1 or given.index or torch.Size(shape).numel() != PIXELS:
            raise refuse(program, self.name, "one real input of 64 pixels")
        outputs = output_shapes(program, values)
        for loss in program.losses:
            found = outputs[loss.output]
            if loss.kind != "cross_entropy" or len(found) != 1 or found[0] < CLASSES:
                raise refuse(program, self.name, "cross_entropy of an output of 10 classes")
        return shape
