"""Random MLPs as specs, steered so that every verdict is frequent.

Exponents on a grid of quarters: drawing them independently would make nearly every MLP unstable at
initialization, so a draw chooses how much each layer is to move and solves for ``c``. What an MLP
was steered to be is thrown away; `theorems.verdict` judges the exponents alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import islice

from tests.support.theorems import HALF, MLP, Layer, Optimizer

QUARTER = Fraction(1, 4)
GRID = [Fraction(k, 4) for k in range(-4, 5)]
MULTIPLIERS = (Fraction(0), *GRID)
OPTIMIZERS: tuple[Optimizer, ...] = ("sgd", "adam")
AIMS = (
    *("spoilt", "spoilt", "unstable", "trivial", "kernel", "kernel"),
    *("feature", "feature", "maximal", "maximal", "blind", "one learning rate"),
)


@dataclass(frozen=True)
class Target:
    """What to solve for: ``total = a_o + b_o``, ``r_1 .. r_L``, and the readout's own ``r``."""

    total: Fraction
    moves: tuple[Fraction, ...]
    readout: Fraction


@cache
def random_mlps(seed: int, count: int) -> tuple[MLP, ...]:
    """``count`` different MLPs, always the same ones for a seed."""
    return tuple(islice(_distinct(random.Random(seed)), count))


def _distinct(rng: random.Random) -> Iterator[MLP]:
    seen: set[MLP] = set()
    while True:
        mlp = random_mlp(rng)
        if mlp not in seen:
            seen.add(mlp)
            yield mlp


def random_mlp(rng: random.Random) -> MLP:
    aim, hidden_layers = rng.choice(AIMS), rng.randint(1, 4)
    optimizer, zero_readout = rng.choice(OPTIMIZERS), rng.random() < 0.2
    if aim == "one learning rate":
        return _one_learning_rate(rng, optimizer, hidden_layers)
    target = _target(rng, aim, hidden_layers)
    multipliers = [rng.choice(MULTIPLIERS) for _ in range(hidden_layers + 1)]
    layers = _solve(optimizer, zero_readout, target, multipliers)
    if zero_readout:
        layers[-1] = replace(layers[-1], b=rng.choice(GRID))
    if aim == "spoilt":
        _spoil(rng, layers)
    return MLP(optimizer, tuple(layers), zero_readout)


def _target(rng: random.Random, aim: str, hidden_layers: int) -> Target:
    """Moves that probably, not certainly, end in the verdict aimed at."""
    total = rng.choice([HALF, HALF, 3 * QUARTER, Fraction(1), Fraction(1), 5 * QUARTER])
    least, readout = max(Fraction(0), 1 - total), rng.choice([Fraction(0), Fraction(0), HALF])
    if aim == "blind":
        return Target(total, _draw(rng, hidden_layers, GRID), rng.choice(GRID))
    if aim == "unstable":
        low = least - rng.choice([QUARTER, HALF])
        return Target(total, _at_least(rng, hidden_layers, low), readout)
    if aim == "trivial":
        return Target(total, _at_least(rng, hidden_layers, least + QUARTER), HALF)
    if aim == "kernel":
        low = least or rng.choice([QUARTER, HALF])
        return Target(total, _at_least(rng, hidden_layers, low), rng.choice([Fraction(0), HALF]))
    if aim == "maximal":
        full = rng.choice([Fraction(1), Fraction(1), Fraction(1), 5 * QUARTER])
        own = rng.choice([Fraction(0), Fraction(0), Fraction(0), QUARTER])
        return Target(full, (Fraction(0),) * hidden_layers, own)
    return Target(max(total, Fraction(1)), _at_least(rng, hidden_layers, Fraction(0)), readout)


def _draw(rng: random.Random, count: int, values: Sequence[Fraction]) -> tuple[Fraction, ...]:
    return tuple(rng.choice(values) for _ in range(count))


def _at_least(rng: random.Random, count: int, low: Fraction) -> tuple[Fraction, ...]:
    """``count`` moves from ``low`` up, one of them exactly ``low``."""
    above = _draw(rng, count, [low, low, low + QUARTER, low + HALF, low + 1])
    at = rng.randrange(count)
    return (*above[:at], low, *above[at + 1 :])


