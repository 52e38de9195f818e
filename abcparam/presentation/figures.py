"""The one door to matplotlib: it is loaded where something is drawn, and need not be installed."""

from __future__ import annotations

import io
import os
from typing import Any

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.files import NoPictures
from abcparam.storage.atomic import write_atomically

KINDS = ("svg", "png")
METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


def new_figure(width: float, height: float) -> Any:
    """An empty matplotlib `Figure`, in inches; needs no display. Raises `SpecError`."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SpecError.about("matplotlib", NoPictures) from None
    return Figure(figsize=(width, height), layout="constrained")


def patch(colour: str, label: str) -> Any:
    """A coloured field of a legend."""
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)


def write_picture(figure: Any, path: str) -> list[str]:
    """Writes a figure as its path ends, `.svg` or `.png`, or as both; the paths written."""
    ending = os.path.splitext(path)[1][1:]
    targets = {ending: path} if ending in KINDS else {kind: f"{path}.{kind}" for kind in KINDS}
    for kind, target in targets.items():
        write_atomically(target, drawn(figure, kind))
    return list(targets.values())


def drawn(figure: Any, kind: str) -> bytes:
    """The bytes of an SVG or PNG; the same figure gives the same bytes."""
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "abcparam"}):
        figure.savefig(stream, format=kind, dpi=150, metadata=METADATA[kind])
    return stream.getvalue()
