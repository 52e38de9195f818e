"""Small random specs with one to three `?` among their exponents, and what a grid says of them.

The grid is a brute force: every point of it is judged by the evaluator of numbers alone.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product

from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.program.binding import bind
from abcparam.program.model import Program
from tests.support.random_mlps import random_mlps, spec

WINDOW = {  # the numerators over STEPS of the grid, by the number of unknowns
    1: range(-8, 9),
    2: range(-6, 9),
    3: range(-4, 7),
}
STEPS = 4
EXPONENT = re.compile(r"\b([abc]) = (-?\d+(?:/\d+)?)")
TRANSFORMER = """model Small
dim width -> inf, base = 64
dim head = 8
dim heads = width / head
dim vocab = 7
dim sequence = 3
hyper lr = 0.1
parametrization {{
    input  {{ a = 0, b = 0, c = {0} }}
    hidden {{ a = 0, b = 1/2, c = {1} }}
    output {{ a = 1, b = 0, c = {2} }}
}}
tensor table : input [vocab, width]
tensor query, key : hidden [width, width]
tensor value : hidden [width, width] {{ a = 0, b = 1/2, c = {1} }}
tensor up, down : hidden [width, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [sequence]) {{
    x = embed(table, tokens)
    z = layernorm(x)
    x = x + attention(query @ z, key @ z, value @ z, heads = heads, scale = head^-1)
    x = x + down @ relu(up @ layernorm(x))
    return readout @ layernorm(x)
}}
optimizer {3} {{ lr = lr }}
loss cross_entropy
"""
RATES = {"sgd": ("-1", "0", "-1"), "adam": ("0", "1", "0")}


def random_cases(seed: int, mlps: int, transformers: int) -> Iterator[str]:
    """MLPs of every verdict, and transformers around the maximal one."""
    draw = random.Random(seed)
    for mlp in random_mlps(seed, mlps):
        yield _opened(draw, spec(mlp))
    for number in range(transformers):
        optimizer = ("sgd", "adam")[number % 2]
        text = TRANSFORMER.format(*RATES[optimizer], optimizer)
        yield _opened(draw, _spoilt(draw, text) if draw.random() < 0.4 else text)


def _opened(draw: random.Random, text: str) -> str:
    """One to three exponents become `?`."""
    places = list(EXPONENT.finditer(text))
    chosen = draw.sample(places, draw.choice([1, 2, 2, 3]))
    for found in sorted(chosen, key=lambda m: -m.start()):
        text = f"{text[: found.start()]}{found[1]} = ?{text[found.end() :]}"
    return text


def _spoilt(draw: random.Random, text: str) -> str:
    found = draw.choice(list(EXPONENT.finditer(text)))
    value = Fraction(found[2]) + draw.choice([-1, 1]) * Fraction(1, 2)
    return f"{text[: found.start()]}{found[1]} = {value}{text[found.end() :]}"


def points(symbols: tuple[str, ...]) -> Iterator[dict[str, Fraction]]:
    """Every point of the grid."""
    steps = [Fraction(k, STEPS) for k in WINDOW[len(symbols)]]
    for values in product(steps, repeat=len(symbols)):
        yield dict(zip(symbols, values, strict=True))


def judged_at(program: Program, values: Mapping[str, Fraction]) -> Judgement:
    """What the evaluator of numbers says at a point."""
    return judgement_of(bind(program, values))
