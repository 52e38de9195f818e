"""`abcparam audit`: a PyTorch model of the user's own, judged as it is."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from abcparam.commands.shared import Command, UsageError, coloured, print_diagnostics
from abcparam.program.vocabulary import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from abcparam.imports.numbers import Sizes
    from abcparam.imports.result import Audit

FACTORY = "FILE.py:FUNCTION or module:function: its whole-number defaults are sizes"


def model_arguments(command: argparse.ArgumentParser) -> None:
    """How a model of the user's own is named, and what of it grows."""
    command.add_argument("factory", metavar="FACTORY", help=FACTORY)
    growth_arguments(command, required=True)
    command.add_argument("--output", metavar="NAME", help="the output that the loss is of")


def growth_arguments(command: argparse.ArgumentParser, required: bool = False) -> None:
    """What of a model grows, and what trains it."""
    command.add_argument(
        "--grow",
        action="append",
        required=required,
        metavar="NAME[=N,N,N]",
        help="a size that goes to infinity, with the values to read it at (default: its own, 2 and "
        "4 times that); several with commas, or one option each",
    )
    command.add_argument(
        "--optimizer",
        metavar="FILE.py:FUNCTION",
        help="makes the optimizer of a model (default: AdamW, learning rate 1e-3)",
    )
    command.add_argument(
        "--lr-key",
        metavar="KEY",
        help="a key of the groups that the training loop multiplies the learning rate by",
    )


def growth_of(options: argparse.Namespace) -> Iterator[str]:
    """These arguments as they were given."""
    yield from (f"--grow {text}" for text in options.grow)
    if options.optimizer:
        yield f"--optimizer {options.optimizer}"
    if options.lr_key:
        yield f"--lr-key {options.lr_key}"


def _arguments(command: argparse.ArgumentParser) -> None:
    model_arguments(command)
    command.add_argument("--format", choices=["text", "json"], default="text")
    command.add_argument("--expect", choices=VERDICTS, help="what it is to be (maximal-update)")


def audited(options: argparse.Namespace, expect: str | None = None, exact: bool = False) -> Audit:
    """The audit of the model that the options name."""
    from abcparam.imports.audit import audited as audit_of

    return audit_of(
        options.factory,
        grown(options.grow),
        options.optimizer,
        output=options.output,
        lr_key=options.lr_key,
        expect=expect,
        watch=_watch,
        exact=exact,
    )


def _watch(settings: Iterable[Sizes], count: int) -> Iterator[Sizes]:
    """Settings as they are read, with a bar on a terminal."""
    if not sys.stderr.isatty():
        yield from settings
        return
    from tqdm import tqdm

    with tqdm(settings, total=count, unit="model", leave=False) as bar:
        for sizes in bar:
            shown = ", ".join(f"{name} = {size}" for name, size in sizes.items())
            bar.set_postfix_str(shown, refresh=True)
            yield sizes


def grown(texts: list[str]) -> dict[str, tuple[int, ...]]:
    """`width`, `width,depth` or `width=256,512,1024`, by size."""
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals:
            found |= {n.strip(): () for n in text.split(",")}
            continue
        try:
            found[name.strip()] = tuple(int(value) for value in values.split(","))
        except ValueError:
            raise UsageError(f"--grow takes NAME or NAME=256,512,1024, not {text!r}") from None
    return found


def run(options: argparse.Namespace) -> int:
    """Verdict, reasons, remedy; 0 as expected, 1 not, 2 where it cannot be read."""
    found = audited(options, options.expect)
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        from abcparam.imports.audit_text import render_audit

        print_diagnostics(found.report.diagnostics, found.program.source)
        print(render_audit(found, coloured(sys.stdout)))
    return 0 if found.as_expected else 1


COMMAND = Command("audit", "judge a PyTorch model of your own as it is", _arguments, run)
