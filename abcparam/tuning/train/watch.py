"""Who looks at trials in training: some may be stopped early, all go on where they were killed."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from abcparam.algebra.budgets import ran_out_of_memory
from abcparam.algebra.record import Record, replace
from abcparam.storage.atomic import write_atomically
from abcparam.storage.run_cache import CHECKPOINT

EVERY = 30.0  # seconds between checkpoints
LossCurve = list[float]  # one for each step, up to the first that is not finite
# After so many steps, the losses of trials by their index: those that are stopped.
Stop = Callable[[int, Mapping[int, LossCurve]], Collection[int]]


class TrialWatch(Record):
    """Of trials that are trained together: `members` are their indices among those of a batch.

    Whoever trains them elsewhere is told who is stopped at the rungs that are `decided`, and trains
    up to the next one; there whoever holds `stop` decides.
    """

    members: tuple[int, ...]
    rungs: frozenset[int] = frozenset()  # numbers of steps after which some may be stopped
    stop: Stop | None = None
    place: Path | None = None  # of checkpoints
    decided: Mapping[int, frozenset[int]] | None = None  # None: whoever trains decides

    @property
    def until(self) -> int | None:
        """After how many steps training pauses, as it is not decided who goes on."""
        if self.decided is None:
            return None
        return min(self.rungs - self.decided.keys(), default=None)

    def sent(self) -> TrialWatch:
        """For whoever trains elsewhere, to begin with."""
        return replace(self, stop=None, decided={})

    def part(self, indices: Sequence[int]) -> TrialWatch:
        """Of some of them."""
        return replace(self, members=tuple(self.members[index] for index in indices))

    def stopped(self, step: int, losses: Mapping[int, LossCurve]) -> set[int]:
        """The indices of those that are stopped after a step, among `members`."""
        if step not in self.rungs or not losses:
            return set()
        told = {self.members[index]: curve for index, curve in losses.items()}
        if self.decided is not None:
            found = set(self.decided.get(step, ()))
        else:
            found = set(self.stop(step, told)) if self.stop else set()
        return {index for index in losses if self.members[index] in found}

    def checkpoint(self) -> Checkpoint:
        if self.place is None:
            return Checkpoint(None)
        name = f"{self.place.name}-{self.members[0]}-{len(self.members)}{CHECKPOINT}"
        return Checkpoint(self.place.with_name(name))


OF_MACHINES = ("CUDA error", "MPS backend")


class ForeignFileError(Exception):
    """What a checkpoint holds is not what was saved here."""


def is_of_file(error: Exception) -> bool:
    """Whether what a file holds is at fault, and not the machine, which may do better later."""
    if isinstance(error, OSError) or ran_out_of_memory(error):
        return False
    return not any(words in str(error) for words in OF_MACHINES)


class Checkpoint:
    """A file with the state of training as it was up to `EVERY` seconds ago; None: no file.

    Its folder is made by whoever shares out the trials: where there is none, as on a machine that
    does not have the same files, nothing is saved.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.saved = time.monotonic()
        self.exists = False

    def load(self) -> dict[str, Any] | None:
        """What was saved, if something was: tensors and numbers, whoever wrote the file.

        None where there is no file or it is damaged; raises `OSError` where it cannot be read now.
        """
        if self.path is None:
            return None
        try:
            written = io.BytesIO(self.path.read_bytes())
        except FileNotFoundError:
            return None
        try:
            found = torch.load(written, map_location="cpu", weights_only=True)
        except Exception as error:
            if not is_of_file(error):
                raise
            return None
        self.exists = isinstance(found, dict)
        return found if self.exists else None

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Within it, whatever is wrong with what was saved is a `ForeignFileError`; others rise."""
        try:
            yield
        except Exception as error:
            if not is_of_file(error):
                raise
            raise ForeignFileError from error

    def discard(self) -> None:
        """Removes it, where it is not what was saved here: training begins anew."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    @property
    def due(self) -> bool:
        return self.path is not None and time.monotonic() - self.saved >= EVERY

    def save(self, state: Mapping[str, Any]) -> None:
        """All of it or, if killed, what was saved before."""
        self.saved = time.monotonic()
        if self.path is None or not self.path.parent.is_dir():
            return
        written = io.BytesIO()
        torch.save(dict(state), written)
        write_atomically(str(self.path), written.getvalue())
        self.exists = True
