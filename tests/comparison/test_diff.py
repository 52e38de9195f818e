"""`abcparam diff`: are two parametrizations the same, at every width, in the limit, or not."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam import SpecError
from abcparam.comparison.difference import Differences
from tests.analysis.test_published import MUP, standard
from tests.support import random_graphs
from tests.support.emitted import load, named_by_tensor, program_of
from tests.support.judging import mlp_of, swapped
from tests.support.paths import SPECS
from tests.support.random_mlps import GRID, random_mlps, regauge, spec
from tests.support.running import INVALID, MLP, Run
from tests.support.theorems import MLP as Perceptron
from tests.support.theorems import Layer

FAMILY = (SPECS / "mlp_theta.param").read_text(encoding="utf-8")  # the gauges of µP for Adam
MUP_ADAM = """model Mup
dim width -> inf, base = 128
dim pixels = 784
dim classes = 10
hyper lr = 1e-3
parametrization mup
tensor W1 : input  [width, pixels]
tensor b1 : input  [width]
tensor W2 : hidden [width, width]
tensor W3 : output [classes, width]
forward(x : [pixels]) {
    h1 = W1 @ x + b1
    h2 = W2 @ relu(h1)
    return W3 @ relu(h2)
}
optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""
ADAM = "optimizer adam { lr = lr, eps = 0 }"


def diff(a: str, *pairs: tuple[str, str]) -> Differences:
    """A text and the same with some of it replaced."""
    b = a
    for old, new in pairs:
        b = swapped(b, old, new)
    return abcparam.diff(a, b)


def adam(*pairs: tuple[str, str]) -> Differences:
    return diff(MUP_ADAM, *pairs)


def said(found: Differences) -> set[tuple[str, str]]:
    return {(d.name, d.quantity) for d in found.differences}


def thetas(found: Differences) -> list[Fraction]:
    return [Fraction(gauge["width"]) for gauge in found.to_dict()["gauge"].values()]


# Published


@pytest.mark.parametrize("kind", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("first", "second", "shifts"),
    [
        ("table 3", "table 8", "0 0 0 1"),
        ("table 3", "table 9", "-1/2 0 0 1/2"),
        ("table 8", "table 9", "-1/2 0 0 -1/2"),
        ("table 9", "table 3", "1/2 0 0 -1/2"),
        ("table 8", "table 8", "0 0 0 0"),
    ],
)
def test_the_tables_of_mup_are_the_same_at_every_width(kind, first, second, shifts):
    """Tensor Programs V (arXiv 2203.03466), Tables 3, 8 and 9."""
    a, b = (spec(mlp_of(kind, 3, *MUP[table, kind])) for table in (first, second))
    found = abcparam.diff(a, b)
    assert (found.same, found.differences) == ("exactly", ())
    assert thetas(found) == [Fraction(x) for x in shifts.split()]
    assert found.to_dict()["verdicts"] == ["maximal-update"] * 2


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_standard_parametrization_differs_from_mup(kind):
    mup, sp = spec(mlp_of(kind, 3, *MUP["table 8", kind])), spec(standard(kind, 3, 0))
    found = abcparam.diff(mup, sp)
    assert (found.same, found.to_dict()["gauge"]) == ("no", {})
    assert found.to_dict()["verdicts"] == ["maximal-update", "unstable"]
    assert {("W4", "at_init"), ("W4", "update"), ("output", "change"), ("W4", "a + b")} <= said(
        found
    )
    update = next(d for d in found.to_dict()["differences"] if d["quantity"] == "update")
    assert update["a"] == {"width": "0"} and Fraction(update["b"]["width"]) > 0


@pytest.mark.parametrize("table", ["table 3", "table 8", "table 9"])
def test_mup_for_sgd_and_for_adam_have_the_same_limit(table):
    a, b = (spec(mlp_of(kind, 3, *MUP[table, kind])) for kind in ("sgd", "adam"))
    found = abcparam.diff(a, b)
    assert found.same == "asymptotically"
    assert said(found) == {(f"W{n}", "optimizer") for n in (1, 2, 3, 4)}
    assert found.to_dict()["differences"][0]["a"] == "sgd"


def test_a_symbolic_family_is_mup_exactly():
    found = abcparam.diff(FAMILY, MUP_ADAM)
    assert found.same == "exactly"
    gauge = found.to_dict()["gauge"]
    assert (list(gauge), list(gauge.values())) == (
        ["W1", "b1", "W2", "W3"],
        [{"width": "-theta"}] * 4,
    )
    assert found.to_dict()["verdicts"] == [None, "maximal-update"]
    assert abcparam.diff(FAMILY, FAMILY.replace("theta", "phi")).same == "exactly"
    assert abcparam.diff(FAMILY, FAMILY).to_dict()["verdicts"] == [None, None]


