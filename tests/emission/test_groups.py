"""Emitted groups under what training does to them: ratios are kept, or the check says which are
not.
"""

from __future__ import annotations

import copy
import inspect
import math
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.optim import lr_scheduler as schedulers

import abcparam
from abcparam import schedules
from abcparam.program.fingerprint import fingerprint
from tests.support.emitted import load
from tests.support.paths import ROOT

SPEC = """model MLP
dim width -> inf, base = 16
dim pixels = 12
dim classes = 5
hyper lr = 1e-2
parametrization mup
tensor first   : input  [width, pixels]
tensor second  : hidden [width, width]
tensor readout : output [classes, width]
forward(x : [pixels]) { return readout @ relu(second @ relu(first @ x)) }
optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""
STEPS = 12


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load(abcparam.compile(SPEC), tmp_path_factory.mktemp("groups"))


def trained(module: ModuleType, **sizes: Any) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model at four times its base, and its optimizer after a step."""
    torch.manual_seed(0)
    model = module.MLP(module.Config(**{"width": 64, **sizes}))
    optimizer = module.make_optimizer(model)
    take_step(model, optimizer)
    return model, optimizer


def take_step(model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    x = torch.linspace(-1, 1, 96).reshape(8, 12)
    loss = nn.functional.cross_entropy(model(x), torch.arange(8) % 5)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


# Schedulers

Make = Callable[[torch.optim.Optimizer], Any]


def cosine(optimizer: torch.optim.Optimizer) -> Any:
    return schedulers.CosineAnnealingLR(optimizer, STEPS)


def half(optimizer: torch.optim.Optimizer) -> Any:
    return schedulers.ConstantLR(optimizer, 0.5, 3)


def rates(optimizer: torch.optim.Optimizer) -> list[Any]:
    return [group["lr"] for group in optimizer.param_groups]


KEPT: dict[str, Make] = {
    "LambdaLR": lambda o: schedulers.LambdaLR(o, lambda step: step / STEPS),
    "MultiplicativeLR": lambda o: schedulers.MultiplicativeLR(o, lambda step: 0.9),
    "StepLR": lambda o: schedulers.StepLR(o, 3),
    "MultiStepLR": lambda o: schedulers.MultiStepLR(o, [2, 7]),
    "ConstantLR": half,
    "LinearLR": lambda o: schedulers.LinearLR(o, 0.1, 1, STEPS),
    "ExponentialLR": lambda o: schedulers.ExponentialLR(o, 0.7),
    "PolynomialLR": lambda o: schedulers.PolynomialLR(o, STEPS, 2),
    "CosineAnnealingLR": cosine,
    "CosineAnnealingWarmRestarts": lambda o: schedulers.CosineAnnealingWarmRestarts(o, 5),
    "SequentialLR": lambda o: schedulers.SequentialLR(o, [half(o), cosine(o)], [4]),
    "ChainedScheduler": lambda o: schedulers.ChainedScheduler([half(o), cosine(o)]),
    "ReduceLROnPlateau": lambda o: schedulers.ReduceLROnPlateau(o, patience=0, eps=0),
    "CyclicLR": lambda o: schedulers.CyclicLR(
        o, [r / 10 for r in rates(o)], rates(o), 4, cycle_momentum=False
    ),
    "OneCycleLR": lambda o: schedulers.OneCycleLR(o, rates(o), STEPS + 1),
}
CAUGHT: dict[str, Make] = {
    "CosineAnnealingLR with a floor": lambda o: schedulers.CosineAnnealingLR(o, STEPS, 1e-3),
    "CosineAnnealingWarmRestarts with a floor": lambda o: schedulers.CosineAnnealingWarmRestarts(
        o, STEPS, eta_min=1e-3
    ),
    "ReduceLROnPlateau with a floor": lambda o: schedulers.ReduceLROnPlateau(
        o, patience=0, min_lr=1e-3
    ),
    "CyclicLR with numbers": lambda o: schedulers.CyclicLR(o, 1e-3, 1e-2, 4, cycle_momentum=False),
    "OneCycleLR with a number": lambda o: schedulers.OneCycleLR(o, 1e-2, STEPS + 1),
}


def run(module: ModuleType, make: Make) -> None:
    """A schedule, the groups checked after each step."""
    _, optimizer = trained(module)
    schedule = make(optimizer)
    module.check_param_groups(optimizer)
    for _ in range(STEPS):
        optimizer.step()
        if isinstance(schedule, schedulers.ReduceLROnPlateau):
            schedule.step(1.0)
        else:
            schedule.step()
        module.check_param_groups(optimizer)


@pytest.mark.parametrize("name", KEPT)
def test_schedulers_that_keep_ratios(name: str, module: ModuleType):
    run(module, KEPT[name])


@pytest.mark.parametrize("name", CAUGHT)
def test_schedulers_that_break_ratios_are_caught(name: str, module: ModuleType):
    with pytest.raises(ValueError, match=r"groups 'hidden' and 'input_output' are as .* 0.25 : "):
        run(module, CAUGHT[name])


def test_every_scheduler_of_torch_is_listed():
    """15 in torch 2.13; a new one fails here until it is listed above."""
    bases = {"LRScheduler", "_LRScheduler"}
    found = {
        name
        for name, kind in vars(schedulers).items()
        if inspect.isclass(kind) and issubclass(kind, schedulers.LRScheduler) and name not in bases
    }
    assert found == KEPT.keys()


SCHEDULES = {
    "constant": schedules.constant(),
    "linear": schedules.linear(STEPS, 0.1, 3),
    "cosine": schedules.cosine(STEPS, 0.1, 3),
    "step": schedules.step(4),
    "inverse_sqrt": schedules.inverse_sqrt(3),
    "warmup_stable_decay": schedules.warmup_stable_decay(STEPS, 4, 0.1, 3),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_of_ours_keep_ratios(name: str, module: ModuleType):
    run(module, lambda o: schedulers.LambdaLR(o, SCHEDULES[name]))


def test_schedules_have_their_values():
    """Factors by hand, at the start, in the middle and beyond the end."""
    at = {name: [made(step) for step in (0, 2, 3, 12, 99)] for name, made in SCHEDULES.items()}
    assert at["constant"] == [1, 1, 1, 1, 1]
    assert at["linear"] == pytest.approx([0.25, 0.75, 1, 0.1, 0.1])
    assert at["cosine"] == pytest.approx([0.25, 0.75, 1, 0.1, 0.1])
    assert at["step"] == pytest.approx([1, 1, 1, 1e-3, 1e-24])
    assert at["inverse_sqrt"] == pytest.approx([0.25, 0.75, 1, 0.5, math.sqrt(3 / 99)])
    assert at["warmup_stable_decay"] == pytest.approx([0.25, 0.75, 1, 0.1, 0.1])
    assert SCHEDULES["warmup_stable_decay"](8) == 1
    assert SCHEDULES["warmup_stable_decay"](10) == pytest.approx(0.55)
    half = schedules.cosine(10)
    assert half(5) == pytest.approx(0.5) and schedules.linear(10)(5) == pytest.approx(0.5)


def test_schedules_are_pytorch_s(module: ModuleType):
    """Without floor and warm-up a cosine and a line are PyTorch's own."""
    pairs: list[tuple[Make, schedules.Schedule]] = [
        (cosine, schedules.cosine(STEPS)),
        (lambda o: schedulers.PolynomialLR(o, STEPS), schedules.linear(STEPS)),
    ]
    for theirs, ours in pairs:
        made = [trained(module)[1] for _ in range(2)]
        stepped = [theirs(made[0]), schedulers.LambdaLR(made[1], ours)]
        for _ in range(STEPS):
            for optimizer, schedule in zip(made, stepped, strict=True):
                optimizer.step()
                schedule.step()
            assert rates(made[0]) == pytest.approx(rates(made[1]), rel=1e-9, abs=1e-15)


# What else changes groups


def test_a_rate_set_by_hand(module: ModuleType):
    _, optimizer = trained(module)
    for group in optimizer.param_groups:
        group["lr"] = 5e-3 * group["lr_scale"]
    module.check_param_groups(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 5e-3
    with pytest.raises(ValueError) as error:
        module.check_param_groups(optimizer)
    assert str(error.value) == (
        "lr of groups 'hidden' and 'input_output' are as 0.005 : 0.005, must be as "
        "0.25 : 1.0; multiply each, or set each to rate * lr_scale"
    )


def test_rates_that_are_tensors(module: ModuleType):
    _, optimizer = trained(module)
    for group in optimizer.param_groups:
        group["lr"] = torch.tensor(group["lr"])
    module.check_param_groups(optimizer)
    schedule = schedulers.ExponentialLR(optimizer, 0.97)
    for _ in range(300):
        optimizer.step()
        schedule.step()
    module.check_param_groups(optimizer)
    optimizer.param_groups[0]["lr"].mul_(1.01)
    with pytest.raises(ValueError, match=r"as 0.25 : 1.0"):
        module.check_param_groups(optimizer)


def test_an_optimizer_made_without_groups(module: ModuleType):
    model, _ = trained(module)
    with pytest.raises(ValueError, match="group None is of spec None"):
        module.check_param_groups(torch.optim.Adam(model.parameters()))


def test_copies_and_pickles_keep_groups(module: ModuleType):
    model, optimizer = trained(module)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        module.check_param_groups(other)
        assert [g["name"] for g in other.param_groups] == ["input_output", "hidden"]
    both = copy.deepcopy((model, optimizer))
    assert torch.equal(take_step(*both), take_step(model, optimizer))
    for one, other in zip(model.parameters(), both[0].parameters(), strict=True):
        assert torch.equal(one, other)


# Ways in which training changes groups, and how each is seen

DECAYED = (
    SPEC.replace("mup\n", "mup { hidden { d = 1, weight_decay = 0.1 * width / base(width) } }\n")
    .replace("adam {", "adamw {")
    .replace("eps = 1e-12 }", "eps = 1e-12, weight_decay = 0.1 }")
)


class Run(NamedTuple):
    """A model at four times its base, and its optimizer after a step."""

    module: ModuleType
    model: nn.Module
    optimizer: torch.optim.Optimizer


Way = Callable[[Run], torch.optim.Optimizer | None]  # gives the optimizer, if it is another one


def fused(run: Run) -> torch.optim.Optimizer:
    return torch.optim.AdamW(run.module.param_groups(run.model), fused=True)


def foreach(run: Run) -> torch.optim.Optimizer:
    return torch.optim.AdamW(run.module.param_groups(run.model), foreach=True)


def grad_scaler(run: Run) -> None:
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    run.optimizer.zero_grad()
    scaler.scale(run.model(torch.ones(2, 12)).sum()).backward()
    scaler.step(run.optimizer)
    scaler.update()


def clipping(run: Run) -> None:
    run.model(torch.ones(2, 12)).sum().backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
    run.optimizer.step()


def zero(run: Run) -> torch.optim.Optimizer:
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        groups = run.module.param_groups(run.model)
        optimizer = ZeroRedundancyOptimizer(groups, torch.optim.AdamW, lr=1.0)
        take_step(run.model, optimizer)
        return optimizer
    finally:
        torch.distributed.destroy_process_group()


def resuming(run: Run) -> None:
    run.optimizer.load_state_dict(copy.deepcopy(run.optimizer.state_dict()))


def added_group(run: Run) -> None:
    run.optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(3))]})


