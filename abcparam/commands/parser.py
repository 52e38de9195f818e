"""The parser of the command line, with a subparser for each command."""

from __future__ import annotations

import argparse

from abcparam.commands.registry import commands


def parser(only: str | None = None) -> argparse.ArgumentParser:
    """The parser; what it makes of a line has the command's function as `run`.

    `only`: the command that the line names, where the arguments of the others are left out.
    """
    from abcparam import __version__

    made = argparse.ArgumentParser(
        prog="abcparam",
        description="A compiler for neural-network parametrizations: derives how a model scales, "
        "judges it, and emits PyTorch.",
    )
    made.add_argument("--version", action="version", version=f"abcparam {__version__}")
    made.add_argument("--debug", action="store_true", help="print a traceback for our own bugs")
    subparsers = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in commands().values():
        subparser = subparsers.add_parser(
            command.name, help=command.summary, description=command.summary
        )
        if only in (None, command.name):
            command.arguments(subparser)
        subparser.set_defaults(run=command.run)
    return made
