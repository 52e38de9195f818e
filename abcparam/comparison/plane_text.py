"""The plane of a family as text: where each verdict holds."""

from __future__ import annotations

from abcparam.comparison.plane import Plane
from abcparam.presentation.table import BOLD, END, columns
from abcparam.symbolic.regions import region_lines


def render_plane(plane: Plane, colour: bool = False) -> str:
    """The two specs, and the region of each verdict in the whole plane."""
    a, b = plane.names
    init, lr = plane.family.init, plane.family.lr
    head = f"{plane.family.program.name}: from {a} to {b}"
    rows = [
        ("coordinate", a, b),
        (f"{init}, initial scales", "0", "1"),
        (f"{lr}, learning rates", "0", "1"),
    ]
    lines = [f"{BOLD}{head}{END}" if colour else head, "", *columns(rows)]
    for verdict, region in plane.regions.items():
        lines += ["", *region_lines(verdict, region)]
    verdicts = [f"{n}: {p.verdict}" for n, p in zip(plane.names, plane.corners, strict=True)]
    lines += ["", f"verdict: {'; '.join(verdicts)}", *filter(None, [plane.unfinished]), ""]
    return "\n".join(lines)
