"""What a coordinate check is asked for; imports nothing that measures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abcparam.algebra.record import Record
from abcparam.program.vocabulary import GAUGES

if TYPE_CHECKING:
    from pathlib import Path

    from abcparam.coordinate_check.measure.handwritten import Handwritten
    from abcparam.data.batch import Data


class CheckOptions(Record):
    """What a coordinate check is asked for. `widths` empty: those that `budget` seconds pay for."""

    widths: tuple[int, ...] = ()
    budget: float = 60.0
    seeds: int = 3
    steps: int = 4
    device: str = "cpu"
    compiled: bool = False
    first: int = 0  # the first seed
    given: tuple[str, ...] = ()  # dims that were given a value and keep it
    folder: Path | None = None
    data: Data | None = None  # random numbers if none is given
    module: Handwritten | None = None  # in place of the emitted model
    vary: str = ""  # the dim that is varied, if not the first that goes to infinity
    tokens: int = 64  # positions in a batch
    gauge: str = GAUGES[0]
    alignment: bool = False  # whether that of updates and inputs is measured too
