"""Train an emitted image classifier, on Fashion-MNIST where it is found and else on small digits.

    abcparam compile examples/mlp.param -o build/mlp.py
    python examples/train_images.py build/mlp.py --width 256 --epochs 3

Fashion-MNIST is looked for in --data, in Debian's package dataset-fashion-mnist and in ./data: four
IDX files, packed with gzip or not. Without it the script trains on scikit-learn's digits (8 x 8
pixels, 1,797 images).
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import importlib.util
import math
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

FOLDERS = [
    Path("/usr/share/datasets/fashion-mnist"),
    Path("data/fashion-mnist"),
    Path("data/FashionMNIST/raw"),
    Path("data"),
]
Split = tuple[Tensor, Tensor]  # images [count, pixels] with mean 0 and deviation 1, labels [count]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("module", type=Path, help="the emitted Python file")
    add("--model", help="the model's class (default: the one that the module exports)")
    add("--data", type=Path, metavar="FOLDER", help="where Fashion-MNIST's IDX files are")
    add("--digits", action="store_true", help="train on scikit-learn's digits")
    add("--width", type=int, default=256)
    add("--set", nargs="+", default=[], metavar="NAME=VALUE", help="any other field of Config")
    add("--lr", type=float, help="the same as --set lr=…")
    add("--epochs", type=int, default=3)
    add("--batch", type=int, default=128, help="images per step")
    add("--warmup", type=int, default=50, help="steps")
    add("--seed", type=int, default=0)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--threads", type=int, help="of the processor (default: torch's choice)")
    add("--compile", action="store_true", help="use torch.compile")
    arguments = parser.parse_args()
    if arguments.epochs < 1 or arguments.batch < 1:
        parser.error("--epochs and --batch must be at least 1")
    return arguments


# --- data -----------------------------------------------------------------------------------------


def read_idx(path: Path) -> Tensor:
    """The array of bytes in an IDX file: http://yann.lecun.com/exdb/mnist describes the format."""
    data = (gzip.decompress if path.suffix == ".gz" else bytes)(path.read_bytes())
    if len(data) < 4 or data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} is not an IDX file of bytes")
    dimensions = data[3]
    header = 4 + 4 * dimensions
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) != header + math.prod(shape):
        raise ValueError(f"{path} is cut short")
    return torch.frombuffer(bytearray(data[header:]), dtype=torch.uint8).view(shape)


def idx_file(folder: Path, name: str) -> Path | None:
    files = (folder / f"{name}{suffix}" for suffix in ("", ".gz"))
    return next((file for file in files if file.is_file()), None)


def fashion_mnist(folder: Path) -> tuple[Split, Split] | None:
    """Training and held-out images and labels, or None where the four files are not all there."""
    names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
    files = [idx_file(folder, f"{name}-ubyte") for name in names]
    train_x, train_y, test_x, test_y = (read_idx(file) if file else None for file in files)
    if train_x is None or train_y is None or test_x is None or test_y is None:
        return None
    return (train_x, train_y), (test_x, test_y)


def digits() -> tuple[Split, Split]:
    """scikit-learn's digits, every fifth of them held out."""
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError("no Fashion-MNIST found, and digits need scikit-learn") from None
    data = load_digits()
    images, labels = torch.from_numpy(data.data), torch.from_numpy(data.target)
    held_out = torch.arange(len(labels)) % 5 == 0
    return (images[~held_out], labels[~held_out]), (images[held_out], labels[held_out])


def load_images(arguments: argparse.Namespace) -> tuple[str, Split, Split]:
    """The data's name, and what to train on and what is held out, ready for the model."""
    name, splits = "scikit-learn's digits", None
    if not arguments.digits:
        folders = [arguments.data] if arguments.data else FOLDERS
        for folder in folders:
            if splits := fashion_mnist(folder):
                name = f"Fashion-MNIST from {folder}"
                break
        if splits is None and arguments.data:
            raise ValueError(f"{arguments.data} has not all four of Fashion-MNIST's IDX files")
    train, test = splits or digits()
    pixels = train[0].float()
    shift, scale = pixels.mean(), pixels.std()
    ready = [((x.float().flatten(1) - shift) / scale, y.long()) for x, y in (train, test)]
    return name, ready[0], ready[1]


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


def make_config(module: ModuleType, arguments: argparse.Namespace, pixels: int) -> Any:
    """The module's Config: its defaults, with what the data and the command line say."""
    values: dict[str, int | float] = {"width": arguments.width, "pixels": pixels, "classes": 10}
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


def batches(split: Split, size: int, device: str, order: Tensor | None = None) -> Iterator[Split]:
    images, labels = split
    indices = torch.arange(len(labels)) if order is None else order
    for part in indices.split(size):
        yield images[part].to(device), labels[part].to(device)


@torch.no_grad()
def evaluate(model: nn.Module, split: Split, device: str) -> tuple[float, float]:
    """The mean loss in nats, and the share of images whose class is right."""
    loss, right = 0.0, 0
    model.eval()
    for images, labels in batches(split, 1000, device):
        logits = model(images)
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        right += int((logits.argmax(-1) == labels).sum())
    model.train()
    return loss / len(split[1]), right / len(split[1])


def report(when: str, model: nn.Module, split: Split, device: str) -> None:
    loss, accuracy = evaluate(model, split, device)
    message = f"{when:9}  held-out loss {loss:.4f} nats, accuracy {100 * accuracy:.2f} %"
    tqdm.write(message, file=sys.stdout)


def train(arguments: argparse.Namespace, model: nn.Module, made: Any, data: list[Split]) -> None:
    """Go through the images `epochs` times."""
    train_data, held_out = data
    device = arguments.device
    optimizers = made if isinstance(made, list) else [made]
    steps = arguments.epochs * math.ceil(len(train_data[1]) / arguments.batch)
    factor = warmup_then_cosine(min(arguments.warmup, steps // 2), steps)
    schedules = [LambdaLR(optimizer, factor) for optimizer in optimizers]
    forward = torch.compile(model) if arguments.compile else model

    report("start", model, held_out, device)
    with tqdm(total=steps, unit="step", leave=False) as bar:
        for epoch in range(1, arguments.epochs + 1):
            order = torch.randperm(len(train_data[1]))
            for images, labels in batches(train_data, arguments.batch, device, order):
                loss = F.cross_entropy(forward(images), labels)
                loss.backward()
                for optimizer, schedule in zip(optimizers, schedules, strict=True):
                    optimizer.step()
                    optimizer.zero_grad(set_to_none=True)
                    schedule.step()
                if bar.n % 20 == 0:
                    bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
                bar.update()
            report(f"epoch {epoch}", model, held_out, device)


def require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (AssertionError, RuntimeError) as error:
        raise ValueError(f"cannot use --device {device}: {error}".splitlines()[0]) from None


def run(arguments: argparse.Namespace) -> None:
    require_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    name, train_data, held_out = load_images(arguments)
    module = load_module(arguments.module)
    config = make_config(module, arguments, pixels=train_data[0].shape[1])
    model = getattr(module, arguments.model or model_name(module))(config).to(arguments.device)
    print(config)
    print(f"{name}: {len(train_data[1]):,} images to train on, {len(held_out[1]):,} held out")
    train(arguments, model, module.make_optimizer(model), [train_data, held_out])


def main() -> None:
    try:
        run(parse_arguments())
    except (OSError, ValueError) as error:
        sys.exit(f"train_images: {error}")
    except KeyboardInterrupt:
        sys.exit("\nstopped")


if __name__ == "__main__":
    main()