def layerwise_decay(run: Run) -> None:
    for index, group in enumerate(run.optimizer.param_groups):
        group["lr"] *= 0.9**index


def schedule_of_another_size(run: Run) -> None:
    _, small = trained(run.module, width=32)
    schedule = schedulers.LambdaLR(run.optimizer, lambda step: 1 / (1 + step))
    state = schedulers.LambdaLR(small, lambda step: 1.0).state_dict()
    schedule.load_state_dict(state)
    run.optimizer.step()
    schedule.step()


def state_of_another_size(run: Run) -> None:
    small = run.module.make_optimizer(run.module.MLP(run.module.Config(width=32)))
    run.optimizer.load_state_dict(small.state_dict())


def left_out(run: Run) -> torch.optim.Optimizer:
    groups = run.module.param_groups(run.model)
    return torch.optim.AdamW([group for group in groups if group["name"] != "hidden"])


def assigned(run: Run) -> None:
    state = {name: value.clone() for name, value in run.model.state_dict().items()}
    run.model.load_state_dict(state, assign=True)


def one_decay(run: Run) -> None:
    for group in run.optimizer.param_groups:
        group["weight_decay"] = 0.1


def one_epsilon(run: Run) -> None:
    for group in run.optimizer.param_groups:
        group["eps"] = 1e-8


