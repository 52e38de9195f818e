"""What every script here is asked, and what it leaves: numbers, a picture, a table."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from abcparam.presentation.figures import write_picture
from abcparam.storage.atomic import write_atomically


def trains(about: str, folder: str) -> argparse.ArgumentParser:
    """Of a script that trains by sweeps."""
    parser = options(about, folder)
    parser.add_argument("--device", default="cpu", help="cpu, cuda")
    return parser


def options(about: str, folder: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=about)
    add = parser.add_argument
    add("--smallest", action="store_true", help="a size that takes seconds and shows nothing")
    add("--data", help="a text file, `digits` or `module:function`, as for `abcparam sweep`")
    add("--out", type=Path, default=Path("build/reproduce") / folder, help="for SVG and CSV")
    add("--resume", type=Path, metavar="FOLDER", help="finished trials (default: OUT/runs)")
    return parser


def asked(
    parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None
) -> argparse.Namespace:
    """With `out` a folder that is there, and `resume` as it is by default."""
    given = parser.parse_args(arguments)
    given.resume = given.resume or given.out / "runs"
    given.out.mkdir(parents=True, exist_ok=True)
    return given


def report(
    given: argparse.Namespace, name: str, rows: Sequence[Any], figure: Any, table: str
) -> None:
    """Writes `rows`, named tuples of one kind, as `NAME.csv` and the figure; prints the table."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([rows[0]._fields, *rows])
    write_atomically(str(given.out / f"{name}.csv"), out.getvalue())
    write_picture(figure, str(given.out / name))
    print(table, f"written: {given.out}", sep="\n")
