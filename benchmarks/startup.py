"""How long a command takes in a fresh process, beside the import of a library it does not need."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, run_process, seconds

SPEC = "examples/gpt.param"


def check(options: Options) -> list[Comparison]:
    """`abcparam check` beside `import sympy`."""
    return [beside_import(["check", SPEC], "sympy", 0.5, options)]


def examples(options: Options) -> list[Comparison]:
    """`abcparam check` of every example beside `import sympy`."""
    return [
        beside_import(["check", str(file.relative_to(ROOT))], "sympy", 0.6, options)
        for file in sorted((ROOT / "examples").glob("*.param"))
    ]


def compile_(options: Options) -> list[Comparison]:
    """`abcparam compile` beside `import torch`."""
    return [beside_import(["compile", SPEC, "-o", "-"], "torch", 0.25, options)]


def beside_import(
    arguments: list[str], library: str, target: float, options: Options
) -> Comparison:
    ours = [*command(), *arguments]
    theirs = [sys.executable, "-c", f"import {library}"]
    for program in (ours, theirs):
        run_process(program)  # once unmeasured, so that bytecode is written and files are cached
    pairs = alternate(
        lambda: seconds(lambda: run_process(ours)),
        lambda: seconds(lambda: run_process(theirs)),
        options.rounds(15),
    )
    labels = (f"abcparam {arguments[0]}", f"import {library}")
    name = f"start-up of {arguments[0]}, {Path(arguments[1]).stem}"
    return compare(name, labels, pairs, target)


def command() -> list[str]:
    """The installed command of this Python, or else the package."""
    script = Path(sys.executable).with_name("abcparam")
    if script.exists():
        return [str(script)]
    return [sys.executable, "-m", "abcparam"]
