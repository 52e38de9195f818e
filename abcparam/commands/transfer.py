"""`abcparam transfer`: a small model tuned, a large one compiled with what was found."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from abcparam.commands.shared import (
    Command,
    UsageError,
    count_argument,
    force_argument,
    named_values,
    values_of,
)
from abcparam.commands.training_options import (
    keeping,
    options_of,
    progress,
    shared_arguments,
    tunable_of,
)
from abcparam.tuning.options import SEARCHED
from abcparam.tuning.workers.ranks import rank

if TYPE_CHECKING:
    from abcparam.tuning.transfer import TransferResult


def _arguments(command: argparse.ArgumentParser) -> None:
    shared_arguments(command)
    add, count = command.add_argument, partial(count_argument, command)
    add(
        "--proxy",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="sizes of the small model (default: --set, with growing dims at base)",
    )
    count("--trials", SEARCHED, "of the random search")
    add("--from", dest="results", metavar="FILE", help="a sweep's JSON, in place of a search")
    add("--target-steps", type=int, metavar="N", help="of the target's training, for its cost")
    add("--target-batch", type=int, metavar="N", help="likewise")
    add("--hparams", default="hparams.json", metavar="FILE", help="default: %(default)s")
    add(
        "-o",
        "--output",
        metavar="OUT",
        help="the target's module, or the adapter (default: beside FILE)",
    )
    force_argument(command)
    add("--anyway", action="store_true", help="although the spec is not maximal-update")
    add("--estimate", action="store_true", help="say what it would cost, and stop")
    add("--format", choices=["text", "json"], default="text")
    add("--plot", metavar="FOLDER", help="figures there, as PNG and SVG (needs matplotlib)")


def run(options: argparse.Namespace) -> int:
    """Tunes a proxy, writes its hyperparameters and the target with them; 0 done, 2 invalid."""
    from abcparam.tuning.output.text import cost_lines
    from abcparam.tuning.transfer import TransferRequest, finish, prepare, proxy_values

    if options.trials < 1:
        raise UsageError("--trials takes a positive whole number")
    asked = options_of(options, options.trials)
    tunable, target = tunable_of(options), values_of(options)
    proxy = proxy_values(tunable, target, named_values(options.proxy, "--proxy"))
    steps, batch = options.target_steps or asked.steps, options.target_batch or asked.batch
    request = TransferRequest(target, proxy, asked, steps, batch, options.anyway, options.results)
    plan = prepare(tunable, request)
    for line in cost_lines(plan) if not rank() else ():
        print(line, file=sys.stderr)
    if options.estimate:
        return 0
    with keeping(asked):
        found = finish(plan, progress)
    if not rank():
        _write(found, options)
        _draw(found, options)
    return 0


def _write(found: TransferResult, options: argparse.Namespace) -> None:
    """hparams.json, the target's module, and a line about each."""
    import json

    from abcparam.storage.atomic import write_atomically, write_generated

    text = json.dumps(found.to_dict(), indent=2) + "\n"
    output = _output(options) if found.code else ""
    if output:
        write_generated(output, found.code, options.force)
    write_atomically(options.hparams, text)
    if options.format == "json":
        print(text, end="")
        return
    for name, value in found.hypers.items():
        end = " (at an end of its range: a better one may lie beyond)" if name in found.ends else ""
        print(f"{name} = {float(value):.6g}{end}")
    if found.schedule != options.schedule:
        print(f"schedule = {found.schedule}")
    print(f"loss {found.loss:.4f} of the proxy -> {options.hparams}")
    for line in found.laws.lines() if found.laws else ():
        print(line)
    program = found.plan.report.program
    print(f"{program.name}: {found.plan.report.verdict}{f' -> {output}' if output else ''}")


def _draw(found: TransferResult, options: argparse.Namespace) -> None:
    from pathlib import Path

    from abcparam.tuning.output.plots import plot_transfer

    if options.plot:
        written = plot_transfer(found, Path(options.plot))
        print(f"{len(written)} figures -> {options.plot}", file=sys.stderr)


def _output(options: argparse.Namespace) -> str:
    """Where the target's module is written, or the adapter of a model."""
    if options.output:
        return str(options.output)
    if options.grow:
        return f"{_stem(options.file)}_mup.py"
    return "target.py" if options.file == "-" else f"{os.path.splitext(options.file)[0]}.py"


def _stem(factory: str) -> str:
    """`model` of `model.py:build`, of `package.model:build` and of `model/config.json`."""
    where = factory.rpartition(":")[0] or factory
    return os.path.splitext(where)[0] if where.endswith((".py", ".json")) else where.split(".")[-1]


COMMAND = Command("transfer", "tune a small model, compile a large one with it", _arguments, run)
