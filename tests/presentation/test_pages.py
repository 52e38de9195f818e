"""Pages in a real browser: legible at the width of a desk and of a phone, by day and by night."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, shown
from tests.support.paths import EXAMPLES
from tests.support.running import MLP, Run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")

CONTRAST = 4.5  # of text, by WCAG 2.2, 1.4.3
WINDOWS = [(1280, False), (390, True)]


def coordinates(run: Run, page: Path) -> None:
    run("coord-check", MLP, "--widths", "16,32,64", "--seeds", "1", "--steps", "1", "--html", page)


def sweep(run: Run, page: Path) -> None:
    over = ("--over", "width=16,32", "lr=log:1e-3:1e-1:3", "--steps", "2", "--fresh")
    run("sweep", MLP, *over, "--html", page)


def check(run: Run, page: Path) -> None:
    wrong = EXAMPLES / "wrong" / "standard_parametrization.param"
    run("check", wrong, "--format", "html", "-o", page)


@pytest.mark.parametrize("write", [check, coordinates, sweep])
def test_a_page_is_legible_in_a_browser(run: Run, tmp_path: Path, write: object):
    """In two windows: nothing is fetched, nothing is complained of, tables and figures are there,
    what is too wide scrolls in its own box, and outcomes stand out from the ground.
    """
    assert callable(write)
    page = tmp_path / "page.html"
    write(run, page)
    text = page.read_text(encoding="utf-8")
    for width, dark in WINDOWS:
        found = shown(text, width, tmp_path, dark)
        measures = found.measures
        assert (measures["resources"], found.console) == ([], [])
        assert measures["content"] <= measures["width"] == width
        assert measures["tables"] and measures["figures"]
        for box in (*measures["tables"], *measures["figures"]):
            assert box["width"] > 100 and box["height"] > 20
        for box in (*measures["scrolled"], *measures["frames"]):
            assert box["left"] >= 0 and box["right"] <= width
        canvas = _channels(measures["canvas"])
        assert (sum(canvas) < 200) == dark
        for name, colour in measures["colours"].items():
            assert _contrast(_channels(colour), canvas) >= CONTRAST, (name, colour, dark)


def _channels(colour: str) -> list[float]:
    return [float(value) for value in re.findall(r"[\d.]+", colour)[:3]]


def _contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """The ratio of luminances, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: Sequence[float]) -> float:
    parts = [c / 255 for c in colour]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