def test_where_only_laws_could_tell_symbols_are_an_error():
    broken = swapped(FAMILY, "c = 1 - theta", "c = 1 + theta")
    for a, b in [(broken, MUP_ADAM), (MUP_ADAM, broken)]:
        with pytest.raises(SpecError, match="P0405"):
            abcparam.diff(a, b)
    unknown = swapped(FAMILY, "c = 1 - theta", "c = ?")
    with pytest.raises(SpecError, match="P0404"):
        abcparam.diff(unknown, MUP_ADAM)
    assert abcparam.diff(unknown, unknown).same == "exactly"


# Constants, scaled settings, base


def test_another_constant_is_the_same_in_the_limit_only():
    for pair, quantity, values in [
        (("lr = 1e-3", "lr = 2e-3"), "lr", (0.001, 0.002)),
        (("[classes, width]", "[classes, width] { init = normal(1/2) }"), "init", (0.0883883, 0.5)),
        (
            ("[classes, width]", "[classes, width] { mult = 3 }"),
            "init, mult included",
            (0.0883883, 0.265165),
        ),
        (
            ("[classes, width]", "[classes, width] { init = uniform(1) }"),
            "init",
            ("normal", "uniform"),
        ),
    ]:
        found = adam(pair)
        assert found.same == "asymptotically"
        first = next(d for d in found.differences if d.quantity == quantity)
        assert (first.a, first.b) == values


def test_a_constant_multiplier_is_a_gauge_too():
    keys = "{ mult = 4, init = normal(base(width)^(-1/2) / 4), lr = lr / 4 }"
    found = adam(("[classes, width]", f"[classes, width] {keys}"))
    assert found.same == "exactly"
    assert (found.gauge["W3"].text, found.to_dict()["multipliers"]) == ("mult * 4", {"W3": 4.0})


def test_a_scaled_setting_is_an_exponent_where_it_is_the_same_function():
    plain = swapped(MUP_ADAM, "hidden [width, width]", "hidden [width, width] { c = 0 }")
    same = swapped(
        MUP_ADAM,
        ADAM,
        "optimizer adam { lr = lr, eps = 0 }\noptimizer adam for hidden "
        "{ lr = lr * (width / base(width))^-1, eps = 0 }",
    )
    scaled = swapped(same, "hidden [width, width]", "hidden [width, width] { c = 0 }")
    assert abcparam.diff(MUP_ADAM, scaled).same == "exactly"
    constant = abcparam.diff(MUP_ADAM, swapped(scaled, "(width / base(width))^-1", "width^-1"))
    assert constant.same == "asymptotically"
    assert [(d.quantity, d.a, d.b) for d in constant.differences] == [("lr", 0.001, 7.8125e-06)]
    assert abcparam.diff(MUP_ADAM, plain).same == "no"
    assert abcparam.diff(plain, same).same == "no"


def test_hypers_count_by_their_values_and_names_of_locals_do_not_count():
    renamed = MUP_ADAM.replace("hyper lr = 1e-3", "hyper eta = 2e-3").replace(
        "lr = lr", "lr = eta / 2"
    )
    assert abcparam.diff(MUP_ADAM, renamed).same == "exactly"
    body = "    h1 = W1 @ x + b1\n    h2 = W2 @ relu(h1)\n"
    assert adam((body, "    y = relu(W1 @ x + b1)\n    h2 = W2 @ y\n")).same == "exactly"
    block = "block Hidden(x, W = 2) {\n    return relu(x)\n}\nforward"
    assert (
        adam((body, body), ("forward", block), ("W2 @ relu(h1)", "W2 @ Hidden(h1)")).same
        == "exactly"
    )


def test_another_base_is_the_same_where_the_functions_of_the_width_are():
    """Default inits and `c = 0` do not depend on the base; where c = 1, the rate does."""
    sgd = swapped(MUP_ADAM, ADAM, "optimizer sgd { lr = lr }")
    sgd = sgd.replace("parametrization mup", "parametrization sp")
    assert diff(sgd, ("base = 128", "base = 200")).same == "exactly"
    found = adam(("base = 128", "base = 256"))
    assert found.same == "asymptotically"
    assert ("W2", "lr") in said(found)
    half = "hidden [width, width] { lr = lr / 2 }"
    found = adam(("base = 128", "base = 256"), ("hidden [width, width]", half))
    assert said(found) == {("W3", "init"), ("W3", "lr, mult included")}


