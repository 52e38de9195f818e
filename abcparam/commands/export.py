"""`abcparam export`: a spec as the configuration of another project, where it is its model."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.shared import Command, print_or_write, set_argument, values_of
from abcparam.language.reader import read
from abcparam.verdict.check import load


def _arguments(command: argparse.ArgumentParser) -> None:
    from abcparam.recipes.registry import asked_names, recipes

    command.add_argument("file", metavar="FILE", help="a spec; - is standard input")
    command.add_argument(
        "--recipe",
        required=True,
        choices=asked_names(),
        help="; ".join(f"{name}: {recipe.summary}" for name, recipe in recipes().items()),
    )
    command.add_argument("-o", "--output", metavar="OUT", help="where to (default: prints it)")
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Writes the configuration; 0 written, 2 invalid, or another model."""
    from abcparam.recipes.exporting import exported
    from abcparam.recipes.registry import recipe_of

    source = read(options.file)
    recipe = recipe_of(options.recipe, source)
    found = exported(recipe, load(source, values_of(options)))
    print_or_write(found.text, options.output or "-")
    for note in found.notes:
        print(f"abcparam export: the same in the limit only: {note}", file=sys.stderr)
    return 0


COMMAND = Command("export", "write a spec as another project's configuration", _arguments, run)
