"""An emitted GPT on the meta device, sharded by FSDP2 over one process, takes a step."""

from __future__ import annotations

import importlib
import os
import sys

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard


def main(folder: str) -> None:
    sys.path.insert(0, folder)
    gpt = importlib.import_module("gpt")
    store = dist.FileStore(os.path.join(folder, "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    with torch.device("meta"):
        model = gpt.GPT(gpt.Config(width=128, depth=2, vocab=50, context=16))
    mesh = dist.init_device_mesh("cpu", (1,))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh)
    model.to_empty(device="cpu")
    model.reset_parameters()
    optimizer = gpt.make_optimizer(model)
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(list(model.parameters()))
    model(torch.randint(50, (2, 16))).square().mean().backward()
    optimizer.step()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