def test_what_has_no_effect_is_not_compared():
    zero = swapped(MUP_ADAM, "[classes, width]", "[classes, width] { init = zeros }")
    assert diff(zero, ("init = zeros", "init = zeros, b = 7")).same == "exactly"
    assert diff(zero, ("init = zeros", "init = normal(0), b = 7")).same == "exactly"
    assert diff(zero, ("init = zeros", "init = zeros, d = 3")).same == "exactly"
    assert diff(zero, ("init = zeros", "init = zeros, mult = 2")).same == "asymptotically"
    frozen = swapped(MUP_ADAM, "hidden [width, width]", "hidden [width, width] { frozen }")
    assert diff(frozen, ("{ frozen }", "{ frozen, c = 5, lr = 3 }")).same == "exactly"
    found = adam(("hidden [width, width]", "hidden [width, width] { frozen }"))
    assert found.same == "no" and ("W2", "frozen") in said(found)


# Epsilon and weight decay


def test_epsilon_moves_with_the_gauge():
    text = swapped(MUP_ADAM, "eps = 0", "eps = 1e-8")
    keys = "hidden [width, width] { a = 1/2, b = 0, c = 1/2"
    moved = swapped(text, "hidden [width, width]", f"{keys}, d = 1/2 }}")
    assert abcparam.diff(text, moved).same == "exactly"
    assert abcparam.diff(text, moved).gauge["W2"].text == "a + 1/2, b - 1/2, c - 1/2, d + 1/2"
    still = swapped(text, "hidden [width, width]", f"{keys} }}")
    found = abcparam.diff(text, still)
    assert (found.same, said(found)) == ("asymptotically", {("W2", "d - a")})
    assert said(abcparam.diff(text, MUP_ADAM)) == {(n, "eps") for n in ("W1", "b1", "W2", "W3")}
    strict = "assume epsilon = strict\n"
    assert abcparam.diff(text + strict, moved + strict).same == "exactly"
    assert abcparam.diff(text + strict, text).same == "exactly"
    found = abcparam.diff(
        text, swapped(text, "eps = 1e-8", "eps = 1e-8 * (width / base(width))^-1")
    )
    assert found.same == "asymptotically"
    found = abcparam.diff(
        text + strict, swapped(text, "eps = 1e-8", "eps = 1e-8 * (width / base(width))^-1") + strict
    )
    assert found.same == "no"


DECOUPLED = swapped(MUP_ADAM, ADAM, "optimizer adamw { lr = lr, eps = 0, weight_decay = 0.1 }")
COUPLED = swapped(MUP_ADAM, ADAM, "optimizer adam { lr = lr, eps = 0, weight_decay = 0.1 }")
SGD = swapped(MUP_ADAM, ADAM, "optimizer sgd { lr = lr, momentum = 0.9, weight_decay = 0.1 }")


@pytest.mark.parametrize(
    ("text", "c", "power", "answer"),
    [
        (DECOUPLED, "1/2", "(-1/2)", "asymptotically"),
        (COUPLED, "1/2", "-1", "no"),
        (SGD, "-1", "-1", "no"),
    ],
    ids=["decoupled", "coupled", "sgd"],
)
def test_weight_decay_moves_with_the_gauge(text, c, power, answer):
    """Decoupled: `lr * weight_decay` stays. Coupled: it is multiplied by κ². A decay that vanishes
    in the limit makes no difference there.
    """
    keys = f"hidden [width, width] {{ a = 1/2, b = 0, c = {c}"
    decay = f"weight_decay = 0.1 * (width / base(width))^{power}"
    moved = swapped(text, "hidden [width, width]", f"{keys}, {decay} }}")
    assert abcparam.diff(text, moved).same == "exactly"
    still = abcparam.diff(text, swapped(text, "hidden [width, width]", f"{keys} }}"))
    assert still.same == answer
    assert said(still) & {("W2", "decay - c"), ("W2", "decay + 2a")}
    assert (("W2", "weight_decay") in said(still)) == (answer == "no")


