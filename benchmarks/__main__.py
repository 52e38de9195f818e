"""Run the benchmarks: `python -m benchmarks [NAME …]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from benchmarks.measure import Comparison, Options, SkippedError, table, write, write_json

Benchmark = Callable[[Options], list[Comparison]]
BENCHMARKS = {
    "check": ("startup", "check", "a cold `abcparam check` beside `import sympy`"),
    "wrong": ("startup", "wrong", "a cold `abcparam check` of wrong specs beside `import sympy`"),
    "random-wrong": ("startup", "random_wrong", "the same of 500 random wrong specs"),
    "compile": ("startup", "compile_", "a cold `abcparam compile` beside `import torch`"),
    "examples": ("startup", "examples", "the same of every example"),
    "editor": ("editing", "typing", "from a key to diagnostics beside `import sympy`"),
    "tensors": ("tensors", "per_tensor", "cost per tensor of 20,000 tensors beside 200"),
    "layers": ("layers", "per_layer", "cost per layer of 1,000 layers beside 125"),
    "derive": ("symbols", "derive", "a cold `abcparam derive` beside `import sympy`; depth"),
    "solve": ("symbols", "solve", "a cold `abcparam solve` beside `import sympy`; depth"),
    "symbols": ("symbols", "examples", "the same of every example"),
    "decisions": ("decisions", "decisions", "questions about exponents beside z3"),
    "sweep": ("sweeps", "together", "64 trials trained together beside one by one"),
    "step": ("steps", "beside_handwritten", "a training step beside hand-written PyTorch"),
    "adapted": ("adapted", "beside_itself", "a training step of an adapted model beside itself"),
    "groups": ("groups", "beside_one_group", "an optimizer's step beside one plain group"),
    "transformers": (
        "huggingface",
        "beside_huggingface",
        "a training step beside Hugging Face's transformers",
    ),
    "coordinates": (
        "coordinate_checks",
        "beside_mup",
        "a coordinate check beside microsoft/mup's get_coord_data",
    ),
    "reading": ("own_models", "reading", "reading a model beside the exports that this takes"),
    "unit": (
        "unit_scaling",
        "beside_unit_scaling",
        "the gauge unit beside unit-scaling: step, range, loss",
    ),
    "mup": ("steps", "beside_mup", "a training step beside microsoft/mup"),
}


def parse_arguments() -> argparse.Namespace:
    listed = "\n".join(f"  {name:12} {what}" for name, (_, _, what) in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Ratios measured side by side in one run:\n\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="*", metavar="NAME", help="those to run (default: all)")
    add("--quick", action="store_true", help="fewer rounds")
    add("--threads", type=int, default=2, help="for training steps")
    add("--emitted", type=Path, metavar="FILE", help="an emitted GPT, instead of compiling one")
    add("--device", default="cpu", help="cpu, or cuda for those that train (make bench-gpu)")
    add("--json", type=Path, metavar="FILE", help="what was compared, also where it is not all")
    add("--output", type=Path, default=Path(__file__).parent, metavar="FOLDER")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in BENCHMARKS]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return arguments


def load(name: str) -> Benchmark:
    """Imported only when run: some need torch."""
    module, function, _ = BENCHMARKS[name]
    return cast(Benchmark, getattr(import_module(f"benchmarks.{module}"), function))


def main() -> int:
    """0 where no target is missed, else 1."""
    arguments = parse_arguments()
    options = Options(
        arguments.quick, arguments.threads, arguments.emitted, device=arguments.device
    )
    comparisons: list[Comparison] = []
    skipped: dict[str, str] = {}
    for name in arguments.names or BENCHMARKS:
        print(f"{name}: {BENCHMARKS[name][2]} …", file=sys.stderr, flush=True)
        try:
            comparisons += load(name)(options)
        except SkippedError as reason:
            skipped[name] = str(reason)
            print(f"{name}: skipped: {reason}", file=sys.stderr)
    print(table(comparisons), end="")
    if arguments.json:
        write_json(comparisons, skipped, arguments.json)
    if arguments.names:
        print("not written: only a full run is", file=sys.stderr)
    else:
        write(comparisons, skipped, arguments.output)
    return int(any(c.verdict == "missed" for c in comparisons))


if __name__ == "__main__":
    sys.exit(main())
