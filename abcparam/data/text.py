"""A file of text, byte by byte, for a language model; its last tenth is held out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abcparam.data.batch import Batch, lengths, output_shapes, refuse, values_of
from abcparam.program.model import Program

BYTES = 256
WINDOWS = 128  # at most, of what is held out


class TextFile:
    """Windows of a text at random places; each byte's target is the next one."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        self.name = str(path)
        self.identity = hashlib.sha256(content).hexdigest()
        self.bytes = torch.frombuffer(bytearray(content or b"\0"), dtype=torch.uint8)

    def batches(self, program: Program, config: Any, size: int, seed: int) -> Iterator[Batch]:
        context = self._context(program, config)
        draw = torch.Generator().manual_seed(seed)
        while True:
            starts = torch.randint(self._end(context) - context, (size,), generator=draw)
            yield self._windows(program, starts, context)

    def held_out(self, program: Program, config: Any, size: int) -> Iterator[Batch] | None:
        """Windows evenly over the last tenth, unless a window is longer than that."""
        context = self._context(program, config)
        first, last = self._end(context), len(self.bytes) - context - 1
        if first > last:
            return None
        count = min(WINDOWS, (last - first) // context + 1)
        starts = torch.linspace(first, last, count).long()
        return (self._windows(program, some, context) for some in starts.split(size))

    def _end(self, context: int) -> int:
        """Where what is trained on ends."""
        kept = len(self.bytes) // 10
        return len(self.bytes) - kept if kept > context else len(self.bytes)

    def _windows(self, program: Program, starts: Tensor, context: int) -> Batch:
        chunk = self.bytes[starts[:, None] + torch.arange(context + 1)].long()
        return Batch((chunk[:, :-1],), (chunk[:, 1:],) * len(program.losses))

    def _context(self, program: Program, config: Any) -> int:
        """How many bytes the model reads at once."""
        given, values = program.inputs[0], values_of(program, config)
        axes = lengths(tuple(axis.value for axis in given.axes), values)
        index = lengths((given.index.value,), values)[0] if given.index else 0
        shapes = output_shapes(program, values)
        if len(program.inputs) != 1 or len(axes) != 1 or index < BYTES:
            raise refuse(program, f"`{self.name}`, byte by byte", "one input, index(256) [length]")
        if any(
            loss.kind != "cross_entropy" or shapes[loss.output] != (*axes, index)
            for loss in program.losses
        ):
            wanted = "cross_entropy of an output [length, 256]"
            raise refuse(program, f"`{self.name}`, byte by byte", wanted)
        if len(self.bytes) < axes[0] + 2:
            raise refuse(program, f"`{self.name}`, which is too short", f"{axes[0] + 2} bytes")
        return axes[0]
