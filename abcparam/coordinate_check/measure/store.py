"""The sizes of finished runs, one file for each width and seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
        return self.cache.read(_name(run), _sizes)

    def write(self, run: Iterable[int], sizes: StoredSizes) -> None:
        rows = [[name, quantity, list(found)] for (name, quantity), found in sizes.items()]
        self.cache.write(_name(run), rows)

    def widths(self, options: Iterable[object]) -> list[int] | None:
        """Those that were chosen for a options: a check that goes on keeps them."""
        return self.cache.read(f"widths {_name(options)}", lambda kept: [int(n) for n in kept])

    def choose(self, options: Iterable[object], widths: list[int]) -> None:
        self.cache.write(f"widths {_name(options)}", widths)


def _sizes(rows: Any) -> StoredSizes:
    return {(str(name), str(what)): [float(x) for x in sizes] for name, what, sizes in rows}


def _name(numbers: Iterable[object]) -> str:
    return "-".join(map(str, numbers))
