"""A coordinate check of examples/gpt.param beside microsoft/mup's `get_coord_data`.

Both train the same network on batches of the same size, at the same widths and seeds, for as many
steps. Ours measures more (`W·x`, `ΔW·x` of every tensor, gradients) and trains in double precision,
theirs in what PyTorch defaults to: single, or double in the comparison that asks for it. What ours
takes at the least, the models and their steps without anything measured, is compared too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from typing import Any

import torch
from torch import nn

from abcparam.coordinate_check.check import coordinate_check
from abcparam.coordinate_check.measure.batch import batch_of, loss_of
from abcparam.coordinate_check.measure.measuring import Probe, in_double
from abcparam.coordinate_check.options import CheckOptions
from abcparam.coordinate_check.plan import shrunk
from abcparam.data.batch import tuple_of
from abcparam.language.reader import read
from abcparam.program.model import Program
from abcparam.verdict.check import judged, load
from benchmarks.handwritten_gpt import BASE_WIDTH, Config
from benchmarks.measure import ROOT, Comparison, Options, SkippedError, alternate, compare, seconds

WIDTHS = (32, 64, 128, 256, 512)
SEEDS, STEPS, EXAMPLES = 3, 4, 8
HINT = "`pip install --no-deps mup pyyaml` and `pip install pandas`"


def beside_mup(options: Options) -> list[Comparison]:
    """With both in double precision, and each as it ships."""
    try:
        from mup.coord_check import get_coord_data
    except ImportError as error:
        raise SkippedError(f"{error}; {HINT}") from None
    torch.set_num_threads(options.threads)

    def theirs(dtype: torch.dtype) -> Callable[[], object]:
        def run() -> object:
            with default(dtype):
                return coord_data(get_coord_data, options.device)

        return run

    def ours() -> object:
        return checked(options.device)

    def training() -> None:
        trained(options.device)

    double, single = theirs(torch.float64), theirs(torch.float32)
    return [
        versus(options, "double precision", ours, double, target=1 / 2),
        versus(options, "mup in single precision", ours, single),
        versus(options, "training alone, double precision", training, double),
    ]


def versus(
    options: Options,
    how: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    target: float | None = None,
) -> Comparison:
    for action in (ours, theirs):
        action()  # what is loaded once
    pairs = alternate(lambda: seconds(ours), lambda: seconds(theirs), options.rounds(5))
    return compare(f"coordinate check, {how}", ("coord-check", "get_coord_data"), pairs, target)


def checked(device: str = "cpu") -> object:
    wanted = CheckOptions(widths=WIDTHS, seeds=SEEDS, steps=STEPS, device=device)
    return coordinate_check(example(), wanted)


def trained(device: str = "cpu") -> None:
    """The same models, one after another, and their steps."""
    probe = Probe(judged(shrunk(example(), ())[0]))
    for width, seed in product(WIDTHS, range(SEEDS)):
        torch.manual_seed(seed)
        with in_double():
            config = probe.make({"width": width}, device)
        data = batch_of(probe.program, config, seed, EXAMPLES, device, None)
        optimizer = probe.optimizer()
        for _ in range(STEPS):
            optimizer.zero_grad()
            outputs = tuple_of(probe.model(*data.inputs))
            loss_of(probe.program, outputs, data).backward()
            optimizer.step()


def example() -> Program:
    return load(read(ROOT / "examples" / "gpt.param"))


def coord_data(get_coord_data: Callable[..., Any], device: str = "cpu") -> object:
    """As mup documents it: lazily made models, one batch, its own optimizer."""
    from mup import set_base_shapes
    from mup.init import normal_

    from benchmarks import mup_gpt

    class GPT(mup_gpt.GPT):
        def reset_parameters(self) -> None:
            """mup's own follows: drawn once."""

    def config(width: int) -> Config:
        return Config(width=width, **small)

    small = sizes()
    base, delta = GPT(config(BASE_WIDTH)), GPT(config(2 * BASE_WIDTH))

    def made(width: int) -> GPT:
        model = GPT(config(width))
        set_base_shapes(model, base, delta=delta)
        normal_(model.token_embedding.weight, std=model.config.init_std)
        normal_(model.position_embedding, std=model.config.init_std)
        for module in model.layers.modules():
            if isinstance(module, nn.Linear):
                normal_(module.weight, std=module.in_features**-0.5)
        return model

    models = {width: (lambda width=width: made(width)) for width in WIDTHS}
    how = {"optimizer": "adamw", "lr": Config.lr, "nsteps": STEPS, "nseeds": SEEDS}
    how |= {"cuda": device == "cuda", "flatten_output": True, "show_progress": False}
    return get_coord_data(models, [batch(small)], mup=True, **how)


def sizes() -> dict[str, int]:
    """The finite dims of our check."""
    program, _ = shrunk(example(), ())
    names = ("depth", "head", "vocab", "context")
    return {name: int(program.dims[name].default or 0) for name in names}


def batch(small: dict[str, int]) -> tuple[torch.Tensor, torch.Tensor]:
    tokens = torch.randint(small["vocab"], (EXAMPLES, small["context"]))
    return tokens, torch.randint(small["vocab"], (tokens.numel(),))


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    """With this type for new tensors."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
