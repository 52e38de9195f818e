"""Random wrong specs, always the same ones: examples with a few exponents moved, and usual slips.

A slip is what people write: the scale of attention before heads grow, PyTorch's defaults, a factor
that is forgotten.

`python -m benchmarks.wrong_specs [COUNT [SEED]]` fixes so many and says what came of it; it prints
those that are not mended, and then exits with 1.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from abcparam.algebra.exponents import Affine
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.editing.exponents import UnwritableError, edited
from abcparam.pipeline import fix
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor, exponents_by_key
from abcparam.verdict.check import judged, load
from benchmarks.measure import ROOT

SPECS = (
    *("examples/mlp", "examples/gpt", "examples/gpt2", "examples/llama", "examples/mixtral"),
    *("examples/transformer_wikitext", "examples/qwen3", "examples/t5", "examples/bert"),
    *("tests/specs/gpt_depth", "tests/specs/rnn", "tests/specs/lstm", "examples/vit"),
)
SHIFTS = [Fraction(k, 4) for k in (-4, -2, -1, 1, 2, 4)]
MENDED = "mended"
SLIPS = (
    (r"head\^-1\b", "head^(-1/2)"),
    (r"^parametrization mup$", "parametrization sp"),
    (r"base\(width\) / width \* ", ""),
    (
        r"dim head( *)= \d+\ndim heads( *)= width / head\b",
        r"dim heads\1= 4\ndim head\2= width / heads",
    ),
)


def wrong_specs(count: int, seed: int = 0) -> Iterator[str]:
    """So many texts of specs that are valid and not maximal-update."""
    draw = random.Random(seed)
    while count:
        text = _wrong(draw)
        if text is not None:
            count -= 1
            yield text


def _wrong(draw: random.Random) -> str | None:
    text = (ROOT / f"{draw.choice(SPECS)}.param").read_text(encoding="utf-8")
    if draw.random() < 0.4:
        pattern, slip = draw.choice(SLIPS)
        text = re.sub(pattern, slip, text, flags=re.M)
    try:
        program = load(Source(text))
        text = edited(program, dict(_moves(draw, program)))
        return None if judged(load(Source(text))).verdict == "maximal-update" else text
    except (SpecError, UnwritableError):
        return None


def _moves(draw: random.Random, program: Program) -> Iterator[tuple[tuple[str, str], Affine]]:
    """Up to three exponents moved, each of a role or of a declaration."""
    tensors = list(program.tensors.values())
    for _ in range(draw.choice((0, 1, 1, 2, 3))):
        chosen, letter, by = draw.choice(tensors), draw.choice("abc"), draw.choice(SHIFTS)
        whole = draw.random() < 0.5
        for tensor in tensors:
            if _belongs(tensor, chosen, letter, whole) and not tensor.frozen:
                now = exponents_by_key(tensor).get(letter, Affine(Fraction(0)))
                yield (tensor.path, letter), now + Affine(by)


def _belongs(tensor: Tensor, chosen: Tensor, letter: str, whole: bool) -> bool:
    """Whether a tensor moves with another one: takes the exponent from the same role, say."""
    if whole and letter not in {*tensor.spans, *chosen.spans}:
        return tensor.role == chosen.role
    return tensor.span == chosen.span


def main(count: int = 5000, seed: int = 0) -> int:
    """0 where each is mended by a change that `check` accepts, else 1."""
    outcomes = Counter[str]()
    for text in wrong_specs(count, seed):
        outcome = outcome_of(text)
        outcomes[outcome] += 1
        if outcome != MENDED:
            print(f"{outcome}:\n{text}")
    print(f"of {count} random wrong specs (seed {seed}):")
    print("\n".join(f"{number:6} {outcome}" for outcome, number in outcomes.most_common()))
    return int(outcomes.keys() != {MENDED})


def outcome_of(text: str) -> str:
    """What came of fixing a spec: mended, or why not."""
    found = fix(text)
    if not found.changes:
        return found.reason or "no reason is given"
    verdict = judged(load(Source(found.text))).verdict
    return MENDED if verdict == "maximal-update" else f"the fix leaves it {verdict}"


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