def merged(run: Run) -> None:
    first, *others = run.optimizer.param_groups
    first["params"] += [p for group in others for p in group["params"]]
    del run.optimizer.param_groups[1:]


def reordered(run: Run) -> None:
    run.optimizer.param_groups.reverse()
    for group in run.optimizer.param_groups:
        group["params"].reverse()


def split(run: Run) -> torch.optim.Optimizer:
    first, *others = run.module.param_groups(run.model)
    parts = [{**first, "params": [parameter]} for parameter in first["params"]]
    return torch.optim.AdamW([*others, *parts])


def frozen_later(run: Run) -> None:
    next(run.model.parameters()).requires_grad_(False)


WAYS: dict[str, tuple[Way, str, str]] = {  # what the check says, and with fresh groups
    "a fused optimizer": (fused, "", ""),
    "a foreach optimizer": (foreach, "", ""),
    "GradScaler": (grad_scaler, "", ""),
    "clipping": (clipping, "", ""),
    "ZeroRedundancyOptimizer": (zero, "", ""),
    "resuming": (resuming, "", ""),
    "a group added later": (added_group, "is of spec None", "is of spec None"),
    "rates that fall layer by layer": (layerwise_decay, "lr of groups", "lr of groups"),
    "a schedule of another size": (schedule_of_another_size, "lr of groups", "lr of groups"),
    "a state of another size": (
        state_of_another_size,
        "",
        "lr of groups .* are as 0.005 : 0.01, must be as 0.25",
    ),
    "parameters left out": (left_out, "", "do not hold the parameters that"),
    "parameters replaced": (assigned, "", "do not hold the parameters that"),
    "one weight decay for all": (one_decay, "", "weight_decay of groups"),
    "one epsilon for all": (one_epsilon, "", "eps of groups"),
    "groups merged into one": (merged, "", "lr of groups 'hidden' and 'input_output'"),
    "groups in another order": (reordered, "", ""),
    "a group in parts": (split, "", ""),
    "parameters frozen later": (frozen_later, "", ""),
}
ELSEWHERE = {  # the tests of the other ways, by the rows of docs/training.md
    "schedulers of PyTorch and of ours that multiply": "test_schedulers_that_keep_ratios",
    "schedulers with a floor or a peak as a number": "test_schedulers_that_break_ratios_are_caught",
    "SWALR with one rate": "test_swa_lr_is_caught",
    "a rate set by hand": "test_a_rate_set_by_hand",
    "a weight decay that the spec has not": "test_a_decay_that_the_spec_has_not",
    "one optimizer of several that is flattened": "test_each_of_several_optimizers_has_its_ratios",
    "an optimizer made from `model.parameters()`": "test_an_optimizer_made_without_groups",
    "a state under a changed spec": "test_resuming_under_a_changed_spec",
    "rates that are tensors": "test_rates_that_are_tensors",
    "FSDP2, distributed checkpoints": "test_two_processes",
    "Trainer, Lightning, Accelerate": "test_hugging_face_trainer",
    "copies and pickles": "test_copies_and_pickles_keep_groups",
}


