"""Who trains a trial: this process, or the ranks of `torchrun`, the door to `torch.distributed`.

Every rank has the whole model and takes its shard of each batch; `DistributedDataParallel` averages
the gradients, so every optimizer makes the update that one process makes of the whole batch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from abcparam.data.batch import Batch
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.tuning import RanksDiffer
from abcparam.tuning.trials import Trial, TrialResult
from abcparam.tuning.workers.ranks import own_device, unequal

PATIENCE = timedelta(days=7)  # rank 0 may wait for other sweeps; that a rank died is heard at once
APART = 1_000_003  # of the seeds of two ranks
LEFT_OUT = -100  # a target that cross entropy ignores


class SingleProcess:
    """One process: it does everything."""

    def wrap(self, module: nn.Module) -> nn.Module:
        """A module whose gradients are those of the whole batch."""
        return module

    def shard(self, batch: Batch) -> Batch:
        """What is to be trained on here."""
        return batch

    def shard_batches(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """Which of some batches are evaluated here."""
        return batches

    def all_reduce(self, numbers: Tensor) -> Tensor:
        """The sums over all processes."""
        return numbers

    def mean(self, loss: Tensor) -> float:
        """Over the whole batch, from that over the shard."""
        return loss.item()


class DataParallel(SingleProcess):
    """All ranks, this one among them: gloo carries what is on a CPU, NCCL what is on GPUs.

    Raises `SpecError` unless `identity`, of what they train, is the same on each.
    """

    def __init__(self, device: str, identity: object) -> None:
        own_device(device)
        self.ours = not dist.is_initialized()
        if self.ours:
            dist.init_process_group(timeout=PATIENCE)
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, identity)
        if any(other != found[0] for other in found):
            self.close()
            raise SpecError.about("--data-parallel", RanksDiffer)

    def close(self) -> None:
        """Ends the group, once no wrapped module holds on to it: its threads would outlive it."""
        gc.collect()
        if self.ours:
            dist.destroy_process_group()

    def wrap(self, module: nn.Module) -> nn.Module:
        """From here on each draws its own random numbers, for dropout."""
        torch.manual_seed(torch.initial_seed() + APART * self.rank)
        return DistributedDataParallel(module, static_graph=True)  # that allows unused parameters

    def shard(self, batch: Batch) -> Batch:
        return shards_of(batch, self.size)[self.rank]

    def shard_batches(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        return islice(batches, self.rank, None, self.size)

    def all_reduce(self, numbers: Tensor) -> Tensor:
        dist.all_reduce(numbers)
        return numbers

    def mean(self, loss: Tensor) -> float:
        return self.all_reduce(loss.detach() / self.size).item()

    def broadcast(self, message: object = None) -> Any:
        """What rank 0 sends, on every rank when all have it."""
        messages = [message]
        dist.broadcast_object_list(messages, src=0)
        self.all_reduce(torch.zeros(1))
        return messages[0]


def shards_of(batch: Batch, ranks: int) -> list[Batch]:
    """Raises `SpecError` where they are not alike: by examples, and by targets of cross entropy."""
    for tensor in (*batch.inputs, *batch.targets):
        if len(tensor) % ranks:
            raise unequal(f"{len(tensor)} examples", ranks)
    inputs, targets = (
        list(zip(*(tensor.chunk(ranks) for tensor in tensors), strict=True)) for tensors in batch
    )
    for same in zip(*targets, strict=True):
        counts = [int((target != LEFT_OUT).sum()) for target in same]
        if not same[0].is_floating_point() and len(set(counts)) > 1:
            raise unequal(f"{sum(counts)} targets", ranks)
    return [Batch(*shard) for shard in zip(inputs, targets, strict=True)]


def search_on_rank_0(
    parallel: DataParallel,
    search: Callable[[], list[TrialResult]],
    train: Callable[[tuple[Trial, ...]], object],
) -> list[TrialResult]:
    """What rank 0 finds by its search, on every rank.

    It broadcasts the trials that it is about to train, and the others `train` them with it; at the
    end, what it found or raised.
    """
    if parallel.rank:
        return _followed(parallel, train)
    try:
        found = search()
    except (SpecError, OSError) as error:
        parallel.broadcast(error)
        raise
    parallel.broadcast(found)
    return found


def _followed(
    parallel: DataParallel, train: Callable[[tuple[Trial, ...]], object]
) -> list[TrialResult]:
    while isinstance(message := parallel.broadcast(), tuple):
        with suppress(SpecError):  # which rank 0 raises too
            train(message)
    if isinstance(message, Exception):
        raise message
    found: list[TrialResult] = message
    return found
