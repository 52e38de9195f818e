"""What the copies of an infinite repeat add up to: what has mean zero over the weights that a copy
draws adds up at random, a mean coherently; derived, and measured on plain PyTorch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, relu, silu

import abcparam
from abcparam.analysis.judge import Judgement, judgement_of
from abcparam.coordinate_check.check import coordinate_check
from abcparam.coordinate_check.judging import DISAGREES
from abcparam.coordinate_check.options import CheckOptions
from abcparam.diagnostics.source import Source
from abcparam.program.binding import bind
from abcparam.program.vocabulary import VERDICTS
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.judgement import judge_symbolic
from abcparam.verdict.check import load
from abcparam.verdict.tensor_table import activation_rows

SPEC = """model M
dim width -> inf, base = 64
dim depth -> inf after width, base = 4
dim heads = 4
dim features = 8
dim classes = 8
dim context = 4
hyper lr = 0.003
{head}
parametrization {{
    input  {{ a = 0, b = 0,   c = 0, c[depth] = {rate} }}
    hidden {{ a = 0, b = 1/2, c = 1, c[depth] = {rate} }}
    output {{ a = 1, b = 0,   c = 0 }}
}}
tensor enter   : input  [width, features] {starts}
tensor readout : output [classes, width]
{outside}
block Branch(x, given) {{
    {inside}
    {lines}
    return {branch}
}}
forward(x : [context, features]) {{
    given = {given}
    h = enter @ x
    repeat depth as layers {{
        h = h + (depth / base(depth))^({power}) * Branch({read}, given)
    }}
    return readout @ {end}
}}
optimizer adam {{ lr = lr, eps = 0 }}
loss cross_entropy
"""
OUTSIDE = {
    "given": "tensor aside : input [width, features] { c[depth] = 0 }",
    "S": "tensor S : hidden [width, width]",
    "shift": "tensor shift : input [width] { init = normal(1) }",
}
INSIDE = {
    "A": "tensor A : hidden [width, width]",
    "B": "tensor B : hidden [width, width]",
    "packed": "tensor packed : hidden [2 * width, width]",
    "qkv": "tensor qkv : hidden [3 * width, width]",
    "own_shift": "tensor own_shift : input [width] { init = normal(1) }",
    "ones": "tensor ones : input [width] { init = ones }",
    "bias": "tensor bias : input [width]",
}


def spec(
    branch: str,
    read: str = "rmsnorm(h)",
    end: str = "h",
    power: str = "-1/2",
    rate: str = "1/2",
    lines: str = "",
    head: str = "",
    starts: str = "{ c[depth] = 0 }",
) -> str:
    """A residual stream of width and depth; only the tensors that the branch uses are declared."""
    used = set(re.findall(r"\w+", f"{lines} {branch}"))
    outside, inside = (
        "\n    ".join(line for name, line in tensors.items() if name in used)
        for tensors in (OUTSIDE, INSIDE)
    )
    given = "aside @ x" if "given" in used else "x"
    return SPEC.format(**locals())


def judged(branch: str, **settings: str) -> Judgement:
    return judgement_of(load(Source(spec(branch, **settings))))


def stream(branch: str, lines: str = "") -> str:
    return str(judged(branch, lines=lines).laws.graph.activations["h"].s0)


def rms(x: Tensor) -> Tensor:
    return x / x.square().mean(-1, keepdim=True).sqrt()


def centre(x: Tensor) -> Tensor:
    return layer_norm(x, x.shape[-1:])


Copy = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]  # of x, given, S and two own maps

ZERO_MEAN: dict[str, Copy] = {
    "A @ relu(x)": lambda x, g, s, a, b: relu(x) @ a,
    "B @ relu(A @ x)": lambda x, g, s, a, b: relu(x @ a) @ b,
    "A @ relu(S @ x)": lambda x, g, s, a, b: relu(x @ s) @ a,
    "S @ tanh(A @ x)": lambda x, g, s, a, b: torch.tanh(x @ a) @ s,
    "tanh(A @ x)": lambda x, g, s, a, b: torch.tanh(x @ a),
    "silu(A @ x) * (B @ x)": lambda x, g, s, a, b: silu(x @ a) * (x @ b),
    "(A @ x) * (B @ x)": lambda x, g, s, a, b: (x @ a) * (x @ b),
    "layernorm(relu(A @ x))": lambda x, g, s, a, b: centre(relu(x @ a)),
    "A @ given": lambda x, g, s, a, b: g @ a,
    "given * (A @ x)": lambda x, g, s, a, b: g * (x @ a),
    "A @ x + own_shift": lambda x, g, s, a, b: x @ a + torch.randn_like(g[:1]),
}
MEANS: dict[str, Copy] = {
    "relu(A @ x)": lambda x, g, s, a, b: relu(x @ a),
    "gelu(A @ x)": lambda x, g, s, a, b: gelu(x @ a),
    "sigmoid(A @ x) * (A @ x)": lambda x, g, s, a, b: silu(x @ a),
    "square(A @ x)": lambda x, g, s, a, b: (x @ a).square(),
    "rmsnorm(relu(A @ x))": lambda x, g, s, a, b: rms(relu(x @ a)),
    "relu(A @ given)": lambda x, g, s, a, b: relu(g @ a),
    "A @ x + given": lambda x, g, s, a, b: x @ a + g,
    "given * relu(A @ x)": lambda x, g, s, a, b: g * relu(x @ a),
    "A.T @ relu(A @ x)": lambda x, g, s, a, b: relu(x @ a) @ a.T,
    "S @ x": lambda x, g, s, a, b: x @ s,
    "relu(S @ x)": lambda x, g, s, a, b: relu(x @ s),
    "S @ relu(A @ x)": lambda x, g, s, a, b: relu(x @ a) @ s,
    "tanh(x)": lambda x, g, s, a, b: torch.tanh(x),
    "A @ x + shift": lambda x, g, s, a, b: x @ a + s[0] * len(s) ** 0.5,
    "A @ x + ones": lambda x, g, s, a, b: x @ a + 1,
}


def measured(copy: Copy, width: int = 96, depths: tuple[int, int] = (16, 128)) -> float:
    """The slope of the stream's size at initialization with depth."""
    sizes = []
    for depth in depths:
        total = 0.0
        for seed in range(4):
            torch.manual_seed(seed)
            draw = lambda: torch.randn(width, width) / width**0.5  # noqa: E731
            given, h, shared = torch.randn(4, width), torch.randn(4, width), draw()
            for _ in range(depth):
                h = h + depth**-0.5 * copy(rms(h), given, shared, draw(), draw())
            total += h.square().mean().item()
        sizes.append(math.sqrt(total))
    return math.log(sizes[1] / sizes[0]) / math.log(depths[1] / depths[0])


