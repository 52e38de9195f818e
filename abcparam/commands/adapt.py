"""`abcparam adapt`: what initializes and trains a PyTorch model of the user's own."""

from __future__ import annotations

import argparse
import sys

from abcparam.commands.audit import audited, growth_of, model_arguments
from abcparam.commands.shared import (
    Command,
    UsageError,
    generated_arguments,
    named_values,
    print_diagnostics,
    print_or_generate,
    spare_target,
)


def _arguments(command: argparse.ArgumentParser) -> None:
    model_arguments(command)
    generated_arguments(command)
    command.add_argument(
        "--base",
        nargs="+",
        action="extend",
        metavar="NAME=N",
        help="the size at which nothing changes (default: the first that the model is read at)",
    )
    command.add_argument(
        "--allow-forward",
        action="store_true",
        help="where the forward needs a factor that nothing else makes up for, `scale_` gives it",
    )


def run(options: argparse.Namespace) -> int:
    """Writes the adapter; 0 where it makes the model maximal-update, 1 where it does not."""
    from abcparam.imports.adapter import adapter_of, can_be_hooked
    from abcparam.imports.audit_text import forward_lines, remedy_lines

    spare_target(options)
    found = audited(options)
    remedy = found.remedy
    if not remedy.reaches:
        print_diagnostics(found.report.diagnostics, found.program.source)
        print("\n".join(remedy_lines(found)), file=sys.stderr)
        best = "held back" if remedy.verdict == "maximal-update" else remedy.verdict
        print(f"abcparam adapt: {best} at best; nothing is written", file=sys.stderr)
        return 1
    if remedy.missing or remedy.knobs:
        print("\n".join(forward_lines(found)).strip("\n"), file=sys.stderr)
    if remedy.missing:
        if can_be_hooked(found) and not options.allow_forward:
            print("--allow-forward writes `scale_`, which gives modules them", file=sys.stderr)
        if not (can_be_hooked(found) and options.allow_forward):
            print("abcparam adapt: nothing is written", file=sys.stderr)
            return 1
    try:
        text = adapter_of(found, command_of(options), _base(options))
    except ValueError as error:
        raise UsageError(f"--base: {error}") from None
    if print_or_generate(text, options):
        print(f"{found.factory.name}: maximal-update -> {options.output_file}", file=sys.stderr)
        if remedy.knobs or remedy.missing:
            print(
                "call `scale_(model)` of it too, wherever a model is made or loaded",
                file=sys.stderr,
            )
    return 0


def _base(options: argparse.Namespace) -> dict[str, int]:
    return {name: int(size) for name, size in named_values(options.base or [], "--base").items()}


def command_of(options: argparse.Namespace) -> str:
    """The command as it was given."""
    parts = ["abcparam adapt", options.factory, *growth_of(options)]
    if options.base:
        parts.append(f"--base {' '.join(options.base)}")
    if options.allow_forward:
        parts.append("--allow-forward")
    if options.output_file != "-":
        parts.append(f"-o {options.output_file}")
    return " ".join(parts)


COMMAND = Command("adapt", "write what makes a PyTorch model maximal-update", _arguments, run)
