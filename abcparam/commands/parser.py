"""The parser of the command line, with a subparser for each command."""

from __future__ import annotations

import argparse
import os
import sys
from functools import cache

from abcparam.commands.registry import commands
from abcparam.commands.shared import Command


@cache
def parser(only: Command | None = None) -> argparse.ArgumentParser:
    """The parser; what it makes of a line has the command's function as `run`.

    `only`: the command that the line begins with, where the others are left out.
    """
    from abcparam import __version__

    made = argparse.ArgumentParser(
        prog="abcparam",
        description="A compiler for neural-network parametrizations: derives how a model scales, "
        "judges it, and emits PyTorch.",
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    made.add_argument("--version", action="version", version=f"abcparam {__version__}")
    made.add_argument("--debug", action="store_true", help="print a traceback for our own bugs")
    subparsers = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in [only] if only else commands().values():
        subparser = subparsers.add_parser(
            command.name,
            help=command.summary,
            description=command.summary,
            formatter_class=_formatter,
            allow_abbrev=False,  # `--lr 1e-3` is no `--lr-key`
        )
        command.arguments(subparser)
        subparser.set_defaults(run=command.run, usage=subparser.format_usage)
    return made


def _formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    """Those of the terminal, as `shutil.get_terminal_size` has them, which takes 3 ms to import."""
    try:
        columns = int(os.environ["COLUMNS"])
    except (KeyError, ValueError):
        columns = 0
    if columns > 0 or sys.__stdout__ is None:
        return columns or 80
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80
    except (ValueError, OSError):
        return 80
