"""`abcparam lsp`: the language server, for editors to start."""

from __future__ import annotations

import argparse

from abcparam.commands.shared import Command


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("--stdio", action="store_true", help="as ever: editors may say so")


def run(options: argparse.Namespace) -> int:
    """Answers an editor on standard input and output until it says goodbye."""
    from abcparam import __version__
    from abcparam.language_server.server import make_server

    make_server(__version__).start_io()
    return 0


COMMAND = Command("lsp", "serve an editor: diagnostics, hints, completion, fixes", _arguments, run)