@pytest.fixture(scope="module")
def decayed(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    return load(abcparam.compile(DECAYED), tmp_path_factory.mktemp("decayed"))


@pytest.mark.parametrize("name", WAYS)
def test_ways_to_change_groups(name: str, decayed: ModuleType):
    """Each is kept, or caught: by the ratios alone, or beside the groups that the model has now."""
    way, alone, beside = WAYS[name]
    run = Run(decayed, *trained(decayed))
    optimizer = way(run) or run.optimizer
    fresh = decayed.param_groups(run.model)
    for groups, wanted in ((None, alone), (fresh, beside)):
        if wanted:
            with pytest.raises(ValueError, match=wanted):
                decayed.check_param_groups(optimizer, groups)
        else:
            decayed.check_param_groups(optimizer, groups)


def test_a_decay_that_the_spec_has_not(module: ModuleType):
    model, optimizer = trained(module)
    fresh = module.param_groups(model)
    module.check_param_groups(optimizer, fresh)
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.1
    module.check_param_groups(optimizer)
    with pytest.raises(
        ValueError, match=r"weight_decay of groups .* are as 0.1 : 0.1, must be as 0"
    ):
        module.check_param_groups(optimizer, fresh)


def test_each_of_several_optimizers_has_its_ratios(tmp_path: Path):
    """One may be scheduled alone; epsilons of one are none of another's."""
    text = SPEC.replace(
        "optimizer adam", "optimizer adafactor for first { lr = lr }\noptimizer adam"
    )
    several = load(abcparam.compile(text), tmp_path)
    model = several.MLP(several.Config(width=64))
    optimizers, fresh = several.make_optimizer(model), several.param_groups(model)
    assert isinstance(optimizers, list) and len(optimizers) == 2
    schedule = schedulers.ExponentialLR(optimizers[1], 0.1)
    optimizers[1].step()
    schedule.step()
    for groups in (None, fresh):
        several.check_param_groups(optimizers, groups)
    several.check_param_groups(optimizers[0])
    for group in optimizers[1].param_groups:
        group["lr"] = 1e-3
    with pytest.raises(ValueError, match="lr of groups 'hidden' and 'output'"):
        several.check_param_groups(optimizers, fresh)
    with pytest.raises(ValueError, match="do not hold the parameters"):
        several.check_param_groups(optimizers[:1], fresh)


def test_every_way_is_in_the_docs():
    docs = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| (.+) \| (kept|caught|caught beside the model's) \| .+ \|$", docs, re.M)
    )
    for name, (_, alone, beside) in WAYS.items():
        assert rows[name] == (
            "caught" if alone else "caught beside the model's" if beside else "kept"
        )
    assert rows.keys() == {*WAYS, *ELSEWHERE} and len(rows) >= 20
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("*.py"))
    assert all(f"def {name}(" in tests for name in ELSEWHERE.values())


