"""What each command does. A command prints results to stdout and returns its exit status."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Any

from abcparam.diagnostics import Diagnostic, SpecError, render
from abcparam.driver import compared, explained, gauged, judged, load, report
from abcparam.parse import read
from abcparam.program import GAUGES, VERDICTS, Program
from abcparam.report import Report, invalid
from abcparam.source import Source


class Usage(Exception):
    """The command line asks for something that cannot be done; the text says what to do instead."""


def coloured(stream: Any) -> bool:
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR")


def values_of(options: argparse.Namespace) -> dict[str, Fraction]:
    """`--set name=value …`; values are exact."""
    return named_values(options.set or [], "--set")


def named_values(texts: Iterable[str], option: str) -> dict[str, Fraction]:
    """`name=value …` of an option."""
    found: dict[str, Fraction] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or len(value) > 40:
            raise Usage(f"{option} takes NAME=VALUE, not {text!r}")
        found[name.strip()] = number(value.strip())
    return found


def number(text: str) -> Fraction:
    _digits, _, exponent = text.lower().partition("e")
    try:
        if exponent and abs(int(exponent)) > 400:
            raise ValueError
        return Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise Usage(f"{text!r} is not a number; write 4096, 1e-3 or 1/2") from None


def set_argument(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        nargs="+",
        action="extend",
        metavar="NAME=VALUE",
        help="values for dims, hypers and symbols: --set width=4096 lr=1e-3 theta=1/2",
    )


# check


def _check_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("files", nargs="+", metavar="FILE", help="a spec; - is standard input")
    command.add_argument("--format", choices=["text", "json"], default="text")
    command.add_argument(
        "--fix", action="store_true", help="write the smallest change into the file, then check it"
    )
    set_argument(command)


def check(options: argparse.Namespace) -> int:
    """Laws, verdict, reasons; 0 as expected, 1 not, 2 invalid."""
    values = values_of(options)
    if options.fix:
        for file in options.files:
            _fix_one(file, values)
    results = [_check_one(file, values) for file in options.files]
    if options.format == "json":
        import json

        objects = [r.to_dict() if isinstance(r, Report) else r[1] for r in results]
        print(json.dumps(objects[0] if len(objects) == 1 else objects, indent=2))
    else:
        _print_text(results)
    return max(_status(r) for r in results)


def _fix_one(file: str, values: Mapping[str, Fraction]) -> None:
    """Writes the smallest change that makes a spec maximal-update into its file."""
    from abcparam.driver import fixed
    from abcparam.files import write_atomically

    if file == "-":
        raise Usage("--fix needs files to write to")
    try:
        found = fixed(load(read(file), values))
    except SpecError:
        return  # the check that follows says why
    if isinstance(found, str):
        print(f"{file}: {found}", file=sys.stderr)
        return
    text, changes = found
    write_atomically(file, text)
    print(f"{file}: {', '.join(map(str, changes))}", file=sys.stderr)


Result = Report | tuple[SpecError, dict[str, Any]]


def _check_one(file: str, values: Mapping[str, Fraction]) -> Result:
    source = Source("", file)
    try:
        source = read(file)
        return report(load(source, values))
    except SpecError as error:
        return error, invalid(source.file, error.diagnostics)


def _status(result: Result) -> int:
    if not isinstance(result, Report):
        return 2
    return 0 if result.as_expected else 1


def _print_text(results: list[Result]) -> None:
    from abcparam.table import render_report

    for result in results:
        if isinstance(result, Report):
            print(render_report(result, coloured(sys.stdout)))
            print_diagnostics(result.diagnostics, result.program.source)
        else:
            print_diagnostics(result[0].diagnostics, result[0].source)


def print_diagnostics(diagnostics: Iterable[Diagnostic], source: Source) -> None:
    """Each on standard error, an empty line behind it."""
    for diagnostic in diagnostics:
        print(render(diagnostic, source, coloured(sys.stderr)) + "\n", file=sys.stderr)


# compile


def _compile_arguments(command: argparse.ArgumentParser) -> None:
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
    command.add_argument("--require", choices=VERDICTS, help="refuse a spec whose verdict is less")
    command.add_argument(
        "--force", action="store_true", help="overwrite a file that abcparam did not write"
    )
    set_argument(command)


def compile_(options: argparse.Namespace) -> int:
    """Writes the Python module; 0 done, 1 refused by --require, 2 invalid."""
    from abcparam.driver import emit_program
    from abcparam.files import write_generated

    source = read(options.file)
    found = judged(gauged(load(source, values_of(options)), options.gauge))
    if options.require and not found.reaches(options.require):
        print(
            f"{source.file}: {found.verdict}, less than {options.require}: nothing written",
            file=sys.stderr,
        )
        print_diagnostics(explained(found).diagnostics, source)
        return 1
    target = _target(options, found)
    text = emit_program(found)
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
    return 0


def _target(options: argparse.Namespace, found: Report) -> str:
    if options.output:
        return str(options.output)
    if options.file == "-":
        return "-"
    return os.path.splitext(str(options.file))[0] + ".py"


# diff


def _diff_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument("a", metavar="A", help="a spec; - is standard input")
    command.add_argument("b", metavar="B", help="another one")
    command.add_argument("--format", choices=["text", "json"], default="text")


def diff(options: argparse.Namespace) -> int:
    """Whether two parametrizations are the same; 0 if so, 1 different, 2 invalid."""
    from abcparam.difference import NO

    if options.a == options.b == "-":
        raise Usage("only one of the two specs can be standard input")
    programs = [_loaded(file) for file in (options.a, options.b)]
    a, b = programs
    if a is None or b is None:
        return 2
    found = compared(a, b)
    if options.format == "json":
        import json

        print(json.dumps(found.to_dict(), indent=2))
    else:
        from abcparam.difference_text import render_differences

        print(render_differences(found, coloured(sys.stdout)))
    return 1 if found.same == NO else 0


def _loaded(file: str) -> Program | None:
    """The program of a file; None after its errors were printed."""
    try:
        return load(read(file))
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return None


# fmt


def _fmt_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="specs to rewrite; - prints standard input formatted",
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a file is not formatted"
    )


def fmt(options: argparse.Namespace) -> int:
    """Canonical formatting, in place; every comment kept."""
    return max(_fmt_one(file, options.check) for file in options.files)


def _fmt_one(file: str, only_check: bool) -> int:
    from abcparam.files import write_atomically
    from abcparam.format import format_source

    try:
        source = read(file)
        text = format_source(source)
        same = text == source.text
        if only_check and not same:
            print(f"would reformat {source.file}")
        elif file == "-" and not only_check:
            print(text, end="")
        elif not same:
            write_atomically(file, text)
    except SpecError as error:
        print_diagnostics(error.diagnostics, error.source)
        return 2
    return 1 if only_check and not same else 0


# explain


def _explain_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "code", metavar="CODE", help="a diagnostic's code, such as P0301; `all` lists them"
    )


def explain(options: argparse.Namespace) -> int:
    """The story behind a diagnostic."""
    from abcparam.explain import codes, story

    if options.code.lower() == "all":
        for code, rule in codes().items():
            print(f"{code}  {(rule.__doc__ or '').strip().splitlines()[0]}")
        return 0
    text = story(options.code)
    if text is None:
        raise Usage(
            f"no diagnostic has the code {options.code!r}; `abcparam explain all` lists them"
        )
    print(text)
    return 0


# new


def _new_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "example",
        nargs="?",
        default="gpt",
        metavar="EXAMPLE",
        help="what it starts from (default: gpt); `all` lists the examples",
    )
    command.add_argument(
        "-o", "--output", metavar="OUT", help="where to (default: EXAMPLE.param); - prints it"
    )


def new(options: argparse.Namespace) -> int:
    """A copy of an example, to be changed; nothing is overwritten."""
    from abcparam.resources import names, read_resource

    examples = names("examples", ".param")
    if options.example == "all":
        for name in examples:
            print(f"{name:22}{_title(read_resource('examples', f'{name}.param'))}")
        return 0
    if options.example not in examples:
        raise Usage(f"no example is called {options.example!r}; they are: {', '.join(examples)}")
    text = read_resource("examples", f"{options.example}.param")
    if options.output == "-":
        print(text, end="")
    else:
        _write_new(options.output or f"{options.example}.param", text)
    return 0


def _title(text: str) -> str:
    """The first comment, less the file's own name."""
    line = text.partition("\n")[0].lstrip("# ")
    return line.partition(" — ")[2] or line


def _write_new(path: str, text: str) -> None:
    from abcparam.files import write_atomically

    if os.path.exists(path):
        raise Usage(f"{path!r} exists; choose another place with `-o OUT`")
    write_atomically(path, text)
    print(f"{path}: change it, then `abcparam check {path}`")


Run = Callable[[argparse.Namespace], int]
Arguments = Callable[[argparse.ArgumentParser], None]

Command = tuple[str, Arguments, Run]

COMMANDS: dict[str, Command] = {
    "check": ("derive the laws of a spec and judge it", _check_arguments, check),
    "compile": ("write the PyTorch module of a spec", _compile_arguments, compile_),
    "diff": ("are two parametrizations the same, and where not", _diff_arguments, diff),
    "fmt": ("format specs", _fmt_arguments, fmt),
    "new": ("a spec to start from", _new_arguments, new),
    "explain": ("the story behind a diagnostic", _explain_arguments, explain),
}
