"""Who looks at trials in training: some may be stopped early, all go on where they were killed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from abcparam.algebra.record import Record, replace
from abcparam.storage.atomic import write_atomically

EVERY = 30.0  # seconds between checkpoints
LossCurve = list[float]  # one for each step, up to the first that is not finite
# After so many steps, the losses of trials by their index: those that are stopped.
Stop = Callable[[int, Mapping[int, LossCurve]], Collection[int]]


class TrialWatch(Record):
    """Of trials that are trained together: `members` are their indices among those of a batch."""

    members: tuple[int, ...]
    rungs: frozenset[int] = frozenset()  # numbers of steps after which some may be stopped
    stop: Stop | None = None
    place: Path | None = None  # of checkpoints

    def part(self, indices: Sequence[int]) -> TrialWatch:
        """Of some of them."""
        return replace(self, members=tuple(self.members[index] for index in indices))

    def stopped(self, step: int, losses: Mapping[int, LossCurve]) -> set[int]:
        """The indices of those that are stopped after a step, among `members`."""
        if self.stop is None or step not in self.rungs or not losses:
            return set()
        told = {self.members[index]: curve for index, curve in losses.items()}
        found = set(self.stop(step, told))
        return {index for index in losses if self.members[index] in found}

    def checkpoint(self) -> Checkpoint:
        if self.place is None:
            return Checkpoint(None)
        name = f"{self.place.name}-{self.members[0]}-{len(self.members)}{ENDING}"
        return Checkpoint(self.place.with_name(name))


ENDING = ".checkpoint"


class Checkpoint:
    """A file with the state of training as it was up to `EVERY` seconds ago; None: no file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.saved = time.monotonic()
        self.exists = False

    def load(self) -> dict[str, Any] | None:
        """What was saved, if something was: tensors and numbers, whoever wrote the file."""
        if self.path is not None:
            with suppress(OSError, RuntimeError, EOFError, ValueError, UnpicklingError):
                found = torch.load(self.path, map_location="cpu", weights_only=True)
                self.exists = isinstance(found, dict)
                return found if self.exists else None
        return None

    def discard(self) -> None:
        """Removes it, where it is not what was saved here: training begins anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def due(self) -> bool:
        return self.path is not None and time.monotonic() - self.saved >= EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """All of it or, if killed, what was saved before."""
        if self.path is None:
            return
        written = io.BytesIO()
        torch.save(dict(state), written)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(str(self.path), written.getvalue())
        self.saved, self.exists = time.monotonic(), True


def forget(place: Path | None) -> None:
    """Removes the checkpoints of a batch that is done."""
    if place is not None:
        for path in place.parent.glob(f"{place.name}-*{ENDING}"):
            path.unlink(missing_ok=True)
