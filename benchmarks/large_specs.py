"""What the largest specs take: seconds of the processor and megabytes, for each command.

    python -m benchmarks.large_specs [OPERATIONS]

Each shape has so many operations, 10,000 unless said otherwise; two more have few, and a long
context. The table has what a process of its own takes, less what one takes for a spec of three
operations; `MB` is the most memory it has had.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from abcparam.algebra.record import NamedTuple

COMMANDS = {
    "check": ("check", "a.param", "--format", "json"),
    "compile": ("compile", "a.param", "-o", "-"),
    "fmt": ("fmt", "a.param"),
    "diff": ("diff", "a.param", "b.param"),
}
OPERATIONS = 10_000
SECONDS = 120  # after which a command is ended
HEAD = """model Large
dim width -> inf, base = 64
dim pixels = 8
dim classes = 4
hyper lr = 0.1
"""
TENSORS = """tensor first : input [width, pixels]
tensor hidden : hidden [width, width]
tensor last : output [classes, width]
"""
TAIL = "optimizer adam { lr = lr, eps = 1e-30 }\nloss cross_entropy\n"


def spec(body: str, *, tensors: str = TENSORS, head: str = "", blocks: str = "") -> str:
    """A model with this body between its first tensor and its last."""
    forward = f"forward(x : [pixels]) {{\n    x = first @ x\n{body}    return last @ x\n}}\n"
    return f"{HEAD}{head}parametrization mup\n{tensors}{blocks}{forward}{TAIL}"


def chain(count: int) -> str:
    """Maps and functions one after another, each a line."""
    return spec("    x = relu(hidden @ x)\n" * (count // 2))


def residual_chain(count: int) -> str:
    """The same, each added to what goes past it."""
    return spec("    x = x + 0.1 * relu(hidden @ x)\n" * (count // 4))


def wide(count: int) -> str:
    """Sums of 60 terms, all of one value."""
    line = " + ".join(["relu(hidden @ x)"] * 60)
    return spec(f"    x = 1/60 * ({line})\n" * (count // 180))


def nested_blocks(count: int) -> str:
    """Blocks of two calls each, as deep as makes so many."""
    depth = max(1, (count // 2).bit_length() - 1)
    names = [f"B{n}" for n in range(depth)]
    blocks = "block B0(x) {\n    return relu(hidden @ x)\n}\n" + "".join(
        f"block {name}(x) {{\n    x = {below}(x) as one\n    return {below}(x) as two\n}}\n"
        for below, name in pairwise(names)
    )
    return spec(f"    x = {names[-1]}(x)\n", blocks=blocks)


def repeats(count: int) -> str:
    """Copies of copies of a body, which are unrolled."""
    inner = f"    repeat {count // 200} as inner {{\n        x = relu(hidden @ x)\n    }}\n"
    return spec(f"repeat 100 as outer {{\n{inner}}}\n")


def many_tensors(count: int) -> str:
    """A tensor of its own for each map, all of one role."""
    names = [f"w{n}" for n in range(count // 2)]
    tensors = "".join(f"tensor {name} : hidden [width, width]\n" for name in names)
    ends = TENSORS.replace("tensor hidden : hidden [width, width]\n", "")
    return spec("".join(f"    x = relu({n} @ x)\n" for n in names), tensors=ends + tensors)


def many_limits(count: int) -> str:
    """Eight dims that grow one after another, and maps between all of them."""
    names = ["width", *(f"w{n}" for n in range(7))]
    dims = "".join(
        f"dim {name} -> inf after {before}, base = 8\n" for before, name in pairwise(names)
    )
    ends = TENSORS.replace("tensor hidden : hidden [width, width]\n", "")
    tensors = ends + "".join(
        f"tensor up{n} : [{after}, {before}]\n"
        for n, (before, after) in enumerate(zip(names, [*names[1:], names[0]], strict=True))
    )
    loop = "".join(f"    x = relu(up{n} @ x)\n" for n in range(8))
    return spec(loop * (count // 16), head=dims, tensors=tensors)


def decoder(positions: int) -> str:
    """A decoder of four layers, of so many positions: what they share is estimated."""
    return f"""model Long
dim width -> inf, base = 64
dim head = 16
dim heads = width / head
dim vocab = 256
dim context = {positions}
hyper lr = 1e-3
parametrization mup
tensor embedding : input [vocab, width]
tensor position_embedding : input [context, width]
tensor readout : output [vocab, width]
block Attention(x) {{
    tensor query, key, value : hidden [heads * head, width]
    tensor project : hidden [width, heads * head]
    y = attention(query @ x, key @ x, value @ x, heads = heads, scale = 1 / head, causal = true)
    return project @ y
}}
forward(tokens : index(vocab) [context]) {{
    x = embed(embedding, tokens) + position_embedding
    repeat 4 as layers {{
        x = x + Attention(rmsnorm(x))
    }}
    return readout @ rmsnorm(x)
}}
optimizer adam {{ lr = lr, eps = 1e-8 }}
loss cross_entropy
"""


CONTEXTS = {"131,072 positions": 2**17, "2^20 positions": 2**20}
SHAPES: dict[str, Callable[[int], str]] = {
    shape.__name__.replace("_", " "): shape
    for shape in (chain, residual_chain, wide, nested_blocks, repeats, many_tensors, many_limits)
}


class Took(NamedTuple):
    """What a process took."""

    status: int
    seconds: float  # of the processor
    megabytes: float


def took(folder: Path, command: Sequence[str]) -> Took:
    """Of a process of its own; -9 where it was ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "abcparam", *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS)),
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Took(process.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10)


def measured(text: str) -> Iterator[tuple[str, Took]]:
    """What each command takes for a text."""
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        for name, command in COMMANDS.items():
            for file in ("a.param", "b.param"):
                (folder / file).write_text(text, encoding="utf-8")
            yield name, took(folder, command)


def main(count: int = OPERATIONS) -> int:
    """Prints the table; 1 where a command did not end."""
    least = dict(measured(spec("")))
    print(f"{count} operations; seconds of the processor, MB")
    texts = {shape: make(count) for shape, make in SHAPES.items()}
    texts |= {name: decoder(positions) for name, positions in CONTEXTS.items()}
    print(f"{'shape':18}{'kB':>7}" + "".join(f"{name:>16}" for name in COMMANDS), flush=True)
    ended = 0
    for shape, text in texts.items():
        cells = []
        for name, found in measured(text):
            ended += found.status not in {0, 1}
            seconds = found.seconds - least[name].seconds
            cells.append(f"{seconds:8.2f}{found.megabytes:5.0f} {found.status:2d}")
        print(f"{shape:18}{len(text) / 1000:7.0f}" + "".join(cells), flush=True)
    return int(ended > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
