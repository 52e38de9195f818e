"""The pipeline: phases on the arrows, what passes between them in the boxes, with an example."""

from __future__ import annotations

from abcparam.diagnostics.source import Source
from abcparam.emission.emit import emit
from abcparam.emission.lowering.lower import Lowering, lower
from abcparam.language.parser import parse
from abcparam.verdict.report import Report
from docs.diagrams.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    Canvas,
    Piece,
    Point,
    computed,
    exponent,
    law,
)
from docs.diagrams.specs import laws, mlp

WIDTH, HEIGHT, GAP, LEFT = 146, 76, 64, 12
ROWS = (16, 142, 268)


def draw() -> str:
    canvas = Canvas(800, 360, "The pipeline of the compiler, and what passes between its phases")
    spec = mlp()
    found = laws(spec)
    _read(canvas, spec, found)
    _emit(canvas, found)
    _judge(canvas, found)
    for line, words in enumerate(
        ("In small print: a perceptron", "of three layers in µP, under Adam.")
    ):
        canvas.text(130, 196 + 18 * line, words, color=MUTED, anchor="start", size=12)
    return canvas.svg()


def _read(canvas: Canvas, spec: str, found: Report) -> None:
    first = next(line for line in spec.splitlines() if line.startswith("tensor"))
    line = computed("line", " ".join(first.partition("[")[0].split()) + " …")
    count = computed("declarations", len(parse(Source(spec)).declarations))
    parameter = next(p for p in found.graph.parameters if p.tensor.path == "second")
    letters = (("a", parameter.a), (", b", parameter.b), (", c", parameter.c))
    exponents = (piece for word, size in letters for piece in (f"{word} ", exponent(word, size)))
    _box(canvas, (0, 0), MUTED, "Source", line)
    _box(canvas, (1, 0), MUTED, "Spec", count, " declarations")
    _box(canvas, (2, 0), MUTED, "Program", "second: ", *exponents)
    _step(canvas, (0, 0), "parse", MUTED)
    _step(canvas, (1, 0), "resolve", MUTED)


def _emit(canvas: Canvas, found: Report) -> None:
    x, y = _corner((2, 0))
    canvas.arrow((x + 73, y + HEIGHT), (x + 73, ROWS[1]), color=GREEN)
    canvas.text(x + 82, y + HEIGHT + 30, "lower", color=GREEN, anchor="start")
    statements = len(lower(Lowering(found.program)).forward)
    line = next(line for line in emit(found.program).splitlines() if "self.second(" in line)
    _box(canvas, (2, 1), GREEN, "classes", computed("statements", statements), " statements")
    _box(canvas, (3, 1), GREEN, "text", computed("text", line.strip()))
    _step(canvas, (2, 1), "render", GREEN)


def _judge(canvas: Canvas, found: Report) -> None:
    graph, judgement = found.graph, found.judgement
    x, y = _corner((2, 0))
    turn, middle = y + HEIGHT + 25, LEFT + 73
    canvas.arrow(
        (x + 20, y + HEIGHT), (x + 20, turn), (middle, turn), (middle, ROWS[2]), color=BLUE
    )
    canvas.text(middle + 9, turn + 22, "build", color=BLUE, anchor="start")
    change = law("change of f", graph.outputs[0].d)
    _box(canvas, (0, 2), BLUE, "Graph", computed("nodes", len(graph.nodes)), " nodes")
    _box(canvas, (1, 2), BLUE, "Laws", "output changes by ", change)
    _box(canvas, (2, 2), BLUE, "Judgement", computed("verdict", judgement.verdict))
    expected = computed("expected", "as expected" if found.as_expected else "not as expected")
    _box(canvas, (3, 2), BLUE, "Report", expected)
    for column, phase in enumerate(("train", "judge", "report")):
        _step(canvas, (column, 2), phase, BLUE)


def _corner(slot: tuple[int, int]) -> Point:
    column, row = slot
    return LEFT + (WIDTH + GAP) * column, ROWS[row]


def _box(canvas: Canvas, slot: tuple[int, int], color: str, name: str, *example: Piece) -> None:
    x, y = _corner(slot)
    canvas.rect(x, y, WIDTH, HEIGHT, color)
    canvas.text(x + WIDTH / 2, y + 31, name, size=17, bold=True, color=INK)
    canvas.text(x + WIDTH / 2, y + 56, *example, size=11, color=MUTED)


def _step(canvas: Canvas, slot: tuple[int, int], phase: str, color: str) -> None:
    """The arrow from a box to the one on its right."""
    x, y = _corner(slot)
    start, middle = x + WIDTH, y + HEIGHT / 2
    canvas.arrow((start, middle), (start + GAP - 1, middle), color=color)
    canvas.text(start + GAP / 2 - 2, middle - 8, phase, color=color)
