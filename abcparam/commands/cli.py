"""The command line: `abcparam check | compile | derive | solve | diff | coord-check | …`."""

from __future__ import annotations

import argparse
import itertools
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from abcparam.algebra.budgets import SECONDS, budget, ran_out_of_memory
from abcparam.algebra.collector import without_collector
from abcparam.commands.interrupts import INTERRUPTS, interruptible
from abcparam.commands.parser import parser
from abcparam.commands.registry import command_named, commands
from abcparam.commands.shared import UsageError, print_diagnostics, seconds_of, spare_what_is_read
from abcparam.diagnostics.diagnostic import SpecError, did_you_mean, showing
from abcparam.diagnostics.installed import installed

OUR_BUG = 101
INTERRUPTED = 130


def program() -> NoReturn:
    """The console script: `main` in a process of its own.

    That ends at once, as taking apart all objects of a check would take a twentieth of its time;
    where there are threads, as with torch, it ends in order.
    """
    status = main()
    if "threading" in sys.modules:
        sys.exit(status)
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status.

    0 is as expected, 1 findings, 2 a bad spec or bad usage, 101 our bug.
    """
    _open_streams()
    try:
        with interruptible():
            with without_collector():
                options = _options(sys.argv[1:] if arguments is None else arguments)
            status = _guarded(options)
            sys.stdout.flush()
            if INTERRUPTS.came:
                raise KeyboardInterrupt
        return status
    except BrokenPipeError:
        _print_no_more()
        return 0
    except OSError as error:  # what was printed last has no place
        _print_no_more()
        say(f"abcparam: cannot print: {error.strerror}")
        return 2
    except KeyboardInterrupt:
        say("abcparam: interrupted")
        return INTERRUPTED


def _open_streams() -> None:
    """Standard output and error that can be printed to; nowhere if they are closed."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def _print_no_more() -> None:
    """What is left to print goes nowhere, at the end of the process too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    word = next((text for text in arguments if not text.startswith("-")), "")
    named = command_named(word)
    known = parser(named if [word] == list(arguments[:1]) else None)
    if suggestion := None if named else _no_command(word, arguments):
        known.error(suggestion)
    options, left = known.parse_known_args(arguments)
    if left:
        known.error(f"unrecognized arguments: {' '.join(left)}{_meant(options, left)}")
    return options


def _meant(options: argparse.Namespace, left: Sequence[str]) -> str:
    """What an option that a command does not have may be: another one, or what is searched."""
    name, equals, value = left[0].partition("=")
    if not name.startswith("--"):
        return ""
    known = re.findall(r"--([\w-]+)", options.usage())
    if meant := did_you_mean(name[2:], known):
        return f".{str(meant).replace('`', '`--', 1)}"
    values = [value] if equals else list(itertools.takewhile(_is_value, left[1:]))
    if "over" in options and values:
        return f". What is searched is named so: `--over {name[2:]}={','.join(values)}`"
    return ""


def _is_value(text: str) -> bool:
    return not text.startswith("--")


def _no_command(word: str, arguments: Sequence[str]) -> str:
    """What to say of a first word that is no command, but nearly one, or a file."""
    if not word:
        return ""
    if word.endswith(".param") or os.path.isfile(word):
        rest = " ".join(["check", *arguments])
        return f"{word!r} is no command. Did you mean `abcparam {rest}`?"
    meant = did_you_mean(word, commands())
    return f"{word!r} is no command.{meant}" if meant else ""


def _guarded(options: argparse.Namespace) -> int:
    try:
        return _ran(options)
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except Exception as error:
        if INTERRUPTS.came:  # a library in C made another exception of it
            raise KeyboardInterrupt from None
        return _told(options, error)


def _told(options: argparse.Namespace, error: Exception) -> int:
    """Says what went wrong."""
    if isinstance(error, SpecError):
        print_diagnostics(error.diagnostics, error.source)
        return 2
    if isinstance(error, UsageError):
        say(f"abcparam {options.command}: {error}")
        return 2
    if options.debug:
        raise error
    if isinstance(error, OSError):  # a disk that is full, a folder that may not be written
        say(f"abcparam {options.command}: {showing(str(error))}")
        return 2
    if ran_out_of_memory(error):
        say(f"abcparam {options.command}: not enough memory: {showing(str(error)[:200])}")
        return 2
    say(f"abcparam: internal error: {type(error).__name__}: {str(error)[:200]}")
    say("This is a bug in abcparam, not in your spec. Please report it with the spec that")
    say("caused it; `abcparam --debug …` prints where it happened.")
    return OUR_BUG


def _ran(options: argparse.Namespace) -> int:
    """What a command returns, within its budget."""
    spare_what_is_read(options)
    text = getattr(options, "search_budget", None)
    with installed(options.command), budget(seconds_of(text) if text else SECONDS):
        return int(options.run(options))


def say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
