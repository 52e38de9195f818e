"""`abcparam compile`: the PyTorch module of a spec."""

from __future__ import annotations

import argparse
import os
import sys

from abcparam.commands.shared import Command, print_diagnostics, set_argument, values_of
from abcparam.language.reader import read
from abcparam.pipeline import gauged
from abcparam.program.vocabulary import GAUGES, VERDICTS
from abcparam.verdict.check import explained, judged, load
from abcparam.verdict.report import Report


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a spec; - is standard input")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="where to write (default: beside the spec; - is stdout)",
    )
    command.add_argument(
        "--gauge",
        choices=GAUGES,
        default=GAUGES[0],
        help="the same training in other weights",
    )
    command.add_argument("--require", choices=VERDICTS, help="refuse a spec whose verdict is less")
    command.add_argument(
        "--force", action="store_true", help="overwrite a file that abcparam did not write"
    )
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Writes the Python module; 0 done, 1 refused by --require, 2 invalid."""
    from abcparam.pipeline import emit_program
    from abcparam.storage.atomic import write_generated

    source = read(options.file)
    found = judged(gauged(load(source, values_of(options)), options.gauge))
    if options.require and not found.reaches(options.require):
        print(
            f"{source.file}: {found.verdict}, less than {options.require}: nothing written",
            file=sys.stderr,
        )
        print_diagnostics(explained(found).diagnostics, source)
        return 1
    target = _target(options, found)
    text = emit_program(found)
    if target == "-":
        print(text, end="")
    else:
        write_generated(target, text, options.force)
    expected = (
        ""
        if found.as_expected
        else f" (expected {', '.join(found.expected)}; see `abcparam check`)"
    )
    where = "standard output" if target == "-" else target
    print(f"{found.program.name}: {found.verdict}{expected} -> {where}", file=sys.stderr)
    return 0


def _target(options: argparse.Namespace, found: Report) -> str:
    if options.output:
        return str(options.output)
    if options.file == "-":
        return "-"
    return os.path.splitext(str(options.file))[0] + ".py"


COMMAND = Command("compile", "write the PyTorch module of a spec", _arguments, run)
