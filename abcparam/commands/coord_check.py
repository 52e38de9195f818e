"""What `coord-check` does. torch is loaded only when something is trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

from abcparam.commands.audit import grown, growth_arguments
from abcparam.commands.shared import (
    DEFAULT,
    Command,
    UsageError,
    coloured,
    count_argument,
    data_argument,
    data_of,
    device_of,
    seconds_of,
    set_argument,
    values_of,
)
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.source import Source
from abcparam.language.reader import read
from abcparam.program.vocabulary import GAUGES

if TYPE_CHECKING:
    from abcparam.coordinate_check.check import CoordCheckResult


STATUS = {"agrees": 0, "disagrees": 1, "undecided": 3}


def _arguments(command: argparse.ArgumentParser) -> None:
    add, count = command.add_argument, partial(count_argument, command)
    add(
        "file",
        metavar="FILE",
        help="a spec; - is standard input; with --grow a FACTORY, as `audit`",
    )
    add("--format", choices=["text", "json", "csv"], default="text")
    add("--widths", metavar="N,N,…", help="of the dim that is varied (default: chosen)")
    add(
        "--vary",
        metavar="DIM",
        default=CheckOptions.vary,
        help="vary this one (default: the first to infinity)",
    )
    add(
        "--budget",
        default=f"{CheckOptions.budget:g}s",
        metavar="TIME",
        help=f"about how long: 60s, 5m {DEFAULT}",
    )
    count("--seeds", CheckOptions.seeds, "runs at each width")
    count("--steps", CheckOptions.steps, "of training")
    add("--device", default=CheckOptions.device, help=f"where to train: cpu, cuda {DEFAULT}")
    data_argument(command, "random")
    add("--compile", action="store_true", help="train under torch.compile")
    add("--module", metavar="FILE.py:CLASS", help="measure this model, written by hand")
    add("--resume", metavar="FOLDER", help="keep finished runs there (default: a cache folder)")
    add("--plot", metavar="FOLDER", help="figures there, as PNG and SVG (needs matplotlib)")
    add("--html", metavar="FILE", help="one page with all of it, to send around")
    add("--against", metavar="FORM", help="beside the spec under a shipped parametrization: sp")
    add(
        "--gauge",
        choices=GAUGES,
        default=CheckOptions.gauge,
        help="of the emitted model; of unit, whether sizes at init are about 1 too",
    )
    add(
        "--alignment",
        action="store_true",
        help="measure too how far updates and inputs are aligned, step by step",
    )
    add("--fresh", action="store_true", help="measure everything anew, and keep nothing")
    growth_arguments(command)
    add("--adapted", action="store_true", help="a model of --grow as its adapter would have it")
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Measured slopes beside derived exponents; 0 agree, 1 not, 2 invalid, 3 undecided."""
    from abcparam.coordinate_check.api import checked as check_of
    from abcparam.coordinate_check.plan import NoWidthsError

    asked = _asked(options)
    try:
        if options.grow:
            checked = _of_model(options, asked)
        else:
            source = read(options.file)
            _allow(options.against, source, values_of(options))
            checked = check_of(source, values_of(options), asked, _progress)
    except NoWidthsError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(
            f"cannot keep runs in {asked.folder} ({error.strerror}); see --fresh"
        ) from None
    _print(checked, options.format)
    if options.plot or options.html:
        _draw(checked, asked, options)
    return STATUS[checked.outcome]


def _of_model(options: argparse.Namespace, asked: CheckOptions) -> CoordCheckResult:
    """A check of a model of the user's own."""
    from abcparam.coordinate_check.of_model import check_of_model
    from abcparam.imports.api import audit

    for name in ("module", "against", "data", "compile", "alignment"):
        if getattr(options, name):
            raise UsageError(f"--{name} is for specs: it does not go with --grow")
    grow = grown(options.grow)
    found = audit(options.file, grow, options.optimizer, lr_key=options.lr_key)
    return check_of_model(found, asked, options.adapted, _progress)


