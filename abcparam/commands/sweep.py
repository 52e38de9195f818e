"""`abcparam sweep`: small models trained over ranges of hyperparameters."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from abcparam.commands.shared import (
    Command,
    values_of,
)
from abcparam.commands.training_options import (
    keeping,
    options_of,
    progress,
    shared_arguments,
    tunable_of,
)
from abcparam.tuning.options import SweepOptions
from abcparam.tuning.workers.ranks import rank

if TYPE_CHECKING:
    from abcparam.tuning.sweep import SweepResult


def _arguments(command: argparse.ArgumentParser) -> None:
    shared_arguments(command)
    add = command.add_argument
    add(
        *("--trials", "--random"),
        type=int,
        default=SweepOptions.trials,
        metavar="N",
        help="points that the sampler draws, instead of a grid",
    )
    add("--parametrization", metavar="FORM,…", help="the spec under shipped ones: mup,sp,ntk")
    add("--format", choices=["text", "json", "csv"], default="text")
    add("--plot", metavar="FOLDER", help="figures there, as PNG and SVG (needs matplotlib)")
    add("--html", metavar="FILE", help="one page with all of it, to send around")


def run(options: argparse.Namespace) -> int:
    """Trains every combination; 0 done, 2 invalid."""
    from abcparam.tuning.sweep import swept

    asked, tunable = options_of(options, options.trials), tunable_of(options)
    with keeping(asked):
        found = swept(tunable, values_of(options), asked, progress)
    if rank():
        return 0
    _print(found, options.format)
    _draw(found, options)
    return 0


def _print(swept: SweepResult, format: str) -> None:
    from abcparam.tuning.output.text import render_csv, render_sweep

    if format == "json":
        import json

        print(json.dumps(swept.to_dict(), indent=2))
    elif format == "csv":
        print(render_csv(swept), end="")
    else:
        print(render_sweep(swept))


def _draw(swept: SweepResult, options: argparse.Namespace) -> None:
    from pathlib import Path

    if options.plot:
        from abcparam.tuning.output.plots import plot

        written = plot(swept, Path(options.plot))
        print(f"{len(written)} figures -> {options.plot}", file=sys.stderr)
    if options.html:
        from abcparam.storage.atomic import write_atomically
        from abcparam.tuning.output.page import page

        write_atomically(options.html, page(swept))
        print(f"page -> {options.html}", file=sys.stderr)


COMMAND = Command("sweep", "train small models over ranges of hyperparameters", _arguments, run)
