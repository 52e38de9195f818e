"""The compiler held to the theorems of Tensor Programs IV and IVb.

`theorems` states them in closed form; here the verdicts, sizes and slack of `abcparam.check` are
compared with it: 5,000 random MLPs of 1 to 4 hidden layers, SGD and Adam, every tensor with
exponents of its own, a fifth of them with a readout that starts at exact zero.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.support.judging import (
    assert_agreement,
    judged,
    mlp_of,
    numbers,
    per_tensor,
    printed,
    stable_mlps,
    statuses,
    swapped,
)
from tests.support.paths import SUPPORT
from tests.support.random_mlps import (
    GRID,
    QUARTER,
    one_learning_rate_mlps,
    random_mlps,
    regauge,
    spec,
    with_c,
)
from tests.support.theorems import (
    HALF,
    MLP,
    VERDICTS,
    at_init,
    changes,
    feature_r,
    is_stable,
    published_r,
    published_stable,
    slack,
    update,
    verdict,
)

CASES, CHUNK = 5000, 500
CHUNKS = range(0, CASES, CHUNK)
FEWEST_OF_A_VERDICT = 500
ENTRIES = json.loads((SUPPORT / "published.json").read_text(encoding="utf-8"))


def chunk(start: int) -> tuple[MLP, ...]:
    return random_mlps(2011, CASES)[start : start + CHUNK]


def of_entry(entry: dict[str, Any]) -> MLP:
    roles = ([entry["roles"][role][key] for key in "abc"] for role in ("input", "hidden", "output"))
    return mlp_of(entry["optimizer"], entry["hidden_layers"], *roles)


# The theorems against the printed formulas


def test_with_one_learning_rate_the_per_layer_r_is_the_published_one():
    for mlp in one_learning_rate_mlps(seed=1, count=2000):
        assert feature_r(mlp) == published_r(mlp), spec(mlp)
        assert is_stable(mlp) == published_stable(mlp), spec(mlp)


def test_gauge_leaves_the_theorems_alone():
    rng = random.Random(5)
    for mlp in random_mlps(5, 1000):
        other = regauge(mlp, [rng.choice(GRID) for _ in mlp.layers])
        assert (verdict(mlp), slack(mlp)) == (verdict(other), slack(other)), spec(mlp)


@pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e["alignment"] == "tensor-programs"], ids=lambda e: e["id"]
)
def test_theorem_gives_the_published_verdict(entry):
    assert verdict(of_entry(entry)) == entry["verdict"]


def test_every_verdict_is_frequent_among_the_5000():
    mlps = random_mlps(2011, CASES)
    counts = Counter(map(verdict, mlps))
    assert len(set(mlps)) == CASES
    assert set(counts) == set(VERDICTS)
    assert min(counts.values()) >= FEWEST_OF_A_VERDICT, counts
    for kind in ("sgd", "adam"):
        of_kind = Counter(verdict(mlp) for mlp in mlps if mlp.optimizer == kind)
        assert min(of_kind[name] for name in VERDICTS) >= FEWEST_OF_A_VERDICT // 2, of_kind
    zero = Counter(verdict(mlp) for mlp in mlps if mlp.zero_readout)
    assert min(zero[name] for name in VERDICTS) >= 50, zero


# The compiler against the theorems


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e["id"])
def test_published_verdict(entry):
    """Under another alignment an entry speaks of stability and the largest rates only."""
    alignment = entry["alignment"]
    report = judged(spec(of_entry(entry), assume=f"alignment = {alignment}"))
    assert report["alignment"] == alignment
    if alignment == "tensor-programs":
        assert report["verdict"] == entry["verdict"]
    else:
        assert not report["verdict"].startswith("unstable")
        assert set(statuses(report)) == {"maximal"}


@pytest.mark.parametrize("start", CHUNKS)
def test_verdict_of_5000_random_mlps(start):
    """5,000 different MLPs in ten chunks, not one mismatch."""
    assert_agreement(chunk(start), verdict, lambda text: judged(text)["verdict"])


@pytest.mark.parametrize("start", [0, 1000, 2000])
def test_sizes_and_slack_of_stable_mlps(start):
    """The theorem's inequalities give every size too, wherever the MLP is stable."""

    def theirs(mlp: MLP) -> list[list[str]]:
        *hidden, output = changes(mlp)
        sizes = [printed(sizes) for sizes in (at_init(mlp), update(mlp), slack(mlp), hidden)]
        return [*sizes, printed([at_init(mlp)[-1], output])]

    def ours(text: str) -> list[list[str]]:
        report = judged(text)
        hidden = {x["name"]: x["change"]["width"] for x in report["activations"]}
        names = [f"h{n}" for n in range(1, len(report["tensors"]))]
        output = [report["output"][key]["width"] for key in ("at_init", "change")]
        sizes = [per_tensor(report, key) for key in ("at_init", "update", "slack")]
        return [*sizes, [hidden[name] for name in names], output]

    assert_agreement(filter(is_stable, chunk(start)), theirs, ours)


