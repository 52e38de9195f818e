"""Gains forward and bounds backward through a perceptron of three layers."""

from __future__ import annotations

from collections.abc import Mapping

from abcparam.algebra.sizes import Size
from abcparam.calculus.node import Node
from abcparam.verdict.report import Report
from docs.diagrams.canvas import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RED,
    Canvas,
    Piece,
    computed,
    exponent,
    law,
)
from docs.diagrams.specs import laws, mlp

CHAIN = (("x", "x"), ("h1", "h₁"), ("y1", "y₁"), ("h2", "h₂"), ("y2", "y₂"), ("f", "f"))
EDGES = ("W₁", "relu", "W₂", "relu", "W₃")
TENSORS = (("first", "ΔW₁ x: ", 0), ("second", "ΔW₂ y₁: ", 2), ("readout", "ΔW₃ y₂: ", 4))
FORMS = (("sp", "PyTorch’s defaults"), ("mup", "µP"))
LEFT, STEP, PANEL = 187, 113, 262


def draw() -> str:
    canvas = Canvas(800, 16 + 2 * PANEL, "Gains forward and bounds backward, as powers of width n")
    for index, (form, title) in enumerate(FORMS):
        _panel(canvas, 12 + index * PANEL, form, title, laws(mlp(form)))
    return canvas.svg()


def _panel(canvas: Canvas, top: float, form: str, title: str, found: Report) -> None:
    canvas.rect(10, top, 780, PANEL - 12, FAINT, fill="#ffffff")
    verdict = computed(f"{form} verdict", found.verdict)
    canvas.text(24, top + 24, f"{title}, Adam: ", verdict, size=15, bold=True, anchor="start")
    nodes = {name: found.graph.activations.get(name) for name, _ in CHAIN}
    _sizes(canvas, top, form, nodes)
    _network(canvas, top + 106)
    _forward(canvas, top, form, nodes)
    _backward(canvas, top, form, nodes, found.judgement.bounds.coherent)
    _tensors(canvas, top, form, found)


def _at(index: float) -> float:
    return LEFT + STEP * index


def _label(canvas: Canvas, y: float, text: str, color: str) -> None:
    canvas.text(24, y, text, anchor="start", color=color, size=12)


def _sizes(canvas: Canvas, top: float, form: str, nodes: dict[str, Node | None]) -> None:
    _label(canvas, top + 53, "size at init", MUTED)
    for index, (name, _) in enumerate(CHAIN):
        node = nodes[name]
        if node is not None:
            value = law(f"{form} {name} at init", node.s0)
            canvas.text(_at(index), top + 53, value, color=MUTED)


def _network(canvas: Canvas, y: float) -> None:
    for index, edge in enumerate(EDGES):
        middle = _at(index + 0.5)
        canvas.line([(_at(index) + 16, y), (middle - 20, y)], FAINT, thick=2)
        canvas.line([(middle + 20, y), (_at(index + 1) - 16, y)], FAINT, thick=2)
        canvas.text(middle, y + 4.5, edge, bold=edge != "relu", size=12)
    for index, (_, letter) in enumerate(CHAIN):
        canvas.circle((_at(index), y), 16, INK)
        canvas.text(_at(index), y + 4.5, letter)


def _forward(canvas: Canvas, top: float, form: str, nodes: dict[str, Node | None]) -> None:
    """Changes above the network; between them the gains of each map and function."""
    y = top + 80
    _label(canvas, y, "change  →  × gain", BLUE)
    for index, (name, _) in enumerate(CHAIN):
        node = nodes[name]
        if node is None:
            continue
        canvas.text(_at(index), y, law(f"{form} {name} change", node.d), color=BLUE, bold=True)
        if index > 1:
            _edge(canvas, index, y, BLUE, "× ", law(f"{form} {name} gain", node.gains()[0]))


def _backward(
    canvas: Canvas,
    top: float,
    form: str,
    nodes: dict[str, Node | None],
    bounds: Mapping[Node, Size],
) -> None:
    """Bounds below the network; between them what divides them."""
    y = top + 142
    _label(canvas, y, "bound  ←  ÷ gain", RED)
    for index, (name, _) in enumerate(CHAIN):
        node = nodes[name]
        if node is None:
            continue
        canvas.text(_at(index), y, law(f"{form} {name} bound", bounds[node]), color=RED, bold=True)
        if index > 1:
            gain = law(f"{form} {name} bound gain", node.bound_gains()[0])
            _edge(canvas, index, y, RED, "÷ ", gain, back=True)


def _edge(
    canvas: Canvas, index: int, y: float, color: str, *pieces: Piece, back: bool = False
) -> None:
    """An arrow from one activation's value to the next one's, in two parts around its gain."""
    left, right, middle = _at(index - 1) + 21, _at(index) - 21, _at(index - 0.5)
    canvas.text(middle, y, *pieces, color=color, size=12)
    first, second = ((left, y - 4), (middle - 24, y - 4)), ((middle + 24, y - 4), (right, y - 4))
    if back:
        canvas.arrow(*first[::-1], color=color)
        canvas.line(second, color)
    else:
        canvas.line(first, color)
        canvas.arrow(*second, color=color)


def _tensors(canvas: Canvas, top: float, form: str, found: Report) -> None:
    """What each tensor's own update adds, and its slack, below its edge."""
    box = top + 166
    _label(canvas, box + 23, "own update adds", ORANGE)
    _label(canvas, box + 43, "slack (an exponent)", ORANGE)
    laws_of = {tensor.path: tensor for tensor in found.judgement.tensors}
    for path, term, edge in TENSORS:
        tensor, x = laws_of[path], _at(edge + 0.5)
        fine = tensor.status == "maximal"
        color = GREEN if fine else ORANGE
        canvas.rect(x - 62, box, 124, 72, color)
        update, slack = law(f"{form} {path} update", tensor.update), tensor.slack
        canvas.text(x, box + 23, term, update, color=color)
        if slack is not None:
            canvas.text(x, box + 43, exponent(f"{form} {path} slack", slack), color=color)
        canvas.text(x, box + 62, computed(f"{form} {path} status", tensor.status), color=color)
