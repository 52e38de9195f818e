"""The estimate of gradients at base beside those of emitted models."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from itertools import repeat

import pytest
import torch

import abcparam
from abcparam.data.batch import Data, loss_of
from abcparam.data.random import Random
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.source import Source
from abcparam.emission.execute import executed
from abcparam.emission.lowering.uses import CodeUses
from abcparam.language.parser import parse
from abcparam.program.model import Program
from abcparam.resolve.resolver import resolve
from abcparam.verdict.causal import InOrder, _FarPlaces
from abcparam.verdict.magnitudes import GradientsAtBase, ProgramAtBase, gradients_at_base
from benchmarks.large_specs import decoder
from tests.support.paths import EMIT_SPECS, EXAMPLES

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.param"))
SMALL = {
    "depth": 2,
    "vocab": 1000,
    "context": 32,
    "source": 32,
    "target": 32,
}
LARGE = {"depth": 12, "vocab": 50304}
RATES = {"transformer_wikitext": "1e-3"}  # at that of 2 layers 12 of post-norm die in 10 steps
OWN: dict[str, dict[str, int]] = {
    "wide_resnet": {"depth": 4},
    "vit": {"rows": 64, "columns": 64},
    "mixtral": {"context": 16},
}
HEAVY = {"mixtral", "resnet50", "t5", "llama", "qwen3"}
FACTOR = 3.0
BEHIND_SMALL_BATCHES = {  # norms over 49 places, nearby ones alike: each passes a little less
    ("resnet50", "stem"): 6.0,
    ("resnet50", "stem_norm.gain"): 6.0,
    ("resnet50", "stem_norm.shift"): 6.0,
}
STEPS = 3  # until what lies behind tensors that start at zero has a gradient


def with_dims(text: str, dims: dict[str, int]) -> str:
    for name, value in dims.items():
        text = re.sub(rf"(?m)^(dim {name}\s*=\s*)\d+", rf"\g<1>{value}", text)
    return text


def program_of(text: str) -> Program:
    source = Source(text)
    return resolve(parse(source), source)


def measured(
    program: Program, text: str, batch: int, seeds: int = 3, fresh: Data | None = None
) -> dict[str, float]:
    """The RMS of each tensor's gradient, of the first copy, from the first step that has one.

    Each step is on the same batch at random, or on another one of what is `fresh`.
    """
    names = executed(abcparam.compile(text), stays=True)
    squares: dict[str, float] = defaultdict(float)
    for seed in range(seeds):
        torch.manual_seed(seed)
        config = names["Config"]()
        model = names[program.name](config)
        made = names["make_optimizer"](model)
        optimizers = made if isinstance(made, (list, tuple)) else [made]
        once = repeat(next(Random().batches(program, config, batch, seed)))
        batches = fresh.batches(program, config, batch, seed) if fresh else once
        found: dict[str, float] = {}
        for _ in range(STEPS):
            model.zero_grad()
            data = next(batches).to("cpu", torch.float32)
            outputs = model(*data.inputs)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            loss_of(program, outputs, data.targets).backward()
            for name, parameter in model.named_parameters():
                gradient = parameter.grad
                if not found.get(name) and gradient is not None:
                    found[name] = float(gradient.double().square().mean())
            if all(found.values()):
                break
            for optimizer in optimizers:
                optimizer.step()
        for name, square in found.items():
            squares[name] += square / seeds
    uses, first = CodeUses(program), dict[str, float]()
    for name, square in squares.items():
        first.setdefault(uses.tensor_of(name), square**0.5)
    return first


def outside(text: str, batch: int) -> dict[str, tuple[float, float]]:
    """The tensors whose estimate is not within a factor of three, with both numbers.

    A gradient that is zero up to rounding has to be known as zero: that of what all logits share.
    """
    program = program_of(text)
    estimates = gradients_at_base(program, batch)
    real = measured(program, text, batch)
    largest = max(real.values())
    wrong = {}
    for path, value in real.items():
        estimate = estimates[path]
        factor = BEHIND_SMALL_BATCHES.get((program.name.lower(), path), FACTOR)
        near = value / factor < estimate < factor * value
        vanishes = value < 1e-5 * largest and estimate == 0
        if not (near or vanishes):
            wrong[path] = (estimate, value)
    return wrong


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n in HEAVY else ()) for n in NAMES]
)
@pytest.mark.parametrize("batch", [1, 8])
def test_gradients_of_every_example_are_as_estimated(name: str, batch: int):
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    assert not outside(with_dims(text, SMALL | OWN.get(name, {})), batch)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_deep_examples_of_many_words_are_as_estimated(name: str, batch: int):
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    if name in RATES:
        text = re.sub(r"(?m)^(hyper lr\s*=\s*)\S+", rf"\g<1>{RATES[name]}", text)
    assert not outside(with_dims(text, SMALL | LARGE | OWN.get(name, {})), batch)


WORDS = """model Words
dim width -> inf, base = 64
dim vocab = VOCAB
dim context = 64
hyper lr = 1e-3
parametrization mup
tensor table   : input  [vocab, width]
tensor hidden  : hidden [width, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) {
    x = layernorm(embed(table, tokens))
    return readout @ layernorm(x + hidden @ relu(x))
}
optimizer adam { lr = lr, eps = EPS }
loss cross_entropy
"""


def test_the_estimate_falls_with_the_vocabulary_as_the_gradient_does():
    """A table's rows are as many as the vocabulary, and few are looked up."""
    found = []
    for vocab in (100, 2000, 50304):
        text = WORDS.replace("VOCAB", str(vocab)).replace("EPS", "1e-12")
        program = program_of(text)
        found.append(gradients_at_base(program)["table"])
        assert not outside(text, 1)
    assert found[0] > 3 * found[1] > 9 * found[2]


