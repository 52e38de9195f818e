"""`abcparam map`: the verdicts of the plane between two specs."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.shared import (
    Command,
    UsageError,
    budget_argument,
    coloured,
    number,
)
from abcparam.language.reader import read
from abcparam.program.vocabulary import WINDOW
from abcparam.verdict.check import load
from abcparam.verdict.work import at_work


def _arguments(command: argparse.ArgumentParser) -> None:
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
        default=WINDOW,
        metavar=("LOW", "HIGH"),
        help=f"the part of the plane, in both coordinates (default: {' '.join(WINDOW)})",
    )
    command.add_argument(
        "--format", choices=["text", "json"], default="text", help="json: data, drawn only with -o"
    )
    budget_argument(command)


@at_work()
def run(options: argparse.Namespace) -> int:
    """The verdicts of the plane between two specs; 0 mapped, 1 in part, 2 invalid."""
    from abcparam.comparison.family import family
    from abcparam.comparison.plane import names_of, plane
    from abcparam.comparison.plane_text import render_plane

    low, high = (number(value) for value in options.window)
    if options.a == options.b == "-" or not low < high or options.init == options.lr:
        raise UsageError("map takes two specs, a window from low to high, and two coordinates")
    a, b = (load(read(file)) for file in (options.a, options.b))
    names = names_of(options.a, options.b)
    found = plane(family(a, b, options.init, options.lr), names, (low, high))
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        print(render_plane(found, coloured(sys.stdout)))
    if options.output or options.format == "text":
        from abcparam.comparison.plane_figure import picture
        from abcparam.presentation.figures import write_picture

        for path in write_picture(picture(found), options.output or "-".join(names)):
            print(f"{found.family.program.name} -> {path}", file=sys.stderr)
    return int(bool(found.unfinished))


COMMAND = Command("map", "the verdicts of the plane between two specs", _arguments, run)
