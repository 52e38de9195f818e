"""The sizes of finished runs, one file for each width and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from abcparam.coordinates.laws import Key
from abcparam.kept import Kept, code_of

Sizes = Mapping[Key, Sequence[float]]
HERE = Path(__file__).parent


class Store:
    """A folder of runs with the same code and settings."""

    def __init__(self, folder: Path | None, *identity: object) -> None:
        self.kept = Kept(folder, code_of([HERE, HERE.parent / "batches"]), identity)

    def read(self, width: int, seed: int) -> Sizes | None:
        """The sizes of a finished run."""
        rows = self.kept.read(f"{width}-{seed}")
        return None if rows is None else {(name, what): sizes for name, what, sizes in rows}

    def write(self, width: int, seed: int, sizes: Sizes) -> None:
        rows = [[name, quantity, list(found)] for (name, quantity), found in sizes.items()]
        self.kept.write(f"{width}-{seed}", rows)
