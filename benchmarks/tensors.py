"""What checking costs per tensor in a long specification, beside a short one.

Each measurement is made in a process of its own: `python -m benchmarks.tensors 200 time`.
"""

from __future__ import annotations

import sys
import tracemalloc
from functools import partial

from benchmarks.measure import Comparison, Options, compare, number_from, seconds

SMALL, LARGE = 200, 20_000
HEADER = """\
model Chain
dim width -> inf, base = 128
dim pixels = 784
dim classes = 10
hyper lr = 1e-3

parametrization {
    input  { a = 0, b = 0,   c = 0 }
    hidden { a = 0, b = 1/2, c = 1 }
    output { a = 1, b = 0,   c = 0 }
}
"""


def specification(tensors: int) -> str:
    """An MLP of tanh layers with so many weight matrices, each layer's value with its own name."""
    inner = range(1, tensors - 1)
    declared = ["tensor W0 : input [width, pixels]"]
    declared += [f"tensor W{i} : hidden [width, width]" for i in inner]
    declared += ["tensor readout : output [classes, width] { init = zeros }"]
    computed = ["    h0 = tanh(W0 @ x)"]
    computed += [f"    h{i} = tanh(W{i} @ h{i - 1})" for i in inner]
    computed += [f"    return readout @ h{tensors - 2}"]
    forward = ["forward(x : [pixels]) {", *computed, "}"]
    trained = ["optimizer adam { lr = lr }", "loss cross_entropy", "expect maximal-update"]
    return "\n".join([HEADER, *declared, "", *forward, "", *trained, ""])


def per_tensor(options: Options) -> list[Comparison]:
    """Time and peak memory per tensor of 20,000 tensors beside 200."""
    return [
        pair_up("time", "s", options.rounds(3), 1.3),
        pair_up("memory", "bytes", 1, 1.3),
    ]


def pair_up(quantity: str, unit: str, rounds: int, target: float) -> Comparison:
    pairs = [
        (in_process(LARGE, quantity) / LARGE, in_process(SMALL, quantity) / SMALL)
        for _ in range(rounds)
    ]
    labels = (f"{LARGE:,} tensors", f"{SMALL}")
    return compare(f"{quantity} of check per tensor", labels, pairs, target, unit)


def in_process(tensors: int, quantity: str) -> float:
    return number_from(["benchmarks.tensors", str(tensors), quantity])


# --- in the process of its own --------------------------------------------------------------------


def check(text: str) -> None:
    import abcparam

    verdict = abcparam.check(text).to_dict()["verdict"]
    if verdict != "maximal-update":
        raise AssertionError(f"the chain is {verdict}, not maximal-update")


def time_of_check(tensors: int) -> float:
    """The best of several. Every text differs, lest a cache answer for the compiler."""
    texts = [f"{specification(tensors)}# {i}\n" for i in range(3 if tensors > 1000 else 10)]
    return min(seconds(partial(check, text)) for text in texts)


def peak_memory_of_check(tensors: int) -> float:
    text = specification(tensors)
    tracemalloc.start()
    check(text)
    return tracemalloc.get_traced_memory()[1]


def main() -> None:
    tensors, quantity = int(sys.argv[1]), sys.argv[2]
    check(specification(3))  # imports and tables are not what is measured
    print(time_of_check(tensors) if quantity == "time" else peak_memory_of_check(tensors))


if __name__ == "__main__":
    main()
