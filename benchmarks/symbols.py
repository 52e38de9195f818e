"""How long `derive` and `solve` take in a fresh process, beside the import of sympy; and how that
grows with depth, when layers are unrolled.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, run_process, seconds
from benchmarks.startup import SPEC, command

ROLES = "\n    ".join(f"{role} {{ a = ?, b = ?, c = ? }}" for role in ("input", "hidden", "output"))
UNKNOWN = f"parametrization {{\n    {ROLES}\n}}\n"
PARAMETRIZATION = re.compile(r"^parametrization ([^\n{]*\{.*?\n\}|.*?$)\n", re.M | re.S)
OPTIMIZER = re.compile(r"^optimizer [^\n]*\{[^}\n]*\n(?:[ \t][^\n]*\n)*\}|^optimizer [^\n]*", re.M)
EXPONENT = re.compile(r"\b([abc](?:\[\w+\])?) = -?[\d/]+")
SPECS = (
    *("examples/gpt", "examples/mlp", "tests/specs/bert", "tests/specs/gpt_depth"),
    *("tests/specs/lora", "tests/specs/lstm", "tests/specs/rnn"),
)
NO_SOLUTION = {  # SGD would need rates by depth, and other ones for the adapters
    ("tests/specs/gpt_depth", "sgd"),
    ("tests/specs/lora", "sgd"),
}
DEPTHS = (25, 50, 100)


def derive(options: Options) -> list[Comparison]:
    """`derive --all` of the GPT, every exponent of a role a symbol."""
    arguments = ["derive", "--all", SPEC]
    beside = _beside_sympy("derive the symbolic GPT", arguments, 20, options)
    return [beside, *_depths("derive", arguments, options)]


def solve(options: Options) -> list[Comparison]:
    """`solve` of every spec without any exponents, under SGD and Adam."""
    with tempfile.TemporaryDirectory() as folder:
        found = [
            _beside_sympy(f"solve {file.stem}", ["solve", str(file)], 10, options)
            for file in _without_exponents(Path(folder))
        ]
        deep = ["solve", str(Path(folder) / "gpt_adam.param")]
        return [*found, *_depths("solve", deep, options)]


def examples(options: Options) -> list[Comparison]:
    """`derive --all` of every example, and `solve` of it without exponents."""
    files = sorted((ROOT / "examples").glob("*.param"))
    found = [
        _beside_sympy(f"derive {file.stem}", ["derive", "--all", str(file)], 2, options)
        for file in files
    ]
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            spec = Path(folder) / file.name
            spec.write_text(unknown(file.read_text(encoding="utf-8"), "adam"), encoding="utf-8")
            found.append(_beside_sympy(f"solve {file.stem}", ["solve", str(spec)], 2, options))
    return found


def _without_exponents(folder: Path) -> Iterator[Path]:
    for name in SPECS:
        text = (ROOT / f"{name}.param").read_text(encoding="utf-8")
        for optimizer in ("sgd", "adam"):
            if (name, optimizer) not in NO_SOLUTION:
                file = folder / f"{Path(name).name}_{optimizer}.param"
                file.write_text(unknown(text, optimizer), encoding="utf-8")
                yield file


def unknown(text: str, optimizer: str) -> str:
    """The spec with `?` for every exponent of a role, or of a tensor where there are no roles."""
    text, roles = PARAMETRIZATION.subn(UNKNOWN, text)
    text = text if roles else EXPONENT.sub(r"\1 = ?", text)
    return OPTIMIZER.sub(f"optimizer {optimizer} {{ lr = lr }}", text)


def _beside_sympy(
    name: str, arguments: Sequence[str], target: float, options: Options
) -> Comparison:
    ours, theirs = [*command(), *arguments], [sys.executable, "-c", "import sympy"]
    for program in (ours, theirs):
        run_process(program)  # once unmeasured, so that bytecode is written and files are cached
    pairs = alternate(
        lambda: seconds(lambda: run_process(ours)),
        lambda: seconds(lambda: run_process(theirs)),
        options.rounds(5),
    )
    return compare(name, (f"abcparam {arguments[0]}", "import sympy"), pairs, target)


def _depths(name: str, arguments: Sequence[str], options: Options) -> list[Comparison]:
    """Each depth beside half of it: 2 where time is linear in depth."""
    return [_twice(name, arguments, depth, options) for depth in DEPTHS[1:]]


def _twice(name: str, arguments: Sequence[str], depth: int, options: Options) -> Comparison:
    ours, theirs = (
        [*command(), *arguments, "--set", f"depth={layers}"] for layers in (depth, depth // 2)
    )
    pairs = alternate(
        lambda: seconds(lambda: run_process(ours)),
        lambda: seconds(lambda: run_process(theirs)),
        options.rounds(3),
    )
    labels = (f"{depth} layers", f"{depth // 2} layers")
    return compare(f"{name} at depth", labels, pairs, 2.2)
