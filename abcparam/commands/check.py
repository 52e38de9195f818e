"""`abcparam check`: laws, verdict, reasons."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from abcparam.commands.shared import (
    Command,
    UsageError,
    coloured,
    print_diagnostics,
    set_argument,
    values_of,
)
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.language.reader import read
from abcparam.verdict.check import load, proved, report
from abcparam.verdict.report import FixResult, Report, invalid


def _arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE", help="a spec; - is standard input")
    command.add_argument("--format", choices=["text", "json"], default="text")
    command.add_argument(
        "--fix", action="store_true", help="write a small change into the file, then check it"
    )
    command.add_argument(
        "--all-fixes",
        action="store_true",
        help="list what could be changed: the proposed change, and others where experts differ",
    )
    command.add_argument(
        "--prove", action="store_true", help="search for the smallest change, and prove it to be"
    )
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Laws, verdict, reasons; 0 as expected, 1 not, 2 invalid."""
    values = values_of(options)
    fixed = {}
    if options.fix:
        fixed = {file: _fix_one(file, values, options.prove) for file in options.files}
    results = [_check_one(file, values, options.prove) for file in options.files]
    if options.format == "json":
        import json

        fixes = options.all_fixes
        objects = [r.to_dict(fixes) if isinstance(r, Report) else r[1] for r in results]
        for one, made in zip(objects, fixed.values(), strict=False):
            one |= {"fixed": made.to_dict() if made else None}
        print(json.dumps(objects[0] if len(objects) == 1 else objects, indent=2))
    else:
        _print_text(results, options.all_fixes)
    return max(_status(r) for r in results)


def _fix_one(file: str, values: Mapping[str, Fraction], prove: bool) -> FixResult | None:
    """Writes a small change that makes a spec maximal-update into its file."""
    from abcparam.pipeline import fixed
    from abcparam.storage.atomic import write_atomically

    if file == "-":
        raise UsageError("--fix needs files to write to")
    try:
        found = fixed(read(file), values, prove)
    except SpecError:
        return None  # the check that follows says why
    if found.changes:
        write_atomically(file, found.text)
    outcome = found.reason or ", ".join(dict.fromkeys(map(str, found.changes)))
    print(f"{file}: {outcome}", file=sys.stderr)
    if found.comments:
        print(f"{file}: these comments may now be false:", file=sys.stderr)
        print("\n".join(f"  {comment}" for comment in found.comments), file=sys.stderr)
    return found


FileResult = Report | tuple[SpecError, dict[str, Any]]


def _check_one(file: str, values: Mapping[str, Fraction], prove: bool) -> FileResult:
    source = Source("", file)
    try:
        source = read(file)
        found = report(load(source, values))
        return proved(found) if prove else found
    except SpecError as error:
        return error, invalid(source.file, error.diagnostics)


def _status(result: FileResult) -> int:
    if not isinstance(result, Report):
        return 2
    return 0 if result.as_expected else 1


def _print_text(results: list[FileResult], all_fixes: bool) -> None:
    from abcparam.verdict.report_text import fix_lines, render_report

    for result in results:
        if isinstance(result, Report):
            print(render_report(result, coloured(sys.stdout)))
            if all_fixes:
                print("\n".join([*fix_lines(result), ""]))
            print_diagnostics(result.diagnostics, result.program.source)
        else:
            print_diagnostics(result[0].diagnostics, result[0].source)


COMMAND = Command("check", "derive the laws of a spec and judge it", _arguments, run)
