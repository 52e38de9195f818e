"""What `derive`, `solve` and `map` do. The solver and sympy are loaded only when they run."""

from __future__ import annotations

import argparse
import os
import sys

from abcparam.commands import (
    Command,
    Usage,
    coloured,
    number,
    print_diagnostics,
    set_argument,
    values_of,
)
from abcparam.diagnostics import SpecError
from abcparam.driver import at_work, derive, load
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


# map


def _map_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("a", metavar="A", help="a spec; - is standard input")
    command.add_argument("b", metavar="B", help="another one of the same model")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="where to draw, without ending (OUT.svg, OUT.png) or with one (default: A-B)",
    )
    command.add_argument("--init", default="s", metavar="S", help="what to call the one coordinate")
    command.add_argument("--lr", default="t", metavar="T", help="and the other one")
    command.add_argument(
        "--window",
        nargs=2,
        default=["-1/2", "3/2"],
        metavar=("LOW", "HIGH"),
        help="the part of the plane, in both coordinates (default: -1/2 3/2)",
    )
    command.add_argument(
        "--format", choices=["text", "json"], default="text", help="json: data, drawn only with -o"
    )


@at_work()
def map_(options: argparse.Namespace) -> int:
    """The verdicts of the plane between two specs; 0 mapped, 2 invalid."""
    from abcparam.family import family
    from abcparam.plane import plane
    from abcparam.plane_text import render_plane

    low, high = (number(value) for value in options.window)
    if options.a == options.b == "-" or not low < high or options.init == options.lr:
        raise Usage("map takes two specs, a window from low to high, and two coordinates")
    a, b = (load(read(file)) for file in (options.a, options.b))
    names = names_of(options.a, options.b)
    found = plane(family(a, b, options.init, options.lr), names, (low, high))
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        print(render_plane(found, coloured(sys.stdout)))
    if options.output or options.format == "text":
        from abcparam.pictures import write_picture
        from abcparam.plane_picture import picture

        for path in write_picture(picture(found), options.output or "-".join(names)):
            print(f"{found.family.program.name} -> {path}", file=sys.stderr)
    return 0


def names_of(a: str, b: str) -> tuple[str, str]:
    """What two specs are called: by their files, if those have different names."""
    first, second = (os.path.splitext(os.path.basename(file))[0] for file in (a, b))
    return (first, second) if first != second else ("A", "B")


COMMANDS: dict[str, Command] = {
    "derive": (
        "the laws of a spec in its symbols, and where each verdict holds",
        _derive_arguments,
        derive_,
    ),
    "map": ("the verdicts of the plane between two specs", _map_arguments, map_),
    "solve": ("fill every `?` of a spec", _solve_arguments, solve),
}
