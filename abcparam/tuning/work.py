"""The trials of a sweep at work: those on disk, those of another process, those to train here."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from abcparam.claims import Claims
from abcparam.diagnostics import SpecError
from abcparam.driver import emit_program
from abcparam.kept import Kept, code_of
from abcparam.program import Program
from abcparam.report import Report
from abcparam.rules.tuning import NoHeldOut
from abcparam.source import START
from abcparam.tuning.trials import HELD_OUT, Result, Tick, Trial, Wish, alike

if TYPE_CHECKING:
    from abcparam.batches.base import Data

HERE = Path(__file__).parent
WAIT = 0.1  # seconds until we look again whether another process is done
Progress = Callable[[int], AbstractContextManager[Tick]]  # from how many steps there are to train
Part = Sequence[Trial]  # that can be trained together


class Work:
    """Trials of one spec; several processes that keep them in one folder share them."""

    def __init__(
        self,
        program: Program,
        reports: Mapping[str, Report],
        wish: Wish,
        progress: Progress | None = None,
    ) -> None:
        self.program, self.reports, self.wish = program, reports, wish
        self.progress = progress or (lambda steps: nullcontext(_silent))
        self.codes = {form: emit_program(report) for form, report in reports.items()}
        self.shelves = {form: Shelf(code, wish) for form, code in self.codes.items()}
        self.claims = Claims(wish.folder)
        self.alone: dict[str, None] = {}  # why some were trained one by one

    def results(self, trials: Sequence[Trial]) -> list[Result]:
        """Of every trial, in order: from disk where it is finished."""
        done = self._found(trials)
        steps = sum(trial.steps for trial in trials if trial not in done)
        with self.progress(steps) if steps else nullcontext(_silent) as tick:
            try:
                while left := [trial for trial in trials if trial not in done]:
                    part = self._claimed(left)
                    if part:
                        self._train(part, tick)
                    else:
                        time.sleep(WAIT)
                    done = self._found(trials)
            finally:
                self.claims.close()
        return [done[trial] for trial in trials]

    def _found(self, trials: Sequence[Trial]) -> dict[Trial, Result]:
        for shelf in self.shelves.values():
            shelf.look()
        found = {t: self.shelves[t.form].results.get(t.key) for t in trials}
        return {t: Result(t, *kept) for t, kept in found.items() if kept is not None}

    def _claimed(self, trials: Sequence[Trial]) -> Part:
        """The next ones that nobody is at and that can be trained together."""
        with self.claims.alone():
            done, others = self._found(trials), self.claims.others()
            free = [t for t in trials if t not in done and self._name(t) not in others]
            group = next(alike(self.program, free), [])
            part = group[: self.wish.together]
            self.claims.hold([self._name(trial) for trial in part])
            return part

    def _name(self, trial: Trial) -> str:
        return f"{self.shelves[trial.form].name} {trial.key}"

    def _train(self, part: Part, tick: Tick) -> None:
        report, code = self.reports[part[0].form], self.codes[part[0].form]
        found, why = train_part(report.program, code, part, self.wish, tick)
        self.alone |= dict.fromkeys(why)
        self.shelves[part[0].form].keep(part, found)
        with self.claims.alone():
            self.claims.release([self._name(trial) for trial in part])


class Shelf:
    """Finished trials of one code, by their keys: losses, and that on held-out data."""

    def __init__(self, code: str, wish: Wish) -> None:
        engine = code_of([HERE, HERE.parent / "batches"])
        data = data_of(wish).identity
        self.kept = Kept(wish.folder, engine, code, data, wish.device, wish.compiled)
        self.name = self.kept.name
        self.seen: set[str] = set()
        self.results: dict[str, tuple[tuple[float, ...], float | None]] = {}

    def look(self) -> None:
        """Reads what is new on disk."""
        for name in self.kept.names():
            if name not in self.seen:
                self.seen.add(name)
                for key, (losses, held_out) in (self.kept.read(name) or {}).items():
                    self.results[key] = tuple(losses), held_out

    def keep(self, part: Part, found: Sequence[Result]) -> None:
        """The trials that finished together, in one file: none of them is lost, or all."""
        keys = {t.key: (r.losses, r.held_out) for t, r in zip(part, found, strict=True)}
        self.results |= keys
        name = hashlib.sha256("\n".join(keys).encode()).hexdigest()[:16]
        self.seen.add(name)
        self.kept.write(name, keys)


def _silent(steps: int) -> None:
    """Progress that nobody watches."""


def data_of(wish: Wish) -> Data:
    from abcparam.batches.synthetic import Synthetic

    return wish.data or Synthetic()


def train_part(
    program: Program, code: str, part: Part, wish: Wish, tick: Tick = _silent
) -> tuple[list[Result], list[str]]:
    """The results of trials that differ in hypers, schedule and seed alone, and why they were
    trained one by one if they were.
    """
    from abcparam.tuning.stacking import train
    from abcparam.tuning.training import Run, job_of

    first = part[0]
    setting = {"device": wish.device, "compiled": wish.compiled}
    job = job_of(program, code, data_of(wish), steps=first.steps, batch=first.batch, **setting)
    if wish.by == HELD_OUT and job.held_out(job.config(dict(first.values))) is None:
        said = NoHeldOut.at(START, data=job.data.name)
        raise SpecError(program.source, [said])
    why: list[str] = []
    runs = [Run(dict(trial.values), trial.seed, trial.schedule) for trial in part]
    trained = train(job, runs, tick, why.append)
    results = (Result(t, tuple(f.losses), f.held_out) for t, f in zip(part, trained, strict=True))
    return list(results), why
