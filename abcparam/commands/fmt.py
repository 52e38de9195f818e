"""`abcparam fmt`: canonical formatting."""

from __future__ import annotations

import argparse

from abcparam.commands.shared import Command, print_diagnostics
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="specs to rewrite; - prints standard input formatted",
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file is not formatted"
    )


def run(options: argparse.Namespace) -> int:
    """Canonical formatting, in place; every comment kept."""
    return max(_fmt_one(file, options.check) for file in options.files)


def _fmt_one(file: str, only_check: bool) -> int:
    from abcparam.language.formatter import format_source
    from abcparam.storage.atomic import write_atomically

    try:
        source = read(file)
        text = format_source(source)
        same = text == source.text
        if only_check and not same:
            print(f"would reformat {source.file}")
        elif file == "-" and not only_check:
            print(text, end="")
        elif not same:
            write_atomically(file, text)
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return 2
    return 1 if only_check and not same else 0


COMMAND = Command("fmt", "format specs", _arguments, run)