@pytest.mark.parametrize("start", [500, 1500])
def test_status_is_the_sign_of_the_slack(start):
    def theirs(mlp: MLP) -> list[str]:
        return ["under" if room else "maximal" for room in slack(mlp)]

    assert_agreement(filter(is_stable, chunk(start)), theirs, lambda text: statuses(judged(text)))


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("sgd", "tanh", "relu"),
        ("adam", "tanh", "relu"),
        ("sgd", "loss cross_entropy", "loss mse"),
        ("adam", "loss cross_entropy", "loss mse"),
        ("sgd", "momentum = 0", "momentum = 0.9"),
        ("adam", "optimizer adam {", "optimizer adamw { weight_decay = 0,"),
        ("adam", "optimizer adam {", "optimizer rmsprop {"),
        ("adam", "optimizer adam {", "optimizer adagrad {"),
    ],
)
def test_theorem_holds_as_well_with(kind, old, new):
    """What the papers say of the class, not of tanh, cross-entropy and plain SGD or Adam alone.

    A stable network's error is of size 1 in squared error too; the theorems of IVb are about every
    entrywise update that ignores the gradient's scale.
    """
    mlps = [mlp for mlp in random_mlps(11, 300) if mlp.optimizer == kind][:100]
    assert_agreement(mlps, verdict, lambda text: judged(swapped(text, old, new))["verdict"])


def in_a_repeat(mlp: MLP, copies: int) -> str:
    """An MLP whose one hidden-role tensor is written in a repeat over a finite depth."""
    first, hidden, last = mlp.layers
    exponents = [f"a = {layer.a}, b = {layer.b}, c = {layer.c}" for layer in (first, hidden, last)]
    zeros = ", init = zeros" if mlp.zero_readout else ""
    head, tail = spec(mlp).split("\n\ntensor")[0], spec(mlp).split("}\n\n")[-1]
    return f"""{head}
dim depth = {copies}

tensor W1 : input [width, pixels] {{ {exponents[0]} }}
tensor W2 : output [classes, width] {{ {exponents[2]}{zeros} }}

forward(x : [pixels]) {{
    h = W1 @ x
    repeat depth as layers {{
        tensor W : hidden [width, width] {{ {exponents[1]} }}
        h = W @ tanh(h)
    }}
    return W2 @ tanh(h)
}}

{tail}"""


def test_theorem_holds_for_layers_in_a_repeat():
    for mlp in [mlp for mlp in random_mlps(12, 800) if len(mlp.hidden) == 2][:150]:
        first, hidden, last = mlp.layers
        text = in_a_repeat(mlp, copies=3)
        expected = verdict(replace(mlp, layers=(first, hidden, hidden, hidden, last)))
        assert judged(text)["verdict"] == expected, text


def without(mlp: MLP, frozen: int) -> str:
    """The theorem with one tensor frozen: its ``r`` is infinite and its slack asked of nobody."""
    limit = with_c(mlp, frozen, Fraction(50))
    others = [room for index, room in enumerate(slack(limit)) if index != frozen]
    in_full = mlp.zero_readout or mlp.readout.a + mlp.readout.b == 1
    if verdict(limit) == "feature-learning" and in_full and not any(others):
        return "maximal-update"
    return verdict(limit)


def test_freezing_a_tensor_is_the_limit_of_small_learning_rates():
    """Except that maximal-update asks something of trained tensors only."""
    rng, seen = random.Random(13), set()
    for mlp in random_mlps(13, 250):
        frozen = rng.randrange(len(mlp.layers) - mlp.zero_readout)
        lines = spec(mlp).split("\n")
        at = next(n for n, line in enumerate(lines) if line.startswith(f"tensor W{frozen + 1} "))
        lines[at] = swapped(lines[at], " }", ", frozen }")
        report = judged("\n".join(lines))
        assert report["verdict"] == without(mlp, frozen), "\n".join(lines)
        assert report["tensors"][frozen]["status"] == "frozen", "\n".join(lines)
        assert report["tensors"][frozen]["slack"] is None, "\n".join(lines)
        seen.add(report["verdict"])
    assert seen == set(VERDICTS)


