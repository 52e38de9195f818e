"""`abcparam diff`: are two parametrizations the same, and where not."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.shared import Command, UsageError, coloured, print_diagnostics
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read
from abcparam.pipeline import compared
from abcparam.program.model import Program
from abcparam.verdict.check import load


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("a", metavar="A", help="a spec; - is standard input")
    command.add_argument("b", metavar="B", help="another one")
    command.add_argument("--format", choices=["text", "json"], default="text")


def run(options: argparse.Namespace) -> int:
    """Whether two parametrizations are the same; 0 if so, 1 different, 2 invalid."""
    from abcparam.comparison.difference import NO

    if options.a == options.b == "-":
        raise UsageError("only one of the two specs can be standard input")
    programs = [_loaded(file) for file in (options.a, options.b)]
    a, b = programs
    if a is None or b is None:
        return 2
    found = compared(a, b)
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        from abcparam.comparison.text import render_differences

        print(render_differences(found, coloured(sys.stdout)))
    return 1 if found.same == NO else 0


def _loaded(file: str) -> Program | None:
    """The program of a file; None after its errors were printed."""
    try:
        return load(read(file))
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return None


COMMAND = Command("diff", "are two parametrizations the same, and where not", _arguments, run)
