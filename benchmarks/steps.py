"""A training step of the emitted GPT beside the same network by hand and under mup."""

from __future__ import annotations

import gc
import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import handwritten_gpt as handwritten
from benchmarks.measure import ROOT, Comparison, Options, SkippedError, alternate, compare, seconds

SIZES = {"width": 256, "depth": 4, "context": 128, "vocab": 256}
Step = Callable[[], None]


class Setting(NamedTuple):
    """What is trained, on which device."""

    sizes: dict[str, int]
    batch: int
    device: str


SMALL = Setting(SIZES, 8, "cpu")


def setting_of(options: Options) -> Setting:
    """Large enough that a GPU has something to do."""
    if options.device == "cpu":
        return SMALL
    large = {"width": 1024, "depth": 8, "context": 512, "vocab": 50304}
    return Setting(SIZES if options.quick else large, 8, options.device)


def beside_handwritten(options: Options) -> list[Comparison]:
    """Eager, and under torch.compile."""
    with emitted_module(options) as module:
        same_network(module)
        setting = setting_of(options)

        def by_hand(compiled: bool) -> Step:
            return handwritten_step(compiled, setting)

        return [
            versus(options, module, "by hand", by_hand, compiled=False, target=1.0),
            versus(options, module, "by hand", by_hand, compiled=True, target=1.0),
        ]


def beside_mup(options: Options) -> list[Comparison]:
    """mup as its documentation uses it, and with torch's fused kernel asked for."""
    try:
        importlib.import_module("mup")
    except ImportError as error:
        raise SkippedError(f"{error}; `pip install --no-deps mup pyyaml`") from None
    setting = setting_of(options)

    def plain(_: bool) -> Step:
        return mup_step(None, setting)

    def fused(_: bool) -> Step:
        return mup_step(True, setting)

    with emitted_module(options) as module:
        return [
            versus(options, module, "mup", plain, compiled=False, target=1.0),
            versus(options, module, "mup, fused", fused, compiled=False, target=None),
        ]


def versus(
    options: Options,
    module: ModuleType,
    opponent: str,
    make_theirs: Callable[[bool], Step],
    *,
    compiled: bool,
    target: float | None,
) -> Comparison:
    setting = setting_of(options)
    pairs = timed(
        options, lambda: emitted_step(module, compiled, setting), lambda: make_theirs(compiled)
    )
    how = "compiled" if compiled else "eager"
    return compare(f"step, {how}, beside {opponent}", ("emitted", opponent), pairs, target)


def timed(
    options: Options, make_ours: Callable[[], Step], make_theirs: Callable[[], Step]
) -> list[tuple[float, float]]:
    """Seconds of two steps, in turns."""
    torch.set_num_threads(options.threads)
    torch.compiler.reset()
    ours, theirs = make_ours(), make_theirs()
    for step in (ours, theirs) * 5:
        step()  # compiles and warms up
    with no_garbage_collection():
        return alternate(lambda: seconds(ours), lambda: seconds(theirs), options.rounds(50))


def emitted_step(module: ModuleType, compiled: bool, setting: Setting = SMALL) -> Step:
    torch.manual_seed(0)
    model = module.GPT(module.Config(**setting.sizes)).to(setting.device)
    return training_step(model, module.make_optimizer(model), compiled, setting)


def handwritten_step(compiled: bool, setting: Setting = SMALL) -> Step:
    torch.manual_seed(0)
    model = handwritten.GPT(handwritten.Config(**setting.sizes)).to(setting.device)
    return training_step(model, handwritten.make_optimizer(model), compiled, setting)


def mup_step(fused: bool | None, setting: Setting = SMALL) -> Step:
    from benchmarks import mup_gpt

    torch.manual_seed(0)
    model = mup_gpt.make_model(handwritten.Config(**setting.sizes)).to(setting.device)
    return training_step(model, mup_gpt.make_optimizer(model, fused), False, setting)


def training_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, compiled: bool, setting: Setting = SMALL
) -> Step:
    """Forward, backward and update on a batch that is always the same."""
    tokens, targets = (tensor.to(setting.device) for tensor in batch(setting))
    forward = torch.compile(model) if compiled else model

    def step() -> None:
        F.cross_entropy(forward(tokens).flatten(0, 1), targets.flatten()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def batch(setting: Setting = SMALL) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = (setting.batch, setting.sizes["context"] + 1)
    tokens = torch.randint(setting.sizes["vocab"], size, generator=generator)
    return tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()


# --- the same network -----------------------------------------------------------------------------


def same_network(module: ModuleType) -> None:
    """Raise unless both give the same losses from the same weights, over a few updates."""
    torch.manual_seed(0)
    ours = module.GPT(module.Config(**SIZES))
    theirs = handwritten.GPT(handwritten.Config(**SIZES))
    nn.init.normal_(theirs.readout.weight, std=0.05)  # from zeros, the first loss would say nothing
    copy_weights(theirs, ours)
    our_losses = losses_of(ours, module.make_optimizer(ours))
    their_losses = losses_of(theirs, handwritten.make_optimizer(theirs))
    if not torch.allclose(our_losses, their_losses, rtol=1e-4):
        raise AssertionError(f"not the same network: losses {our_losses}, {their_losses}")


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """By name, with or without PyTorch's `.weight` at its end."""
    values = {name.removesuffix(".weight"): value for name, value in source.state_dict().items()}
    names = {name.removesuffix(".weight"): name for name in target.state_dict()}
    if values.keys() != names.keys():
        raise AssertionError(f"names differ: {sorted(values.keys() ^ names.keys())}")
    target.load_state_dict({names[name]: value for name, value in values.items()})


def losses_of(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int = 4) -> Tensor:
    tokens, targets = batch()
    losses = []
    for _ in range(steps):
        loss = F.cross_entropy(model(tokens).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
    return torch.stack(losses)


# --- the emitted module ---------------------------------------------------------------------------


@contextmanager
def emitted_module(options: Options) -> Iterator[ModuleType]:
    """examples/gpt.param compiled and imported; its file is there as long as it is used."""
    with tempfile.TemporaryDirectory() as folder:
        yield imported(options.emitted or emit(Path(folder)), "emitted_gpt")


def imported(path: Path, name: str) -> ModuleType:
    """The module of a file, under a name of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SkippedError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def emit(folder: Path) -> Path:
    import abcparam

    path = folder / "gpt.py"
    path.write_text(abcparam.compile(ROOT / "examples" / "gpt.param"), encoding="utf-8")
    return path


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
