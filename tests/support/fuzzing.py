"""Specs made at random go through every command, and each keeps what is guaranteed of any input.

No traceback, no status of 101, nothing over its budget of time or memory; `fmt` leaves alone what
it has formatted, and every report as it was; what compiles is imported and runs; the same bytes
under any hash seed, in any folder and locale. Half of the cases are short, and most of those no
specs: they take two to ten milliseconds. The others are whole; each goes through `check`, and one
command more that is drawn, or all of them (`every`).

`python -m tests.support.fuzzing COUNT [SEED [LOG]]` tries so many cases, goes on behind the last
one in its log, and prints what broke a guarantee; it then exits with 1. With `--models` before
COUNT each case is a whole spec that is compiled, imported and run.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import io
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from time import thread_time
from typing import NamedTuple

from abcparam.commands.cli import OUR_BUG, main
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.editing.replacements import replaced
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import analyse
from abcparam.editor.colours import coloured
from abcparam.editor.completion import complete
from abcparam.editor.hints import hints
from abcparam.editor.hover import hover
from abcparam.editor.outline import outline
from abcparam.editor.rename import rename
from abcparam.language.formatter import format_source
from abcparam.language.reader import read
from abcparam.operations import operations
from abcparam.verdict import check
from tests.support.limits import TooLongError, within
from tests.support.paths import EXAMPLES, ROOT, SPECS
from tests.support.random_specs import SpecWriter, damaged, damaged_words, derived

BUDGETS = (*[0.1] * 7, 0.5)  # seconds of the processor for a search, of which one is drawn
SLACK = 4  # for reading, judging, writing
MEGABYTES = 500  # that a case may take
HANGS = 60  # seconds of the processor after which a case is given up
LONGEST = 4000  # characters of an example that is spliced
TWICE = 16  # of how many cases one is run in another process too
MEMORY = Path("/dev/shm")  # where there is one, a case's folder lies in it
NOTED = 100  # after how many cases the log says how far it is
KINDS = 16  # of which the first eight are short
ENDED = "not searched further"  # what was found by then, a slower machine may not find
ROLES = re.compile(r"^parametrization \{\n(.*\n)*?\}\n", re.M)


class Broken(NamedTuple):
    """A guarantee that did not hold."""

    command: str
    what: str


class Ended(NamedTuple):
    """What a command returned and printed."""

    status: int
    out: str
    err: str
    seconds: float


def case(seed: int, number: int) -> str:
    """The text of one case, the same for a seed and a number."""
    draw = random.Random(f"{seed} {number}")
    kind = draw.randrange(KINDS)
    if kind < KINDS // 2:
        make = derived if kind == 0 else damaged
        return next(make(1, draw.randrange(2**32)))
    if kind == KINDS // 2:
        return damaged_words(draw.choice(_examples()), draw)
    text = SpecWriter(draw).text()
    if kind == KINDS // 2 + 1:
        return damaged_words(_spliced(text, draw.choice(_examples()), draw), draw)
    if kind == KINDS // 2 + 2:
        return _spliced(text, draw.choice(_examples()), draw)
    return text


def is_short(seed: int, number: int) -> bool:
    """Whether a case is of a kind that is nearly never a whole spec."""
    return random.Random(f"{seed} {number}").randrange(KINDS) < KINDS // 2


@cache
def _examples() -> list[str]:
    paths = sorted([*EXAMPLES.glob("*.param"), *SPECS.glob("*.param")])
    texts = (path.read_text(encoding="utf-8") for path in paths)
    return [text for text in texts if len(text) < LONGEST]


def _spliced(text: str, other: str, draw: random.Random) -> str:
    """Some lines of another spec in the place of some."""
    lines, others = text.splitlines(keepends=True), other.splitlines(keepends=True)
    start, begin = draw.randrange(len(lines)), draw.randrange(len(others))
    count = draw.randrange(1, 6)
    return "".join([*lines[:start], *others[begin : begin + count], *lines[start + count :]])


def ran(*arguments: str) -> Ended:
    """The command line in this process."""
    out, err, begun = io.StringIO(), io.StringIO(), thread_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(arguments)
        except SystemExit as stopped:
            status = int(stopped.code or 0)
    return Ended(status, out.getvalue(), err.getvalue(), thread_time() - begun)


class Case:
    """One text in a folder of its own, which is the working directory."""

    def __init__(self, text: str, seed: int, number: int, forward: bool) -> None:
        self.draw = random.Random(f"commands of {seed} {number}")
        self.budget = self.draw.choice(BUDGETS)
        self.text, self.forward = text, forward
        self.broken: list[Broken] = []
        self.digest = hashlib.sha256()
        self.repeatable = True
        self.ran_forward = False

    def run(self, short: bool, every: bool) -> None:
        if short:
            self._written()
            choices = (*self.ways(), lambda: self.command("check", "a.param"), self._explained)
            self.draw.choice(choices)()
            return
        found = ROLES.search(self.text)
        if found and self.draw.random() < 0.2:  # by an import
            Path("mine.param").write_text(found[0].replace(" {", " mine {", 1), encoding="utf-8")
            use = 'import "mine.param"\nparametrization mine\n'
            self.text = self.text.replace(found[0], use)
        self._written()
        self.command("check", "a.param", "--format", self.draw.choice(FORMATS))
        for way in self.ways() if every else (self.draw.choice(self.ways()),):
            way()

    def run_model(self) -> None:
        """Compiles, imports and runs it, and no more."""
        self._written()
        self._compiled()

    def _written(self) -> None:
        Path("a.param").write_text(self.text, encoding="utf-8")

    def ways(self) -> tuple[Callable[[], object], ...]:
        """What is done with a spec beside checking it; two in seven run what is emitted."""
        draw = self.draw
        return (
            *([self._compiled] * 4),
            *([self._formatted] * 2),
            self._edited,
            self._fixed,
            lambda: self.command("compile", "a.param", *draw.choice(COMPILED), "-o", "-"),
            lambda: self.command("solve", "a.param", "--for", draw.choice(GOALS)),
            lambda: self.command("solve", "a.param", "--gauge", draw.choice(GAUGES)),
            lambda: self.command("derive", "a.param", "--format", draw.choice(DERIVED)),
            lambda: self.command("derive", "a.param", "--all", "--steps"),
            lambda: self.command("map", "a.param", self._other(), "--format", "json"),
            lambda: self.command("check", "a.param", "--prove"),
            lambda: self.command("check", "a.param", "--all-fixes", "--set", "width=16"),
            lambda: self.command("diff", "a.param", self._other()),
            self._explained,
        )

    def _other(self) -> str:
        """The spec itself, or one with an exponent changed."""
        old, new = self.draw.choice((("", ""), ("1/2", "1"), ("c = 1", "c = 2/3"), ("adam", "sgd")))
        places = [found.start() for found in re.finditer(re.escape(old), self.text)] if old else []
        if not places:
            return "a.param"
        at = self.draw.choice(places)
        text = self.text[:at] + new + self.text[at + len(old) :]
        Path("b.param").write_text(text, encoding="utf-8")
        return "b.param"

    def _explained(self) -> None:
        self.command("explain", self.draw.choice(re.findall(r"\w+", self.text) or ["x"]))

    def _edited(self) -> None:
        """All that the language server answers with, at a place of the text."""
        at = self.draw.randrange(len(self.text) + 1)
        try:
            answers = ask_everything(self.text, at)
        except Exception:
            self._broke(("lsp", f"at {at}"), traceback.format_exc())
        else:
            self.digest.update(repr(answers).encode())

    def command(self, *arguments: str) -> Ended:
        searches = arguments[0] in {"check", "solve", "derive", "map"}
        budget = ("--budget", str(self.budget)) if searches else ()
        try:
            found = ran(*arguments, *budget)
        except TooLongError:
            raise
        except BaseException:
            self._broke(arguments, traceback.format_exc())
            return Ended(OUR_BUG, "", "", 0.0)
        if found.status == OUR_BUG or "Traceback" in found.err:
            self._broke(arguments, found.err)
        searching = 2 * self.budget if arguments[0] == "check" else self.budget
        allowed = searching * searches + SLACK
        if found.seconds > allowed:
            self._broke(arguments, f"took {found.seconds:.1f} s")
        self.repeatable &= ENDED not in found.out + found.err
        self.digest.update(repr(found[:3]).encode())
        return found

    def _broke(self, arguments: Sequence[str], what: str) -> None:
        self.broken.append(Broken(" ".join(arguments), what.strip()))

    def _compiled(self) -> None:
        compiled = self.command("compile", "a.param", "-o", "made.py", "--force")
        if compiled.status or not self.forward:
            return
        try:
            _runs()
            self.ran_forward = True
        except Exception:
            self._broke(("import", "made.py"), traceback.format_exc())

    def _formatted(self) -> None:
        before = self.command("check", "a.param", "--format", "json")
        if self.command("fmt", "a.param").status:
            return
        if self.command("fmt", "--check", "a.param").status:
            self._broke(("fmt",), "changes what it has formatted")
        after = self.command("check", "a.param", "--format", "json")
        if before.status in {0, 1} and _laws(before) != _laws(after):
            self._broke(("fmt",), "changes the report")

    def _fixed(self) -> None:
        Path("b.param").write_text(self.text, encoding="utf-8")
        self.command("check", "b.param", "--fix")


GOALS = ("maximal-update", "kernel", "stable")
GAUGES = ("mup", "a=0", "b=1/2", "c=1/3")
FORMATS = ("json", "json", "text", "html", "sarif", "github")
DERIVED = ("text", "json", "latex", "markdown")
COMPILED = (
    *(("--adapter",), ("--adapter", "--fold"), ("--gauge", "plain"), ("--gauge", "unit")),
    *(("--gauge", "single-group"), ("--set", "width=16"), ("--require", "stable")),
)


def _laws(checked: Ended) -> object:
    """A report without places and what is said of them."""
    report = json.loads(checked.out)
    codes = [diagnostic["code"] for diagnostic in report.pop("diagnostics")]
    return report, codes


def _runs() -> None:
    """Imports what was emitted, and calls the model at a tiny size."""
    import torch

    from tests.support.emitted import inputs_of, load, make, outputs_of

    program = check.load(read("a.param"))
    module = load(Path("made.py").read_text(encoding="utf-8"), Path())
    try:
        model = make(program, module).double()
        inputs = inputs_of(program, model.config)
        with torch.no_grad():
            assert all(isinstance(y, torch.Tensor) for y in outputs_of(model(*inputs)))
        module.make_optimizer(model)
    finally:
        del sys.modules[module.__name__]


def ask_everything(text: str, offset: int) -> tuple[object, ...]:
    """What an editor is told of a text, with the cursor at an offset."""
    analysis = analyse(Source(text))
    at = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
    for action in quick_fixes(analysis.diagnostics):
        replaced(text, action.edit)
    with contextlib.suppress(SpecError):
        format_source(analysis.source)
    named = analysis.index.at(at)
    return (
        *(complete(analysis, at), hover(analysis, at), hints(analysis), outline(analysis)),
        *(coloured(analysis), named and analysis.index.of(named)),
        rename(analysis, at, "renamed"),
    )


def _peak() -> float:
    """The most memory that this process has had, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def try_case(seed: int, number: int, forward: bool, every: bool = False) -> tuple[Case, str]:
    """Runs a case; what it printed as a digest, empty where a budget ended a search."""
    made = Case(case(seed, number), seed, number, forward)
    return _tried(made, lambda: made.run(is_short(seed, number), every))


