"""How long a language server takes from a key to diagnostics, beside the import of a library."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import count, product

from abcparam.diagnostics.source import Source
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.hints import hints
from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, run_process, seconds

TARGET = 0.44  # 150 ms where the import takes 340
SPECS = (  # the ones that take longest, and one that is wrong
    *("examples/gpt3.param", "examples/mixtral.param", "examples/qwen3.param"),
    *("examples/resnet50.param", "examples/wrong/standard_parametrization.param"),
)
BASE = re.compile(r"(?<=base = )\d+")
Edit = Callable[[str, int], str]


def blank(text: str, count: int) -> str:
    """A blank at the end of a line, or none: what changes is where words stand."""
    return text.replace("\n", f"{' ' * (count % 2)}\n", 1)


def base(text: str, count: int) -> str:
    """Another base of the first dim that has one: the sizes of all gradients change."""
    return BASE.sub(lambda found: str(int(found[0]) * (1 + count)), text, count=1)


EDITS: dict[str, Edit] = {"a blank": blank, "another base": base}


def typing(options: Options) -> list[Comparison]:
    """What each key costs in a spec: all but the search."""
    theirs = [sys.executable, "-c", "import sympy"]
    run_process(theirs)
    found = []
    for spec, (key, edit) in product(SPECS, EDITS.items()):
        keys = typed((ROOT / spec).read_text(encoding="utf-8"), edit)
        next(keys)  # once unmeasured
        pairs = alternate(
            lambda keys=keys: seconds(lambda: next(keys)),  # type: ignore[misc]
            lambda: seconds(lambda: run_process(theirs)),
            options.rounds(15),
        )
        name, labels = f"from a key to diagnostics, {key}, {spec}", ("a key", "import sympy")
        found.append(compare(name, labels, pairs, TARGET))
    return found


def typed(text: str, edit: Edit) -> Iterator[None]:
    """Answers to an editor, key by key."""
    before: Analysis | None = None
    for number in count(1):
        before = analyse(Source(edit(text, number)), before)
        hints(before)
        coloured(before)
        quick_fixes(before.diagnostics)
        yield
