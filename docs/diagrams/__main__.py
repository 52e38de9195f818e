"""Draws the diagrams of docs/ again: `python -m docs.diagrams`."""

from __future__ import annotations

from pathlib import Path

from abcparam.storage.atomic import write_atomically
from docs.diagrams import alignments, factors, gains, pipeline, stream

FIGURES = {
    "pipeline": pipeline.draw,
    "alignments": alignments.draw,
    "gains": gains.draw,
    "stream": stream.draw,
    "factors": factors.draw,
}
FOLDER = Path(__file__).resolve().parents[1]


def main() -> None:
    for name, draw in FIGURES.items():
        write_atomically(str(FOLDER / f"{name}.svg"), draw())


if __name__ == "__main__":
    main()