def test_a_decay_that_survives_in_one_only_is_a_difference():
    hidden = "hidden [width, width]"
    lasting = swapped(DECOUPLED, hidden, f"{hidden} {{ weight_decay = 0.1 * width / base(width) }}")
    found = abcparam.diff(DECOUPLED, lasting)
    assert found.same == "no"
    law = next(d for d in found.to_dict()["differences"] if d["quantity"] == "weight_decay")
    assert (law["name"], law["a"], law["b"]) == ("W2", {"width": "-1"}, {"width": "0"})
    none = swapped(DECOUPLED, hidden, f"{hidden} {{ weight_decay = 0 }}")
    assert abcparam.diff(DECOUPLED, none).same == "asymptotically"
    assert abcparam.diff(DECOUPLED, MUP_ADAM).same == "no"
    free = swapped(DECOUPLED, "weight_decay = 0.1", "weight_decay = 0")
    assert abcparam.diff(free, MUP_ADAM).same == "exactly"
    assert abcparam.diff(SGD, swapped(SGD, "weight_decay = 0.1", "weight_decay = 0")).same == "no"
    assert abcparam.diff(SGD, swapped(SGD, "weight_decay = 0.1", "weight_decay = 1")).same == (
        "asymptotically"
    )


def test_settings_of_optimizers_count():
    found = diff(SGD, ("momentum = 0.9", "momentum = 0"))
    assert found.same == "asymptotically"
    assert ("W2", "momentum") in said(found)
    betas = adam(("eps = 0", "eps = 0, betas = (0.9, 0.95)"))
    assert next(d.a for d in betas.differences) == "(9 / 10, 999 / 1000)"
    rest = "optimizer adam for W1, b1 { lr = lr, eps = 0 }\n" + ADAM
    assert adam((ADAM, rest)).same == "exactly"


# Bodies, shapes, losses

DEEP = """model Deep
dim width -> inf, base = 64
dim depth = 4
dim classes = 10
hyper lr = 0.01
parametrization mup
tensor enter : input [width, classes]
tensor leave : output [classes, width]
block Branch(x, scale) {
    tensor up : hidden [width, width]
    return scale * relu(up @ x)
}
forward(x : [classes]) {
    h = enter @ x
    repeat depth as layers {
        h = h + Branch(layernorm(h), depth^(-1/2))
    }
    return leave @ layernorm(h)
}
optimizer adam { lr = lr }
loss cross_entropy
"""


def test_constants_of_the_body_count():
    assert diff(DEEP, ("depth^(-1/2))", "1 / sqrt(depth))")).same == "exactly"
    assert diff(DEEP, ("depth^(-1/2))", "2 * 16^(-1/2) * (4 / depth))")).same == "exactly"
    assert diff(DEEP, ("dim depth = 4", "dim depth = 3"), ("depth^(-1/2)", "3^(-1/2)")).same == "no"
    found = diff(DEEP, ("depth^(-1/2))", "depth^-1)"))
    assert found.same == "asymptotically"
    (only,) = found.differences
    assert (only.name, only.quantity) == ("layers.h", "forward")
    assert only.a == "h + Branch(layernorm(h), depth^(-1/2))"
    found = diff(DEEP, ("relu(up @ x)", "tanh(up @ x)"))
    assert (found.same, said(found)) == ("asymptotically", {("layers.h", "forward")})
    found = diff(DEEP, ("leave @ layernorm(h)", "width^-1 * leave @ layernorm(h)"))
    assert found.same == "no"
    assert ("output", "forward") in said(found)


def test_other_named_values_are_a_difference_where_the_forward_pass_is_another():
    found = diff(
        DEEP, ("    return leave @ layernorm(h)", "    y = rmsnorm(h)\n    return leave @ y")
    )
    assert found.same == "no"
    assert {("y", "activation"), ("output", "forward")} <= said(found)
    named = diff(
        DEEP, ("    return leave @ layernorm(h)", "    y = layernorm(h)\n    return leave @ y")
    )
    assert named.same == "exactly"


def test_other_tensors_and_shapes():
    found = adam(("[width, pixels]", "[width, 2 * pixels]"), ("x : [pixels]", "x : [2 * pixels]"))
    assert (found.same, [(d.name, d.quantity, d.a, d.b) for d in found.differences]) == (
        "no",
        [("W1", "shape", "[width, pixels]", "[width, 2 * pixels]")],
    )
    found = adam(("tensor b1 : input  [width]\n", ""), ("+ b1", ""))
    assert [(d.name, d.quantity, d.a, d.b) for d in found.differences] == [
        ("b1", "tensor", "[width]", None)
    ]
    found = diff(DEEP, ("dim depth = 4", "dim depth = 5"))
    assert [d.name for d in found.differences] == ["layers.branch.up"]
    assert (
        adam(("[width, pixels]", "[width, 784]"), ("x : [pixels]", "x : [784]")).same == "exactly"
    )
    renamed = abcparam.diff(MUP_ADAM, MUP_ADAM.replace("width", "n"))
    assert said(renamed) == {("width", "dim"), ("n", "dim")}
    slow = ("-> inf, base", "-> inf, rate = 1/2, base")
    assert adam(slow).same == "exactly"
    assert ("width", "dim") in said(adam(slow, ("lr = 1e-3", "lr = 1e-2")))