def _asked(options: argparse.Namespace) -> CheckOptions:
    """What the command line asks for."""
    from pathlib import Path

    from abcparam.coordinate_check.measure.handwritten import handwritten
    from abcparam.storage.run_cache import default_folder

    if options.against and not (options.plot or options.html):
        raise UsageError("--against is drawn: it needs --plot FOLDER or --html FILE")
    if options.against and options.module:
        raise UsageError("--against compares emitted models: it does not go with --module")
    if options.seeds < 1 or options.steps < 1:
        raise UsageError("--seeds and --steps take positive whole numbers")
    folder = Path(options.resume) if options.resume else default_folder("coordinates")
    return CheckOptions(
        widths=_widths(options.widths),
        budget=seconds_of(options.budget),
        seeds=options.seeds,
        steps=options.steps,
        device=device_of(options.device),
        compiled=options.compile,
        given=tuple(values_of(options)),
        folder=None if options.fresh else folder,
        data=data_of(options),
        module=handwritten(options.module) if options.module else None,
        vary=options.vary,
        alignment=options.alignment,
        gauge=options.gauge,
    )


def _allow(form: str | None, source: Source, values: Mapping[str, Fraction]) -> None:
    """Refuses a form that the spec cannot be written in before anything is trained."""
    from abcparam.coordinate_check.against import in_other_form
    from abcparam.editing.exponents import UnwritableError

    if form:
        try:
            in_other_form(source, form, values)
        except UnwritableError as error:
            raise UsageError(str(error)) from None


def _draw(checked: CoordCheckResult, asked: CheckOptions, options: argparse.Namespace) -> None:
    """Figures, a page; beside those of the same spec in another parametrization if one is given."""
    from pathlib import Path

    from abcparam.coordinate_check.against import against
    from abcparam.coordinate_check.output.page import page
    from abcparam.coordinate_check.output.plots import plot
    from abcparam.storage.atomic import write_atomically

    found = [checked]
    if options.against:
        source = checked.report.program.source
        values, widths = values_of(options), checked.widths
        found.append(against(source, options.against, values, asked, widths, _progress))
    if options.plot:
        written = plot(found, Path(options.plot))
        print(f"{len(written)} figures -> {options.plot}", file=sys.stderr)
    if options.html:
        write_atomically(options.html, page(found))
        print(f"page -> {options.html}", file=sys.stderr)


def _print(checked: CoordCheckResult, format: str) -> None:
    from abcparam.coordinate_check.output.text import advice, render_check, render_csv

    if format == "json":
        import json

        print(json.dumps(checked.to_dict(), indent=2))
    elif format == "csv":
        print(render_csv(checked), end="")
    else:
        print(render_check(checked, coloured(sys.stdout)))
    if format != "text":
        for note in (*checked.notes, *advice(checked)):
            print(f"abcparam coord-check: {note}", file=sys.stderr)


def _widths(text: str | None) -> tuple[int, ...]:
    if text is None:
        return ()
    parts = [part for part in text.replace(" ", ",").split(",") if part]
    if not all(part.isascii() and part.isdigit() and 0 < len(part) < 10 for part in parts):
        raise UsageError(f"--widths takes whole numbers, 128,256,512, not {text!r}")
    widths = {int(part) for part in parts}
    if len(widths) < 3 or 0 in widths:
        raise UsageError("--widths takes at least three different widths: a slope needs them")
    return tuple(sorted(widths))


def _progress(finished: Iterable[tuple[int, int]], count: int) -> Iterator[tuple[int, int]]:
    """The runs as they finish, with a bar on a terminal."""
    if not sys.stderr.isatty():
        yield from finished
        return
    from tqdm import tqdm

    with tqdm(total=count, unit="run", leave=False) as bar:
        for width, seed in finished:
            bar.set_postfix_str(f"width {width}, seed {seed}", refresh=False)
            bar.update()
            yield width, seed


COMMAND = Command(
    "coord-check", "train at several widths: measured slopes beside derived ones", _arguments, run
)
