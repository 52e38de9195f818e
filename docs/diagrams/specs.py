"""The specs that the diagrams are about, and their laws."""

from __future__ import annotations

from abcparam.diagnostics.source import Source
from abcparam.verdict.check import judged, load
from abcparam.verdict.report import Report

MLP = """\
model MLP
dim width -> inf, base = 128
dim pixels = 16
dim classes = 10
hyper lr = 1e-3

parametrization {form}

tensor first   : input  [width, pixels]
tensor second  : hidden [width, width]
tensor readout : output [classes, width]

forward(x : [pixels]) {{
    h1 = first @ x
    y1 = relu(h1)
    h2 = second @ y1
    y2 = relu(h2)
    f = readout @ y2
    return f
}}

optimizer adam {{ lr = lr, eps = 1e-12 }}
loss cross_entropy
"""

TRANSFORMER = """\
model Transformer
dim width -> inf, base = 64
dim depth -> inf, base = 4
dim head = 64
dim heads = width / head
dim vocab = 100
dim context = 16
hyper lr = 1e-3

parametrization mup {rate}

tensor table   : input  [vocab, width]
tensor readout : output [vocab, width] {{ init = zeros }}

block Attention(x) {{
    tensor query, key, value : hidden [heads * head, width]
    tensor project : hidden [width, heads * head]
    y = attention(query @ x, key @ x, value @ x, heads = heads, scale = head^-1, causal = true)
    return project @ y
}}

block FeedForward(x) {{
    tensor up   : hidden [4 * width, width]
    tensor down : hidden [width, 4 * width]
    h = up @ x
    return down @ gelu(h)
}}

forward(tokens : index(vocab) [context]) {{
    x = embed(table, tokens)
    repeat depth as layers {{
        x = x + (depth / base(depth))^{alpha} * Attention(layernorm(x))
        x = x + (depth / base(depth))^{alpha} * FeedForward(layernorm(x))
    }}
    return readout @ layernorm(x)
}}

optimizer adamw {{ lr = lr, eps = 1e-12 }}
loss cross_entropy
"""

FACTORS = """\
model MLP
dim width -> inf, base = 128
dim pixels = 16
dim classes = 10
hyper lr = 1e-3
hyper out_mult = 1

tensor first   : input  [width, pixels]  { a = 0, b = 0, c = 0 }
tensor second  : hidden [width, width]   { a = 1/2, b = 1/2, c = 1 }
tensor readout : output [classes, width] { a = 1, b = 0, c = 0 }

forward(x : [pixels]) {
    h = tanh(2 * (first @ x))
    return out_mult * (readout @ ((width / base(width))^(1/2) * (second @ h)))
}

optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


def mlp(form: str = "mup") -> str:
    return MLP.format(form=form)


def transformer(alpha: str, rate: str = "") -> str:
    return TRANSFORMER.format(alpha=alpha, rate=rate)


def laws(spec: str) -> Report:
    return judged(load(Source(spec)))
