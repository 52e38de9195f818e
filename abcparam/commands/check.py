"""`abcparam check`: laws, verdict, reasons."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

from abcparam.algebra.record import replace
from abcparam.commands.shared import (
    Command,
    UsageError,
    budget_argument,
    coloured,
    print_diagnostics,
    print_or_write,
    set_argument,
    values_of,
)
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.language.reader import read
from abcparam.verdict.changes import in_words
from abcparam.verdict.check import load, proved, report
from abcparam.verdict.report import FixResult, Report, invalid
from abcparam.verdict.results import CheckResult


def _arguments(command: argparse.ArgumentParser) -> None:
    from abcparam.recipes.registry import asked_names

    command.add_argument("files", nargs="+", metavar="FILE", help="a spec; - is standard input")
    command.add_argument(
        "--format",
        choices=["text", *WRITTEN],
        default="text",
        help="html is a page to send around (default: %(default)s)",
    )
    command.add_argument(
        "-o", "--output", metavar="OUT", default="-", help="where to (default: it is printed)"
    )
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
    command.add_argument(
        "--recipe",
        choices=asked_names(),
        help="the files are configurations of that project: its model is judged",
    )
    command.add_argument(
        "--watch",
        action="store_true",
        help="check again whenever a spec or what it imports changes, until Ctrl-C",
    )
    command.add_argument(
        "--stdin-filename",
        metavar="FILE",
        help="what standard input is called, and beside which file its imports are looked for",
    )
    budget_argument(command)
    set_argument(command)


def run(options: argparse.Namespace) -> int:
    """Laws, verdict, reasons; 0 as expected, 1 not, 2 invalid."""
    if options.format == "text" and options.output != "-":
        raise UsageError(f"-o takes a report in --format {', '.join(WRITTEN)}")
    if options.format == "html" and len(options.files) > 1:
        raise UsageError("a page is of one spec: give one file at a time with --format html")
    if not options.watch:
        return _check(options)
    from abcparam.commands.watching import watch

    if options.fix or "-" in options.files:
        raise UsageError("--watch reads files again and again: it takes no - and no --fix")
    return watch(options.files, lambda: _check(options))


def _check(options: argparse.Namespace) -> int:
    values = values_of(options)
    fixed = {}
    if options.fix and options.recipe:
        raise UsageError("--fix writes into specs: it does not go with --recipe")
    if options.fix:
        fixed = {file: _fix_one(file, values, options.prove) for file in options.files}
    results = [_check_one(file, values, options) for file in options.files]
    if options.format == "text":
        _print_text(results, options.all_fixes)
    else:
        text = WRITTEN[options.format](options, results, list(fixed.values()))
        if print_or_write(text, options.output):
            print(f"report -> {options.output}", file=sys.stderr)
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
    outcome = found.reason or in_words(found.changes)
    print(f"{file}: {outcome}", file=sys.stderr)
    if found.comments:
        print(f"{file}: these comments may now be false:", file=sys.stderr)
        print("\n".join(f"  {comment}" for comment in found.comments), file=sys.stderr)
    return found


def _check_one(
    file: str, values: Mapping[str, Fraction], options: argparse.Namespace
) -> CheckResult:
    try:
        source = read(file, is_spec=not options.recipe)
        if file == "-" and (name := options.stdin_filename):
            source = replace(source, file=name, folder=os.path.dirname(name) or ".")
        if options.recipe:
            from abcparam.recipes.judging import judged_named

            return judged_named(options.recipe, source, values)
        found = report(load(source, values))
        return proved(found) if options.prove else found
    except SpecError as error:
        return error


def _status(result: CheckResult) -> int:
    if not isinstance(result, Report):
        return 2
    return 0 if result.as_expected else 1


def _print_text(results: Sequence[CheckResult], all_fixes: bool) -> None:
    from abcparam.verdict.report_text import fix_lines, render_report

    for result in results:
        if isinstance(result, Report):
            print(render_report(result, coloured(sys.stdout)))
            if all_fixes:
                print("\n".join([*fix_lines(result), ""]))
            print_diagnostics(result.diagnostics, result.program.source)
        else:
            print_diagnostics(result.diagnostics, result.source)


Fixed = Sequence[FixResult | None]


def _json(options: argparse.Namespace, results: Sequence[CheckResult], fixed: Fixed) -> str:
    import json

    objects = [
        r.to_dict(options.all_fixes)
        if isinstance(r, Report)
        else invalid(r.source.file, r.diagnostics)
        for r in results
    ]
    for one, made in zip(objects, fixed, strict=False):
        one |= {"fixed": made.to_dict() if made else None}
    return json.dumps(objects[0] if len(objects) == 1 else objects, indent=2) + "\n"


def _sarif(options: argparse.Namespace, results: Sequence[CheckResult], fixed: Fixed) -> str:
    import json

    from abcparam import __version__
    from abcparam.verdict.report_sarif import report_sarif

    return json.dumps(report_sarif(results, __version__), indent=2) + "\n"


def _github(options: argparse.Namespace, results: Sequence[CheckResult], fixed: Fixed) -> str:
    from abcparam.verdict.report_github import report_github

    return report_github(results)


def _html(options: argparse.Namespace, results: Sequence[CheckResult], fixed: Fixed) -> str:
    """The page of a report, with what it emits; of what is wrong, where it is invalid."""
    from abcparam.pipeline import emit_program
    from abcparam.verdict.page.page import error_page, report_page

    (result,) = results
    if not isinstance(result, Report):
        return error_page(result.source, result.diagnostics)
    return report_page(result, "" if result.said is not None else emit_program(result))


ReportWriter = Callable[[argparse.Namespace, Sequence[CheckResult], Fixed], str]

WRITTEN: dict[str, ReportWriter] = {
    "json": _json,
    "html": _html,
    "sarif": _sarif,
    "github": _github,
}
COMMAND = Command("check", "derive the laws of a spec and judge it", _arguments, run)
