"""The residual stream of a transformer: what its branches add up to over the depth."""

from __future__ import annotations

from abcparam.algebra.sizes import Size
from abcparam.calculus.stream import EnterNode
from abcparam.verdict.report import Report
from docs.diagrams.canvas import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    RED,
    Canvas,
    Point,
    computed,
    law,
)
from docs.diagrams.specs import laws, transformer

CASES = (
    ("whole", transformer("-1")),
    ("root", transformer("(-1/2)", "{ hidden { c[depth] = 1/2 } }")),
    ("bare", transformer("(-1/2)")),
)
COLORS = {"maximal-update": GREEN, "unstable": RED}
STREAM, ROW = 122, 262


def draw() -> str:
    canvas = Canvas(800, 486, "What the branches of a transformer add to its residual stream")
    _picture(canvas)
    _headings(canvas)
    for index, (name, spec) in enumerate(CASES):
        _case(canvas, 178 + 206 * index, name, laws(spec))
    return canvas.svg()


def _picture(canvas: Canvas) -> None:
    canvas.rect(108, 14, 584, 140, MUTED, dashed=True, fill="#ffffff")
    canvas.text(120, 34, "one of L copies", anchor="start", color=MUTED)
    canvas.line([(84, STREAM), (718, STREAM)], BLUE, arrow=True, thick=4)
    canvas.text(46, STREAM - 3, "embed-", size=13)
    canvas.text(46, STREAM + 13, "dings", size=13)
    canvas.text(752, STREAM - 3, "norm,", size=13)
    canvas.text(752, STREAM + 13, "readout", size=13)
    canvas.text(400, STREAM + 24, "stream  x = x + f(x)", color=BLUE)
    for left, branch in ((140, "attention"), (424, "feed-forward")):
        _branch(canvas, left, branch)


def _branch(canvas: Canvas, left: float, name: str) -> None:
    """Out of the stream, through a norm, the branch and its multiplier, back in."""
    y = 66
    canvas.arrow((left, STREAM), (left, y), (left + 12, y))
    _box(canvas, (left + 14, y), 48, "norm")
    canvas.arrow((left + 62, y), (left + 74, y))
    _box(canvas, (left + 76, y), 100, name)
    canvas.arrow((left + 176, y), (left + 188, y))
    _box(canvas, (left + 190, y), 30, "×")
    canvas.arrow((left + 220, y), (left + 238, y), (left + 238, STREAM - 10))
    canvas.circle((left + 238, STREAM), 9)
    canvas.text(left + 238, STREAM + 5, "+", bold=True)


def _box(canvas: Canvas, left: Point, width: float, text: str) -> None:
    x, y = left
    canvas.rect(x, y - 16, width, 32, INK, fill="#f6f8fa")
    canvas.text(x + width / 2, y + 4.5, text)


def _headings(canvas: Canvas) -> None:
    words = (
        ("multiplier", INK, 0),
        ("hidden rates", INK, 22),
        ("at init,", MUTED, 62),
        ("added at random", MUTED, 78),
        ("own updates,", ORANGE, 108),
        ("added coherently", ORANGE, 124),
        ("stream’s change,", BLUE, 154),
        ("passed at random", BLUE, 170),
    )
    for text, color, down in words:
        canvas.text(24, ROW - 62 + down, text, color=color, anchor="start")
    canvas.text(24, ROW + 142, "input of gelu, by", anchor="start")
    canvas.text(24, ROW + 158, "its own block", anchor="start")


def _case(canvas: Canvas, left: float, name: str, found: Report) -> None:
    """A column: one branch, times what copies add up to, is what the stream gets."""
    verdict = str(found.verdict)
    color = COLORS[verdict]
    canvas.rect(left, 172, 196, 300, color, fill="#ffffff")
    middle = left + 98
    (enter,) = found.graph.streams
    (*_, branch) = enter.branches
    tensor = next(law.parameter for law in found.judgement.tensors if law.path.endswith("up"))
    canvas.text(middle, ROW - 62, law(f"{name} multiplier", branch.gains()[0]), bold=True, size=15)
    canvas.text(middle, ROW - 40, law(f"{name} rate", -tensor.c))
    half = enter.rho.half()
    initial, coherent, changed = _gathered(enter)
    _sum(canvas, middle, ROW + 8, f"{name} init", initial, half, MUTED)
    _sum(canvas, middle, ROW + 54, f"{name} coherent", coherent, enter.rho, ORANGE)
    _sum(canvas, middle, ROW + 100, f"{name} random", changed, half, BLUE)
    gelu = found.graph.activations["layers.feed_forward.h"]
    canvas.text(middle, ROW + 150, law(f"{name} gelu", gelu.dc), bold=True)
    lines = [verdict]
    if found.verdict == "maximal-update":
        lines.append("complete" if found.complete else "not complete")
    for line, words in enumerate(lines):
        said = computed(f"{name} verdict {line}", words)
        canvas.text(middle, ROW + 184 + 17 * line, said, color=color, bold=True)


def _gathered(enter: EnterNode) -> tuple[Size, Size, Size]:
    """The largest of its branches: size at init, coherent change, random change."""
    first, *others = enter.branches
    initial, coherent, changed = first.s0, first.dc, first.dr
    for branch in others:
        initial, coherent = initial | branch.s0, coherent | branch.dc
        changed = changed | branch.dr
    return initial, coherent, changed


def _sum(
    canvas: Canvas, middle: float, y: float, name: str, branch: Size, copies: Size, color: str
) -> None:
    canvas.text(middle - 66, y, law(f"{name} branch", branch), color=color)
    canvas.text(middle - 34, y, "×", color=color)
    canvas.text(middle, y, law(f"{name} copies", copies), color=color)
    canvas.text(middle + 32, y, "=", color=color)
    canvas.text(middle + 64, y, law(f"{name} stream", branch + copies), color=color, bold=True)
