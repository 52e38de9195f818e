"""What is added to the logits of attention, and what is kept of them, fits them axis by axis."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import abcparam
from tests.support.emitted import load

SPEC = """model Grid
dim width -> inf, base = 8
dim head = 4
dim heads = width / head
dim rows = 3
dim context = 5
dim classes = 2
hyper lr = 0.1
parametrization mup
tensor q, k, v : hidden [heads * head, width]
tensor first : input  [width, classes]
tensor last  : output [classes, width]
forward(x : [rows, context, classes], b : [context], c : [context, context],
        d : [heads, context, context], m : index(2) [context]) {
    h = first @ x
    return last @ attention(q @ h, k @ h, v @ h, heads = heads, scale = head^-1, OPTIONS)
}
optimizer adam { lr = lr }
loss mse
"""


@pytest.mark.parametrize("options", ["bias = b", "bias = c", "bias = d", "bias = b, mask = m"])
def test_axes_that_are_lacking_are_stretched_behind_the_batch(options: str, tmp_path: Path):
    module = load(abcparam.compile(SPEC.replace("OPTIONS", options)), tmp_path)
    torch.manual_seed(0)
    model = module.Grid(module.Config()).double()
    x = torch.randn(4, 3, 5, 2).double()
    given = {"b": torch.randn(4, 5), "c": torch.randn(4, 5, 5), "d": torch.randn(4, 2, 5, 5)}
    given = {name: value.double() for name, value in given.items()}
    mask = torch.tensor([1, 0, 1, 1, 0]).expand(4, 5)
    found = model(x, *given.values(), mask)
    for example in range(4):
        h = model.first(x[example])
        q, k, v = (getattr(model, n)(h).unflatten(-1, (2, 4)).transpose(-3, -2) for n in "qkv")
        bias = given[options[7]][example].expand(3, 2, 5, 5)
        if "mask" in options:
            bias = bias.masked_fill(mask[example] == 0, -torch.inf)
        wanted = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=1 / 4)
        wanted = model.last(wanted.transpose(-3, -2).flatten(-2))
        torch.testing.assert_close(found[example], wanted)


@pytest.mark.parametrize(
    "options",
    [
        "bias = alibi(heads, context + 1)",
        "bias = alibi(heads / 2, context)",
        "bias = x",
        "bias = unsqueeze(unsqueeze(d, axis = 0), axis = 0)",
    ],
)
def test_what_does_not_fit_is_refused(options: str):
    with pytest.raises(abcparam.SpecError, match="P0301"):
        abcparam.check(SPEC.replace("OPTIONS", options))
