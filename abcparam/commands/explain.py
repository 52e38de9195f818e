"""`abcparam explain`: the story behind a diagnostic."""

from __future__ import annotations

import argparse

from abcparam.commands.shared import Command, UsageError


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "code", metavar="CODE", help="a diagnostic's code, such as P0301; `all` lists them"
    )


def run(options: argparse.Namespace) -> int:
    """The story behind a diagnostic."""
    from abcparam.diagnostics.explain import codes, story

    if options.code.lower() == "all":
        for code, rule in codes().items():
            print(f"{code}  {(rule.__doc__ or '').strip().splitlines()[0]}")
        return 0
    text = story(options.code)
    if text is None:
        raise UsageError(
            f"no diagnostic has the code {options.code!r}; `abcparam explain all` lists them"
        )
    print(text)
    return 0


COMMAND = Command("explain", "the story behind a diagnostic", _arguments, run)
