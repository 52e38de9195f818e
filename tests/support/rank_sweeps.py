"""One of the ranks of a torchrun that train trials together: prints their losses as JSON, when all
ranks have found the same.
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.tuning.trials import TrialResult
from abcparam.tuning.workers.data_parallel import DataParallel
from tests.tuning.test_sweep import TRANSFORMER, mlp

EXPERTS = """model Experts
dim width -> inf, base = 16
hyper lr = 0.01
parametrization mup
tensor first : input [width, 12]
tensor router : output [4, width]
tensor readout, unused : output [5, width]
block Expert(x) {
    tensor up, down : hidden [width, width]
    return down @ relu(up @ x)
}
forward(x : [12]) {
    h = first @ x
    h = h + mixture(router @ h, Expert(h), top = 1)
    told = readout @ h
    more = unused @ h
    return told, more
}
optimizer adamw { lr = lr, weight_decay = 0.1 }
loss cross_entropy(told)
"""
CLIPPED = TRANSFORMER.replace(
    "optimizer OPTIMIZER { lr = lr", "optimizer adam { clip_norm = 0.1, lr = lr"
)
MUON = TRANSFORMER.replace(
    "optimizer OPTIMIZER", "optimizer adam for input, output { lr = lr }\noptimizer muon"
)


def blobs(config: Any, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Classes around random points."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(config.classes, config.pixels, generator=draw)
    while True:
        labels = torch.randint(config.classes, (size,), generator=draw)
        yield centres[labels] + torch.randn(size, config.pixels, generator=draw), labels


def blobs_held_out(config: Any, size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Three batches, so one rank has more of them; the last is a small one."""
    for pixels, labels in islice(blobs(config, size, 1000), 2):
        yield pixels, labels
    yield pixels[:5], labels[:5]


CASES: dict[str, tuple[str, list[str], dict[str, Any]]] = {
    "clipped": (CLIPPED, ["lr=1e-2"], {}),
    "muon": (MUON, ["lr=1e-2", "width=16,24"], {}),
    "experts": (EXPERTS, ["lr=1e-2,1e-1"], {"schedule": "cosine"}),
    "diverging": (mlp("sgd"), ["lr=1e-1,1e20"], {}),
    "held out": (mlp(), ["lr=1e-2"], {"data": blobs, "by": "held-out"}),
}
SHARDED = ("clipped", "diverging", "held out")
if find_spec("optuna"):
    wanted = {"sampler": "tpe", "trials": 4}
    CASES["asked for"] = (mlp(), ["lr=log:1e-3:1e-1"], wanted)
    CASES["stopped"] = (mlp(), ["lr=1e-1,1e-2,1e-3,1e-4"], {"prune": True})
    SHARDED = (*SHARDED, "stopped")


def found(case: str, **setting: object) -> list[TrialResult]:
    """Trained one after another, alone or by all ranks."""
    text, over, wanted = CASES[case]
    shared = {"steps": 10, "batch": 6, "together": 1}
    return list(abcparam.sweep(text, over, **{**shared, **wanted, **setting}).results)


def raised(**wanted: object) -> str:
    """By a sweep, in training or in keeping what was trained."""
    try:
        abcparam.sweep(mlp(), ["lr=0.1"], steps=1, data_parallel=True, **wanted)
    except (SpecError, OSError) as error:
        return error.diagnostics[0].code if isinstance(error, SpecError) else "OSError"
    return ""


def of_all(value: Any) -> list[Any]:
    """Of each rank."""
    found = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def main() -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    said: dict[str, Any] = {}
    for case in (*CASES, *(f"sharded {case}" for case in SHARDED)):
        own = case.removeprefix("sharded ")
        results = found(own, data_parallel=True, sharded=case != own)
        assert set(of_all(repr(results))) == {repr(results)}, case  # no number is not itself
        said[case] = [[result.losses, result.held_out] for result in results]
    said["draws"] = len(set(of_all(torch.rand(1).item())))
    said["raised"] = of_all([raised(by="held-out"), raised(folder=Path(__file__))])
    try:
        DataParallel("cpu", dist.get_rank())
    except SpecError as error:
        said["differ"] = [d.code for d in error.diagnostics]
    if dist.get_rank() == 0:
        json.dump(said, sys.stdout)
    gc.collect()  # what still holds the group would outlive it
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
