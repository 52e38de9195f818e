"""Random models over the whole language, held against a second implementation of the theory.

`make random-truth` takes 10,000 of them, and measures others in training.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from abcparam.diagnostics.diagnostic import SpecError
from tests.support.truth.comparing import differences
from tests.support.truth.models import random_model

VERDICTS = 6
SHAPES = {"P0301", "P0302"}


def compared(first: int, count: int) -> Counter[str]:
    """How often each verdict came up; every model has to be judged as the reference does.

    A few have shapes that do not fit, and are refused.
    """
    verdicts = Counter[str]()
    for number in range(first, first + count):
        model = random_model(random.Random(f"tests {number}"))
        try:
            judgement, found = differences(model)
        except SpecError as error:
            assert {each.code for each in error.diagnostics} <= SHAPES, model.text
            continue
        assert not found, f"model {number}\n{model.text}" + "\n".join(found)
        verdicts[judgement.verdict] += 1
    assert verdicts.total() >= 0.98 * count
    return verdicts


def test_random_models_are_judged_as_the_reference_does():
    verdicts = compared(0, 280)
    assert len(verdicts) == VERDICTS and max(verdicts.values()) < 140, verdicts


@pytest.mark.slow
def test_more_random_models_are_judged_as_the_reference_does():
    assert len(compared(280, 1_000)) == VERDICTS