@pytest.mark.parametrize("branch", ZERO_MEAN)
def test_what_has_mean_zero_adds_up_at_random(branch: str):
    assert stream(branch) == "1"
    assert abs(measured(ZERO_MEAN[branch])) < 0.06


@pytest.mark.parametrize("branch", MEANS)
def test_a_mean_adds_up_coherently(branch: str):
    assert stream(branch) == "depth^(1/2)"
    assert 0.25 < measured(MEANS[branch]) < 0.55


@pytest.mark.parametrize(
    ("branch", "lines", "size"),
    [
        ("silu(gate) * up", "gate, up = split(packed @ x, 2)", "1"),
        ("relu(gate) * relu(up)", "gate, up = split(packed @ x, 2)", "depth^(1/2)"),
        (
            "attention(q, k, v, heads = heads, scale = (width / heads)^-1)",
            "q, k, v = split(qkv @ x, 3)",
            "1",
        ),
        ("tanh(A @ x + bias)", "", "1"),
        ("relu(A @ x + bias)", "", "depth^(1/2)"),
        ("tanh(A @ x + ones)", "", "depth^(1/2)"),
        ("tanh(A @ x + own_shift)", "", "1"),
        ("tanh(layernorm(relu(A @ x)))", "", "depth^(1/2)"),
        ("relu(A @ x) * (B @ x) + A @ x", "", "1"),
        ("tanh(relu(A @ x) * (B @ x) + A @ x)", "", "depth^(1/2)"),
        ("tanh((A @ x) * (B @ x))", "", "1"),
        ("depth^(-1/2) * relu(A @ x)", "", "1"),
        ("A @ x + depth^(-1/4) * relu(B @ x)", "", "depth^(1/4)"),
    ],
)
def test_functions_of_what_is_drawn(branch: str, lines: str, size: str):
    assert stream(branch, lines) == size


