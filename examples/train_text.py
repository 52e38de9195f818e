"""Train an emitted language model on text, byte by byte.

    abcparam compile examples/gpt.param -o build/gpt.py
    python examples/train_text.py build/gpt.py --width 128 --depth 2 --steps 400

The text is the Python standard library's source unless --data names other files. The learning rate
and every other hyperparameter come from the spec; --set changes them: --set lr=1e-3 out_mult=2.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import os
import pickle
import signal
import sys
import sysconfig
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

VOCAB = 256  # tokens are bytes
DATA_CAP = 10_000_000  # bytes of the standard library that are read
NOT_SOURCE = {"site-packages", "dist-packages", "test", "tests", "idle_test"}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("module", type=Path, help="the emitted Python file")
    add("--model", help="the model's class (default: the one that the module exports)")
    add("--data", type=Path, nargs="+", metavar="FILE", help="text files to train on")
    add("--width", type=int, default=128)
    add("--depth", type=int, default=2)
    add("--context", type=int, default=128, help="bytes per training example")
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="any other field of Config")
    add("--lr", type=float, help="the same as --set lr=…")
    add("--steps", type=int, default=400)
    add("--batch", type=int, default=16, help="examples per step")
    add("--warmup", type=int, help="steps (default: a tenth of them)")
    add("--eval-every", type=int, default=100, metavar="STEPS")
    add("--eval-batches", type=int, default=16)
    add("--sample", type=int, default=200, metavar="BYTES", help="text to write at the end")
    add("--seed", type=int, default=0)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--dtype", choices=["float32", "bfloat16"], default="float32", help="of the forward pass")
    add("--threads", type=int, help="of the processor (default: torch's choice)")
    add("--compile", action="store_true", help="use torch.compile")
    add("--save", type=Path, metavar="FILE", help="write checkpoints here")
    add("--resume", type=Path, metavar="FILE", help="go on from this checkpoint")
    arguments = parser.parse_args()
    for name in ("steps", "batch", "eval_every", "eval_batches"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1")
    return arguments


# --- data -----------------------------------------------------------------------------------------


def standard_library() -> list[Path]:
    """The standard library's source files, always in the same order."""
    root = Path(sysconfig.get_path("stdlib"))
    files = [p for p in root.rglob("*.py") if not NOT_SOURCE & set(p.relative_to(root).parts)]
    return sorted(files, key=lambda p: p.relative_to(root).as_posix())