def try_model(seed: int, number: int, forward: bool) -> tuple[Case, str]:
    """Compiles a whole spec and runs what is emitted; what was printed as a digest."""
    text = SpecWriter(random.Random(f"model {seed} {number}")).text()
    made = Case(text, seed, number, forward)
    return _tried(made, made.run_model)


def _tried(made: Case, run: Callable[[], None]) -> tuple[Case, str]:
    before, home = _peak(), MEMORY if os.access(MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=home) as folder, contextlib.chdir(folder), within(HANGS):
        try:
            run()
        except TooLongError:
            made.broken.append(Broken("?", f"no end in {HANGS} s:\n{traceback.format_exc()}"))
            made.repeatable = False
    if _peak() > before + MEGABYTES:
        made.broken.append(Broken("?", f"took {_peak() - before:.0f} MB"))
    return made, made.digest.hexdigest() if made.repeatable else ""


# Many

ELSEWHERE = {"PYTHONHASHSEED": "12345", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}


Try = Callable[[int, int, bool], tuple[Case, str]]
TRIES: dict[str, Try] = {"cases": try_case, "models": try_model}


def _settled() -> None:
    """What is imported by now is never looked at again by the collector of garbage."""
    import torch  # noqa: F401

    import tests.support.emitted  # noqa: F401

    gc.collect()
    gc.freeze()