# Verdicts


def verdict(branch: str, **settings: str) -> str:
    return judged(branch, **settings).verdict


def test_a_stream_that_each_copy_multiplies_has_no_power():
    """`0.9 * h` at each copy is 0.9^depth, written as a branch or not; a norm does not help."""
    faded = spec("A @ x").replace(
        "h + (depth / base(depth))^(-1/2) * Branch(rmsnorm(h), given)", "{}"
    )
    as_branch = faded.replace("{}", "h + 0.1 * (Branch(rmsnorm(h), given) - h)")
    for text in (as_branch, as_branch.replace("@ h\n", "@ rmsnorm(h)\n")):
        report = abcparam.check(text)
        assert report.verdict == "unstable-at-init"
        assert "exp(depth)" in report.diagnostics[0].message
    vanishing = as_branch.replace("0.1 * (", "depth^-1 * (").replace(
        "c[depth] = 1/2", "c[depth] = 0"
    )
    assert abcparam.check(vanishing).verdict == "maximal-update"
    for written in ("rmsnorm(h + Branch(h, given))", "0.9 * h + Branch(rmsnorm(h), given)"):
        with pytest.raises(abcparam.SpecError, match="grows or fades exponentially"):
            abcparam.check(faded.replace("{}", written))


def test_what_is_made_of_a_stream_without_a_power_has_none_either():
    """Of `h + gelu(h + …)` measured 13, 2e2, 9e4, 2e10 over depth 4 to 32: no power is named."""
    text = spec("gelu(x + A @ x)", read="h", power="0", rate="0")
    first, *others = abcparam.check(text).diagnostics
    assert first.code == "P0501" and "`layers.h` is of size exp(depth)" in first.message
    assert not [d for d in others if d.code in ("P0501", "P0512")]
    assert set(sizes_told(text).values()) == {("no power", "no power")}
    bounded = abcparam.check(text.replace("gelu", "tanh"))  # 3.8, 6.9, 13, 26
    assert str(bounded.graph.activations["h"].s0) == "depth"


def sizes_told(text: str) -> dict[str, tuple[str, str]]:
    """At init and of the change, of the stream and the output; null in JSON is no power."""
    report = abcparam.check(text)
    rows = {name: (at_init, change) for name, at_init, change in activation_rows(report.judgement)}
    for row in report.to_dict()["activations"]:
        nulls = tuple(None in row[key].values() for key in ("at_init", "change"))
        assert nulls == tuple(told == "no power" for told in rows[row["name"]])
    return {name: rows[name] for name in ("layers.h", "output")}


def test_a_change_that_each_copy_multiplies_has_no_power():
    """Rates that do not fall, no norm: each copy makes the width, at least, of what comes in."""
    text = spec("A @ relu(x)", read="h", power="-1", rate="0")
    assert sizes_told(text)["layers.h"] == ("1", "1")
    assert sizes_told(text.replace("c = 1", "c = 0"))["layers.h"] == ("1", "no power")


