"""Forward multipliers of the emitted modules equal `mult * r^-a` to 1e-12 at three widths."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

import abcparam
from tests.support.emitted import load
from tests.support.paths import EXAMPLES

FORMULAS = {  # model -> base, then tensor -> (mult, a)
    "mlp": ("MLP", 128, {"W1": (1.0, -0.5), "W3": (1.0, 0.5)}),
    "gpt": ("GPT", 256, {"readout": (3.0, 1.0)}),
}


@pytest.mark.parametrize("width", [256, 1024, 2880])
@pytest.mark.parametrize("name", FORMULAS)
def test_multiplier(name: str, width: int, tmp_path: Path):
    model_name, base, tensors = FORMULAS[name]
    overrides = {"out_mult": 3, "vocab": 11, "context": 4, "depth": 1} if name == "gpt" else {}
    module = load(abcparam.compile(EXAMPLES / f"{name}.param", **overrides), tmp_path)
    model = getattr(module, model_name)(module.Config(width=width))
    for tensor, (mult, a) in tensors.items():
        expected = mult * (width / base) ** -a
        assert math.isclose(getattr(model, f"{tensor}_scale"), expected, rel_tol=1e-12), tensor
