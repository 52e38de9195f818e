"""The three alignments: how sums over the width grow, beside sums that were really added up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from math import sqrt

from abcparam.calculus.linear import LinearNode
from docs.diagrams.canvas import BLUE, FAINT, GREEN, MUTED, ORANGE, Canvas, Piece, Point, law
from docs.diagrams.specs import laws, mlp

TERMS = 100  # so many terms of each sum are drawn
SEED = 4
PLOT_WIDTH, PLOT_HEIGHT, PLOT_TOP = 200, 170, 112
LOWEST, HIGHEST = -0.16 * TERMS, 1.02 * TERMS
Sums = list[float]


def draw() -> str:
    canvas = Canvas(800, 372, "Three alignments: sums over the width, at random and aligned")
    found = laws(mlp())
    nodes = found.graph.activations
    hidden, readout = nodes["h2"], nodes["f"]
    assert isinstance(hidden, LinearNode) and isinstance(readout, LinearNode)
    (y1,) = hidden.inputs
    sigma, u = hidden.parameter.sigma, hidden.parameter.u
    at_random = law("at random", hidden.initial() - sigma - y1.s0)
    update = law("update", hidden.update() - u - y1.s)
    square = law("square", hidden.gains()[0] - sigma)
    reading = law("readout", readout.gains()[0] - readout.parameter.sigma)

    left = _panel(canvas, 0, ("Initial weights", "on an independent vector"), "Σ wⱼ xⱼ")
    _curve(canvas, left, independent(), BLUE)
    _result(canvas, 0, "grows as ", at_random, color=BLUE)
    canvas.text(left + 92, PLOT_TOP + 50, "if aligned", color=MUTED, anchor="end", size=12)
    left = _panel(canvas, 1, ("An update", "on its own input"), "Σ Δwⱼ xⱼ,  Δw along a past x")
    _curve(canvas, left, updated(), GREEN)
    _result(canvas, 1, "grows as ", update, color=GREEN)
    words = ("Initial weights", "on the change of their input")
    left = _panel(canvas, 2, words, "Σ wⱼ Δxⱼ,  Δx learnt from Wᵀ")
    _curve(canvas, left, learnt(TERMS), BLUE)
    _curve(canvas, left, learnt(1), ORANGE)
    canvas.text(left + 92, PLOT_TOP + 42, "readout:", color=ORANGE, anchor="end", size=12)
    canvas.text(left + 92, PLOT_TOP + 57, "few rows", color=ORANGE, anchor="end", size=12)
    canvas.text(left + 194, PLOT_TOP + 122, "square matrix", color=BLUE, anchor="end", size=12)
    _result(canvas, 2, "square: ", square, color=BLUE)
    canvas.text(_left(2) + 85, 352, "readout: ", reading, size=15, bold=True, color=ORANGE)
    return canvas.svg()


def _left(index: int) -> float:
    return 50 + 265 * index


def _panel(canvas: Canvas, index: int, words: Sequence[str], formula: str) -> float:
    """A panel with its axes; where its plot begins."""
    left = _left(index)
    canvas.rect(left - 40, 10, 250, 352, FAINT, fill="#ffffff")
    canvas.text(left + 85, 36, words[0], size=14, bold=True)
    canvas.text(left + 85, 56, words[1], size=14, bold=True)
    canvas.text(left + 85, 82, formula, size=12, color=MUTED)
    bottom = PLOT_TOP + PLOT_HEIGHT
    canvas.line([(left, PLOT_TOP - 4), (left, bottom)], MUTED)
    canvas.line([_at(left, 0, 0), _at(left, TERMS, 0)], MUTED)
    canvas.text(left + PLOT_WIDTH / 2, bottom + 18, "terms added up", size=12, color=MUTED)
    canvas.text(left - 18, PLOT_TOP + 4, "sum", size=12, color=MUTED)
    for side in (-1, 1):
        root = [_at(left, k, side * sqrt(k)) for k in range(TERMS + 1)]
        canvas.line(root, FAINT, dashed=True)
    canvas.line([_at(left, 0, 0), _at(left, TERMS, TERMS)], FAINT, dashed=True)
    return left


def _at(left: float, count: float, total: float) -> Point:
    high = (total - LOWEST) / (HIGHEST - LOWEST)
    return left + PLOT_WIDTH * count / TERMS, PLOT_TOP + PLOT_HEIGHT * (1 - high)


def _curve(canvas: Canvas, left: float, sums: Sums, color: str) -> None:
    points = [_at(left, count, total) for count, total in enumerate(sums)]
    canvas.line(points, color, thick=2)


def _result(canvas: Canvas, index: int, *pieces: Piece, color: str) -> None:
    canvas.text(_left(index) + 85, 330, *pieces, size=15, bold=True, color=color)


# Sums that were added up, of weights and activations of 1 and -1


def signs(flip: Callable[[], float], count: int) -> list[int]:
    return [1 if flip() < 0.5 else -1 for _ in range(count)]


def added(terms: Iterator[float]) -> Sums:
    return list(accumulate(terms, initial=0.0))


def independent() -> Sums:
    flip = random.Random(SEED).random
    w, x = signs(flip, TERMS), signs(flip, TERMS)
    return added(a * b for a, b in zip(w, x, strict=True))


def updated() -> Sums:
    """The update points along an input that shares four signs in five with the one it meets."""
    flip = random.Random(SEED).random
    before = signs(flip, TERMS)
    x = [value if flip() < 0.8 else -value for value in before]
    return added(a * b for a, b in zip(before, x, strict=True))


def learnt(rows: int) -> Sums:
    """Weights of `rows` rows, and a change of x that is their transpose times a gradient; it is
    divided by its typical coordinate. The sum is the first row's.
    """
    flip = random.Random(SEED).random
    weights = [signs(flip, TERMS) for _ in range(rows)]
    gradient = [1, *signs(flip, rows - 1)]
    change = [
        sum(g * row[j] for g, row in zip(gradient, weights, strict=True)) / sqrt(rows)
        for j in range(TERMS)
    ]
    return added(w * d for w, d in zip(weights[0], change, strict=True))