def shared(branch: str, power: str, rate: str, width: int = 64) -> str:
    """A spec with S at its own rate in depth, the others at 1/2."""
    text = spec(branch, power=power, rate="1/2").replace("base = 64", f"base = {width}")
    declared = OUTSIDE["S"]
    return text.replace(declared, f"{declared} {{ c[depth] = {rate} }}")


@pytest.mark.parametrize("branch", ["S @ tanh(A @ x)", "A @ tanh(S @ x)"])
def test_gradients_of_copies_that_share_a_map_add_up_at_random(branch: str):
    """At L^(-1/2) S wants no factor in depth beside a map of the copy's own: 1/2 was maximal."""
    found = {rate: abcparam.check(shared(branch, "-1/2", rate)) for rate in ("-1/2", "0", "1/2")}
    words = [report.verdict for report in found.values()]
    assert words == ["unstable", "maximal-update", "feature-learning"]
    (law,) = (law for law in found["1/2"].judgement.tensors if law.path == "S")
    assert str(law.slack) == "depth^(1/2)"


@pytest.mark.parametrize(("behind", "slope"), [(True, -0.5), (False, 0.0)])
def test_slopes_of_a_map_that_copies_share(behind: bool, slope: float):
    """Plain PyTorch, one token, width 512: a first step of signs, times what the copies read."""
    draw = torch.Generator().manual_seed(0)
    found = []
    for depth in (8, 64):
        total = 0.0
        for _ in range(4):
            own = torch.randn(depth, 512, 512, generator=draw) / 512**0.5
            enter = torch.randn(512, generator=draw)
            share = (torch.randn(512, 512, generator=draw) / 512**0.5).requires_grad_()
            h, read = enter, []
            for a in own:
                read.append(torch.tanh(a @ rms(h)) if behind else rms(h))
                last = share if behind else a
                first = read[-1] if behind else torch.tanh(share @ read[-1])
                h = h + depth**-0.5 * last @ first
            (rms(h) @ torch.randn(512, generator=draw)).backward()
            assert share.grad is not None
            total += sum(float((share.grad.sign() @ x.detach()).square().mean()) for x in read)
        found.append((total / depth) ** 0.5)
    assert math.log(found[1] / found[0], 8) == pytest.approx(slope, abs=0.1)


