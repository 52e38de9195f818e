"""`abcparam explain`: what a word means, or the story behind a diagnostic."""

from __future__ import annotations

import argparse

from abcparam.commands.shared import Command, UsageError


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "word",
        metavar="WORD",
        help="a diagnostic's code, such as P0301, or an operation, optimizer, setting, role, or "
        "word of a report; `all` lists the codes, `operations`, `optimizers` and `words` the rest",
    )


def run(options: argparse.Namespace) -> int:
    """What a word means, or the story behind a diagnostic."""
    from abcparam.pipeline import explain

    try:
        print(explain(options.word))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return 0


COMMAND = Command("explain", "what a word or a diagnostic means", _arguments, run)
