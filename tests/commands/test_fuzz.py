"""Damaged specs end in a report or in errors placed in the text, never in another exception.

20,000 cases: whole specs with one to three words or characters deleted, doubled, swapped or
replaced.
"""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import judged, load
from abcparam.verdict.findings import reasons
from tests.support.paths import SPECS

SEEDS = range(20)
CASES = 1000  # for each seed
FIXED = 200  # of how many one is fixed too
WORD = re.compile(r"[A-Za-z_]\w*|[\d.]+(?:e-?\d+)?|\s+|.", re.S)


def small(text: str) -> str:
    """The spec with few copies, so that a case takes milliseconds."""
    return re.sub(r"(dim (?:depth|time)\s*=) \d+", r"\1 2", text)


TEXTS = [small(path.read_text(encoding="utf-8")) for path in sorted(SPECS.glob("*.param"))]
WORDS = [WORD.findall(text) for text in TEXTS]
VOCABULARY = sorted({word for words in WORDS for word in words if word.strip()})


def damage(words: list[str], draw: random.Random) -> str:
    words = list(words)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        index = draw.randrange(len(words))
        kind = draw.randrange(5)
        if kind == 0:
            del words[index]
        elif kind == 1:
            words.insert(index, words[draw.randrange(len(words))])
        elif kind == 2:
            other = draw.randrange(len(words))
            words[index], words[other] = words[other], words[index]
        elif kind == 3:
            words[index] = draw.choice(VOCABULARY)
        else:
            words[index] = words[index][:-1] + chr(draw.randrange(32, 127))
    return "".join(words)


def outcome(text: str, fix: bool) -> str:
    """What `check` ends with; the search for a fix, which takes seconds, where it is asked for."""
    try:
        report = abcparam.check(text) if fix else judged(load(Source(text)))
        reasons(report.judgement, ())
    except abcparam.SpecError as error:
        lines = text.replace("\r\n", "\n").split("\n")
        assert error.diagnostics
        for diagnostic in error.diagnostics:
            span = diagnostic.span
            assert 1 <= span.line <= len(lines), diagnostic
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1, diagnostic
            assert diagnostic.message and diagnostic.code.startswith("P0")
        return "errors"
    report.to_dict()
    return "report"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thousand_damaged_specs(seed: int):
    draw = random.Random(seed)
    found: Counter[str] = Counter()
    for number in range(CASES):
        text = damage(draw.choice(WORDS), draw)
        try:
            found[outcome(text, fix=number % FIXED == 0)] += 1
        except Exception as error:
            pytest.fail(f"{type(error).__name__}: {error}\n\n{text}", pytrace=True)
    assert sum(found.values()) == CASES
    assert min(found["errors"], found["report"]) >= CASES // 20
