"""A decoder in the gauge `unit` beside the same by unit-scaling: ranges, step time, loss.

The package need not be installed:

    pip install --no-deps unit-scaling==0.3.5 docstring-parser einops tabulate
"""

from __future__ import annotations

import importlib
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import abcparam
from benchmarks.measure import Comparison, Options, SkippedError, alternate, compare, seconds
from benchmarks.steps import imported

WIDTH, DEPTH, HEAD, VOCAB, CONTEXT, BATCH = 128, 2, 32, 256, 64, 8
STEPS = 60
RATES = [2.0**power for power in range(-9, 0, 2)]
SPEC = f"""model Decoder
dim width -> inf, base = {WIDTH}
dim depth = {DEPTH}
dim head = {HEAD}
dim heads = width / head
dim vocab = {VOCAB}
dim context = {CONTEXT}
hyper lr = 4e-3
parametrization mup
tensor embedding : input [vocab, width]
tensor last      : input [width] {{ init = ones }}
tensor readout   : output [vocab, width]
block Attention(x) {{
    tensor gain : input [width] {{ init = ones }}
    tensor query, key, value : hidden [heads * head, width]
    tensor project : hidden [width, heads * head]
    h = rmsnorm(x, gain = gain)
    y = attention(query @ h, key @ h, value @ h, heads = heads, scale = head^-1, causal = true)
    return project @ y
}}
block FeedForward(x) {{
    tensor gain : input [width] {{ init = ones }}
    tensor up, gate : hidden [4 * width, width]
    tensor down : hidden [width, 4 * width]
    h = rmsnorm(x, gain = gain)
    return down @ (silu(gate @ h) * (up @ h))
}}
forward(tokens : index(vocab) [context]) {{
    x = embed(embedding, tokens)
    repeat depth as layers {{
        x = x + Attention(x)
        x = x + FeedForward(x)
    }}
    return readout @ rmsnorm(x, gain = last)
}}
optimizer adamw {{ lr = lr, betas = (0.9, 0.999), eps = 1e-12, weight_decay = 0 }}
loss cross_entropy
"""
Made = tuple[nn.Module, torch.optim.Optimizer, Callable[[Tensor, Tensor], Tensor]]
Make = Callable[[float], Made]


def beside_unit_scaling(options: Options) -> list[Comparison]:
    try:
        uu = importlib.import_module("unit_scaling")
    except ImportError as error:
        names = "unit-scaling==0.3.5 docstring-parser einops tabulate"
        raise SkippedError(f"{error}; `pip install --no-deps {names}`") from None
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.py"
        path.write_text(abcparam.compile(SPEC, gauge="unit"), encoding="utf-8")
        made = _ours(imported(path, "decoder"))
        ours, theirs = (_placed(make, options.device) for make in (made, _theirs(uu)))
        labels = "unit", "unit-scaling"
        times = alternate(_step(ours), _step(theirs), options.rounds(30))
        ranges, losses = (_spread(ours), _spread(theirs)), (_best(ours), _best(theirs))
        half = _best(_placed(made, options.device, torch.bfloat16))
    return [
        compare(
            "best loss, bfloat16 beside single",
            ("bfloat16", "single"),
            [(half, losses[0])],
            None,
            "",
        ),
        compare("step beside unit-scaling", labels, times, 1.0),
        compare("powers of two from 1, gradients of weights", labels, [ranges], None, ""),
        compare(f"best loss after {STEPS} steps", labels, [losses], 1.0, ""),
    ]


def _placed(made: Make, device: str, dtype: torch.dtype = torch.float32) -> Make:
    """On a device; in another type by autocast, weights and updates in single precision."""

    def make(lr: float) -> Made:
        model, optimizer, loss = made(lr)
        model.to(device)

        def placed(tokens: Tensor, labels: Tensor) -> Tensor:
            with torch.autocast(device, dtype=dtype, enabled=dtype != torch.float32):
                return loss(tokens.to(device), labels.to(device))

        return model, optimizer, placed

    return make


def _ours(module: Any) -> Make:
    def make(lr: float) -> Made:
        torch.manual_seed(0)
        model = module.Decoder(module.Config(lr=lr, batch_size=BATCH))

        def loss(tokens: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(model(tokens).flatten(0, 1), labels.flatten())

        return model, module.make_optimizer(model), loss

    return make


def _theirs(uu: Any) -> Make:
    def make(lr: float) -> Made:
        torch.manual_seed(0)
        model = uu.TransformerDecoder(WIDTH, VOCAB, DEPTH, WIDTH // HEAD)
        optimizer = uu.optim.AdamW(model.parameters(), lr=lr, weight_decay=0)

        def loss(tokens: Tensor, labels: Tensor) -> Tensor:
            logits = model(tokens).flatten(0, 1)
            found: Tensor = uu.functional.cross_entropy(logits, labels.flatten())
            return found

        return model, optimizer, loss

    return make


def _batch(number: int) -> tuple[Tensor, Tensor]:
    """Texts in which the next token follows from the last two, nine times in ten."""
    generator = torch.Generator().manual_seed(number)
    tokens = torch.randint(VOCAB, (BATCH, CONTEXT + 1), generator=generator)
    follows = torch.rand(BATCH, CONTEXT + 1, generator=generator) < 0.9
    for at in range(2, CONTEXT + 1):
        following = (tokens[:, at - 1] // 16 * 16 + tokens[:, at - 2] % 16) % VOCAB
        tokens[:, at] = torch.where(follows[:, at], following, tokens[:, at])
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


def _step(make: Make) -> Callable[[], float]:
    _, optimizer, loss = make(2.0**-8)
    batch = _batch(0)

    def step() -> None:
        loss(*batch).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    for _ in range(3):
        step()
    return lambda: seconds(step)


def _spread(make: Make) -> float:
    """How far the gradient of a weight lies from 1 at most, at init, in powers of two."""
    model, _, loss = make(2.0**-8)
    loss(*_batch(0)).backward()
    sizes = (p.grad.square().mean().sqrt() for p in model.parameters() if p.grad is not None)
    return max(abs(math.log2(float(size))) for size in sizes)


def _best(make: Make) -> float:
    """Of all rates the lowest mean loss of the last ten steps."""
    return min(_trained(make, rate) for rate in RATES)


def _trained(make: Make, rate: float) -> float:
    _, optimizer, loss = make(rate)
    losses = []
    for number in range(STEPS):
        value = loss(*_batch(number))
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    mean = sum(losses[-10:]) / 10
    return mean if math.isfinite(mean) else math.inf
