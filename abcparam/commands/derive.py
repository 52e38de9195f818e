"""`abcparam derive`: the laws of a spec in its symbols."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from abcparam.commands.shared import (
    Command,
    budget_argument,
    set_argument,
    values_of,
)
from abcparam.language.reader import read
from abcparam.pipeline import derive
from abcparam.verdict.work import at_work

if TYPE_CHECKING:
    from abcparam.symbolic.derive.derived import Derived


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a spec; - is standard input")
    command.add_argument("--format", choices=["text", "json", "latex", "markdown"], default="text")
    command.add_argument(
        "--markdown", dest="format", action="store_const", const="markdown", help="the same"
    )
    command.add_argument(
        "--all", action="store_true", help="every exponent a symbol, whatever is written"
    )
    command.add_argument("--steps", action="store_true", help="every step of the derivation")
    budget_argument(command)
    set_argument(command)


@at_work()
def run(options: argparse.Namespace) -> int:
    """The laws of a spec, in its symbols; 0 derived, 1 in part, 2 invalid."""
    found = derive(read(options.file), options.all, set=values_of(options))
    from abcparam.symbolic.derive.derive import ended
    from abcparam.symbolic.solver import UnprovedError

    try:
        text = _text(found, options)
    except UnprovedError as error:
        found = ended(found, str(error))
        text = _text(found, options)
    print(text, end="")
    return int(bool(found.unfinished))


def _text(found: Derived, options: argparse.Namespace) -> str:
    if options.format == "json":
        import json

        return json.dumps(found.to_dict(options.steps), indent=2) + "\n"
    if options.format == "latex":
        from abcparam.symbolic.derive.latex import latex_document

        return latex_document(found)
    from abcparam.symbolic.derive.text import markdown, render_derived

    return render_derived(found, options.steps) if options.format == "text" else markdown(found)


COMMAND = Command(
    "derive", "the laws of a spec in its symbols, and where each verdict holds", _arguments, run
)
