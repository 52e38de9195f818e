"""Emitted modules in libraries that look for PyTorch's own layers: what replaces or wraps them.

Tiny models of the examples, each made once. A layer that is never called would be replaced without
a trace: every test looks at what the model then computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.ao.quantization import quantize_dynamic
from torch.distributed.algorithms._checkpoint.checkpoint_wrapper import (
    apply_activation_checkpointing,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import SplitPoint, pipeline
from torch.distributed.tensor import DTensor
from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module
from torchao.quantization import Int8WeightOnlyConfig, quantize_

from abcparam.program.model import Program
from tests.support.emitted import build, inputs_of, make, outputs_of
from tests.support.paths import EXAMPLES

TEXT = {"width": 32, "depth": 2, "head": 8, "vocab": 50, "context": 12}
IMAGE = {"rows": 32, "columns": 32, "classes": 5}
SIZES: dict[str, dict[str, int]] = {
    "gpt2": TEXT,
    "bert": TEXT,
    "mixtral": {**TEXT, "group": 2, "experts": 4},
    "t5": {**TEXT, "source": 8, "target": 8, "buckets": 8},
    "vit": {**TEXT, **IMAGE, "patch": 8},
    "resnet18": {**IMAGE, "width": 8},
}
EVERY = pytest.mark.parametrize("name", SIZES)


class Emitted(NamedTuple):
    """An example as a module, and inputs for it."""

    program: Program
    module: ModuleType
    inputs: list[Tensor]

    def model(self, sizes: dict[str, int]) -> Any:
        torch.manual_seed(0)
        made: Any = make(self.program, self.module, sizes)
        for parameter in made.parameters():  # what starts at zeros would hide much
            nn.init.normal_(parameter, std=0.1)
        return made.eval()


@pytest.fixture(scope="module")
def emitted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Emitted]:
    found = {}
    for name, sizes in SIZES.items():
        text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
        program, module = build(text, tmp_path_factory.mktemp(name))
        torch.manual_seed(1)
        inputs = inputs_of(program, make(program, module, sizes).config, (2,))  # type: ignore[union-attr]
        floats = [x.float() if x.is_floating_point() else x for x in inputs]
        found[name] = Emitted(program, module, floats)
    return found


def computed(model: nn.Module, example: Emitted) -> Tensor:
    return torch.cat([y.flatten() for y in outputs_of(model(*example.inputs))])


def leaves(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    return ((name, m) for name, m in model.named_modules() if not any(m.children()))


@EVERY
def test_every_layer_is_called_and_can_be_replaced(name: str, emitted: dict[str, Emitted]):
    """Hooks fire on every leaf; all maps are quantized, and none leaves its weight behind."""
    example = emitted[name]
    model = example.model(SIZES[name])
    called: set[nn.Module] = set()
    hooks = [m.register_forward_hook(lambda m, *_: called.add(m)) for _, m in leaves(model)]
    wanted = computed(model, example)
    for hook in hooks:
        hook.remove()
    assert not [path for path, leaf in leaves(model) if leaf not in called]
    assert any(isinstance(leaf, nn.Linear) for leaf in called)
    functional = {type(m) for m in model.modules() if [*m.parameters(recurse=False)]}
    assert nn.LayerNorm in functional or nn.RMSNorm in functional or nn.BatchNorm2d in functional
    small = quantize_dynamic(model, {nn.Linear}, dtype=torch.qint8)
    assert not any(type(m) is nn.Linear for m in small.modules())
    error = (computed(small, example) - wanted).norm() / wanted.norm()
    assert 0 < error < 0.1


@pytest.mark.slow  # peft alone takes seconds to import
@EVERY
def test_lora_of_peft_is_part_of_the_model(name: str, emitted: dict[str, Emitted]):
    """Adapters that start at random change what is computed, and all have gradients."""
    peft: Any = pytest.importorskip("peft")
    example = emitted[name]
    model = example.model(SIZES[name])
    wanted = computed(model, example)
    targets = [path for path, m in leaves(model) if isinstance(m, (nn.Linear, nn.Embedding))]
    targets += [path for path, m in leaves(model) if isinstance(m, nn.Conv2d)]
    settings = peft.LoraConfig(r=2, target_modules=targets, init_lora_weights=False)
    adapted = peft.get_peft_model(model, settings)
    assert not torch.allclose(computed(adapted, example), wanted)
    computed(adapted, example).square().sum().backward()
    trained = [p for p in adapted.parameters() if p.requires_grad]
    assert len(trained) == 2 * len(targets)
    assert all(p.grad is not None and p.grad.any() for p in trained)
    with adapted.disable_adapter():
        torch.testing.assert_close(computed(adapted, example), wanted)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Any]:
    """A mesh of this process."""
    store = dist.FileStore(str(tmp_path / "store"), 1)
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


@EVERY
def test_sharded_and_split_layers(name: str, emitted: dict[str, Emitted], alone: Any):
    """Maps split over columns, and a model that is sharded: the gradients of the plain one."""
    example = emitted[name]
    plain, split, sharded = (example.model(SIZES[name]) for _ in range(3))
    maps = [path for path, m in leaves(split) if isinstance(m, nn.Linear)]
    parallelize_module(split, alone, dict.fromkeys(maps, ColwiseParallel()))
    assert isinstance(split.get_submodule(maps[0]).weight, DTensor)
    for part in sharded.children():
        for layer in part if isinstance(part, nn.ModuleList) else ():
            fully_shard(layer, mesh=alone)
    fully_shard(sharded, mesh=alone)
    groups = [example.module.param_groups(model) for model in (plain, split, sharded)]
    for model in (plain, split, sharded):
        computed(model, example).square().mean().backward()
    for wanted, *found in zip(*groups, strict=True):
        for p, *others in zip(wanted["params"], *(g["params"] for g in found), strict=True):
            for gradient in (q.grad for q in others):
                whole = gradient.full_tensor() if isinstance(gradient, DTensor) else gradient
                torch.testing.assert_close(whole, p.grad, rtol=1e-4, atol=1e-6)


def test_batch_norms_are_synchronized(emitted: dict[str, Emitted]):
    """All are converted, with the same groups and the same numbers."""
    example = emitted["resnet18"]
    model = example.model(SIZES["resnet18"])
    wanted, groups = computed(model, example), example.module.param_groups(model)
    other = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    assert sum(isinstance(m, nn.SyncBatchNorm) for m in other.modules()) == 20
    assert not any(isinstance(m, nn.BatchNorm2d) for m in other.modules())
    torch.testing.assert_close(computed(other, example), wanted)
    sizes = [len(group["params"]) for group in groups]
    assert [len(group["params"]) for group in example.module.param_groups(other)] == sizes
    other.reset_parameters()


@EVERY
def test_activations_are_computed_again(name: str, emitted: dict[str, Emitted]):
    """Checkpointed layers: the same gradients and groups."""
    example = emitted[name]
    plain, again = (example.model(SIZES[name]) for _ in range(2))
    inner = {type(m) for m in plain.modules() if isinstance(m, nn.ModuleList) for m in m}
    apply_activation_checkpointing(again, check_fn=lambda m: type(m) in inner)
    groups = [example.module.param_groups(model) for model in (plain, again)]
    for model in (plain, again):
        computed(model, example).square().mean().backward()
    for one, other in zip(*groups, strict=True):
        for p, q in zip(one["params"], other["params"], strict=True):
            torch.testing.assert_close(p.grad, q.grad)


def test_saved_and_loaded_by_the_hub(emitted: dict[str, Emitted], tmp_path: Path):
    """`from_pretrained` of an emitted class makes its `Config` again."""
    hub: Any = pytest.importorskip("huggingface_hub")
    example = emitted["vit"]
    Shared: Any = type("Shared", (example.module.ViT, hub.PyTorchModelHubMixin), {})
    model = Shared(example.module.Config(width=64, depth=1, patch=8, lr=0.5, **IMAGE))
    model.eval().save_pretrained(tmp_path)
    found = Shared.from_pretrained(tmp_path).eval()
    assert found.config == model.config
    assert torch.equal(computed(found, example), computed(model, example))


@EVERY
def test_prepared_by_accelerate(name: str, emitted: dict[str, Emitted]):
    accelerate: Any = pytest.importorskip("accelerate")
    example = emitted[name]
    model = example.model(SIZES[name])
    accelerator = accelerate.Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, example.module.make_optimizer(model))
    before = computed(model, example)
    accelerator.backward(computed(prepared, example).square().mean())
    optimizer.step()
    example.module.check_param_groups(optimizer)
    assert not torch.equal(computed(model, example), before)


SECOND = {"t5": "decoder.0", "resnet18": "stage3"}  # where a second stage begins; else layers.1


@EVERY
def test_stages_of_a_pipeline_compute_the_model(name: str, emitted: dict[str, Emitted]):
    example = emitted[name]
    model = example.model(SIZES[name])
    begins = {SECOND.get(name, "layers.1"): SplitPoint.BEGINNING}
    staged = pipeline(model, mb_args=tuple(example.inputs), split_spec=begins)
    assert staged.num_stages == 2
    first, last = (dict(staged.get_stage_module(i).named_parameters()) for i in range(2))
    shared = set(first) & set(last)
    assert len(first) + len(last) == len(dict(model.named_parameters())) + len(shared)
    with torch.no_grad():
        found = torch.cat([y.flatten() for y in outputs_of(staged(*example.inputs))])
        torch.testing.assert_close(found, computed(model, example))


@EVERY
def test_weights_of_eight_bits_by_torchao(name: str, emitted: dict[str, Emitted]):
    """Every linear layer's, and a model that says nearly the same."""
    model = emitted[name].model(SIZES[name])
    with torch.no_grad():
        wanted = computed(model, emitted[name])
        before = [m.weight for _, m in leaves(model) if isinstance(m, nn.Linear)]
        quantize_(model, Int8WeightOnlyConfig())
        after = [m.weight for _, m in leaves(model) if isinstance(m, nn.Linear)]
        found = computed(model, emitted[name])
    assert before and all(old is not new for old, new in zip(before, after, strict=True))
    assert float((found - wanted).norm() / wanted.norm()) < 0.02