def test_assumptions_are_named_where_laws_differ():
    sp = spec(standard("adam", 3, 0, 1, 1))
    found = abcparam.diff(sp, spec(standard("adam", 3, 0, 1, 1), assume="alignment = full"))
    assert found.same == "exactly"
    found = abcparam.diff(sp, swapped(sp, "lr = 0.1", "lr = 1") + "assume alignment = full\n")
    assert found.same == "no" and ("MLP", "alignment") in said(found)


def test_losses():
    assert ("loss", "loss") in said(adam(("loss cross_entropy", "loss mse")))
    assert said(adam(("loss cross_entropy", "loss 2 * cross_entropy"))) == {("loss", "loss")}
    weighted = swapped(MUP_ADAM, "loss cross", "hyper k = 2\nloss k * cross")
    assert said(diff(weighted, ("k = 2", "k = 3"))) == {("loss", "loss")}
    assert diff(weighted).same == "exactly"


# Random gauges

THETAS = [*GRID, Fraction(1, 3), Fraction(-2, 5)]
CASES = 150


def spoilt(mlp: Perceptron, draw: random.Random) -> Perceptron:
    """One exponent that matters, moved."""
    index, layers = draw.randrange(len(mlp.layers)), list(mlp.layers)
    dead = mlp.zero_readout and index == len(layers) - 1
    letter, by = draw.choice("ac" if dead else "abc"), draw.choice([g for g in THETAS if g])
    layer = layers[index]
    moved = {"a": layer.a, "b": layer.b, "c": layer.c}
    moved[letter] += by
    layers[index] = Layer(**moved)
    return replace(mlp, layers=tuple(layers))


def test_random_gauges_of_random_mlps():
    """150 MLPs, each in a random gauge (exactly the same, by that gauge), then with one exponent
    moved (not exactly the same): 300 cases.
    """
    draw, answers = random.Random(9), Counter[str]()
    for mlp in random_mlps(2203, CASES):
        shifts = [draw.choice(THETAS) for _ in mlp.layers]
        moved = regauge(mlp, shifts)
        found = abcparam.diff(spec(mlp), spec(moved))
        assert (found.same, thetas(found)) == ("exactly", shifts), spec(mlp)
        wrong = abcparam.diff(spec(mlp), spec(spoilt(moved, draw)))
        assert wrong.same != "exactly" and wrong.reasons, spec(mlp)
        answers[wrong.same] += 1
    assert answers["no"] > 0.9 * CASES, answers


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_random_gauges_of_random_graphs(optimizer: str):
    """60 graphs each with attention, tied and shared tensors, norms: 120 cases."""
    draw = random.Random(f"diff {optimizer}")
    for _ in range(60):
        model = random_graphs.random_model(draw, optimizer)
        moved = model.regauged(draw)
        shifts = [
            y.exponents[0] - x.exponents[0]
            for x, y in zip(model.weights, moved.weights, strict=True)
        ]
        found = abcparam.diff(model.text(), moved.text())
        assert (found.same, thetas(found)) == ("exactly", shifts), model.text()


# Emitted

TWIN = """model Twin
dim width -> inf, base = 8
dim pixels = 6
dim classes = 3
hyper lr = 0.05
tensor W1 : input  [width, pixels]  {{ {W1} }}
tensor b1 : input  [width]          {{ {b1} }}
tensor g  : input  [width]          {{ {g} }}
tensor W2 : hidden [width, width]   {{ {W2} }}
tensor W3 : output [classes, width] {{ {W3} }}
forward(x : [pixels]) {{
    h = tanh(W1 @ x + b1)
    h = h + W2 @ layernorm(h, gain = g)
    return W3 @ h
}}
optimizer {optimizer}
loss cross_entropy
"""
TWINS = {  # optimizer, its gauge, and the power of κ that multiplies weight decay
    "sgd": ("sgd { lr = lr, momentum = 0.9, weight_decay = 0.1 }", 2, 2),
    "adam": ("adam { lr = lr, eps = 1e-2, weight_decay = 0.1 }", 1, 2),
    "adamw": ("adamw { lr = lr, eps = 1e-2, weight_decay = 0.1 }", 1, 1),
    "rmsprop": ("rmsprop { lr = lr, eps = 1e-2, momentum = 0.5, weight_decay = 0.1 }", 1, 2),
    "adagrad": ("adagrad { lr = lr, eps = 1e-2, lr_decay = 0.1, weight_decay = 0.1 }", 1, 2),
    "adafactor": ("adafactor { lr = lr, weight_decay = 0.1 }", 0, 0),
}
ROLES = {"W1": (0, 0, 0), "b1": (0, 0, 0), "g": (0, 0, 0), "W2": (0, "1/2", 1), "W3": (1, 0, 0)}
SHIFTS = dict(zip(ROLES, (Fraction(x) for x in ("-1/2", "1/4", "1/3", "1/2", "-1")), strict=True))