def test_a_model_of_which_nothing_is_trained(tmp_path: Path):
    """PyTorch takes no optimizer without groups."""
    frozen = load(abcparam.compile(SPEC.replace("mup\n", f"mup {{ {FROZEN} }}\n")), tmp_path)
    model = frozen.MLP(frozen.Config())
    optimizer = frozen.make_optimizer(model)
    frozen.check_param_groups(optimizer, frozen.param_groups(model))
    assert [group["params"] for group in optimizer.param_groups] == [[]]
    optimizer.step()


FROZEN = ", ".join(f"{role} {{ frozen }}" for role in ("input", "hidden", "output"))


# The hash


def spec_of(text: str, folder: Path, **values: object) -> str:
    module = load(abcparam.compile(text, **values), folder)
    (mark,) = {group["spec"] for group in module.param_groups(module.MLP(module.Config()))}
    return str(mark)


def test_the_hash_is_of_the_formatted_spec(tmp_path: Path):
    mark = spec_of(SPEC, tmp_path)
    assert mark == fingerprint(SPEC) and len(mark) == 16 and int(mark, 16)
    assert spec_of(SPEC.replace("hyper lr = ", "hyper   lr="), tmp_path) == mark
    assert spec_of(SPEC.replace("[width, width]", "[width, width] { a = 1, b = -1/2 }"), tmp_path)
    assert spec_of(SPEC, tmp_path, width=64, lr=1) == mark


def test_the_hash_covers_symbols_and_imports(tmp_path: Path):
    text = SPEC.replace("mup", "mup { hidden { c = theta } }\nexponent theta")
    marks = {spec_of(text, tmp_path, theta=theta) for theta in (1, "1/2")}
    shared, spec = tmp_path / "mine.param", tmp_path / "mlp.param"
    spec.write_text('import "mine.param"\n' + SPEC.replace("mup", "mine"), encoding="utf-8")
    for rate in ("1", "1/2"):
        shared.write_text(
            f"parametrization mine {{ input {{ a = 0, b = 0, c = 0 }}\nhidden {{ a = 0, b = 1/2, c "
            f"= {rate} }}\noutput {{ a = 1, b = 0, c = 0 }} }}\n",
            encoding="utf-8",
        )
        code = abcparam.compile(spec)
        marks.add(next(line for line in code.splitlines() if line.startswith("_SPEC")))
    assert len(marks) == 4


def test_resuming_under_a_changed_spec(module: ModuleType, tmp_path: Path):
    """An old checkpoint brings old groups; the hash tells, and fresh groups mend it."""
    changed = load(abcparam.compile(SPEC.replace("mup", "mup { hidden { c = 1/2 } }")), tmp_path)
    _, old = trained(module)
    model, optimizer = trained(changed)
    optimizer.load_state_dict(old.state_dict())
    with pytest.raises(ValueError, match=r"is of spec .*, not .*: after load_state_dict"):
        changed.check_param_groups(optimizer)
    for group, fresh in zip(optimizer.param_groups, changed.param_groups(model), strict=True):
        group.update({key: value for key, value in fresh.items() if key != "params"})
    changed.check_param_groups(optimizer)
    assert optimizer.param_groups[1]["lr"] == 1e-2 / 2
