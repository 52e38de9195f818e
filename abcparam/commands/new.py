"""`abcparam new`: a spec to start from."""

from __future__ import annotations

import argparse
import os

from abcparam.commands.shared import Command, UsageError
from abcparam.diagnostics.source import Source
from abcparam.language.parser import comments


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "example",
        nargs="?",
        default="gpt",
        metavar="EXAMPLE",
        help="what it starts from (default: %(default)s); `all` lists the examples",
    )
    command.add_argument(
        "-o", "--output", metavar="OUT", help="where to (default: EXAMPLE.param); - prints it"
    )


def run(options: argparse.Namespace) -> int:
    """A copy of an example, to be changed; nothing is overwritten."""
    from abcparam.pipeline import new as example
    from abcparam.storage.resources import names, read_resource

    if options.example == "all":
        for name in names("examples", ".param"):
            print(f"{name:22}{_title(Source(read_resource('examples', f'{name}.param')))}")
        return 0
    try:
        text = example(options.example)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if options.output == "-":
        print(text, end="")
    else:
        _write_new(options.output or f"{options.example}.param", text)
    return 0


def _title(example: Source) -> str:
    """The first comment, less the file's own name."""
    line = comments(example)[0].text.lstrip("# ")
    return line.partition(" — ")[2] or line


def _write_new(path: str, text: str) -> None:
    from abcparam.storage.atomic import write_atomically

    if os.path.exists(path):
        raise UsageError(f"{path!r} exists; choose another place with `-o OUT`")
    write_atomically(path, text)
    print(f"{path}: change it, then `abcparam check {path}`")


COMMAND = Command("new", "a spec to start from", _arguments, run)
