"""What checking and compiling a transformer of 1,000 layers costs per tensor, beside 125 layers.

The layers are written out one by one, or copies of a finite `repeat`. Each measurement is made in a
process of its own: `python -m benchmarks.layers 125 repeat check time`.
"""

from __future__ import annotations

import re
import sys
import tracemalloc
from time import process_time

from benchmarks.measure import ROOT, Comparison, Options, compare, number_from

SMALL, LARGE = 125, 1000
LAYER = (
    "    x = x + Attention(layernorm(x)) as attention{i}\n"
    "    x = x + FeedForward(layernorm(x)) as ffn{i}\n"
)
LOOP = re.compile(r"    repeat depth as layers \{.*?\n    \}\n", re.S)
DEPTH = re.compile(r"^dim depth += \d+\n", re.M)


def specification(layers: int, form: str) -> str:
    """examples/gpt.param with so many layers, by `repeat` or `written` out."""
    text = (ROOT / "examples" / "gpt.param").read_text(encoding="utf-8")
    if form == "repeat":
        return DEPTH.sub(f"dim depth = {layers}\n", text)
    return LOOP.sub("".join(LAYER.format(i=i) for i in range(layers)), DEPTH.sub("", text))


def per_layer(options: Options) -> list[Comparison]:
    """Time of check and compile in both forms; peak memory of check."""
    rounds = options.rounds(3)
    return [
        *(_pair_up(form, command, "time", rounds) for form in FORMS for command in COMMANDS),
        *(_pair_up(form, "check", "memory", 1) for form in FORMS),
    ]


def _pair_up(form: str, command: str, quantity: str, rounds: int) -> Comparison:
    def measured(layers: int) -> float:
        found = number_from(["benchmarks.layers", str(layers), form, command, quantity])
        return found / layers

    pairs = [(measured(LARGE), measured(SMALL)) for _ in range(rounds)]
    unit = "s" if quantity == "time" else "bytes"
    labels = (f"{LARGE:,} layers", f"{SMALL}")
    name = f"{quantity} of {command} per layer, {NAMES[form]}"
    return compare(name, labels, pairs, 1.3, unit)


# --- in the process of its own --------------------------------------------------------------------


def check(text: str) -> None:
    import abcparam

    verdict = abcparam.check(text).verdict
    if verdict != "maximal-update":
        raise AssertionError(f"the transformer is {verdict}, not maximal-update")


def compile_(text: str) -> None:
    import abcparam

    abcparam.compile(text)


COMMANDS = {"check": check, "compile": compile_}
FORMS = ("repeat", "written")
NAMES = {"repeat": "repeated", "written": "written out"}


def main() -> None:
    layers, form, command, quantity = sys.argv[1:]
    run, text = COMMANDS[command], specification(int(layers), form)
    run(specification(2, form))  # imports and tables are not what is measured
    if quantity == "time":
        start = process_time()  # of this process alone: others share the machine
        run(text)
        print(process_time() - start)
        return
    tracemalloc.start()
    run(text)
    print(tracemalloc.get_traced_memory()[1])


if __name__ == "__main__":
    main()
