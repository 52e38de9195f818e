"""`abcparam compile`: the PyTorch module of a spec."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from abcparam.commands.shared import (
    Command,
    UsageError,
    force_argument,
    print_diagnostics,
    set_argument,
    values_of,
)
from abcparam.language.reader import read
from abcparam.pipeline import adapters_gauge, factors_folded, gauged
from abcparam.program.vocabulary import GAUGES, VERDICTS
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report

if TYPE_CHECKING:
    from abcparam.emission.views.factors import FactorReasons


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="a spec; - is standard input")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        help="where to write (default: beside the spec; - is stdout)",
    )
    command.add_argument(
        "--gauge",
        choices=GAUGES,
        default=GAUGES[0],
        help="the same training in other weights",
    )
    command.add_argument(
        "--adapter",
        action="store_true",
        help="for a model of your own, whose parameters have the names of the spec's tensors",
    )
    command.add_argument(
        "--fold",
        action="store_true",
        help="with --adapter: tensors make up for factors that the model's forward has not",
    )
    command.add_argument("--require", choices=VERDICTS, help="refuse a spec whose verdict is less")
    force_argument(command)
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Writes the Python module; 0 done, 1 refused by --require, 2 invalid."""
    from abcparam.pipeline import emit_program
    from abcparam.storage.atomic import write_generated

    source = read(options.file)
    program, gauge = load(source, values_of(options)), _gauge(options)
    found = judged(gauged(program, gauge))
    if options.require and not found.reaches(options.require):
        print(
            f"{source.file}: {found.verdict}, less than {options.require}: nothing written",
            file=sys.stderr,
        )
        print_diagnostics(found.diagnostics, source)
        return 1
    target = _target(options, found)
    emitted, not_folded = found, None
    if options.fold:
        folded, not_folded = factors_folded(program)
        emitted = judged(gauged(folded, gauge))
    text = emit_program(emitted, options.adapter, not_folded)
    if target == "-":
        print(text, end="")
    else:
        write_generated(target, text, options.force)
    expected = (
        ""
        if found.as_expected
        else f" (expected {', '.join(found.expected)}; see `abcparam check`)"
    )
    where = "standard output" if target == "-" else target
    print(f"{found.program.name}: {found.verdict}{expected} -> {where}", file=sys.stderr)
    if options.adapter:
        _print_factors(emitted, not_folded or {})
    return 0


def _gauge(options: argparse.Namespace) -> str:
    if options.fold and not options.adapter:
        raise UsageError("--fold is for --adapter")
    if not options.adapter:
        return str(options.gauge)
    try:
        return adapters_gauge(str(options.gauge))
    except ValueError as error:
        raise UsageError(f"--gauge: {error}") from None


def _print_factors(found: Report, not_folded: FactorReasons) -> None:
    """What the forward of a model of another class has to have."""
    from abcparam.emission.views.factors import factors_of, with_reasons

    factors = factors_of(found.program)
    if factors:
        print("the model's forward has to have these factors of the spec:", file=sys.stderr)
    for factor in factors:
        text = with_reasons(factor, not_folded)
        print(f"  {found.program.source.file}:{factor.line}: {text}", file=sys.stderr)


def _target(options: argparse.Namespace, found: Report) -> str:
    if options.output:
        return str(options.output)
    if options.file == "-":
        return "-"
    ending = "_adapter.py" if options.adapter else ".py"
    return os.path.splitext(str(options.file))[0] + ending


COMMAND = Command("compile", "write the PyTorch module of a spec", _arguments, run)
