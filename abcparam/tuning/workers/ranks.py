"""The processes that `torchrun` starts, its ranks: what the environment says of them.

Here too is which trials they can train together; how they do is in `data_parallel.py`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import NoRanks, NotSharded, SeesBatch, UnequalShares
from abcparam.program.expressions import Apply
from abcparam.program.model import Program


def launched() -> bool:
    """Whether `torchrun`, or what works like it, started this process."""
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys()


def rank() -> int:
    """Of this process."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """The number of processes that were started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_device(device: str) -> str:
    """On several GPUs each process has its own."""
    if device == "cuda" and world_size() > 1:
        import torch

        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    return device


def require_ranks(cluster: str) -> None:
    """Raises `SpecError` where no ranks could train a trial together, as on a cluster."""
    if cluster or not launched():
        raise SpecError.about("--data-parallel", NoRanks, what=cluster or "this process")


def require_equal_shards(programs: Iterable[Program], batches: Iterable[int]) -> None:
    """Raises `SpecError` where a shard of a batch is not trained on as in the batch.

    `batches` are numbers of examples.
    """
    for count in batches:
        if count % world_size():
            raise unequal(f"{count} examples", world_size())
    for program in programs:
        calls = (value for value in program.expressions() if isinstance(value, Apply))
        seen = [call for call in calls if call.operation.state]  # what it keeps is of the batch
        said = [SeesBatch.at(call.span, operation=call.operation.name) for call in seen]
        if said:
            raise SpecError(program.source, dict.fromkeys(said))


def require_shardable(programs: Iterable[Program]) -> None:
    """Raises `SpecError` where ranks cannot each have a part of every parameter.

    Either no rank could make its part of an update alone, or they would not gather the same ones.
    """
    for program in programs:
        calls = [value for value in program.expressions() if isinstance(value, Apply)]
        found = [(call.span, "a `mixture`") for call in calls if call.operation.name == "mixture"]
        for tensor in program.tensors.values():
            rule = program.optimizers[tensor.optimizer].rule
            if not (tensor.frozen or rule.stacks):
                found.append((tensor.span, f"an update of `{rule.name}`"))
        said = dict.fromkeys(NotSharded.at(span, what=what) for span, what in found)
        if said:
            raise SpecError(program.source, said)


def unequal(what: str, count: int) -> SpecError:
    return SpecError.about("--data-parallel", UnequalShares, what=what, ranks=count)
