"""`abcparam solve`: every `?` of a spec filled."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.shared import (
    Command,
    UsageError,
    budget_argument,
    coloured,
    print_diagnostics,
    set_argument,
    values_of,
)
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read
from abcparam.program.vocabulary import GOALS
from abcparam.verdict.work import at_work


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a spec with `?`; - is standard input")
    command.add_argument("-w", "--write", action="store_true", help="fill the file in place")
    command.add_argument(
        "--for",
        dest="goal",
        choices=GOALS,
        default=GOALS[0],
        help="what to make of it (kernel, stable: with the largest learning rates)",
    )
    command.add_argument(
        "--gauge",
        nargs="+",
        default=["mup"],
        metavar="GAUGE",
        help="which of the equal solutions: mup (multipliers only where a readout has one), or "
        "values to give if they can be had: a=0, b=1/2, c=0",
    )
    command.add_argument("--format", choices=["text", "json"], default="text")
    budget_argument(command)
    set_argument(command)


@at_work()
def run(options: argparse.Namespace) -> int:
    """Fills every `?`; 0 solved, 1 no solution, 2 invalid."""
    from abcparam.symbolic.solve.complete import complete, gauge_order, is_unsolvable
    from abcparam.symbolic.solve.text import render_solution

    order = gauge_order(options.gauge)
    if order is None:
        raise UsageError(
            f"--gauge takes mup, a=0, b=1/2 or the like, not {' '.join(options.gauge)!r}"
        )
    if options.write and options.file == "-":
        raise UsageError("-w needs a file to write to; without it the completed spec is printed")
    source = read(options.file)
    try:
        found = complete(source, options.goal, order, values_of(options))
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return 1 if is_unsolvable(error) else 2
    if options.write:
        from abcparam.storage.atomic import write_atomically

        write_atomically(options.file, found.text)
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
        return 0
    if not options.write:
        print(found.text, end="")
    stream = sys.stdout if options.write else sys.stderr
    print(render_solution(found, coloured(stream)), file=stream)
    return 0


COMMAND = Command("solve", "fill every `?` of a spec", _arguments, run)