def twin(kind: str, shifts: dict[str, Fraction], faithful: bool = True) -> str:
    """The model in a gauge; `faithful`: its epsilon and weight decay in it too."""
    optimizer, gauge, decay = TWINS[kind]
    keys = {}
    for name, theta in shifts.items():
        a, b, c = (Fraction(str(x)) for x in ROLES[name])
        keys[name] = f"a = {a + theta}, b = {b - theta}, c = {c - gauge * theta}"
        if gauge == 0 and name == "b1":  # from exact zero, a constant floor knows no gauge
            keys[name] += ", init = normal(1)"
        if faithful:
            factor = f"(width / base(width))^({-decay * theta})"
            keys[name] += f", d = {theta}, weight_decay = 0.1 * {factor}"
    return TWIN.format(optimizer=optimizer, **keys)


def train(
    text: str, folder: Path, width: int, start: dict[str, torch.Tensor], shifts: dict[str, Fraction]
) -> list[torch.Tensor]:
    """Outputs before and after three steps, from the weights `start` of the first gauge."""
    module = load(abcparam.compile(text), folder)
    model = module.Twin(module.Config(width=width)).double()
    weights = named_by_tensor(program_of(text), model.state_dict())
    for name, value in weights.items():
        theta = shifts[name]
        value.copy_(start.setdefault(name, value.clone()) * (width / 8) ** float(theta))
    optimizer = module.make_optimizer(model)
    torch.manual_seed(1)
    x, labels = torch.randn(16, 6, dtype=torch.float64), torch.randint(3, (16,))
    outputs = [model(x)]
    for _ in range(3):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
        outputs.append(model(x))
    return [output.detach() for output in outputs]


