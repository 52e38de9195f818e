"""The trials of a sweep at work: those on disk, those of another process, those to train here."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from abcparam.pipeline import emit_program
from abcparam.program.model import Program
from abcparam.storage.locks import Claims
from abcparam.storage.run_cache import Kept, code_of
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.trials import Result, Tick, Trial, alike, silent
from abcparam.tuning.workers.part import Done, Part, data_of, train_part
from abcparam.tuning.workers.worker import crew_of, ranks_of
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.tuning.output.tensorboard import Board

PACKAGE = Path(__file__).parents[2]
CODE = [PACKAGE / "tuning", PACKAGE / "data"]  # what a finished trial depends on
WAIT = 0.1  # seconds until we look again whether another process is done
Progress = Callable[[int], AbstractContextManager[Tick]]  # from how many steps there are to train
Losses = tuple[tuple[float, ...], float | None]  # at each step, and on held-out data


class Work:
    """Trials of one spec; several processes that keep them in one folder share them."""

    def __init__(
        self,
        program: Program,
        reports: Mapping[str, Report],
        options: SweepOptions,
        progress: Progress | None = None,
    ) -> None:
        self.program, self.reports, self.options = program, reports, options
        self.progress = progress or (lambda steps: nullcontext(silent))
        self.codes = {form: emit_program(report) for form, report in reports.items()}
        self.shelves = {form: Shelf(code, options) for form, code in self.codes.items()}
        self.ranks = ranks_of(options, sorted(shelf.name for shelf in self.shelves.values()))
        self.crew = crew_of(options, self.ranks)
        self.board = _board(options)
        self.claims = Claims(options.folder)
        self.alone: dict[str, None] = {}  # why some were trained one by one

    def close(self) -> None:
        self.claims.close()
        if self.ranks is not None:
            self.ranks.close()

    def on_all_ranks(self, search: Callable[[], list[Result]]) -> list[Result]:
        """What a search finds, which trains by `results`."""
        if self.ranks is None:
            return search()
        from abcparam.tuning.workers.data_parallel import in_step

        ranks = self.ranks
        return in_step(ranks, search, lambda found: train_part(self._part(found), silent, ranks))

    def results(self, trials: Sequence[Trial], beat: Tick = silent) -> list[Result]:
        """Of every trial, in order: from disk where it is finished. `beat` is told of each step."""
        done = self.found(trials)
        steps = sum(trial.steps for trial in trials if trial not in done)
        with self.progress(steps) if steps else nullcontext(silent) as tick:
            while left := [trial for trial in trials if trial not in done]:
                self._go_on(left, both(tick, beat))
                done = self.found(trials)
        if self.board:
            self.board.add(done.values())
        return [done[trial] for trial in trials]

    def found(self, trials: Iterable[Trial]) -> dict[Trial, Result]:
        """What is finished."""
        for shelf in self.shelves.values():
            shelf.look()
        known = {t: self.shelves[t.form].results.get(t.key) for t in trials}
        return {t: Result(t, *losses) for t, losses in known.items() if losses is not None}

    def _go_on(self, trials: Sequence[Trial], tick: Tick) -> None:
        """Until something is done, here or elsewhere."""
        while self.crew.free and (part := self._claimed(trials)):
            self.crew.start(part)
        done = self.crew.finished(tick)
        for each in done:
            self._keep(each)
        if not done:
            time.sleep(WAIT)

    def _claimed(self, trials: Sequence[Trial]) -> Part | None:
        """The next ones that nobody is at and that can be trained together."""
        with self.claims.alone():
            done, taken = self.found(trials), self.claims.others() | self.claims.names
            free = [t for t in trials if t not in done and self._name(t) not in taken]
            group = next(alike(self.program, free), None)
            if group is None:
                return None
            share = ceil(len(group) / (self.options.sharers * self.crew.size))
            chosen = tuple(group[: min(self.options.abreast, share)])
            self.claims.hold([self._name(trial) for trial in chosen])
        return self._part(chosen)

    def _part(self, trials: tuple[Trial, ...]) -> Part:
        form = trials[0].form
        return Part(self.reports[form].program, self.codes[form], trials, self.options)

    def _name(self, trial: Trial) -> str:
        return f"{self.shelves[trial.form].name} {trial.key}"

    def _keep(self, done: Done) -> None:
        trials = done.part.trials
        self.alone |= dict.fromkeys(done.why)
        self.shelves[trials[0].form].keep(done.results)
        if self.board:
            self.board.add(done.results)
        with self.claims.alone():
            self.claims.release([self._name(trial) for trial in trials])


def both(tick: Tick, beat: Tick) -> Tick:
    def told(steps: int) -> None:
        tick(steps)
        beat(steps)

    return told


def _board(options: SweepOptions) -> Board | None:
    if options.board is None:
        return None
    from abcparam.tuning.output.tensorboard import Board

    return Board(options.board)


class Shelf:
    """Finished trials of one code, by their keys."""

    def __init__(self, code: str, options: SweepOptions) -> None:
        engine = code_of(CODE)
        data = data_of(options).identity
        self.kept = Kept(options.folder, engine, code, data, options.device, options.compiled)
        self.name = self.kept.name
        self.seen: set[str] = set()
        self.results: dict[str, Losses] = {}

    def look(self) -> None:
        """Reads what is new on disk."""
        for name in self.kept.names():
            if name not in self.seen:
                self.seen.add(name)
                for key, (losses, held_out) in (self.kept.read(name) or {}).items():
                    self.results[key] = tuple(losses), held_out

    def keep(self, results: Iterable[Result]) -> None:
        """The trials that finished together, in one file: none of them is lost, or all."""
        keys = {result.trial.key: (result.losses, result.held_out) for result in results}
        self.results |= keys
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        self.seen.add(name)
        self.kept.write(name, keys)
