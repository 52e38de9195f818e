"""The forward graph drawn: boxes in layers, sizes on edges, causes solid, consequences dashed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from abcparam.presentation.charts import CHARACTER, chart
from abcparam.presentation.layered import LayeredLayout, Point, layered
from abcparam.presentation.markup import element, shown
from abcparam.verdict.page.flow import Box, JoinedGraph, RepeatOfBoxes

MOST_BOXES = 400  # more are no picture
MOST_PASSED = 20_000  # boxes that edges go past, in all
LETTERS = 25  # of a line in a box
SMALL = 6.1  # the width of one, where letters are smaller
LINE = 14.0
STEM = 15.0  # how far edges go down together, beside the sizes
BETWEEN = 42.0  # layers
TALL = 3200.0  # a picture that scrolls in its own box
PADDING = 8.0
GUTTER = 22.0  # for the bracket of a repeat
MARGIN = 12.0


def drawing(flow: JoinedGraph, prefix: str) -> str:
    """The graph as SVG; a word in its place where it is too large or empty.

    Boxes lead to the lines of the spec, by ids that begin with `prefix`, as theirs do.
    """
    if not flow.boxes:
        return "<p>The forward has no operations to draw.</p>"
    if len(flow.boxes) > MOST_BOXES:
        return f"<p>The forward has {len(flow.boxes)} places, too many to draw.</p>"
    if sum(b - a for a, b in flow.arrows) > MOST_PASSED:
        return f"<p>The forward has {len(flow.arrows)} long edges, too many to draw.</p>"
    return _Drawing(flow, prefix).svg()


class _Drawing:
    def __init__(self, flow: JoinedGraph, prefix: str) -> None:
        self.flow = flow
        self.prefix = prefix
        self.sizes = [_size(box) for box in flow.boxes]
        rooms = [
            (max(width, 1.35 * SMALL * len(_size_text(box))), height)
            for box, (width, height) in zip(flow.boxes, self.sizes, strict=True)
        ]
        self.layout: LayeredLayout = layered(rooms, flow.arrows, between=BETWEEN)
        self.gutters = self._gutters()
        self.left = MARGIN + GUTTER * max((gutter + 1 for gutter in self.gutters), default=0)

    def svg(self) -> str:
        edges = [self._edge(a, b, points) for (a, b), points in self.layout.edges.items()]
        parts = [
            *map(self._bracket, self.flow.repeats, self.gutters),
            *edges,
            *(self._sizes(number) for number in range(len(self.flow.boxes))),
            *(self._box(number, box) for number, box in enumerate(self.flow.boxes)),
        ]
        width = self.left + max(self.layout.width, self._reach_of_sizes()) + MARGIN
        height = self.layout.height + 2 * MARGIN + LINE
        kind = "flow tall" if height > TALL else "flow"
        return chart(parts, width, height, "The forward graph", kind)

    def _reach_of_sizes(self) -> float:
        """How far to the right a text of sizes goes."""
        texts = map(_size_text, self.flow.boxes)
        ends = (self.layout.boxes[n][0] + 5 + len(t) * SMALL for n, t in enumerate(texts))
        return max(ends)

    def _at(self, point: Point) -> Point:
        return point[0] + self.left, point[1] + MARGIN

    def _edge(self, a: int, b: int, points: Sequence[Point]) -> str:
        (x, y), *others = map(self._at, points)
        path = [f"M{x:.1f} {y:.1f}v{STEM}"]
        y += STEM
        for nx, ny in others:
            middle = (y + ny) / 2
            path.append(f"C{x:.1f} {middle:.1f} {nx:.1f} {middle:.1f} {nx:.1f} {ny:.1f}")
            x, y = nx, ny
        box = self.flow.boxes[a]
        return f'<path class="edge {_kind(box)}" d="{" ".join(path)}"/>'

    def _sizes(self, number: int) -> str:
        """What leaves a box, at the start of its edges: its size, and its change if it has one."""
        box, (x, y) = self.flow.boxes[number], self._at(self.layout.boxes[number])
        bottom = y + self.sizes[number][1] / 2
        ends = number in self.flow.outputs
        line = f'<path class="edge {_kind(box)}" d="M{x:.1f} {bottom:.1f}v{STEM}"/>' if ends else ""
        text = element(
            "text",
            shown(_size_text(box)),
            class_=f"size {_kind(box)}",
            x=f"{x + 5:.1f}",
            y=f"{bottom + LINE - 2:.1f}",
        )
        return line + text

    def _box(self, number: int, box: Box) -> str:
        (x, y), (width, height) = self._at(self.layout.boxes[number]), self.sizes[number]
        left, top = x - width / 2, y - height / 2
        lines = [element("title", shown("\n".join(_told(box))))]
        lines.append(
            f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="5"/>'
        )
        for row, text in enumerate([box.name, *_tensor_lines(box)]):
            place = top + PADDING / 2 + LINE * (row + 0.75)
            kind = "tensor" if row else ""
            lines.append(
                element("text", shown(_short(text)), class_=kind, x=f"{x:.1f}", y=f"{place:.1f}")
            )
        if box.numbers:
            lines.append(_badge(left, top, ",".join(map(str, box.numbers))))
        inner = element(
            "g", "".join(lines), class_=f"box {_kind(box)}", id=f"{self.prefix}n{number}"
        )
        if not _has_line(box):
            return inner
        return element("a", inner, href=f"#{self.prefix}L{box.span.line}")

    def _reach(self, repeat: RepeatOfBoxes) -> Point:
        """The top and the bottom of its boxes."""
        middles = [(self._at(self.layout.boxes[n])[1], self.sizes[n][1] / 2) for n in repeat.boxes]
        return min(y - half for y, half in middles), max(y + half for y, half in middles)

    def _gutters(self) -> list[int]:
        """Of each repeat the column of its bracket: none beside another, inner ones further in."""
        self.left = MARGIN
        taken: list[tuple[int, float, float]] = []
        for repeat in self.flow.repeats:
            top, end = self._reach(repeat)
            beside = {gutter for gutter, a, b in taken if a <= end and top <= b}
            free = next(
                g for g in range(repeat.depth, len(taken) + repeat.depth + 1) if g not in beside
            )
            taken.append((free, top, end))
        return [gutter for gutter, _, _ in taken]

    def _bracket(self, repeat: RepeatOfBoxes, gutter: int) -> str:
        """A line beside the boxes of a repeat, with how often there are."""
        top, end = self._reach(repeat)
        x = MARGIN + GUTTER * gutter + 12
        text = element(
            "text",
            shown(repeat.title),
            transform=f"translate({x - 6:.1f} {(top + end) / 2:.1f}) rotate(-90)",
        )
        line = f'<path d="M{x + 5:.1f} {top:.1f}H{x:.1f}V{end:.1f}H{x + 5:.1f}"/>'
        return element("g", line + text, class_="repeat")


def _size(box: Box) -> Point:
    tensors = [len(_short(text)) * SMALL for text in _tensor_lines(box)]
    width = max([len(_short(box.name)) * CHARACTER, *tensors, 30.0])
    return width + 2 * PADDING, PADDING + LINE * (1 + len(tensors))


def _size_text(box: Box) -> str:
    return f"{box.at_init} · {box.change}"


def _badge(x: float, y: float, text: str) -> str:
    half = 5 + len(text) * 3
    oval = f'<rect x="{x - half:.1f}" y="{y - 8:.1f}" width="{2 * half}" height="16" rx="8"/>'
    words = element("text", text, x=f"{x:.1f}", y=f"{y + 4:.1f}")
    return element("g", oval + words, class_="badge")


def _tensor_lines(box: Box) -> list[str]:
    """The tensors by their last names, where the box is not called so itself."""
    names = [path.rpartition(".")[2] for path in box.tensors]
    return [", ".join(names)] if names and box.name not in (*box.tensors, *names) else []


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"


def _kind(box: Box) -> str:
    return "cause" if box.numbers else "follows" if box.follows else ""


def _has_line(box: Box) -> bool:
    return not box.span.file and bool(box.span.end_column > 1 or box.span.end_line > 1)


def _told(box: Box) -> Iterable[str]:
    """What there is to know of a box: its sizes, and how they came to be."""
    yield box.name
    if box.tensors:
        yield f"tensors: {', '.join(box.tensors)}"
    yield f"at initialization {box.at_init}, changes by {box.change}"
    if box.numbers:
        yield f"cause {', '.join(map(str, box.numbers))}"
    elif box.follows:
        yield "follows from a cause"
    yield from box.trace