def distance(x: Sequence[torch.Tensor], y: Sequence[torch.Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("width", [16, 40])
@pytest.mark.parametrize("kind", TWINS)
def test_emitted_modules_in_two_gauges_compute_the_same(kind: str, width: int, tmp_path: Path):
    """From equal effective weights, through three steps; and what is not the same is not."""
    still = dict.fromkeys(SHIFTS, Fraction(0))
    plain, moved, wrong = twin(kind, still), twin(kind, SHIFTS), twin(kind, SHIFTS, faithful=False)
    relative = TWINS[kind][1] == 0  # its rates and weight decay are the same in all gauges
    assert (abcparam.diff(plain, wrong).same == "exactly") == relative
    found = abcparam.diff(plain, moved)
    assert found.same == "exactly"
    shifts = {path: gauge.shifts["width"].constant for path, gauge in found.gauge.items()}
    assert shifts == SHIFTS
    torch.manual_seed(0)
    start: dict[str, torch.Tensor] = {}
    first = train(plain, tmp_path, width, start, still)
    assert distance(first, train(moved, tmp_path, width, start, shifts)) < 1e-9
    assert (distance(first, train(wrong, tmp_path, width, start, shifts)) < 1e-9) == relative


# The command line


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = {
        "mup": MUP_ADAM,
        "family": FAMILY,
        "sp": MUP_ADAM.replace("parametrization mup", "parametrization sp"),
        "fast": MUP_ADAM.replace("1e-3", "1e-2"),
        "symbolic": swapped(FAMILY, "c = 1 - theta", "c = 1 + theta"),
        "invalid": INVALID,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.param").write_text(text, encoding="utf-8")
    return tmp_path


def test_exit_statuses_and_first_lines(run: Run, folder: Path):
    for a, b, status, line in [
        ("mup", "mup", 0, "the same at every width"),
        ("mup", "family", 0, "the same at every width, in another gauge"),
        ("mup", "fast", 0, "the same in the limit only"),
        ("mup", "sp", 1, "different"),
    ]:
        ran = run("diff", f"{a}.param", f"{b}.param")
        assert (ran.status, ran.err, ran.out.splitlines()[0]) == (status, "", line)
    for a, b, code, count in [
        ("mup", "invalid", "P0201", 2),
        ("invalid", "missing", "P0141", 1),
        ("symbolic", "mup", "P0405", 1),
    ]:
        ran = run("diff", f"{a}.param", f"{b}.param")
        assert (ran.status, ran.out, ran.err.count(f"error[{code}]")) == (2, "", count)
    assert run("diff", "-", "-").status == 2
    assert run("diff", "mup.param").status == 2


def test_text(run: Run, folder: Path):
    assert run("diff", "mup.param", "family.param").out == (
        "the same at every width, in another gauge\n\n"
        "tensor  mup.param to family.param\n"
        "W1      a + theta, b - theta, c - theta\n"
        "b1      a + theta, b - theta, c - theta\n"
        "W2      a + theta, b - theta, c - theta\n"
        "W3      a + theta, b - theta, c - theta\n\n"
        "verdict: mup.param: maximal-update, complete; family.param: not known\n\n"
    )
    assert run("diff", "mup.param", "fast.param").out == (
        "the same in the limit only\n\n"
        "not the same in any gauge:\n\n"
        "    mup.param  fast.param  of\n"
        "lr  0.001      0.01        W1, b1, W2, W3\n\n"
        "verdict: maximal-update, complete\n\n"
    )
    assert run("diff", "mup.param", "sp.param").out == (
        "different\n\n"
        "law      mup.param     sp.param  of\n"
        "ΔW·x     1             width     W2\n"
        "at init  width^(-1/2)  1         W3, output\n"
        "ΔW·x     1             width^2   W3\n"
        "change   1             width     h2\n"
        "change   1             width^2   output\n\n"
        "not the same in any gauge:\n\n"
        "       mup.param  sp.param  of\n"
        "c + a  1          0         W2, W3\n"
        "a + b  1          1/2       W3\n\n"
        "verdict: mup.param: maximal-update, complete; sp.param: unstable\n\n"
    )


def test_json(run: Run, folder: Path):
    keys = ["schema", "a", "b", "same", "verdicts", "gauge", "multipliers", "differences"]
    for b, same in [("family", "exactly"), ("fast", "asymptotically"), ("sp", "no")]:
        found = json.loads(run("diff", "mup.param", f"{b}.param", "--format", "json").out)
        assert list(found) == keys
        assert (found["schema"], found["same"]) == (1, same)
        assert (found["a"], found["b"]) == ("mup.param", f"{b}.param")
        assert bool(found["gauge"]) == (same == "exactly")
        for difference in found["differences"]:
            assert list(difference) == ["name", "quantity", "a", "b"]
    assert found == abcparam.diff(Path("mup.param"), Path("sp.param")).to_dict()


def test_one_of_the_two_may_be_standard_input(run: Run, folder: Path):
    ran = run("diff", "-", "mup.param", "--format", "json", stdin=MLP.read_bytes())
    assert (ran.status, json.loads(ran.out)["a"]) == (0, "-")
    assert run("diff", "mup.param", "-", stdin=MUP_ADAM).status == 0


def test_diff_imports_no_torch(folder: Path):
    import subprocess
    import sys

    code = (
        "import sys; from abcparam.commands.cli import main\n"
        "main(['diff', 'mup.param', 'sp.param'])\n"
        "assert not {'torch', 'sympy', 'lark', 'jinja2', 'dataclasses'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


# Gauges that pass through values

TIED = """model Tied
dim width -> inf, base = 8
dim vocab = 7
dim context = 5
hyper lr = 1e-2
parametrization mup
tensor table : input [vocab, width]
tensor gain  : [width] { a = 0, b = 0, c = 0, init = ones }
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    return base(width) / width * (table.T @ rmsnorm(x, gain = gain))
}
optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""
FOLDED = swapped(TIED, "base(width) / width * (", "(")
FOLDED = swapped(FOLDED, "b = 0, c = 0, init", "b = 1, c = 1, init")


def test_a_factor_that_a_gain_makes_up_for_is_the_same_at_every_width():
    found = abcparam.diff(TIED, FOLDED)
    assert (found.same, found.differences) == ("exactly", ())
    assert {path: gauge.text for path, gauge in found.gauge.items()} == {
        "table": "",
        "gain": "b + 1, c + 1",
    }
    assert found.to_dict()["folds"] == {"gain": {"width": "1"}}
    assert found.to_dict()["gauge"]["gain"] == {"width": "0"}
    assert abcparam.diff(FOLDED, TIED).gauge["gain"].text == "b - 1, c - 1"
    other = swapped(FOLDED, "a = 0, b = 1, c = 1", "a = 1, b = 0, c = 0")
    assert abcparam.diff(TIED, other).gauge["gain"].text == "a + 1"


def test_a_factor_that_makes_no_difference_but_for_a_constant():
    found = diff(FOLDED, ("lr = 1e-2", "lr = 2e-2"))
    assert found.same == "asymptotically"
    found = abcparam.diff(TIED, swapped(FOLDED, "lr = 1e-2", "lr = 2e-2"))
    assert (found.same, found.gauge) == ("asymptotically", {})
    assert said(found) == {("table", "lr"), ("gain", "lr")}


def test_a_factor_that_nothing_makes_up_for_is_a_difference():
    for pairs in (
        [("b = 1, c = 1", "b = 1, c = 0")],
        [("b = 1, c = 1", "b = 0, c = 0")],
        [("gain = gain", "gain = 1 + gain"), ("init = ones", "init = zeros")],
    ):
        changed = FOLDED
        for pair in pairs:
            changed = swapped(changed, *pair)
        assert abcparam.diff(TIED, changed).same == "no"
    clipped = [swapped(text, "eps = 0", "clip_norm = 1") for text in (TIED, FOLDED)]
    assert abcparam.diff(*clipped).same == "no"


def test_maps_make_up_for_each_other():
    """Under a nonlinearity that a factor passes, and not under another; so do queries and keys."""
    moved = [
        ("input  [width, pixels]", "input  [width, pixels] { b = -1/2, c = -1/2 }"),
        ("input  [width]", "input  [width] { b = -1/2, c = -1/2 }"),
        ("hidden [width, width]", "hidden [width, width] { b = 1, c = 3/2 }"),
    ]
    found = adam(*moved)
    assert found.same == "exactly"
    assert found.to_dict()["folds"]["W2"] == {"width": "1/2"}
    smooth = swapped(MUP_ADAM, "relu(h1)", "tanh(h1)")
    assert diff(smooth, *moved).same == "no"
    with_epsilon = swapped(MUP_ADAM, "eps = 0", "eps = 1e-6")
    assert diff(with_epsilon, *moved).same == "asymptotically"


def test_it_does_not_matter_where_a_factor_was_folded():
    """In queries, in keys, or in the scale of attention."""
    text = """model Attention
dim width -> inf, base = 16
dim head = width / 4
dim context = 6
hyper lr = 1e-2
parametrization mup
tensor query, key, value : hidden [width, width]
tensor enter : input [width, 5]
tensor leave : output [3, width]
forward(x : [context, 5]) {
    h = rmsnorm(enter @ x)
    y = attention(query @ h, key @ h, value @ h, heads = 4, scale = sqrt(base(head)) / head)
    return leave @ rmsnorm(y)
}
optimizer sgd { lr = lr }
loss mse
"""
    half = swapped(text, "sqrt(base(head)) / head", "head^(-1/2)")
    declared = "tensor query, key, value : hidden [width, width]"
    parts = (
        "tensor {} : hidden [width, width]\ntensor {} : hidden [width, width] {{ b = 1, c = 1 }}"
    )
    queries = swapped(half, declared, parts.format("key, value", "query"))
    keys = swapped(half, declared, parts.format("query, value", "key"))
    for a in (text, queries, keys):
        for b in (text, queries, keys):
            assert abcparam.diff(a, b).same == "exactly"
    assert abcparam.diff(half, queries).same == "no"


def test_what_is_folded_trains_the_same(tmp_path: Path):
    """Adam in double precision: as `diff` says."""
    logits = []
    for text in (TIED, FOLDED):
        module = load(abcparam.compile(text), tmp_path)
        model = module.Tied(module.Config(width=32)).double()
        torch.manual_seed(0)
        model.reset_parameters()
        optimizer, tokens = module.make_optimizer(model), torch.arange(20).view(4, 5) % 7
        for _ in range(10):
            y = model(tokens)
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(y.flatten(0, 1), tokens.flatten() * 3 % 7).backward()
            optimizer.step()
        logits.append(model(tokens).detach())
    torch.testing.assert_close(*logits, rtol=1e-12, atol=1e-14)
