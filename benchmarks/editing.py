"""How long a language server takes from a key to diagnostics, beside the import of a library."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import cycle

from abcparam.diagnostics.source import Source
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.hints import hints
from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, run_process, seconds

TARGET = 0.44  # 150 ms where the import takes 340
SPECS = (  # and whether the target is theirs
    ("examples/gpt.param", True),
    ("examples/wrong/standard_parametrization.param", True),
    ("examples/mixtral.param", False),
)


def typing(options: Options) -> list[Comparison]:
    """What each key costs in a spec that is right and in one that is wrong: all but the search."""
    theirs = [sys.executable, "-c", "import sympy"]
    run_process(theirs)
    found = []
    for spec, is_target in SPECS:
        keys = typed((ROOT / spec).read_text(encoding="utf-8"))
        next(keys)  # once unmeasured
        pairs = alternate(
            lambda keys=keys: seconds(lambda: next(keys)),  # type: ignore[misc]
            lambda: seconds(lambda: run_process(theirs)),
            options.rounds(15),
        )
        labels, target = ("a key", "import sympy"), TARGET if is_target else None
        found.append(compare(f"from a key to diagnostics, {spec}", labels, pairs, target))
    return found


def typed(text: str) -> Iterator[None]:
    """Answers to an editor, key by key; each key writes or deletes a blank at the end of a line."""
    before: Analysis | None = None
    for blank in cycle((" ", "")):
        before = analyse(Source(text.replace("\n", f"{blank}\n", 1)), before)
        hints(before)
        coloured(before)
        quick_fixes(before.diagnostics)
        yield
