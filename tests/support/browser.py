"""A page in headless Chromium, driven by its command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path
from typing import Any, NamedTuple

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
OPTIONS = (
    *(
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ),
    *("--disable-background-networking", "--disable-component-update", "--no-first-run"),
    *("--enable-logging=stderr", "--virtual-time-budget=10000"),
)
MEASURE = """
const page = document.querySelector("iframe"), inner = page.contentDocument;
const look = page.contentWindow.getComputedStyle.bind(page.contentWindow);
const probe = inner.createElement("p");
probe.style.backgroundColor = "Canvas";
inner.body.append(probe);
const colour = name => { probe.className = name; return look(probe).color; };
const boxes = found => [...inner.querySelectorAll(found)].map(e => {
  const box = e.getBoundingClientRect();
  return {left: box.left, right: box.right, width: box.width, height: box.height};
});
document.getElementById("report").textContent = JSON.stringify({
  width: inner.documentElement.clientWidth,
  content: inner.documentElement.scrollWidth,
  tables: boxes("table"), figures: boxes("figure svg"),
  scrolled: boxes(".scroll"), frames: boxes("figure"),
  resources: page.contentWindow.performance.getEntriesByType("resource").map(e => e.name),
  canvas: look(probe).backgroundColor,
  colours: Object.fromEntries(
    ["", "agrees", "crossover", "disagrees", "unresolved"].map(name => [name, colour(name)])),
});
"""


class Shown(NamedTuple):
    """What the browser makes of a page: its measures, and what it said on the console."""

    measures: dict[str, Any]
    console: list[str]


def shown(page: str, width: int, folder: Path, dark: bool = False) -> Shown:
    """The page in a frame of this width, in which it is laid out as in a window of it."""
    harness = folder / f"harness-{width}-{dark}.html"
    frame = f'<iframe srcdoc="{escape(page)}" style="width: {width}px; height: 3000px; border: 0">'
    script = f"<script>onload = () => {{ {MEASURE} }}</script>"
    text = f'<!DOCTYPE html><pre id="report"></pre>{script}{frame}</iframe>'
    harness.write_text(text, encoding="utf-8")
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    found = _chromium(folder, scheme, f"--window-size={width + 100},3200", "--dump-dom", harness)
    report = re.search(r'<pre id="report">(.+?)</pre>', found.stdout, re.DOTALL)
    assert report, found.stderr
    console = [line for line in found.stderr.splitlines() if "CONSOLE" in line]
    return Shown(json.loads(unescape(report[1])), console)


def pictured(page: Path, width: int, target: Path, dark: bool = False) -> None:
    """A PNG of what a window of this width shows of the page."""
    scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    size = f"--window-size={width},2400"
    _chromium(target.parent, scheme, size, f"--screenshot={target}", page)


def _chromium(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [CHROMIUM, *OPTIONS, profile, *map(str, arguments)]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
