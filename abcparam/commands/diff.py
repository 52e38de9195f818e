"""`abcparam diff`: are two parametrizations the same, and where not."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from abcparam.commands.audit import grown, growth_arguments
from abcparam.commands.shared import Command, UsageError, coloured, print_diagnostics
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read
from abcparam.pipeline import compared
from abcparam.program.model import Program
from abcparam.verdict.check import load

if TYPE_CHECKING:
    from abcparam.comparison.difference import Differences
    from abcparam.imports.result import Audit

    Compared = Program | Audit


def _arguments(command: argparse.ArgumentParser) -> None:
    known = "a spec; - is standard input; with --grow a FACTORY, as `audit`"
    command.add_argument("a", metavar="A", help=known)
    command.add_argument("b", metavar="B", help="another one")
    growth_arguments(command)
    command.add_argument(
        "--adapted", action="store_true", help="a model of --grow as its adapter would have it"
    )
    command.add_argument("--format", choices=["text", "json"], default="text")


def run(options: argparse.Namespace) -> int:
    """Whether two parametrizations are the same; 0 if so, 1 different, 2 invalid."""
    from abcparam.comparison.difference import NO

    if options.a == options.b == "-":
        raise UsageError("only one of the two specs can be standard input")
    a, b = (_loaded(file, options) for file in (options.a, options.b))
    if a is None or b is None:
        return 2
    found = _compared(a, b, options)
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        from abcparam.comparison.text import render_differences

        print(render_differences(found, coloured(sys.stdout)))
    return 1 if found.same == NO else 0


def _compared(a: Compared, b: Compared, options: argparse.Namespace) -> Differences:
    if isinstance(a, Program) and isinstance(b, Program):
        if options.grow or options.adapted:
            raise UsageError("--grow and --adapted are for a model of your own: FILE.py:FUNCTION")
        return compared(a, b)
    from abcparam.imports.comparing import compared_with

    return compared_with(a, b, options.adapted)


def _loaded(file: str, options: argparse.Namespace) -> Compared | None:
    """The program of a spec, or the audit of a model; None after its errors were printed."""
    try:
        if _is_factory(file):
            return _audited(file, options)
        return load(read(file))
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return None


def _is_factory(text: str) -> bool:
    """Whether it names a function or a config, not a file of a spec."""
    if text == "-" or text.endswith(".param"):
        return False
    from abcparam.imports.hugging_face import is_config

    return (":" in text and not os.path.exists(text)) or is_config(text)


def _audited(factory: str, options: argparse.Namespace) -> Audit:
    from abcparam.imports.api import audit

    if not options.grow:
        raise UsageError(f"{factory} is a model of your own: say what grows, --grow")
    return audit(factory, grown(options.grow), options.optimizer, lr_key=options.lr_key)


COMMAND = Command("diff", "are two parametrizations the same, and where not", _arguments, run)
