"""Finished trials of a sweep on disk, and which of them are trained together until they are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abcparam.storage.atomic import write_atomically
from abcparam.storage.digests import digest
from abcparam.storage.run_cache import CHECKPOINT, RunCache, code_of
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import Trial, TrialResult
from abcparam.tuning.workers.trial_batch import data_of

if TYPE_CHECKING:
    from abcparam.tuning.tunable import Recipe

PACKAGE = Path(__file__).parents[2]
CODE = [PACKAGE / "tuning", PACKAGE / "data"]  # what a finished trial depends on
BEGUN = ".begun"  # ends the names of files that say which trials are trained together
StoredLosses = tuple[tuple[float, ...], float | None]  # at each step, and on held-out data


def name_of(keys: Iterable[str]) -> str:
    """Of a file about trials with these keys."""
    return digest("\n".join(keys))


def _losses(kept: Any) -> dict[str, StoredLosses]:
    """Trials as they were kept, by key."""
    return {
        str(key): (tuple(map(float, losses)), None if held_out is None else float(held_out))
        for key, (losses, held_out) in kept.items()
    }


class ResultStore:
    """Finished trials of one recipe, by their keys."""

    def __init__(self, recipe: Recipe, options: SweepOptions) -> None:
        engine = code_of(CODE)
        data = data_of(options).identity
        how = (options.device, options.compiled, *(["pruned"] if options.prune else []))
        self.cache = RunCache(options.folder, engine, recipe.identity, data, *how)
        self.name = self.cache.name
        self.seen: set[str] = set()
        self.results: dict[str, StoredLosses] = {}

    def look(self) -> None:
        """Reads what is new on disk."""
        for name in self.cache.names():
            if name not in self.seen:
                self.seen.add(name)
                self.results |= self.cache.read(name, _losses) or {}

    def place(self, trials: Iterable[Trial]) -> Path | None:
        """Of the checkpoints of trials that are trained together."""
        folder = self.cache.folder
        return folder and folder.absolute() / name_of(trial.key for trial in trials)

    def begin(self, trials: Sequence[Trial]) -> None:
        """These are trained together from here on: whoever goes on has to know which they are."""
        place = self.place(trials)
        if place is not None:
            place.parent.mkdir(parents=True, exist_ok=True)
            text = json.dumps([trial.key for trial in trials]) + "\n"
            write_atomically(str(place.with_suffix(BEGUN)), text)

    def begun(self) -> Iterator[list[str]]:
        """The keys of trials that were trained together and have a checkpoint, but no results."""
        folder = self.cache.folder
        for path in sorted(folder.glob(f"*{BEGUN}")) if folder else ():
            keys = _keys(path)
            if not keys or self.results.keys() & set(keys):
                forget(path.with_suffix(""))
            elif any(path.parent.glob(f"{path.stem}-*{CHECKPOINT}")):
                yield keys

    def keep(self, results: Sequence[TrialResult]) -> None:
        """The trials that finished together, in one file: none of them is lost, or all."""
        keys = {result.trial.key: (result.losses, result.held_out) for result in results}
        self.results |= keys
        name = name_of(keys)
        self.seen.add(name)
        self.cache.write(name, keys)
        if place := self.place(result.trial for result in results):
            forget(place)


def _keys(path: Path) -> list[str]:
    """None where the file is not one of ours."""
    try:
        return [str(key) for key in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, RecursionError):
        return []


def forget(place: Path) -> None:
    """Removes what was written about trials that were trained together: their results are kept."""
    for path in (place.with_suffix(BEGUN), *place.parent.glob(f"{place.name}-*{CHECKPOINT}")):
        path.unlink(missing_ok=True)
