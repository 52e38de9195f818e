"""Factors that an adapter gives the forward survive what is done to models."""

from __future__ import annotations

import copy
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import abcparam
from tests.imports.models import perceptron

WIDTH = 256  # four times the base: the factor is a quarter


@pytest.fixture(scope="module")
def adapter() -> ModuleType:
    made = ModuleType("adapter")
    exec(abcparam.adapt(abcparam.audit(perceptron.tied, ["width"])), made.__dict__)
    return made


class Case:
    """A model that was scaled, a batch, and what it gives."""

    def __init__(self, adapter: ModuleType) -> None:
        torch.manual_seed(0)
        self.plain, (self.tokens,) = perceptron.tied(WIDTH)
        adapter.init_(self.plain)
        self.model = copy.deepcopy(self.plain)
        adapter.scale_(self.model)
        self.wanted: Tensor = self.plain(self.tokens) / 4

    def holds(self, model: Any) -> None:
        torch.testing.assert_close(model(self.tokens), self.wanted)


@pytest.fixture
def case(adapter: ModuleType) -> Case:
    return Case(adapter)


@pytest.fixture
def group(tmp_path: Path) -> Any:
    """A process group of this process alone."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def test_copies(case: Case, adapter: ModuleType):
    case.holds(case.model)
    copied = copy.deepcopy(case.model)
    case.holds(copied)
    assert isinstance(copied.head, nn.Linear)
    copied.head.mup_factor = 1.0
    case.holds(case.model)
    with pytest.raises(ValueError, match="head is scaled already"):
        adapter.scale_(copied)


def test_state_dicts_have_nothing_of_it(case: Case, adapter: ModuleType):
    state = case.model.state_dict()
    assert state.keys() == case.plain.state_dict().keys()
    other, _ = perceptron.tied(WIDTH)
    adapter.scale_(other)
    assert not any(other.load_state_dict(state))
    case.holds(other)


def test_safetensors(case: Case, adapter: ModuleType, tmp_path: Path):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_model(case.model, str(tmp_path / "model.safetensors"))
    other, _ = perceptron.tied(WIDTH)
    adapter.scale_(other)
    safetensors.load_model(other, str(tmp_path / "model.safetensors"))
    case.holds(other)


def test_compiled(case: Case, adapter: ModuleType):
    """Also where the same class was compiled before, at other widths and without a factor."""
    torch.compiler.reset()
    torch.testing.assert_close(torch.compile(case.plain)(case.tokens), case.plain(case.tokens))
    case.holds(torch.compile(case.model, fullgraph=True))
    wider, (tokens,) = perceptron.tied(2 * WIDTH)
    before = wider(tokens)
    adapter.scale_(wider)
    torch.testing.assert_close(torch.compile(wider)(tokens), before / 8)


def test_scaled_when_it_is_compiled_already(case: Case, adapter: ModuleType):
    torch.compiler.reset()
    compiled = torch.compile(case.plain)
    compiled(case.tokens)
    adapter.scale_(compiled)
    case.holds(compiled)
    names = {group["name"] for group in adapter.param_groups(compiled)}
    assert names == {group["name"] for group in adapter.param_groups(case.model)}


@pytest.mark.filterwarnings("ignore:.*register_pre_backward_hook")
def test_sharded(case: Case, adapter: ModuleType, group: Any):
    """By FSDP2, with a step of training: the same as without."""
    sharded = copy.deepcopy(case.model)
    fully_shard(sharded.up, mesh=group)
    fully_shard(sharded, mesh=group)
    optimizers = [adapter.make_optimizer(model) for model in (sharded, case.model)]
    case.holds(sharded)
    for model, optimizer in zip((sharded, case.model), optimizers, strict=True):
        model(case.tokens).square().sum().backward()
        optimizer.step()
        adapter.check_param_groups(optimizer)
    torch.testing.assert_close(sharded(case.tokens), case.model(case.tokens))
    assert not torch.allclose(case.model(case.tokens), case.wanted)


def test_names_of_wrappers(case: Case, adapter: ModuleType, group: Any):
    """`module.`, `_orig_mod.` and both, scaled before they are wrapped or after."""
    torch.compiler.reset()
    count = len(adapter.param_groups(case.model))
    for wrapped in (
        DistributedDataParallel(copy.deepcopy(case.model)),
        DistributedDataParallel(torch.compile(copy.deepcopy(case.model))),
        torch.compile(DistributedDataParallel(copy.deepcopy(case.model))),
    ):
        case.holds(wrapped)
        assert len(adapter.param_groups(wrapped)) == count
    late = DistributedDataParallel(copy.deepcopy(case.plain))
    adapter.scale_(late)
    case.holds(late)


def test_other_devices_and_numbers(case: Case, adapter: ModuleType):
    case.holds(case.model.double().float())
    assert case.model.bfloat16()(case.tokens).dtype is torch.bfloat16
    with torch.device("meta"):
        empty, (tokens,) = perceptron.tied(WIDTH)
        adapter.scale_(empty)
        assert empty(tokens).is_meta
