"""What is derived with symbols is what numbers say, at random points of random graphs and MLPs."""

from __future__ import annotations

import pytest

from abcparam.program.vocabulary import VERDICTS
from benchmarks.symbols_and_numbers import compared


@pytest.mark.parametrize(
    ("seed", "count"), [(0, 200), pytest.param(1, 2000, marks=pytest.mark.slow)]
)
def test_symbols_say_what_numbers_say(seed: int, count: int):
    """Verdicts, completeness, laws and solutions; `make symbols-and-numbers` takes more."""
    found = compared(count, seed, examples=False)
    assert not found.disagreements, found.disagreements[0]
    assert found.points.total() == count
    assert set(VERDICTS) - set(found.points) <= {"kernel", "maximal-update"}, found.points
