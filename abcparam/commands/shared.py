"""What commands share: values, numbers, devices, data, printing of diagnostics."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from abcparam.algebra.budgets import SECONDS
from abcparam.algebra.record import NamedTuple, replace
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError, render
from abcparam.diagnostics.rules import files as rules
from abcparam.diagnostics.source import Source

if TYPE_CHECKING:
    from abcparam.data.batch import Data


TARGETS = ("output", "output_file", "html", "hparams")  # options that name a file to write
DEFAULT = "(default: %(default)s)"  # in help, which argparse fills in


class UsageError(Exception):
    """The command line asks for something that cannot be done; the text says what to do instead."""


def coloured(stream: Any) -> bool:
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def spare_what_is_read(options: argparse.Namespace) -> None:
    """Refuses to write over a file that an option or argument names to be read.

    That may be one of code, `FILE.py:FUNCTION`.
    """
    given = {name: value for name, value in vars(options).items() if value}
    targets = [value for name in TARGETS if isinstance(value := given.pop(name, None), str)]
    for target in filter(os.path.isfile, targets):
        for value in given.values():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and _names(text, target):
                    raise SpecError.about(target, rules.IsRead, path=target)


def _names(text: str, file: str) -> bool:
    """Whether an argument is a file, or code in it."""
    places = (text, text.rpartition(":")[0])
    return any(os.path.isfile(place) and os.path.samefile(place, file) for place in places)


def print_or_write(text: str, target: str) -> bool:
    """Prints a text where the target is `-`, else writes a file; whether it was written."""
    from abcparam.storage.atomic import write_atomically

    if target == "-":
        print(text, end="")
        return False
    write_atomically(target, text)
    return True


def generated_arguments(command: argparse.ArgumentParser) -> None:
    """Where to write what is made of a model, `output_file`, and whether over anything: `force`."""
    command.add_argument(
        "-o", "--output-file", metavar="OUT", default="-", help="where to (default: it is printed)"
    )
    force_argument(command)


def force_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--force",
        action="store_true",
        help="overwrite a file that abcparam did not write, or that was edited",
    )


def spare_target(options: argparse.Namespace) -> None:
    """Refuses a file of `generated_arguments` that is somebody's work, before any other work."""
    from abcparam.storage.atomic import spare_others

    if options.output_file != "-":
        spare_others(options.output_file, options.force)


def print_or_generate(text: str, options: argparse.Namespace) -> bool:
    """Prints what was made of a model, or writes it; whether it was written."""
    from abcparam.storage.atomic import write_generated

    if options.output_file == "-":
        return print_or_write(text, "-")
    write_generated(options.output_file, text, options.force)
    return True


def values_of(options: argparse.Namespace) -> dict[str, Fraction]:
    """`--set name=value …`; values are exact."""
    return named_values(options.set or [], "--set")


def named_values(texts: Iterable[str], option: str) -> dict[str, Fraction]:
    """`name=value …` of an option."""
    found: dict[str, Fraction] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or len(value) > 40:
            raise UsageError(f"{option} takes NAME=VALUE, not {text!r}")
        found[name.strip()] = number(value.strip())
    return found


def number(text: str) -> Fraction:
    from abcparam.pipeline import exact

    try:
        return exact(text)
    except ValueError as error:
        raise UsageError(str(error)) from None


def set_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="values for dims, hypers and symbols: --set width=4096 lr=1e-3 theta=1/2",
    )


def budget_argument(command: argparse.ArgumentParser) -> None:
    """`--budget`, in the namespace as `search_budget`: `cli` opens it around the whole command."""
    command.add_argument(
        "--budget",
        dest="search_budget",
        metavar="TIME",
        help=f"what each search or proof may take: 60s, 5m (default: {SECONDS:g}s)",
    )


def seconds_of(text: str) -> float:
    """`60s`, `5m` or `1h` in seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e7:
        raise UsageError(f"--budget takes a time, 60s or 5m, not {text!r}")
    return seconds


def print_diagnostics(diagnostics: Iterable[Diagnostic], source: Source) -> None:
    """Each on standard error, an empty line behind it; help that several share stands once."""
    given: set[str] = set()
    for diagnostic in diagnostics:
        shown = replace(diagnostic, help="") if diagnostic.help in given else diagnostic
        given.add(diagnostic.help)
        print(render(shown, source, coloured(sys.stderr)) + "\n", file=sys.stderr)


def count_argument(command: argparse.ArgumentParser, name: str, default: int, about: str) -> None:
    """An option that takes a whole number."""
    command.add_argument(name, type=int, default=default, metavar="N", help=f"{about} {DEFAULT}")


def data_argument(command: argparse.ArgumentParser, default: str) -> None:
    sources = "a text file, a folder of images, digits, FILE.py:FUNCTION, module:function"
    command.add_argument("--data", metavar="DATA", help=f"{sources} (default: {default})")


def data_of(options: argparse.Namespace) -> Data | None:
    """The batches that `--data` names."""
    if options.data is None:
        return None
    from abcparam.data.named import data_named

    return data_named(options.data)


def device_of(name: str) -> str:
    """A device that is there."""
    if name == "cpu":
        return name
    import torch

    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError):
        raise UsageError(f"--device {name}: PyTorch has no such device here") from None
    return name


class Command(NamedTuple):
    """A command of the command line: what `--help` says of it, its arguments, what it does."""

    name: str
    summary: str
    arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]  # returns the exit status
