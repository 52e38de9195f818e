"""How long a command takes in a fresh process, beside the import of a library it does not need."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, run_process, seconds
from benchmarks.wrong_specs import wrong_specs

SPEC = "examples/gpt.param"


def check(options: Options) -> list[Comparison]:
    """`abcparam check` beside `import sympy`."""
    return [beside_import(["check", SPEC], "sympy", 0.3, options)]


def examples(options: Options) -> list[Comparison]:
    """`abcparam check` of every example beside `import sympy`."""
    return [
        beside_import(["check", str(file.relative_to(ROOT))], "sympy", 0.6, options)
        for file in sorted((ROOT / "examples").glob("*.param"))
    ]


def wrong(options: Options) -> list[Comparison]:
    """`abcparam check` of every wrong example, its fix included, beside `import sympy`."""
    return [
        beside_import(["check", str(file.relative_to(ROOT))], "sympy", 0.7, options, status=1)
        for file in sorted((ROOT / "examples" / "wrong").glob("*.param"))
    ]


def random_wrong(options: Options) -> list[Comparison]:
    """`abcparam check` of random wrong specs beside `import sympy`: 95 in 100 of them, and all."""
    count, pairs = 50 if options.quick else 500, []
    theirs = [sys.executable, "-c", "import sympy"]
    with tempfile.TemporaryDirectory() as folder:
        for number, text in enumerate(wrong_specs(count)):
            file = Path(folder) / f"{number}.param"
            file.write_text(text, encoding="utf-8")
            ours = [*command(), "check", str(file)]
            pairs += alternate(
                lambda ours=ours: seconds(lambda: run_process(ours, 1)),  # type: ignore[misc]
                lambda: seconds(lambda: run_process(theirs)),
                1,
            )
    pairs.sort(key=lambda pair: pair[0] / pair[1])
    labels = ("abcparam check", "import sympy")
    late = pairs[len(pairs) * 95 // 100]
    return [
        compare(f"{count} random wrong specs, median", labels, pairs, None),
        compare(f"{count} random wrong specs, 95th percentile", labels, [late], 1.0),
        compare(f"{count} random wrong specs, the slowest", labels, [pairs[-1]], 3.0),
    ]


def compile_(options: Options) -> list[Comparison]:
    """`abcparam compile` beside `import torch`."""
    return [beside_import(["compile", SPEC, "-o", "-"], "torch", 0.12, options)]


def beside_import(
    arguments: list[str], library: str, target: float, options: Options, status: int = 0
) -> Comparison:
    ours = [*command(), *arguments]
    theirs = [sys.executable, "-c", f"import {library}"]
    run_process(ours, status)  # once unmeasured, so that bytecode is written and files are cached
    run_process(theirs)
    pairs = alternate(
        lambda: seconds(lambda: run_process(ours, status)),
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
