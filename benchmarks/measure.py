"""Two things timed in turns, and what their ratio is."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


class SkippedError(Exception):
    """A benchmark cannot be run here; the message says why."""


@dataclass(frozen=True)
class Options:
    """How long to measure, and what."""

    quick: bool = False
    threads: int = 2
    emitted: Path | None = None
    device: str = "cpu"

    def rounds(self, usual: int) -> int:
        return max(3, usual // 5) if self.quick else usual


@dataclass(frozen=True)
class Comparison:
    """Ours over theirs: the median of the ratios with its 95 % interval, and that of the minima."""

    name: str
    ours: str
    theirs: str
    unit: str
    ours_median: float
    theirs_median: float
    ratio: float
    low: float
    high: float
    ratio_of_minima: float
    rounds: int
    target: float | None

    @property
    def verdict(self) -> str:
        if self.target is None:
            return ""
        if self.ratio <= self.target:
            return "met"
        return "within noise" if self.low <= self.target else "missed"


def compare(
    name: str,
    labels: tuple[str, str],
    pairs: Sequence[tuple[float, float]],
    target: float | None,
    unit: str = "s",
) -> Comparison:
    """What pairs of measurements, ours and theirs, say about the ratio."""
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    low, high = median_interval(ratios)
    ours, theirs = zip(*pairs, strict=True)
    return Comparison(
        name=name,
        ours=labels[0],
        theirs=labels[1],
        unit=unit,
        ours_median=statistics.median(ours),
        theirs_median=statistics.median(theirs),
        ratio=statistics.median(ratios),
        low=low,
        high=high,
        ratio_of_minima=min(ours) / min(theirs),
        rounds=len(pairs),
        target=target,
    )


def median_interval(ordered: Sequence[float]) -> tuple[float, float]:
    """A 95 % interval of the median, from order statistics; the whole range of few values."""
    count = len(ordered)
    reach = math.ceil(0.98 * math.sqrt(count))
    return ordered[max(0, count // 2 - reach)], ordered[min(count - 1, count // 2 + reach)]


def alternate(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> list[tuple[float, float]]:
    """Pairs of measurements. Rounds go there and back, so that a drift falls on both alike."""
    pairs = []
    for _ in range(rounds):
        first, second, third, fourth = ours(), theirs(), theirs(), ours()
        pairs.append(((first + fourth) / 2, (second + third) / 2))
    return pairs


def seconds(action: Callable[[], object]) -> float:
    """Until it is done, on a GPU too."""
    start = time.perf_counter()
    action()
    finish()
    return time.perf_counter() - start


def finish() -> None:
    """Waits for a GPU, where PyTorch has been told to use one."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()


def run_process(command: Sequence[str], status: int = 0) -> None:
    """Run a program to its end from the repository's root, discarding what it prints. It may write
    bytecode, so that the next run finds it. `status` is the exit status that it should have.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != status:
        tail = (done.stderr or done.stdout).strip()[-500:]
        raise SkippedError(f"`{' '.join(command)}` exited with {done.returncode}: {tail}")


def number_from(module: Sequence[str]) -> float:
    """What a module of ours, run as a program with these arguments, prints."""
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SkippedError(f"`{' '.join(module)}` failed: {done.stderr.strip()[-500:]}")
    return float(done.stdout)


# --- what is written ------------------------------------------------------------------------------


def machine() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.machine(),
        "cores": os.cpu_count(),
        "gpu": gpu(),
        "packages": {name: package_version(name) for name in ("torch", "sympy", "mup")},
    }


def gpu() -> str | None:
    """Its name, where PyTorch has been told to use one."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return None
    return str(torch.cuda.get_device_name())


def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def table(comparisons: Sequence[Comparison]) -> str:
    """A Markdown table of the comparisons."""
    rows = [
        "| benchmark | ours | beside | ratio | 95 % | of minima | target | |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for c in comparisons:
        target = "" if c.target is None else f"≤ {c.target:.2f}"
        rows.append(
            f"| {c.name} | {c.ours}: {amount(c.ours_median, c.unit)} "
            f"| {c.theirs}: {amount(c.theirs_median, c.unit)} | {c.ratio:.3f} "
            f"| {c.low:.3f}–{c.high:.3f} | {c.ratio_of_minima:.3f} | {target} | {c.verdict} |"
        )
    return "\n".join(rows) + "\n"


def amount(value: float, unit: str) -> str:
    """A measurement for a reader: 0.0123 s is 12.3 ms."""
    if unit == "s":
        for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}"
    return f"{value:,.0f} {unit}" if unit else f"{value:.3g}"


def write(comparisons: Sequence[Comparison], skipped: dict[str, str], folder: Path) -> None:
    """Leave results.json and results.md in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(comparisons, skipped, folder / "results.json")
    (folder / "results.md").write_text(table(comparisons), encoding="utf-8")


def write_json(comparisons: Sequence[Comparison], skipped: dict[str, str], path: Path) -> None:
    """What was compared, on which machine."""
    results = {
        "machine": machine(),
        "comparisons": [asdict(c) | {"verdict": c.verdict} for c in comparisons],
        "skipped": skipped,
    }
    text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