def _solve(
    optimizer: Optimizer, zero_readout: bool, target: Target, multipliers: Sequence[Fraction]
) -> list[Layer]:
    """Exponents whose tensors move as the target says, with the given ``a``."""
    *hidden, o = multipliers
    own = 1 + target.readout
    gradient = own if zero_readout else min(target.total, own)
    layers = []
    for index, (a, move) in enumerate(zip(hidden, target.moves, strict=True)):
        c = move - a if optimizer == "adam" else move - gradient - 2 * a
        layers.append(Layer(a, HALF * (index > 0) - a, c + (index > 0)))
    return [*layers, Layer(o, target.total - o, own - (o if optimizer == "adam" else 2 * o))]


def _spoil(rng: random.Random, layers: list[Layer]) -> None:
    """Start one tensor at another size than the solved one."""
    at = rng.randrange(len(layers))
    shift = rng.choice([-1, 1]) * rng.choice([QUARTER, HALF, Fraction(1)])
    layers[at] = replace(layers[at], b=layers[at].b + shift)


def _one_learning_rate(rng: random.Random, optimizer: Optimizer, hidden_layers: int) -> MLP:
    """One ``c`` for all, exponents by role: the MLPs that Tensor Programs IV is about."""
    c, role = rng.choice([*GRID, 3 * HALF]), [rng.choice(MULTIPLIERS) for _ in range(3)]
    first, hidden = Layer(role[0], -role[0], c), Layer(role[1], HALF - role[1], c)
    readout = Layer(role[2], rng.choice([HALF, 3 * QUARTER, Fraction(1)]) - role[2], c)
    return MLP(optimizer, (first, *[hidden] * (hidden_layers - 1), readout))


def one_learning_rate_mlps(seed: int, count: int) -> list[MLP]:
    rng = random.Random(seed)
    return [
        _one_learning_rate(rng, rng.choice(OPTIMIZERS), rng.randint(1, 4)) for _ in range(count)
    ]


def regauge(mlp: MLP, thetas: Sequence[Fraction]) -> MLP:
    """``(a + t, b - t, c - 2t)`` for SGD and ``(a + t, b - t, c - t)`` for Adam, each tensor its t.

    The same function at every width and every step.
    """
    factor = 2 if mlp.optimizer == "sgd" else 1
    shifted = (
        Layer(layer.a + theta, layer.b - theta, layer.c - factor * theta)
        for layer, theta in zip(mlp.layers, thetas, strict=True)
    )
    return replace(mlp, layers=tuple(shifted))


def with_c(mlp: MLP, index: int, shift: Fraction) -> MLP:
    """The same MLP with ``shift`` added to the ``c`` of one tensor."""
    layers = list(mlp.layers)
    layers[index] = replace(layers[index], c=layers[index].c + shift)
    return replace(mlp, layers=tuple(layers))


def spec(mlp: MLP, assume: str = "", settings: str = "", epsilons: Sequence[Fraction] = ()) -> str:
    """The MLP in the spec language, preactivations named ``h1 .. hL`` and tensors ``W1 ..``."""
    last = len(mlp.layers)
    lines = ["model MLP", "dim width -> inf, base = 128", "dim pixels = 784", "dim classes = 10"]
    lines += ["hyper lr = 0.1", ""]
    lines += [_tensor(mlp, index, epsilons) for index in range(last)]
    lines += ["", "forward(x : [pixels]) {", "    h1 = W1 @ x"]
    lines += [f"    h{n} = W{n} @ tanh(h{n - 1})" for n in range(2, last)]
    lines += [f"    return W{last} @ tanh(h{last - 1})", "}", ""]
    defaults = "lr = lr, momentum = 0" if mlp.optimizer == "sgd" else "lr = lr, eps = 0"
    lines += [f"optimizer {mlp.optimizer} {{ {settings or defaults} }}", "loss cross_entropy"]
    return "\n".join([*lines, *([f"assume {assume}"] if assume else [])]) + "\n"


def _tensor(mlp: MLP, index: int, epsilons: Sequence[Fraction]) -> str:
    layer, last = mlp.layers[index], len(mlp.layers) - 1
    role, shape = "hidden", "[width, width]"
    if index == 0:
        role, shape = "input", "[width, pixels]"
    elif index == last:
        role, shape = "output", "[classes, width]"
    keys = f"a = {layer.a}, b = {layer.b}, c = {layer.c}"
    keys += f", d = {epsilons[index]}" if epsilons else ""
    keys += ", init = zeros" if index == last and mlp.zero_readout else ""
    return f"tensor W{index + 1} : {role} {shape} {{ {keys} }}"