def fuzz(count: int, seed: int, log: Path, kind: str = "cases") -> int:
    """Cases up to a number, those of the log apart; how many broke a guarantee."""
    from tqdm import tqdm

    _settled()
    log.parent.mkdir(parents=True, exist_ok=True)
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    done = [json.loads(line) for line in lines if line.endswith("}")]
    start = max((line["case"] + 1 for line in done), default=0)
    wrong = sum(bool(line["broken"]) for line in done)
    models = max((line["models"] for line in done), default=0)
    print(f"seed {seed}, {kind} {start} to {count}, log {log}", flush=True)
    with log.open("a", encoding="utf-8") as file, _other_process(seed, kind) as digest_elsewhere:
        for number in tqdm(range(start, count), initial=start, total=count, unit="case"):
            made, digest = TRIES[kind](seed, number, True)
            if number % TWICE == 0 and digest:
                other = digest_elsewhere(number)
                if other and other != digest:
                    made.broken.append(Broken("all", "other bytes in another process"))
            models += made.ran_forward
            if made.broken or number % NOTED == NOTED - 1:
                line = {"seed": seed, "case": number, "models": models, "broken": made.broken}
                print(json.dumps(line), file=file, flush=True)
            if made.broken:
                wrong += 1
                print(f"\ncase {number} of seed {seed}:\n{made.text}")
                print("\n".join(f"{command}: {what}" for command, what in made.broken), flush=True)
    print(f"{count} {kind}, seed {seed}, {models} models run: {wrong} broke a guarantee")
    return wrong