# Symmetry and monotonicity


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_gauge_changes_nothing(seed):
    """``(a + t, b - t, c - 2t)`` for SGD, ``(a + t, b - t, c - t)`` for Adam, t of each tensor."""
    rng, keys = random.Random(seed), ("at_init", "update", "slack", "status")

    def essence(text: str) -> object:
        report = judged(text)
        tensors = [[tensor[key] for key in keys] for tensor in report["tensors"]]
        return report["verdict"], report["complete"], tensors, report["output"]

    def essence_elsewhere(mlp: MLP) -> object:
        return essence(spec(regauge(mlp, [rng.choice(GRID) for _ in mlp.layers])))

    assert_agreement(random_mlps(seed, 150), essence_elsewhere, essence)


def rank(report: dict[str, Any]) -> int:
    return VERDICTS.index(report["verdict"])


@pytest.mark.parametrize("seed", [31, 32])
def test_a_smaller_learning_rate_never_destabilizes_and_never_improves_a_stable_mlp(seed):
    """Raising one ``c`` shrinks that tensor's update by as much; no slack shrinks.

    The verdict stays or moves toward trivial, since all that shrinks are changes.
    """
    rng = random.Random(seed)
    for mlp in stable_mlps(seed, 100):
        index, shift = rng.randrange(len(mlp.layers)), rng.choice([QUARTER, HALF, Fraction(1)])
        before, after = judged(spec(mlp)), judged(spec(with_c(mlp, index, shift)))
        rooms = zip(numbers(before, "slack"), numbers(after, "slack"), strict=True)
        wider = [later - earlier for earlier, later in rooms]
        assert VERDICTS.index("trivial") <= rank(after) <= rank(before), spec(mlp)
        assert wider[index] == shift and min(wider) >= 0, spec(mlp)
        assert numbers(after, "update")[index] == numbers(before, "update")[index] - shift


@pytest.mark.parametrize("seed", [33, 34])
def test_slack_is_what_a_learning_rate_can_still_grow(seed):
    """Spending it makes the tensor maximal and touches no other; a quarter more is unstable.

    Not of SGD's readout, whose update also carries the gradient to the others: they do not stay.
    """
    for mlp in stable_mlps(seed, 100):
        rooms = numbers(judged(spec(mlp)), "slack")
        for index, room in enumerate(rooms[:-1] if mlp.optimizer == "sgd" else rooms):
            spent = judged(spec(with_c(mlp, index, -room)))
            left = [*rooms[:index], Fraction(0), *rooms[index + 1 :]]
            assert VERDICTS.index("unstable") < rank(spent), spec(mlp)
            assert numbers(spent, "slack") == left, spec(mlp)
            over = judged(spec(with_c(mlp, index, -room - QUARTER)))
            assert over["verdict"] == "unstable", spec(mlp)
            assert over["tensors"][index]["status"] == "over", spec(mlp)


def test_a_smaller_initial_readout_never_destabilizes_and_never_improves():
    """Raising ``b_o`` shrinks what the readout passes on and, under SGD, every gradient."""
    for mlp in stable_mlps(35, 150):
        if not mlp.zero_readout:
            smaller = replace(mlp.readout, b=mlp.readout.b + QUARTER)
            other = replace(mlp, layers=(*mlp.hidden, smaller))
            before, after = judged(spec(mlp)), judged(spec(other))
            assert VERDICTS.index("trivial") <= rank(after) <= rank(before), spec(mlp)


def test_the_b_of_a_zero_readout_means_nothing():
    for mlp in [mlp for mlp in random_mlps(36, 500) if mlp.zero_readout][:60]:
        other = replace(mlp, layers=(*mlp.hidden, replace(mlp.readout, b=mlp.readout.b + HALF)))
        before, after = judged(spec(mlp)), judged(spec(other))
        assert before["verdict"] == after["verdict"], spec(mlp)
        assert before["output"] == after["output"], spec(mlp)
        assert per_tensor(before, "slack") == per_tensor(after, "slack"), spec(mlp)
