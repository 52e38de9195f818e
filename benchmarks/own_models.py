"""Reading a user's own model, beside the exports of it that this takes.

Peak memory is measured in processes of their own: `python -m benchmarks.own_models audit`.
"""

from __future__ import annotations

import resource
import sys
from functools import partial
from typing import Any

import torch

import abcparam
from abcparam.imports.factory import Factory
from benchmarks.handwritten_gpt import GPT, Config
from benchmarks.measure import Comparison, Options, alternate, compare, number_from, seconds

WIDTHS = (256, 512, 1024)


def build(
    width: int = 256, head: int = 64, depth: int = 32, vocab: int = 1024
) -> tuple[GPT, torch.Tensor]:
    """A GPT of 32 layers, and tokens."""
    config = Config(width=width, head=head, depth=depth, vocab=vocab, context=64)
    return GPT(config), torch.randint(vocab, (4, 32))


def reading(options: Options) -> list[Comparison]:
    """`abcparam.audit` of 32 layers beside `torch.export` at the same sizes, in time and memory."""
    peaks = [(peak_in_process("audit"), peak_in_process("import")) for _ in range(3)]
    torch.set_num_threads(options.threads)
    factory = Factory(build, __file__, "build", {})
    examples = [factory.make(sizes) for sizes in audit().settings]

    def export() -> None:
        for model, args, kwargs in examples:
            torch.export.export(model, args, kwargs, strict=False)

    pairs = alternate(partial(seconds, audit), partial(seconds, export), options.rounds(5))
    return [
        compare("reading 32 layers", ("abcparam.audit", "torch.export"), pairs, 2.0),
        compare("reading 32 layers, peak", ("abcparam.audit", "import torch"), peaks, None, "MB"),
    ]


def audit() -> abcparam.Audit:
    """The model, read and judged."""
    return abcparam.audit(build, {"width": WIDTHS})


def peak_in_process(what: str) -> float:
    return number_from(["benchmarks.own_models", what])


def main() -> None:
    todo: dict[str, Any] = {"audit": audit, "import": lambda: None}
    todo[sys.argv[1]]()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