VECTORS: dict[str, tuple[str, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    "A @ (v * x)": ("0", lambda x, a, v: (v * x) @ a),
    "A @ (x + v)": ("0", lambda x, a, v: (x + v) @ a),
    "v * (A @ x)": ("0", lambda x, a, v: v * (x @ a)),
    "tanh(A @ x + v)": ("1/2", lambda x, a, v: torch.tanh(x @ a + v)),
    "A @ x + v": ("1/2", lambda x, a, v: x @ a + v),
}


@pytest.mark.parametrize("branch", VECTORS)
def test_a_vector_that_copies_share_is_a_value_from_outside_to_each(branch: str):
    """At L^(-1/2): what it adds has a mean unless a map of the copy's own lies behind it.

    In plain PyTorch, width 64, the first step of signs; and `derive` says what `check` does.
    """
    rate, copy = VECTORS[branch]
    start = "ones" if "v *" in branch else "zeros"
    line = f"tensor v : input [width] {{ init = {start}, c[depth] = theta }}"
    text = spec(branch, rate="1/2", head=f"exponent theta\n{line}")
    program = load(Source(text))
    found = judge_symbolic(program)
    right = Fraction(rate)
    for theta in (right - Fraction(1, 4), right, Fraction(1)):
        values = {"theta": theta}
        (verdict,) = (v for v in VERDICTS if holds(found.condition(v), values, program.symbols))
        assert verdict == judgement_of(bind(program, values)).verdict
        assert (verdict == "unstable") == (theta < right)
        assert (verdict == "maximal-update") == (theta == right)
    changes = [_moved_by_a_vector(copy, depth, start) for depth in (8, 128)]
    assert math.log(changes[1] / changes[0], 16) == pytest.approx(float(Fraction(rate)), abs=0.1)


def _moved_by_a_vector(
    copy: Callable[[Tensor, Tensor, Tensor], Tensor], depth: int, start: str
) -> float:
    """By how much a stream moves in a first step of signs of the vector alone."""
    total = 0.0
    for seed in range(4):
        draw = torch.Generator().manual_seed(seed)
        own = torch.randn(depth, 64, 64, generator=draw) / 8
        x, read = torch.randn(16, 64, generator=draw), torch.randn(16, 64, generator=draw)
        v = (torch.ones(64) if start == "ones" else torch.zeros(64)).requires_grad_()
        ends = []
        for _ in range(2):
            h = x
            for a in own:
                h = h + depth**-0.5 * copy(rms(h), a, v)
            ends.append(h.detach())
            if len(ends) == 1:
                (rms(h) * read).sum().backward()
                assert v.grad is not None
                v = (v - 0.01 * v.grad.sign()).detach()
        total += float((ends[1] - ends[0]).square().mean())
    return total**0.5


def test_a_stream_whose_sign_alternates_is_refused():
    """`B(h) - h` adds what is of one kind in all copies with both signs: at L^(-1/2), of
    relu(A @ x), 1.15 at all of the depths 4 to 128, where `h + B(h)` has 1.4 to 4.7.
    """
    text = spec("relu(A @ x)")
    added = "h + (depth / base(depth))^(-1/2) * Branch(rmsnorm(h), given)"
    with pytest.raises(abcparam.SpecError, match="subtracted in each copy"):
        abcparam.check(text.replace(added, f"{added[4:]} - h"))
    twice = f"{added[4:]} as other - ({added[4:]} - h)"
    for read in (added, twice, added.replace("h +", "h -")):
        report = abcparam.check(text.replace(added, read))
        assert str(report.graph.activations["h"].s0) == "depth^(1/2)"


@pytest.mark.parametrize(
    ("start", "power", "rate", "expected"),
    [
        ("ones", "-1/2", "1/2", "maximal-update"),
        ("ones", "-1", "0", "maximal-update"),
        ("zeros", "-1", "0", "maximal-update"),  # after a step it is Θ(1)
        ("zeros", "0", "1", "feature-learning"),  # what it multiplies cannot catch up
        ("zeros", "0", "0", "unstable"),
    ],
)
def test_a_scalar_of_a_branch_moves_it_by_as_much_as_it_changes(
    start: str, power: str, rate: str, expected: str
):
    """ReZero and layer scale want the factor of a branch and its rates."""
    text = spec("alpha * (B @ relu(A @ x))", power=power, rate=rate)
    law = f"{{ a = 0, b = 0, c = 0, c[depth] = {rate}, init = {start} }}"
    text = text.replace("tensor A :", f"tensor alpha : scalar [] {law}\n    tensor A :")
    assert abcparam.check(text).verdict == expected


def test_a_function_that_is_not_odd_comes_last():
    assert verdict("relu(A @ x)", read="h") == "unstable-at-init"
    assert verdict("relu(A @ x)") == "unstable"
    assert verdict("A @ relu(x)", read="h") == "maximal-update"
    assert verdict("relu(A @ x)", read="h", power="-1", rate="0") == "maximal-update"


def test_what_all_copies_share():
    assert verdict("A @ tanh(x) + given", read="h") == "unstable-at-init"
    assert verdict("S @ tanh(x)", read="h") == "unstable-at-init"
    assert verdict("A @ tanh(x) + given", read="h", power="-1", rate="0") == "maximal-update"
    assert verdict("A @ tanh(x) + B @ given", read="h") == "maximal-update"


@pytest.mark.parametrize(
    ("branch", "expected"),
    [
        ("S @ tanh(x)", "unstable"),
        ("relu(A @ x)", "unstable"),
        ("tanh(A @ x)", "maximal-update"),
        ("A @ tanh(x)", "maximal-update"),
    ],
)
def test_changes_of_a_stream_that_starts_at_zero(branch: str, expected: str):
    """At the start all is zero: what is of one kind in all copies shows in the change alone."""
    starts = "{ c[depth] = 0, init = zeros }"
    assert verdict(branch, read="h", starts=starts) == expected


def test_layer_norm_subtracts_a_mean_that_is_the_same_at_all_coordinates():
    """Where only layer norms read the stream, it does no harm; a given value does."""
    readers = {"read": "layernorm(h)", "end": "layernorm(h)"}
    assert verdict("relu(A @ x)", **readers) == "maximal-update"
    assert verdict("relu(A @ x)", read="rmsnorm(h)", end="rmsnorm(h)") == "kernel"
    assert verdict("A @ x + given", **readers) == "feature-learning"


@pytest.mark.parametrize(
    ("branch", "settings", "expected"),
    [
        ("relu(A @ x)", {"read": "layernorm(h)", "end": "layernorm(h)"}, "maximal-update"),
        ("A @ tanh(x) + B @ given", {"read": "h"}, "maximal-update"),
        ("A @ tanh(x) + given", {"read": "h", "power": "-1", "rate": "0"}, "maximal-update"),
        ("A @ tanh(x) + given", {"read": "h"}, "unstable-at-init"),
    ],
)
def test_emitted_models_agree(branch: str, settings: dict[str, str], expected: str):
    """Sizes, changes and gradients over depth, those of a given value included."""
    program = load(Source(spec(branch, **settings)))
    options = CheckOptions(widths=(4, 16, 64), seeds=3, steps=2, vary="depth")
    found = coordinate_check(program, options)
    assert found.report.verdict == expected
    assert found.agree, found.verdict.of(DISAGREES)


@pytest.mark.parametrize(
    ("branch", "power", "size"),
    [
        ("given + A @ x", "-1", "width^-1"),
        ("A @ given", "-1", "width^-1 * depth^(-1/2)"),
        ("A @ given", "-1/2", "width^-1"),
    ],
)
def test_gradients_of_a_given_value_add_up_over_the_copies(branch: str, power: str, size: str):
    found = judged(branch, read="h", power=power, rate="0")
    assert str(found.laws.graph.activations["given"].g0) == size


@pytest.mark.parametrize(
    ("branch", "power", "added"),
    [
        ("A @ tanh(x)", "-1/2", "width^-1 * depth^(-1/2)"),
        ("A @ tanh(x)", "-1", "width^-1 * depth^-1"),
        ("A @ given", "-1/2", "0"),
    ],
)
def test_what_reads_the_stream_adds_to_its_gradient(branch: str, power: str, added: str):
    """In one copy; what reads a value from outside adds to that one's alone."""
    (found,) = judged(branch, read="h", power=power, rate="0").laws.graph.streams
    assert str(found.side[0]) == added


def test_a_sum_depends_on_the_draws_of_all_its_terms():
    """`(z + A x)(A x)` has the mean of (A x)², though z depends on no draw."""
    assert stream("(given + A @ x) * (A @ x)") == "depth^(1/2)"
    assert stream("(given + A @ x) * (B @ x)") == "1"


# With symbols


@pytest.mark.parametrize("branch", ["relu(A @ x)", "A @ x + given", "S @ x", "tanh(A @ x)"])
@pytest.mark.parametrize("end", ["h", "layernorm(h)"])
def test_derive_claims_what_check_finds(branch: str, end: str):
    text = spec(branch, "layernorm(h)", end, rate="theta", head="exponent theta")
    program = load(Source(text))
    found = judge_symbolic(program)
    for theta in (Fraction(-1, 2), Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(1)):
        values = {"theta": theta}
        there = [v for v in VERDICTS if holds(found.condition(v), values, program.symbols)]
        assert there == [judgement_of(bind(program, values)).verdict], theta