def test_texts_whose_words_come_up_again_have_the_gradient_that_is_estimated():
    """Behind a readout that starts at zero, after a first step, on another text of a grammar."""
    text = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    text = with_dims(text, SMALL | {"vocab": 5000, "context": 128})
    program = program_of(text)
    estimates = gradients_at_base(program)
    real = measured(program, text, 1, fresh=Synthetic())
    assert real.keys() == estimates.keys()
    for path, value in real.items():
        assert value / FACTOR < estimates[path] < FACTOR * value, path


def test_a_width_that_nobody_has_is_no_matter_of_a_warning():
    def warned(eps: str) -> list[str]:
        text = WORDS.replace("VOCAB", "2000").replace("EPS", eps)
        return [d.message for d in abcparam.check(text).diagnostics if d.code == "P0602"]

    assert not warned("1e-12")
    assert warned("1e-5") and all(" it meets it at width " in x for x in warned("1e-5"))


def test_the_number_of_a_copy_counts_as_one():
    text = (EXAMPLES / "mlp.param").read_text(encoding="utf-8")
    repeat = "    repeat 2 as t {\n        h2 = h2 + t * h2\n    }\n    return W3"
    counted = text.replace("    return W3", repeat)
    assert gradients_at_base(program_of(counted)).keys() == {"W1", "b1", "W2", "W3"}


def test_exponents_and_places_leave_gradients_at_base_as_they_are():
    """So an editor does not estimate them anew for a key that changes nothing else."""
    text = (EXAMPLES / "mlp.param").read_text(encoding="utf-8")
    first = program_of(text)
    moved = program_of(
        "\n# moved\n" + text.replace("a = 1/2,  b = 1/2, c = 0", "a = 1, b = 0, c = 2")
    )
    assert first.tensors != moved.tensors
    assert ProgramAtBase(first) == ProgramAtBase(moved)
    assert GradientsAtBase(first, 1).found() == GradientsAtBase(moved, 1).found()
    edits = {"base = 128": "base = 256", "lr = 0.1": "lr = 0.2", "relu(h1)": "tanh(h1)"}
    for old, new in (
        *edits.items(),
        ("cross_entropy", "mse"),
        ("zeros", "ones"),
        (" = 0 }\nl", " = 0.9 }\nl"),
    ):
        assert ProgramAtBase(program_of(text.replace(old, new, 1))) != ProgramAtBase(first), new


@pytest.mark.parametrize("name", ["dit", "gru"])
def test_constants_of_operations_are_no_inputs(name: str):
    """What an operation makes of nothing has no axes of the program's inputs."""
    found = gradients_at_base(program_of((EMIT_SPECS / f"{name}.param").read_text("utf-8")))
    assert found and all(size >= 0 for size in found.values())


def apart(covariance: torch.Tensor) -> InOrder:
    """Of a covariance of places what the first has, and the means of the others."""
    others = covariance[1:, 1:]
    number, own = len(covariance), others.diagonal().mean()
    among = (others.sum() - others.trace()) / ((number - 1) * (number - 2))
    across = covariance[0, 1:].mean()
    return InOrder(number, *(float(x) for x in (covariance[0, 0], own, across, among)))


@pytest.mark.parametrize(("number", "error"), [(12, 1e-5), (1500, 1e-3)])
def test_what_places_gather_under_a_causal_mask_is_that_of_its_matrix(number: int, error: float):
    """Values go through the means of those before, gradients through the transposed matrix.

    Far places are taken in blocks, so that a million of them cost what a thousand do.
    """
    given = InOrder(number, 3.0, 2.0, 0.7, 0.5)
    means = torch.ones(number, number).tril() / torch.arange(1, number + 1)[:, None]
    covariance = torch.full((number, number), given.among) + torch.eye(number) * 1.5
    covariance[0, :] = covariance[:, 0] = given.across
    covariance[0, 0] = given.first
    averaged, gathered = apart(means @ covariance @ means.T), apart(means.T @ covariance @ means)
    assert given.averaged(1.0) == pytest.approx(averaged, rel=error)
    assert given.gathered(1.0) == pytest.approx(gathered, rel=error)
    assert InOrder.of(number, given.square, given.shared, *given.above) == pytest.approx(given)
    assert len(_FarPlaces(1 << 20).places) < 500
    sharper = given.averaged(3.0)
    assert sharper.first == given.first and sharper.others > averaged.others


def test_a_long_context_costs_what_a_short_one_does():
    """Sums over its places are in blocks; one by one, 2^20 of them took 44 seconds."""

    def seconds(positions: int) -> float:
        program = program_of(decoder(positions))
        before = time.process_time()
        assert gradients_at_base(program, 16)
        return time.process_time() - before

    assert seconds(2**20) < 5 * seconds(2**10) + 0.5
