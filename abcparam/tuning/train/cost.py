"""What training costs, found before anything is trained: the model runs on no device at all.

On PyTorch's `meta` device nothing is computed or allocated; operations are counted by
`torch.utils.flop_counter`, and what is kept for the backward pass by its hooks.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from abcparam.algebra.record import Record
from abcparam.data.batch import Batch
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.train.training import REAL, Job, LossModule


class Cost(Record):
    """Of one training run: floating-point operations, and bytes at once."""

    parameters: int
    flops: float
    memory: int
    exact: bool  # else by a rule of thumb: 6 operations for each parameter and position

    def to_dict(self) -> dict[str, Any]:
        return {"parameters": self.parameters, "flops": self.flops, "memory_bytes": self.memory}


def cost_of(job: Job, values: Mapping[str, Fraction]) -> Cost:
    """The cost of one run in single precision, optimizer and activations included."""
    config = job.config(values)
    model = _on_meta(job, config)
    batch = next(job.batches(config, 0)).to("meta", REAL)
    parameters = [p for p in model.parameters() if p.requires_grad]
    count = sum(p.numel() for p in model.parameters())
    try:
        flops, kept = _step(LossModule(job, model, config), batch)
        state = _state(job, model, parameters)
        exact = True
    except (SpecError, RuntimeError, NotImplementedError, TypeError, ValueError):
        positions = batch.targets[0].numel() if batch.targets else job.batch
        flops, kept, state, exact = 6.0 * count * positions, 0, 2 * 4 * count, False
    trained = sum(p.numel() for p in parameters)
    return Cost(count, flops * job.steps, 4 * (count + trained) + state + kept, exact)


def _on_meta(job: Job, config: Any) -> nn.Module:
    """A model without values; one that cannot be made so is made with them."""
    try:
        with torch.device("meta"):
            return job.builder.model(config).train()
    except SpecError:
        return job.builder.model(config).train().to("meta")


def _step(measured: LossModule, batch: Batch) -> tuple[float, int]:
    """Operations of a forward and a backward pass, and the bytes kept between them."""
    own = {p.data_ptr() if p.device.type != "meta" else id(p) for p in measured.parameters()}
    kept: dict[int, int] = {}

    def pack(value: Tensor) -> Tensor:
        if id(value) not in own and not isinstance(value, nn.Parameter):
            kept[id(value)] = value.numel() * value.element_size()
            alive.append(value)
        return value

    alive: list[Tensor] = []
    counter = FlopCounterMode(display=False)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
        torch.autograd.backward(measured(*batch))
    return float(counter.get_total_flops()), sum(kept.values())


def _state(job: Job, model: nn.Module, parameters: list[nn.Parameter]) -> int:
    """The bytes that the optimizers keep."""
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    total = 0
    for optimizer in job.optimizers(model):
        optimizer.step()
        tensors = (v for state in optimizer.state.values() for v in state.values())
        total += sum(v.numel() * v.element_size() for v in tensors if isinstance(v, Tensor))
    return total
