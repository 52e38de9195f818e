"""64 learning-rate trials trained together beside the same one by one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction

import torch

from abcparam.data.batch import Data
from abcparam.data.digits import Digits
from abcparam.data.synthetic import Synthetic
from abcparam.language.reader import read
from abcparam.pipeline import emit_program
from abcparam.tuning.train.stacking import train_together
from abcparam.tuning.train.training import Job, TrialRun, job_of, train_alone
from abcparam.verdict.check import judged, load
from benchmarks.measure import ROOT, Comparison, Options, SkippedError, alternate, compare, seconds

TRIALS = 64
SIZES = {
    "mlp": {"width": 64, "pixels": 64},
    "gpt": {"width": 64, "head": 16, "depth": 2, "vocab": 64, "context": 32},
}


def together(options: Options) -> list[Comparison]:
    """A width-64 MLP on digits, a width-64 transformer on a random grammar."""
    try:
        digits = Digits()
    except ImportError as error:
        raise SkippedError(f"{error}; `pip install scikit-learn`") from None
    torch.set_num_threads(options.threads)
    mlp, gpt = (1 / 5, 1 / 2) if options.device == "cpu" else (1 / 20, 1 / 20)
    return [
        versus(options, "mlp", "MLP on digits", digits, batch=32, steps=20, target=mlp),
        versus(options, "gpt", "transformer", Synthetic(), batch=2, steps=4, target=gpt),
    ]


def versus(
    options: Options, spec: str, name: str, data: Data, *, batch: int, steps: int, target: float
) -> Comparison:
    job = job_for(spec, data, batch, steps, options.device)
    same_losses(job)
    pairs = alternate(
        lambda: seconds(stacked(job)), lambda: seconds(one_by_one(job)), options.rounds(5)
    )
    labels = ("together", "one by one")
    return compare(f"sweep, {TRIALS} trials, {name}", labels, pairs, target)


def job_for(spec: str, data: Data, batch: int, steps: int, device: str = "cpu") -> Job:
    sizes = {key: Fraction(value) for key, value in SIZES[spec].items()}
    program = load(read(ROOT / "examples" / f"{spec}.param"), sizes)
    code = emit_program(judged(program))
    return job_of(program, code, data, steps=steps, batch=batch, device=device)


def rates() -> list[TrialRun]:
    """Learning rates from 1e-4 to 1e-2, one seed."""
    return [
        TrialRun({"lr": Fraction(f"{1e-4 * 100 ** (n / TRIALS):.6g}")}, 0) for n in range(TRIALS)
    ]


def stacked(job: Job) -> Callable[[], object]:
    return lambda: train_together(job, rates())


def one_by_one(job: Job) -> Callable[[], object]:
    return lambda: [train_alone(job, run) for run in rates()]


def same_losses(job: Job) -> None:
    """Raise unless both give the same losses; says by how much they differ at most."""
    ours = torch.tensor([found.losses for found in train_together(job, rates())])
    theirs = torch.tensor([train_alone(job, run).losses for run in rates()])
    difference = float(((ours - theirs) / theirs).abs().max())
    print(f"losses differ by {difference:.1e} at most", file=sys.stderr)
    if difference > 1e-3:
        raise AssertionError(f"not the same trials: losses differ by {difference:.1e}")
