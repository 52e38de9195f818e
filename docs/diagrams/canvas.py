"""A small SVG canvas. Words are typed; a `Value` is made of what abcparam computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from html import escape

from abcparam.algebra.record import Record
from abcparam.algebra.sizes import Size, numeric

INK, MUTED, FAINT, PAPER = "#1f2328", "#57606a", "#d0d7de", "#ffffff"
BLUE, GREEN, ORANGE, RED = "#0550ae", "#116329", "#953800", "#a40e26"
PALE = {BLUE: "#ddf4ff", GREEN: "#dafbe1", ORANGE: "#fff1e5", RED: "#ffebe9", MUTED: "#f6f8fa"}
LETTERS = {"width": "n", "depth": "L"}

Point = tuple[float, float]


class Value(Record):
    """Something computed: its text in runs, raised or not, and the name of what it is."""

    name: str
    runs: tuple[tuple[str, bool], ...]


Piece = str | Value


def powers(name: str, exponents: Mapping[str, Fraction]) -> Value:
    """A product of powers; dims by their letters."""
    runs: list[tuple[str, bool]] = []
    for base, exponent in exponents.items():
        if exponent:
            letter = LETTERS.get(base, base)
            runs.append(("\u2009·\u2009" + letter if runs else letter, False))
            if exponent != 1:
                runs.append((str(exponent).replace("-", "−"), True))
    return Value(name, tuple(runs) or (("1", False),))


def law(name: str, size: Size) -> Value:
    """A size as a power of its dims; 0 is exactly zero."""
    return (
        powers(name, numeric(size).exponents())
        if size.vectors
        else Value(name, ((str(size), False),))
    )


def exponent(name: str, size: Size) -> Value:
    """The exponent of a size in one dim."""
    (value,) = size.exponents().values()
    return Value(name, ((str(value).replace("-", "−"), False),))


def computed(name: str, value: object) -> Value:
    """A word, a count or a line of code that abcparam made."""
    return Value(name, ((str(value), False),))


def number(value: float) -> str:
    """At most one decimal."""
    return f"{value:.1f}".removesuffix(".0")


class Canvas:
    """Elements in order, on white: a page may be dark."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self.elements: list[str] = []
        self.heads: set[str] = set()

    def rect(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        color: str = MUTED,
        dashed: bool = False,
        fill: str | None = None,
    ) -> None:
        look = f'fill="{fill or PALE[color]}" stroke="{color}"'
        look += ' stroke-dasharray="5 4"' if dashed else ""
        self.elements.append(
            f'<rect x="{number(x)}" y="{number(y)}" width="{number(width)}" '
            f'height="{number(height)}" rx="6" {look}/>'
        )

    def circle(self, center: Point, radius: float, color: str = INK, fill: str = PAPER) -> None:
        x, y = map(number, center)
        self.elements.append(
            f'<circle cx="{x}" cy="{y}" r="{number(radius)}" fill="{fill}" stroke="{color}"/>'
        )

    def line(
        self,
        points: Iterable[Point],
        color: str = INK,
        arrow: bool = False,
        dashed: bool = False,
        thick: float = 1.3,
    ) -> None:
        path = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        more = ' stroke-dasharray="4 4"' if dashed else ""
        if arrow:
            self.heads.add(color)
            more += f' marker-end="url(#to-{color[1:]})"'
        self.elements.append(
            f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="{thick}"{more}/>'
        )

    def arrow(self, *points: Point, color: str = INK, dashed: bool = False) -> None:
        self.line(points, color, arrow=True, dashed=dashed)

    def text(
        self,
        x: float,
        y: float,
        *pieces: Piece,
        size: int = 13,
        color: str = INK,
        anchor: str = "middle",
        bold: bool = False,
        mono: bool = False,
    ) -> None:
        """Pieces one after another; (x, y) is on the baseline."""
        look = f'font-size="{size}" fill="{color}" text-anchor="{anchor}"'
        look += ' font-weight="bold"' if bold else ""
        look += ' font-family="monospace" xml:space="preserve"' if mono else ""
        inner = "".join(_spans(pieces, size))
        self.elements.append(f'<text x="{number(x)}" y="{number(y)}" {look}>{inner}</text>')

    def svg(self) -> str:
        heads = "".join(map(_head, sorted(self.heads)))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" font-family="sans-serif" role="img">\n'
            f"<title>{escape(self.title)}</title>\n"
            f"<defs>\n{heads}</defs>\n"
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
            + "\n".join(self.elements)
            + "\n</svg>\n"
        )


def _head(color: str) -> str:
    """The head of the arrows of a color."""
    size = 'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9"'
    return (
        f'<marker id="to-{color[1:]}" {size} markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0,0 L8,4 L0,8 z" fill="{color}"/></marker>\n'
    )


def _spans(pieces: Sequence[Piece], size: int) -> Iterable[str]:
    """Words as they are, values as named spans; raised parts small and higher."""
    up = number(0.4 * size)
    raised = False
    for piece in pieces:
        name, runs = ("", ((piece, False),)) if isinstance(piece, str) else (piece.name, piece.runs)
        spans = []
        for text, high in runs:
            shift = "" if high == raised else f' dy="-{up}"' if high else f' dy="{up}"'
            small = f' font-size="{number(0.75 * size)}"' if high else ""
            raised = high
            plain = not (shift or small)
            spans.append(escape(text) if plain else f"<tspan{shift}{small}>{escape(text)}</tspan>")
        inner = "".join(spans)
        yield f'<tspan class="value" data-of="{escape(name)}">{inner}</tspan>' if name else inner
