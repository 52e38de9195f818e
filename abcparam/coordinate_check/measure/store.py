"""The sizes of finished runs, one file for each width and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from abcparam.coordinate_check.laws import RowKey
from abcparam.storage.run_cache import RunCache, code_of

StoredSizes = Mapping[RowKey, Sequence[float]]
PACKAGE = Path(__file__).parents[2]
CODE = [PACKAGE / "coordinate_check", PACKAGE / "data"]  # what a finished run depends on


class Store:
    """A folder of runs with the same code and settings."""

    def __init__(self, folder: Path | None, *identity: object) -> None:
        self.cache = RunCache(folder, code_of(CODE), identity)

    def read(self, run: Iterable[int]) -> StoredSizes | None:
        """The sizes of a finished run."""
        rows = self.cache.read(_name(run))
        return None if rows is None else {(name, what): sizes for name, what, sizes in rows}

    def write(self, run: Iterable[int], sizes: StoredSizes) -> None:
        rows = [[name, quantity, list(found)] for (name, quantity), found in sizes.items()]
        self.cache.write(_name(run), rows)

    def widths(self, options: Iterable[object]) -> list[int] | None:
        """Those that were chosen for a options: a check that goes on keeps them."""
        found = self.cache.read(f"widths {_name(options)}")
        return None if found is None else [int(width) for width in found]

    def choose(self, options: Iterable[object], widths: list[int]) -> None:
        self.cache.write(f"widths {_name(options)}", widths)


def _name(numbers: Iterable[object]) -> str:
    return "-".join(map(str, numbers))
