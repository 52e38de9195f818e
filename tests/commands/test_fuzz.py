"""Damaged specs end in a report or in errors placed in the text, never in another exception.

20,000 cases, 5,000 of them in every run: whole specs with one to three words or characters deleted,
doubled, swapped or replaced. A share of `make fuzz`, whose specs have every operation, goes through
every command.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
from collections import Counter

import pytest

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.operations import operations
from abcparam.verdict.check import judged, load
from abcparam.verdict.findings import reasons
from tests.support.fuzzing import reached, try_case
from tests.support.paths import ROOT, SPECS
from tests.support.random_specs import OPTIMIZERS, written

SEEDS = [seed if seed < 5 else pytest.param(seed, marks=pytest.mark.slow) for seed in range(20)]
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


# Through every command

SEED = 20
IMPLIED = {"*", "+", "-", "@", "embed", "index", "offset", "scale"}


def test_random_specs_have_everything_and_are_valid():
    texts = list(written(500, 0))
    assert reached(texts) >= set(operations()) - IMPLIED
    assert {name for name in OPTIMIZERS if f"optimizer {name}" in "".join(texts)} == {*OPTIMIZERS}
    refused = 0
    for text in texts[:60]:
        try:
            load(Source(text))
        except abcparam.SpecError:
            refused += 1
    assert refused < 12


def test_a_few_cases_through_every_command():
    for number in range(3):
        made, _ = try_case(SEED, number, forward=False)
        assert not made.broken, made.text


@pytest.mark.slow
def test_more_cases_are_imported_too_and_the_same_under_another_hash_seed():
    digests = []
    for number in range(3, 13):
        made, digest = try_case(SEED, number, forward=True)
        assert not made.broken, made.text
        digests.append(digest)
    command = [sys.executable, "-m", "tests.support.fuzzing", "--digests", "cases", str(SEED)]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    given = "\n".join(map(str, range(3, 7)))
    ran = subprocess.run(command, input=given, capture_output=True, text=True, env=environment)
    assert not ran.stderr
    pairs = zip(digests, ran.stdout.splitlines(), strict=False)
    assert all(one == other for one, other in pairs if one and other)