@contextlib.contextmanager
def _other_process(seed: int, kind: str) -> Iterator[Callable[[int], str]]:
    """Digests of cases by a process with another hash seed and locale."""
    command = [sys.executable, "-m", "tests.support.fuzzing", "--digests", kind, str(seed)]
    environment = {**os.environ, **ELSEWHERE, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdin and child.stdout
        given, taken = child.stdin, child.stdout

        def digest(number: int) -> str:
            print(number, file=given, flush=True)
            return taken.readline().strip()

        try:
            yield digest
        finally:
            given.close()


def _digests(kind: str, seed: int) -> None:
    _settled()
    for line in sys.stdin:
        print(TRIES[kind](seed, int(line), False)[1], flush=True)


def reached(texts: Sequence[str]) -> set[str]:
    """The operations whose names stand in the texts."""
    words = set(re.findall(r"\w+", " ".join(texts)))
    return words & set(operations())


def _main(arguments: Sequence[str]) -> int:
    if arguments[0] == "--digests":
        _digests(arguments[1], int(arguments[2]))
        return 0
    kind = "models" if arguments[0] == "--models" else "cases"
    given = arguments[kind == "models" :]
    count, seed = int(given[0]), int(given[1]) if given[1:] else 0
    name = "fuzz" if kind == "cases" else "fuzz-models"
    log = Path(given[2]) if given[2:] else ROOT / "build" / f"{name}-{seed}.jsonl"
    return int(fuzz(count, seed, log, kind) > 0)


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
