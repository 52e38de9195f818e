"""What `sweep` and `transfer` do. torch is loaded only when something is trained."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from abcparam.commands import Command, Usage, named_values, set_argument, values_of
from abcparam.coord_commands import data_argument, data_of, device_of
from abcparam.parse import read
from abcparam.tuning.choices import LOSSES, RANDOM, SAMPLERS, TRAINING
from abcparam.tuning.courses import CONSTANT, COURSES
from abcparam.tuning.ranks import own_device, rank, ranks

if TYPE_CHECKING:
    from abcparam.tuning.sweep import Swept
    from abcparam.tuning.transfer import Transferred
    from abcparam.tuning.trials import Wish


SCHEDULES = f"{', '.join(COURSES)}; :0.1 warms up over a tenth"


def _shared_arguments(command: argparse.ArgumentParser) -> None:
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


def _sweep_arguments(command: argparse.ArgumentParser) -> None:
    _shared_arguments(command)
    add = command.add_argument
    add(
        *("--trials", "--random"),
        type=int,
        default=0,
        metavar="N",
        help="points that the sampler draws, instead of a grid",
    )
    add("--parametrization", metavar="FORM,…", help="the spec under shipped ones: mup,sp,ntk")
    add("--format", choices=["text", "json", "csv"], default="text")
    add("--plot", metavar="FOLDER", help="figures there, as PNG and SVG (needs matplotlib)")
    add("--html", metavar="FILE", help="one page with all of it (needs matplotlib)")


def sweep(options: argparse.Namespace) -> int:
    """Trains every combination; 0 done, 2 invalid."""
    from abcparam.tuning.sweep import sweep_source

    wish = wish_of(options, options.trials)
    with _keeping(wish):
        swept = sweep_source(read(options.file), values_of(options), wish, progress)
    if rank():
        return 0
    _print(swept, options.format)
    _draw(swept, options)
    return 0


@contextmanager
def _keeping(wish: Wish) -> Iterator[None]:
    """A folder that finished runs cannot be kept in is a mistake of the command line."""
    try:
        yield
    except OSError as error:
        raise Usage(f"cannot keep runs in {wish.folder} ({error.strerror}); see --fresh") from None


def wish_of(options: argparse.Namespace, trials: int) -> Wish:
    """What the command line asks for."""
    from pathlib import Path

    from abcparam.kept import default_folder
    from abcparam.tuning.trials import AS_WRITTEN, Wish

    counts = ("seeds", "steps", "batch", "together")
    if min(getattr(options, name) for name in counts) < 1 or trials < 0 or options.seed < 0:
        raise Usage("--seeds, --steps, --batch, --together take positive whole numbers")
    _require_sense(options, trials)
    forms = (getattr(options, "parametrization", None) or AS_WRITTEN).split(",")
    folder = Path(options.resume) if options.resume else default_folder("sweeps")
    return Wish(
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


def _print(swept: Swept, format: str) -> None:
    from abcparam.tuning.text import render_csv, render_sweep

    if format == "json":
        import json

        print(json.dumps(swept.to_dict(), indent=2))
    elif format == "csv":
        print(render_csv(swept), end="")
    else:
        print(render_sweep(swept))


def _draw(swept: Swept, options: argparse.Namespace) -> None:
    from pathlib import Path

    if options.plot:
        from abcparam.tuning.plots import plot

        written = plot(swept, Path(options.plot))
        print(f"{len(written)} figures -> {options.plot}", file=sys.stderr)
    if options.html:
        from abcparam.files import write_atomically
        from abcparam.tuning.page import page

        write_atomically(options.html, page(swept))
        print(f"page -> {options.html}", file=sys.stderr)


@contextmanager
def progress(steps: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, in steps of training, with the time that is left."""
    if not sys.stderr.isatty() or rank():
        yield lambda _: None
        return
    from tqdm import tqdm

    with tqdm(total=steps, unit="step", leave=False) as bar:
        yield bar.update


def _transfer_arguments(command: argparse.ArgumentParser) -> None:
    _shared_arguments(command)
    add = command.add_argument
    add(
        "--proxy",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="sizes of the small model (default: --set, with growing dims at base)",
    )
    add("--trials", type=int, default=32, metavar="N", help="of the random search (default: 32)")
    add("--from", dest="results", metavar="FILE", help="a sweep's JSON, in place of a search")
    add("--target-steps", type=int, metavar="N", help="of the target's training, for its cost")
    add("--target-batch", type=int, metavar="N", help="likewise")
    add("--hparams", default="hparams.json", metavar="FILE", help="default: hparams.json")
    add("-o", "--output", metavar="OUT", help="the target's module (default: beside the spec)")
    add("--force", action="store_true", help="overwrite a file that abcparam did not write")
    add("--anyway", action="store_true", help="although the spec is not maximal-update")
    add("--estimate", action="store_true", help="say what it would cost, and stop")
    add("--format", choices=["text", "json"], default="text")


def transfer(options: argparse.Namespace) -> int:
    """Tunes a proxy, writes its hyperparameters and the target with them; 0 done, 2 invalid."""
    from abcparam.driver import load
    from abcparam.tuning.text import cost_lines
    from abcparam.tuning.transfer import Order, finish, prepare, proxy_values

    if options.trials < 1:
        raise Usage("--trials takes a positive whole number")
    wish = wish_of(options, options.trials)
    source, target = read(options.file), values_of(options)
    proxy = proxy_values(load(source), target, named_values(options.proxy, "--proxy"))
    steps, batch = options.target_steps or wish.steps, options.target_batch or wish.batch
    order = Order(target, proxy, wish, steps, batch, options.anyway, options.results)
    prepared = prepare(source, order)
    for line in cost_lines(prepared) if not rank() else ():
        print(line, file=sys.stderr)
    if options.estimate:
        return 0
    with _keeping(wish):
        found = finish(prepared, progress)
    if not rank():
        _write(found, options)
    return 0


def _write(found: Transferred, options: argparse.Namespace) -> None:
    """hparams.json, the target's module, and a line about each."""
    import json

    from abcparam.files import write_atomically, write_generated

    text = json.dumps(found.to_dict(), indent=2) + "\n"
    beside = "target.py" if options.file == "-" else os.path.splitext(options.file)[0] + ".py"
    output = options.output or beside
    write_generated(output, found.code, options.force)
    write_atomically(options.hparams, text)
    if options.format == "json":
        print(text, end="")
        return
    for name, value in found.hypers.items():
        print(f"{name} = {float(value):.6g}")
    if found.schedule != options.schedule:
        print(f"schedule = {found.schedule}")
    print(f"loss {found.loss:.4f} of the proxy -> {options.hparams}")
    program = found.prepared.report.program
    print(f"{program.name}: {found.prepared.report.verdict} -> {output}")


COMMANDS: dict[str, Command] = {
    "sweep": ("train small models over ranges of hyperparameters", _sweep_arguments, sweep),
    "transfer": ("tune a small model, compile a large one with it", _transfer_arguments, transfer),
}
