"""`abcparam completion`: what a shell needs to complete commands, options, files and examples."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from abcparam.commands.shared import Command

SHELLS = ("bash", "zsh", "tcsh", "fish")
FILES = {"FILE", "A", "B", "OUT", "FOLDER", "JSON", "FACTORY", "CONFIG", "DATA"}
EXAMPLE = "EXAMPLE"


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("shell", choices=SHELLS, help="which shell the script is for")


def run(options: argparse.Namespace) -> int:
    """Prints the script; 0."""
    import shtab

    from abcparam.commands.parser import parser
    from abcparam.storage.resources import names

    made = parser()
    for action in _actions(made):
        if action.metavar in FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.metavar == EXAMPLE:
            action.choices = [*names("examples", ".param"), "all"]
    print(shtab.complete(made, shell=options.shell))
    return 0


def _actions(of: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """The arguments of a parser and of its subparsers."""
    for action in of._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)


COMMAND = Command("completion", "print what a shell completes commands with", _arguments, run)
