"""The gauge `unit`: what a repeat carries is divided by factors of each copy's own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.comparison.regauge import in_gauge
from abcparam.comparison.unit_scaling import scaled_gradients
from abcparam.diagnostics.source import Source
from abcparam.verdict.check import load as load_spec
from tests.comparison.test_unit_copies import trained
from tests.support.emitted import load

# A stream that starts small and grows; read by norms inside and outside of blocks, by a block that
# is called twice, by maps and functions, by another repeat and twice at the end.
READ = """model GPT
dim width -> inf, base = 32
dim depth = 6
dim vocab = 23
dim context = 6
hyper lr = 1e-3
hyper start = 0.01
parametrization mup
tensor token    : input [vocab, width] {{ init = normal(start) }}
tensor place    : input [context, width] {{ init = normal(start) }}
tensor readout  : output [vocab, width]
tensor readout2 : output [vocab, width]
block Branch(x) {{
    tensor up : hidden [width, width]
    n = rmsnorm(x{eps})
    return up @ (n + 0.1 * tanh(x))
}}
block Norm(x) {{
    tensor gain  : input [width] {{ init = ones }}
    tensor shift : input [width]
    return layernorm(x, gain = gain, bias = shift{eps})
}}
forward(tokens : index(vocab) [context]) {{
    x = embed(token, tokens)
    x = x + place
    z = 0.1 * x
    repeat depth as layers {{
        tensor mix, down : hidden [width, width]
        tensor bias : input [width]
        h = Branch(x)
        x = x + 2 * h + bias
        y = Norm(x) as norm
        x = x - down @ (gelu(y) + mix @ x / 10)
        x = x + norm(x)
    }}
    repeat 2 as last {{
        tensor back : hidden [width, width]
        x = x + back @ tanh(rmsnorm(x{eps}))
    }}
    e = x
    return readout @ Norm(x) + readout2 @ (rmsnorm(e + z) + sigmoid(x))
}}
optimizer adamw {{ lr = lr, eps = 1e-4, weight_decay = 0.1 }}
loss cross_entropy
"""


@pytest.mark.parametrize("depth", [1, 4, 6, 9])
@pytest.mark.parametrize("eps", ["", ", eps = 0"])
def test_training_is_the_same_whatever_reads_a_stream(depth: int, eps: str, tmp_path: Path):
    text = READ.format(eps=eps)
    program = scaled_gradients(in_gauge(load_spec(Source(text)), "unit"))
    assert program.gradients is not None
    assert program.gradients.streams["layers"]["x"].before < -4
    codes = [abcparam.compile(text, gauge=gauge) for gauge in ("as-written", "unit")]
    (wanted, _), (found, _) = (trained(load(code, tmp_path), depth) for code in codes)
    assert (wanted[-1] - wanted[0]).abs().max() > 0.001
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
