"""One of two processes: an emitted MLP sharded by FSDP2 trains like one that is not, and a
distributed checkpoint brings its groups back.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as checkpoints
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict
from torch.distributed.fsdp import fully_shard

X = torch.linspace(-1, 1, 96, dtype=torch.float64).reshape(8, 12)
LABELS = torch.arange(8) % 5


def take_steps(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> Tensor:
    for _ in range(steps):
        loss = nn.functional.cross_entropy(model(X), LABELS)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.detach()


def norm_of_gradients(model: nn.Module) -> float:
    return float(
        nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    )


def made(mlp: Any, mesh: Any = None) -> tuple[nn.Module, torch.optim.Optimizer]:
    """The same weights on every process; sharded over the mesh, where there is one."""
    torch.manual_seed(0)
    model = mlp.MLP(mlp.Config(width=64)).double()
    if mesh:
        fully_shard(model, mesh=mesh)
    return model, mlp.make_optimizer(model)


def main(folder: str, rank: int) -> None:
    sys.path.insert(0, folder)
    torch.set_num_threads(1)
    mlp = importlib.import_module("mlp")
    store = dist.FileStore(os.path.join(folder, "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    mesh = dist.init_device_mesh("cpu", (2,))
    whole, (model, optimizer) = made(mlp), made(mlp, mesh)
    mlp.check_param_groups(optimizer)
    assert all(p.to_local().numel() < p.numel() for p in model.parameters())  # type: ignore[operator]
    torch.testing.assert_close(take_steps(model, optimizer, 5), take_steps(*whole, 5))
    clipped = importlib.import_module("clipped")
    one, other = made(clipped), made(clipped, mesh)
    torch.testing.assert_close(take_steps(*other, 5), take_steps(*one, 5))
    assert norm_of_gradients(one[0]) < 0.011
    saved = dict(zip(("model", "optimizer"), get_state_dict(model, optimizer), strict=True))
    checkpoints.save(saved, checkpoint_id=os.path.join(folder, "checkpoint"))
    late, fresh = made(mlp, mesh)
    loaded = dict(zip(("model", "optimizer"), get_state_dict(late, fresh), strict=True))
    checkpoints.load(loaded, checkpoint_id=os.path.join(folder, "checkpoint"))
    set_state_dict(
        late, fresh, model_state_dict=loaded["model"], optim_state_dict=loaded["optimizer"]
    )
    mlp.check_param_groups(fresh)
    assert [group["name"] for group in fresh.param_groups] == ["input_output", "hidden"]
    torch.testing.assert_close(take_steps(late, fresh, 3), take_steps(*whole, 3))
    fresh.param_groups[1]["spec"] = "another"
    try:
        mlp.check_param_groups(fresh)
    except ValueError:
        print("two processes agree")
    dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
