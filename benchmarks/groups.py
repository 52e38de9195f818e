"""An optimizer's step over emitted groups beside the same over one plain group."""

from __future__ import annotations

import torch

import abcparam
from abcparam.emission.execute import executed
from benchmarks.measure import ROOT, Comparison, Options, alternate, compare, seconds
from benchmarks.steps import SIZES, Step, no_garbage_collection


def beside_one_group(options: Options) -> list[Comparison]:
    """As the spec is written, and in the gauge of a single group."""
    text = (ROOT / "examples" / "gpt.param").read_text(encoding="utf-8")
    text = text.replace("eps = 1e-12, weight_decay = 0.1", "eps = 0, weight_decay = 0")
    return [
        versus(options, abcparam.compile(text, gauge=gauge), gauge, target)
        for gauge, target in (("as-written", 1.02), ("single-group", 1.0))
    ]


def versus(options: Options, code: str, gauge: str, target: float) -> Comparison:
    torch.set_num_threads(options.threads)
    ours, theirs = steps(code)
    for step in (ours, theirs) * 20:
        step()
    with no_garbage_collection():
        pairs = alternate(lambda: seconds(ours), lambda: seconds(theirs), options.rounds(100))
    return compare(f"optimizer step, {gauge}", ("emitted groups", "one group"), pairs, target)


def steps(code: str) -> tuple[Step, Step]:
    """Steps of the emitted optimizer, and of one of its class over all parameters in one group."""
    emitted = executed(code)
    model = emitted["GPT"](emitted["Config"](**SIZES))
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer = emitted["make_optimizer"](model)
    plain = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0, fused=True)
    return optimizer.step, plain.step
