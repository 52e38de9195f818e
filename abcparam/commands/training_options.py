"""What `sweep` and `transfer` share: what is searched, and how it is trained."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from abcparam.commands.audit import grown, growth_arguments, growth_of
from abcparam.commands.shared import (
    DEFAULT,
    UsageError,
    count_argument,
    data_argument,
    data_of,
    device_of,
    set_argument,
)
from abcparam.language.reader import read
from abcparam.tuning.choices import LOSSES, RANDOM, SAMPLERS
from abcparam.tuning.options import AS_WRITTEN, SweepOptions
from abcparam.tuning.schedules import SCHEDULES
from abcparam.tuning.workers.ranks import own_device, rank, world_size

if TYPE_CHECKING:
    from abcparam.tuning.tunable import Tunable

OF_SPECS = {  # options that do not go with a model of the user's own, and what does
    "parametrization": "a model of your own is trained as it is, or --adapted",
    "ray": "a cluster does not have the code of your model; torchrun shares the trials",
    "slurm": "a job does not have the code of your model; torchrun shares the trials",
    "sharded": "nobody knows whether your model may be taken apart; see --data-parallel",
}
KNOWN_SCHEDULES = f"{', '.join(SCHEDULES)}; :0.1 warms up over a tenth"


def shared_arguments(command: argparse.ArgumentParser) -> None:
    """Of what is searched, and how it is trained."""
    add, count = command.add_argument, partial(count_argument, command)
    add(
        "file",
        metavar="FILE",
        help="a spec; - is standard input; with --grow a FACTORY, as `audit`",
    )
    add(
        "--over",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUES",
        help="hypers, dims, steps, batch: width=64,128 lr=log:1e-4:1e-1 (default: the spec's)",
    )
    count("--seeds", SweepOptions.seeds, "runs of each")
    count("--seed", SweepOptions.first, "the first seed")
    count("--steps", SweepOptions.steps, "of training")
    count("--batch", SweepOptions.batch, "examples a step")
    add(
        "--schedule",
        default=SweepOptions.schedule,
        metavar="NAME[:WARMUP]",
        help=f"{KNOWN_SCHEDULES} (%(default)s)",
    )
    add("--by", choices=LOSSES, default=SweepOptions.by, help="the loss to choose by")
    add(
        "--sampler",
        choices=SAMPLERS,
        default=SweepOptions.sampler,
        help=f"of points: {RANDOM}, or one of Optuna's {DEFAULT}",
    )
    add(
        "--prune",
        action="store_true",
        help="stop trials early that others leave behind, by Optuna's successive halving",
    )
    add("--storage", metavar="URL", help="Optuna's database (default: SQLite beside the runs)")
    add("--ray", metavar="ADDRESS", help="train on a Ray cluster; `local` starts one")
    add("--slurm", metavar="SETTINGS", help="train in jobs of SLURM: slurm_partition=gpu,jobs=16")
    add("--data-parallel", action="store_true", help="torchrun's ranks train each trial together")
    add(
        "--sharded",
        action="store_true",
        help="as --data-parallel, each rank with a part of the parameters (FSDP2)",
    )
    add("--tensorboard", metavar="FOLDER", help="losses there, for TensorBoard")
    add("--wandb", metavar="PROJECT", help="losses there, for Weights & Biases")
    add("--mlflow", metavar="EXPERIMENT", help="losses there, for MLflow")
    data_argument(command, "synthetic")
    add("--device", default=SweepOptions.device, help=f"where to train: cpu, cuda {DEFAULT}")
    add("--compile", action="store_true", help="train under torch.compile")
    count("--together", SweepOptions.together, "trials at once")
    add("--resume", metavar="FOLDER", help="keep finished runs there (default: a cache folder)")
    add("--fresh", action="store_true", help="train everything anew, and keep nothing")
    growth_arguments(command)
    add("--adapted", action="store_true", help="a model of --grow as its adapter would have it")
    set_argument(command)


def tunable_of(options: argparse.Namespace) -> Tunable:
    """The spec that is named, or with `--grow` the model."""
    from abcparam.tuning.tunable import TunableSpec

    if not options.grow:
        for name in ("optimizer", "lr_key", "adapted"):
            if getattr(options, name):
                option = f"--{name.replace('_', '-')}"
                raise UsageError(f"{option} is for a model of your own: say what grows, --grow")
        return TunableSpec(read(options.file))
    for name, instead in OF_SPECS.items():
        if getattr(options, name, None):
            raise UsageError(f"--{name} is for specs: {instead}")
    from abcparam.imports.api import audit
    from abcparam.tuning.own_model import OwnModel

    found = audit(options.file, grown(options.grow), options.optimizer, lr_key=options.lr_key)
    command = " ".join(["abcparam transfer", options.file, *growth_of(options), "--adapted"])
    return OwnModel(found, options.adapted, command)


@contextmanager
def keeping(asked: SweepOptions) -> Iterator[None]:
    """A folder that finished runs cannot be kept in is a mistake of the command line."""
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot keep runs in {asked.folder} ({error.strerror}); see --fresh"
        ) from None


def options_of(options: argparse.Namespace, trials: int) -> SweepOptions:
    """What the command line asks for."""
    from pathlib import Path

    from abcparam.storage.run_cache import default_folder

    counts = ("seeds", "steps", "batch", "together")
    if min(getattr(options, name) for name in counts) < 1 or trials < 0 or options.seed < 0:
        raise UsageError("--seeds, --steps, --batch, --together take positive whole numbers")
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
        prune=options.prune,
        storage=options.storage,
        ray=options.ray,
        slurm=options.slurm,
        ranks=world_size(),
        data_parallel=options.data_parallel,
        sharded=options.sharded,
        board=Path(options.tensorboard) if options.tensorboard else None,
        wandb=options.wandb,
        mlflow=options.mlflow,
        together=options.together,
        device=own_device(device_of(options.device)),
        compiled=options.compile,
        data=data_of(options),
        folder=None if options.fresh else folder,
    )


def _require_sense(options: argparse.Namespace, trials: int) -> None:
    if options.sampler != RANDOM and not trials:
        raise UsageError(
            f"--sampler {options.sampler} needs to know of how many points: --trials N"
        )
    if options.ray and options.slurm:
        raise UsageError("--ray and --slurm: trials are trained on one of them")
    sharing = world_size() > 1 and not (options.data_parallel or options.sharded)
    if options.fresh and (options.storage or sharing):
        raise UsageError("--fresh keeps nothing that processes could share; leave it out")


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, in steps of training, with the time that is left."""
    if not sys.stderr.isatty() or rank():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, unit="step", leave=False) as bar:
        yield bar.update