def load_text(files: list[Path] | None) -> tuple[Tensor, Tensor]:
    """Bytes to train on and bytes held out: every tenth file, or the last tenth of a few files."""
    texts = [p.read_bytes() for p in files or standard_library()]
    if len(texts) >= 10:
        train = b"".join(t for i, t in enumerate(texts) if i % 10)
        held_out = b"".join(texts[::10])
    else:
        whole = b"\n".join(texts)
        cut = len(whole) * 9 // 10
        train, held_out = whole[:cut], whole[cut:]
    if not files:
        train, held_out = train[: DATA_CAP * 9 // 10], held_out[: DATA_CAP // 10]
    return as_tensor(train), as_tensor(held_out)


def as_tensor(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def windows(data: Tensor, starts: Tensor, context: int, device: str) -> tuple[Tensor, Tensor]:
    """The examples that begin at `starts`, [batch, context], and the bytes that follow each."""
    chunk = data[starts[:, None] + torch.arange(context + 1)].long().to(device)
    return chunk[:, :-1], chunk[:, 1:]


# --- the emitted module ---------------------------------------------------------------------------


def load_module(path: Path) -> ModuleType:
    """Import a file by its path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ValueError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def model_name(module: ModuleType) -> str:
    """The name of the model's class: what the module exports beside Config and its functions."""
    exported = getattr(module, "__all__", dir(module))
    for name in exported:
        value = getattr(module, name)
        if isinstance(value, type) and issubclass(value, nn.Module):
            return str(name)
    raise ValueError(f"{module.__file__} exports no model; name its class with --model")


def make_config(module: ModuleType, arguments: argparse.Namespace) -> Any:
    """The module's Config: its defaults, with what the command line says."""
    values: dict[str, int | float] = {
        "width": arguments.width,
        "depth": arguments.depth,
        "context": arguments.context,
        "vocab": VOCAB,
    }
    if arguments.lr is not None:
        values["lr"] = arguments.lr
    values |= dict(parse_setting(text) for text in arguments.set)
    known = {field.name for field in dataclasses.fields(module.Config)}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"Config has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return module.Config(**values)


def parse_setting(text: str) -> tuple[str, int | float]:
    name, equals, value = text.partition("=")
    try:
        if not equals:
            raise ValueError
        return name, int(value) if value.lstrip("-").isdigit() else float(value)
    except ValueError:
        raise ValueError(f"--set takes NAME=NUMBER, not {text!r}") from None


# --- training -------------------------------------------------------------------------------------


def warmup_then_cosine(warmup: int, steps: int) -> Callable[[int], float]:
    """A factor for every group's learning rate. One that multiplies keeps their ratios."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return factor


class Trainer:
    """A model with its data, optimizers and schedules."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.device = arguments.device
        torch.manual_seed(arguments.seed)
        self.train_data, self.held_out = load_text(arguments.data)

        module = load_module(arguments.module)
        self.config = make_config(module, arguments)
        self.context = self.config.context
        if min(len(self.train_data), len(self.held_out)) <= self.context + 1:
            raise ValueError(f"the text is too short for a context of {self.context} bytes")

        model = getattr(module, arguments.model or model_name(module))(self.config)
        self.model = model.to(self.device)
        made = module.make_optimizer(self.model)
        self.optimizers = made if isinstance(made, list) else [made]

        steps = arguments.steps
        warmup = steps // 10 if arguments.warmup is None else arguments.warmup
        factor = warmup_then_cosine(warmup, steps)
        self.schedules = [LambdaLR(optimizer, factor) for optimizer in self.optimizers]

        self.step = 0
        self.stopping = False
        self.generator = torch.Generator().manual_seed(arguments.seed)
        self.forward = torch.compile(self.model) if arguments.compile else self.model

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        device_type = torch.device(self.device).type
        half = self.arguments.dtype == "bfloat16"
        with torch.autocast(device_type, torch.bfloat16) if half else nullcontext():
            logits = self.forward(tokens)
        return F.cross_entropy(logits.flatten(0, -2).float(), targets.flatten())

    def train_step(self) -> Tensor:
        last_start = len(self.train_data) - self.context
        starts = torch.randint(last_start, (self.arguments.batch,), generator=self.generator)
        loss = self.loss(*windows(self.train_data, starts, self.context, self.device))
        loss.backward()
        for optimizer, schedule in zip(self.optimizers, self.schedules, strict=True):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        self.step += 1
        return loss.detach()

    @torch.no_grad()
    def evaluate(self) -> float:
        """The mean loss in nats per byte over the same held-out windows every time."""
        batches, batch = self.arguments.eval_batches, self.arguments.batch
        last_start = len(self.held_out) - self.context - 1
        starts = torch.linspace(0, last_start, batches * batch, dtype=torch.float64).long()
        self.model.eval()
        losses = [
            self.loss(*windows(self.held_out, part, self.context, self.device)).item()
            for part in starts.chunk(batches)
        ]
        self.model.train()
        return sum(losses) / len(losses)

    @torch.no_grad()
    def sample(self, prompt: bytes, length: int) -> str:
        """`prompt` and `length` more bytes, drawn from the model."""
        tokens = torch.tensor([list(prompt)], device=self.device)
        generator = torch.Generator().manual_seed(self.arguments.seed)
        self.model.eval()
        for _ in range(length):
            logits = self.model(tokens[:, -self.context :])[:, -1]
            chances = (logits.float().cpu() / 0.8).softmax(-1)
            drawn = torch.multinomial(chances, 1, generator=generator)
            tokens = torch.cat([tokens, drawn.to(self.device)], dim=1)
        self.model.train()
        return bytes(tokens[0].tolist()).decode("utf-8", errors="replace")

    def stop_after_step(self, *_: object) -> None:
        """What Ctrl-C does while training: no step is saved half. The next one interrupts."""
        self.stopping = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def save(self, path: Path) -> None:
        """Write a checkpoint. A reader sees the old file or the new one, never half of one."""
        state = {
            "config": dataclasses.asdict(self.config),
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "schedules": [schedule.state_dict() for schedule in self.schedules],
            "step": self.step,
            "generator": self.generator.get_state(),
            "torch_rng": torch.get_rng_state(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def resume(self, path: Path) -> None:
        """Go on where `save` left off; the spec, the sizes and --steps should be the same."""
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, pickle.UnpicklingError):
            raise ValueError(f"{path} is not a checkpoint") from None
        if state["config"] != dataclasses.asdict(self.config):
            raise ValueError(f"{path} was trained with {state['config']}, not {self.config}")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for schedule, saved in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(saved)
        self.step = state["step"]
        self.generator.set_state(state["generator"])
        torch.set_rng_state(state["torch_rng"])


def report(trainer: Trainer) -> None:
    nats = trainer.evaluate()
    tqdm.write(
        f"step {trainer.step:5d}   held-out loss {nats:.4f} nats, "
        f"{nats / math.log(2):.3f} bits per byte",
        file=sys.stdout,
    )


def train(trainer: Trainer) -> None:
    """Take the remaining steps, saying how the held-out loss falls."""
    arguments = trainer.arguments
    signal.signal(signal.SIGINT, trainer.stop_after_step)
    report(trainer)
    with tqdm(total=arguments.steps, initial=trainer.step, unit="step", leave=False) as bar:
        while trainer.step < arguments.steps and not trainer.stopping:
            loss = trainer.train_step()
            if trainer.step % 10 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
            bar.update()
            if trainer.step % arguments.eval_every == 0 or trainer.step == arguments.steps:
                report(trainer)
                if arguments.save:
                    trainer.save(arguments.save)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"cannot use --device {device}: {error}".splitlines()[0]) from None


def run(arguments: argparse.Namespace) -> None:
    require_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    trainer = Trainer(arguments)
    if arguments.resume:
        trainer.resume(arguments.resume)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    print(trainer.config)
    print(
        f"{parameters:,} parameters; {len(trainer.train_data):,} bytes to train on, "
        f"{len(trainer.held_out):,} held out",
        flush=True,
    )
    train(trainer)
    if trainer.stopping:
        print(f"\nstopped at step {trainer.step}")
        if arguments.save:
            trainer.save(arguments.save)
            print(f"saved; go on with --resume {arguments.save}")
        sys.exit(130)
    if arguments.sample:
        print("\n" + trainer.sample(b"def ", arguments.sample))


def main() -> None:
    try:
        run(parse_arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"train_text: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
