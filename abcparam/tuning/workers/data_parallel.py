"""Who trains a trial: this process, or the ranks of `torchrun`, the door to `torch.distributed`.

Every rank takes its shard of each batch, and has the whole model (`DistributedDataParallel`) or a
part of it (`fully_shard`). Both average the gradients, so every optimizer makes the update that one
process makes of the whole batch.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from datetime import timedelta
from itertools import islice
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map

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

    rank = 0

    def placed(self, model: nn.Module, device: str) -> nn.Module:
        """On the device that trains it, before it has optimizers."""
        return model.to(device)

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

    def broadcast(self, message: Any = None) -> Any:
        """What rank 0 sends, on every rank when all have it."""
        return message

    def decided(self, decide: Callable[[], Any]) -> Any:
        """What rank 0 decides; what it raises is raised on every rank."""
        return decide()

    def agreed(self, wanted: bool) -> bool:
        """Whether rank 0 wants it."""
        return wanted

    def of_each(self, value: Any) -> list[Any]:
        """The values of all processes, by rank."""
        return [value]

    def whole(self, state: Any) -> Any:
        """A state in which each tensor is whole, whoever has its parts."""
        return state

    def load(self, model: nn.Module, state: Any) -> None:
        """A model's state, whose tensors are whole."""
        model.load_state_dict(state)

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: Any) -> None:
        """An optimizer's, whose tensors are whole."""
        optimizer.load_state_dict(state)


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
        found = self.of_each(identity)
        if any(other != found[0] for other in found):
            self.close()
            raise SpecError.about("--data-parallel", RanksDiffer)

    def close(self) -> None:
        """Ends the group, once no wrapped module holds on to it: its threads would outlive it."""
        gc.collect()
        if self.ours:
            dist.destroy_process_group()

    def wrap(self, module: nn.Module) -> nn.Module:
        self._own_random_numbers()
        return DistributedDataParallel(module, static_graph=True)  # that allows unused parameters

    def _own_random_numbers(self) -> None:
        """From here on each rank draws others, for dropout."""
        torch.manual_seed(torch.initial_seed() + APART * self.rank)

    def shard(self, batch: Batch) -> Batch:
        return shards_of(batch, self.size)[self.rank]

    def shard_batches(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        return islice(batches, self.rank, None, self.size)

    def all_reduce(self, numbers: Tensor) -> Tensor:
        dist.all_reduce(numbers)
        return numbers

    def mean(self, loss: Tensor) -> float:
        return self.all_reduce(loss.detach() / self.size).item()

    def broadcast(self, message: Any = None) -> Any:
        messages = [message]
        dist.broadcast_object_list(messages, src=0)
        self.all_reduce(torch.zeros(1))
        return messages[0]

    def decided(self, decide: Callable[[], Any]) -> Any:
        found: Any = None
        try:
            found = decide() if self.rank == 0 else None
        except (SpecError, OSError) as error:
            self.broadcast(error)
            raise
        found = self.broadcast(found)
        if isinstance(found, Exception):
            raise found
        return found

    def agreed(self, wanted: bool) -> bool:
        return bool(self.all_reduce(torch.tensor(float(wanted and self.rank == 0))))

    def of_each(self, value: Any) -> list[Any]:
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found


class ShardedParameters(DataParallel):
    """Every rank has a part of each parameter (FSDP2), of its gradient, its optimizer's state.

    A layer is whole while it computes.
    """

    def placed(self, model: nn.Module, device: str) -> nn.Module:
        mesh = init_device_mesh(torch.device(device).type, (self.size,))
        numbers = {p for p in model.parameters() if not p.ndim}  # FSDP2 does not take them
        lists = (m for m in model.modules() if isinstance(m, nn.ModuleList))
        for module in [*(layer for layers in lists for layer in layers), model]:
            fully_shard(module, mesh=mesh, ignored_params=numbers)
        for number in numbers:
            number.data = number.data.to(device)
            number.register_post_accumulate_grad_hook(self._average)
        return model

    def _average(self, number: Tensor) -> None:
        if number.grad is not None:
            number.grad = self.all_reduce(number.grad / self.size)

    def wrap(self, module: nn.Module) -> nn.Module:
        self._own_random_numbers()
        return module

    def shard_batches(self, batches: Iterable[Batch]) -> Iterable[Batch]:
        """All on every rank, as none computes alone."""
        return batches

    def whole(self, state: Any) -> Any:
        return tree_map(lambda x: x.full_tensor().cpu() if isinstance(x, DTensor) else x, state)

    def load(self, model: nn.Module, state: Any) -> None:
        own = model.state_dict()
        model.load_state_dict({name: _like(own[name], value) for name, value in state.items()})

    def load_optimizer(self, optimizer: torch.optim.Optimizer, state: Any) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        each = {
            number: {key: _like(parameters[number], value) for key, value in kept.items()}
            for number, kept in state["state"].items()
        }
        optimizer.load_state_dict({**state, "state": each})


def _like(own: Any, value: Any) -> Any:
    """This rank's part, where that is what it has of its own."""
    if isinstance(own, DTensor) and isinstance(value, Tensor) and value.shape == own.shape:
        value = value.to(own.device)
        return distribute_tensor(value, own.device_mesh, own.placements, src_data_rank=None)
    return value


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
    train: Callable[[tuple[Trial, ...], Collection[int]], object],
) -> list[TrialResult]:
    """What rank 0 finds by its search, on every rank.

    It broadcasts the trials that it is about to train, and after how many steps they may be
    stopped, and the others `train` them with it; at the end, what it found or raised.
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
    parallel: DataParallel, train: Callable[[tuple[Trial, ...], Collection[int]], object]
) -> list[TrialResult]:
    while isinstance(message := parallel.broadcast(), tuple):
        with suppress(SpecError, OSError):  # which rank 0 raises too
            train(*message)
    if isinstance(message, Exception):
        raise message
    found: list[TrialResult] = message
    return found
