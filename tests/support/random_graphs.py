"""Random small models as specs: residuals, norms, products, attention, tied and shared weights.

Every tensor has exponents of its own, and so its own gauge. A draw starts from maximal-update
exponents and spoils some, so that stable graphs are as frequent as unstable ones.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from fractions import Fraction

QUARTER = Fraction(1, 4)
GRID = [Fraction(k, 4) for k in range(-4, 5)]
SPOILS = [Fraction(0)] * 6 + [QUARTER, -QUARTER, 2 * QUARTER, -2 * QUARTER, Fraction(1)]
SHAPES = {
    "input": "[width, features]",
    "hidden": "[width, width]",
    "output": "[classes, width]",
    "table": "[vocab, width]",
    "vector": "[width]",
    "up": "[width, classes]",
}
MAXIMAL = {  # (a, b, c) of Adam and of SGD
    "adam": {"hidden": "0 1/2 1", "output": "1 0 0", "other": "0 0 0"},
    "sgd": {"hidden": "0 1/2 0", "output": "1 0 -1", "other": "0 0 -1"},
}
GAUGE = {"adam": 1, "sgd": 2}


@dataclass(frozen=True)
class Weight:
    """A tensor: its name, what it is for, its exponents, and whether it starts at zero."""

    name: str
    kind: str
    exponents: tuple[Fraction, Fraction, Fraction]
    zero: bool = False

    def line(self) -> str:
        a, b, c = self.exponents
        zeros = ", init = zeros" if self.zero else ""
        role = {"hidden": "hidden", "output": "output"}.get(self.kind, "input")
        keys = f"a = {a}, b = {b}, c = {c}{zeros}"
        return f"tensor {self.name} : {role} {SHAPES[self.kind]} {{ {keys} }}"


@dataclass
class Graph:
    """A model in the making."""

    draw: random.Random
    optimizer: str
    weights: list[Weight] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: list[str] = field(default_factory=list)

    def weight(self, kind: str) -> str:
        standard = MAXIMAL[self.optimizer].get(kind, MAXIMAL[self.optimizer]["other"])
        a, b, c = (Fraction(x) + self.draw.choice(SPOILS) for x in standard.split())
        name = f"W{len(self.weights)}"
        self.weights.append(Weight(name, kind, (a, b, c), self.draw.random() < 0.15))
        return name

    def earlier(self, kind: str) -> str:
        """A tensor that is there already, or a new one."""
        found = [w.name for w in self.weights if w.kind == kind]
        return self.draw.choice(found) if found else self.weight(kind)

    def assign(self, value: str) -> None:
        name = f"h{len(self.values)}"
        self.lines.append(f"{name} = {value}")
        self.values.append(name)

    def step(self) -> None:
        x, y = (self.draw.choice(self.values[-3:]) for _ in range(2))
        steps = [self.map, self.map, self.pointwise, self.norm, self.combine, self.attention]
        self.draw.choice([*steps, self.shared, self.contract, self.pieces])(x, y)

    def map(self, x: str, y: str) -> None:
        self.assign(f"{self.weight('hidden')} @ {x}")

    def pointwise(self, x: str, y: str) -> None:
        self.assign(f"{self.draw.choice(['relu', 'gelu', 'tanh', 'sigmoid', 'square'])}({x})")

    def norm(self, x: str, y: str) -> None:
        gain = f", gain = {self.weight('vector')}" if self.draw.random() < 0.5 else ""
        self.assign(f"{self.draw.choice(['layernorm', 'rmsnorm'])}({x}{gain})")

    def combine(self, x: str, y: str) -> None:
        bias, power = self.weight("vector"), self.draw.choice(GRID)
        factor = f"(width / base(width))^({power})"
        choices = (f"{x} + {y}", f"{x} * {y}", f"{x} + {bias}", f"{bias} * {x}", f"{factor} * {x}")
        self.assign(self.draw.choice(choices))

    def attention(self, x: str, y: str) -> None:
        query, key, value = (f"{self.weight('hidden')} @ {z}" for z in (x, y, y))
        scale = self.draw.choice(["head^-1", "head^(-1/2)"])
        self.assign(f"attention({query}, {key}, {value}, heads = heads, scale = {scale})")

    def shared(self, x: str, y: str) -> None:
        transposed = self.draw.choice(["", ".T"])
        self.assign(f"{self.earlier('hidden')}{transposed} @ {x}")

    def contract(self, x: str, y: str) -> None:
        self.assign(f"{self.weight('up')} @ {self.weight('output')} @ {x}")

    def pieces(self, x: str, y: str) -> None:
        self.lines.append(f"left, right = split({x}, 2)")
        self.assign("concat(right, left)")

    def readout(self) -> str:
        x = self.values[-1]
        if self.draw.random() < 0.3:
            return f"{self.earlier('table')}.T @ {x}"
        return f"{self.weight('output')} @ {x}"


@dataclass(frozen=True)
class Model:
    """A finished model."""

    optimizer: str
    weights: tuple[Weight, ...]
    body: tuple[str, ...]

    def text(self) -> str:
        steps = "".join(f"    {line}\n" for line in self.body)
        tensors = "".join(f"{weight.line()}\n" for weight in self.weights)
        eps = ", eps = 0" if self.optimizer == "adam" else ""
        return (
            "model Random\ndim width -> inf, base = 64\n"
            f"dim {'heads' if len(self.weights) % 2 else 'head'} = 4\n"
            f"dim {'head = width / heads' if len(self.weights) % 2 else 'heads = width / head'}\n"
            "dim vocab = 7\ndim classes = 5\ndim sequence = 3\n\n"
            f"{tensors}\nforward(tokens : index(vocab) [sequence]) {{\n{steps}}}\n"
            f"optimizer {self.optimizer} {{ lr = 0.1{eps} }}\nloss cross_entropy\n"
        )

    def regauged(self, draw: random.Random) -> Model:
        """`(a + t, b - t, c - t)` for Adam, `(a + t, b - t, c - 2t)` for SGD; each tensor its t."""
        weights = []
        for weight in self.weights:
            (a, b, c), shift = weight.exponents, draw.choice(GRID)
            moved = (a + shift, b - shift, c - GAUGE[self.optimizer] * shift)
            weights.append(replace(weight, exponents=moved))
        return replace(self, weights=tuple(weights))


def random_model(draw: random.Random, optimizer: str) -> Model:
    graph = Graph(draw, optimizer)
    graph.assign(f"embed({graph.weight('table')}, tokens)")
    for _ in range(draw.randint(1, 7)):
        graph.step()
    graph.lines.append(f"return {graph.readout()}")
    return Model(optimizer, tuple(graph.weights), tuple(graph.lines))
