"""What `derive` and `solve` do. The solver and sympy are loaded only when they run."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands import (
    Command,
    Usage,
    coloured,
    print_diagnostics,
    set_argument,
    values_of,
)
from abcparam.diagnostics import SpecError
from abcparam.driver import at_work, derive
from abcparam.parse import read
from abcparam.program import GOALS

# derive


def _derive_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a spec; - is standard input")
    command.add_argument("--format", choices=["text", "json", "latex", "markdown"], default="text")
    command.add_argument(
        "--markdown", dest="format", action="store_const", const="markdown", help="the same"
    )
    command.add_argument(
        "--all", action="store_true", help="every exponent a symbol, whatever is written"
    )
    command.add_argument("--steps", action="store_true", help="every step of the derivation")
    set_argument(command)


@at_work()
def derive_(options: argparse.Namespace) -> int:
    """The laws of a spec, in its symbols; 0 derived, 2 invalid."""
    found = derive(read(options.file), options.all, **values_of(options))
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(options.steps), indent=2))
    elif options.format == "latex":
        from abcparam.derived_latex import latex_document

        print(latex_document(found), end="")
    else:
        from abcparam.derived_text import markdown, render_derived

        text = options.format == "text"
        print(render_derived(found, options.steps) if text else markdown(found), end="")
    return 0


# solve


def _solve_arguments(command: argparse.ArgumentParser) -> None:
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
    set_argument(command)


@at_work()
def solve(options: argparse.Namespace) -> int:
    """Fills every `?`; 0 solved, 1 no solution, 2 invalid."""
    from abcparam.solving import complete, gauge_order, is_unsolvable
    from abcparam.solving_text import render_solution

    order = gauge_order(options.gauge)
    if order is None:
        raise Usage(f"--gauge takes mup, a=0, b=1/2 or the like, not {' '.join(options.gauge)!r}")
    if options.write and options.file == "-":
        raise Usage("-w needs a file to write to; without it the completed spec is printed")
    source = read(options.file)
    try:
        found = complete(source, options.goal, order, values_of(options))
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return 1 if is_unsolvable(error) else 2
    if options.write:
        from abcparam.files import write_atomically

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


COMMANDS: dict[str, Command] = {
    "derive": (
        "the laws of a spec in its symbols, and where each verdict holds",
        _derive_arguments,
        derive_,
    ),
    "solve": ("fill every `?` of a spec", _solve_arguments, solve),
}
