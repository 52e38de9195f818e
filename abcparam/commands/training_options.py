"""What `sweep` and `transfer` share: what is searched, and how it is trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from abcparam.commands.shared import (
    Usage,
    data_argument,
    data_of,
    device_of,
    set_argument,
)
from abcparam.tuning.choices import LOSSES, RANDOM, SAMPLERS, TRAINING
from abcparam.tuning.schedules import CONSTANT, COURSES
from abcparam.tuning.workers.ranks import own_device, rank, ranks

if TYPE_CHECKING:
    from abcparam.tuning.trials import SweepOptions


SCHEDULES = f"{', '.join(COURSES)}; :0.1 warms up over a tenth"


def shared_arguments(command: argparse.ArgumentParser) -> None:
    """Of what is searched, and how it is trained."""
    add = command.add_argument
    add("file", metavar="FILE", help="a spec; - is standard input")
    add(
        "--over",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUES",
        help="hypers, dims, steps, batch: width=64,128 lr=log:1e-4:1e-1 (default: the spec's)",
    )
    add("--seeds", type=int, default=1, metavar="N", help="runs of each (default: 1)")
    add("--seed", type=int, default=0, metavar="N", help="the first seed (default: 0)")
    add("--steps", type=int, default=100, metavar="N", help="of training (default: 100)")
    add("--batch", type=int, default=32, metavar="N", help="examples a step (default: 32)")
    add("--schedule", default=CONSTANT, metavar="NAME[:WARMUP]", help=f"{SCHEDULES} (constant)")
    add("--by", choices=LOSSES, default=TRAINING, help="the loss to choose by")
    add(
        "--sampler",
        choices=SAMPLERS,
        default=RANDOM,
        help="of points: random, or one of Optuna's (default: random)",
    )
    add("--storage", metavar="URL", help="Optuna's database (default: SQLite beside the runs)")
    add("--ray", metavar="ADDRESS", help="train on a Ray cluster; `local` starts one")
    add("--data-parallel", action="store_true", help="torchrun's ranks train each trial together")
    add("--tensorboard", metavar="FOLDER", help="losses there, for TensorBoard")
    data_argument(command, "synthetic")
    add("--device", default="cpu", help="where to train: cpu, cuda (default: cpu)")
    add("--compile", action="store_true", help="train under torch.compile")
    add("--together", type=int, default=64, metavar="N", help="trials at once (default: 64)")
    add("--resume", metavar="FOLDER", help="keep finished runs there (default: a cache folder)")
    add("--fresh", action="store_true", help="train everything anew, and keep nothing")
    set_argument(command)


@contextmanager
def keeping(asked: SweepOptions) -> Iterator[None]:
    """A folder that finished runs cannot be kept in is a mistake of the command line."""
    try:
        yield
    except OSError as error:
        raise Usage(f"cannot keep runs in {asked.folder} ({error.strerror}); see --fresh") from None


def options_of(options: argparse.Namespace, trials: int) -> SweepOptions:
    """What the command line asks for."""
    from pathlib import Path

    from abcparam.storage.run_cache import default_folder
    from abcparam.tuning.trials import AS_WRITTEN, SweepOptions

    counts = ("seeds", "steps", "batch", "together")
    if min(getattr(options, name) for name in counts) < 1 or trials < 0 or options.seed < 0:
        raise Usage("--seeds, --steps, --batch, --together take positive whole numbers")
    _require_sense(options, trials)
    forms = (getattr(options, "parametrization", None) or AS_WRITTEN).split(",")
    folder = Path(options.resume) if options.resume else default_folder("sweeps")
    return SweepOptions(
        over=tuple(options.over),
        forms=tuple(dict.fromkeys(form.strip() for form in forms)),
        trials=trials,
        seeds=options.seeds,
        first=options.seed,
        steps=options.steps,
        batch=options.batch,
        schedule=options.schedule,
        by=options.by,
        sampler=options.sampler,
        storage=options.storage,
        ray=options.ray,
        ranks=ranks(),
        data_parallel=options.data_parallel,
        board=Path(options.tensorboard) if options.tensorboard else None,
        together=options.together,
        device=own_device(device_of(options.device)),
        compiled=options.compile,
        data=data_of(options),
        folder=None if options.fresh else folder,
    )


def _require_sense(options: argparse.Namespace, trials: int) -> None:
    if options.sampler != RANDOM and not trials:
        raise Usage(f"--sampler {options.sampler} needs to know of how many points: --trials N")
    sharing = ranks() > 1 and not options.data_parallel
    if options.fresh and (options.storage or sharing):
        raise Usage("--fresh keeps nothing that processes could share; leave it out")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, in steps of training, with the time that is left."""
    if not sys.stderr.isatty() or rank():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, unit="step", leave=False) as bar:
        yield bar.update
