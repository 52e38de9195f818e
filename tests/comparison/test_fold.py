"""Factors folded into tensors: the same training by a forward that has not got them, or why not."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import z3
from torch import nn

from abcparam import SpecError
from abcparam.algebra.elimination import Elimination
from abcparam.algebra.least import SolvedRow, Unknown, least
from abcparam.comparison.degrees import TENSOR, ProgramDegrees
from abcparam.comparison.fold import beyond_usual, fold, folded, moved
from abcparam.emission.emit import emit
from abcparam.emission.views.factors import factors_of
from abcparam.program.expressions import Apply
from abcparam.program.model import Program
from abcparam.verdict.check import judged
from tests.operations.test_slopes import CASES, spec
from tests.support.emitted import (
    inputs_of,
    load,
    make,
    named_by_tensor,
    outputs_of,
    program_of,
)
from tests.support.paths import EMIT_SPECS, EXAMPLES, SPECS

Theta = dict[str, dict[str, Fraction]]


def all_of(call: Apply) -> bool:
    return True


def scales(call: Apply) -> bool:
    """Factors, but for attention's."""
    return call.operation.multiple


def theta_of(program: Program, other: Program, letter: str = "b") -> Theta:
    """By how much an exponent moved, by tensor and growing dim."""
    found: Theta = {}
    for path in program.tensors:
        before, after = (p.tensors[path].exponents.get(letter, {}) for p in (program, other))
        for dim in {**before, **after}:
            was, moved_to = (e[dim].constant if dim in e else Fraction(0) for e in (before, after))
            if moved_to != was:
                found.setdefault(path, {})[dim] = moved_to - was
    return found


def theta(text: str, dropped: Any = all_of, **options: Any) -> Mapping[str, Mapping[str, Fraction]]:
    """What is folded, and that it trains the same."""
    program = program_of(text)
    found = fold(program, dropped, **options)
    assert not found.kept
    assert folded(program, dropped, **options) == found.program
    return found.theta


def trains_the_same(
    program: Program, other: Program, folder: Path, times: int = 4, steps: int = 10
) -> None:
    """In double precision, with weights that are powers of each other's at first."""
    results = []
    for each in (program, other):
        module = load(emit(each), folder)
        sizes = {d.name: (d.base or 8) * times for d in each.growing}
        model = make(each, module, sizes).double()
        torch.manual_seed(0)
        model.reset_parameters()  # type: ignore[operator]
        made = module.make_optimizer(model)
        optimizers = made if isinstance(made, list | tuple) else [made]
        torch.manual_seed(1)
        inputs, found = inputs_of(each, model.config, (4,)), []
        for _ in range(steps):
            outputs = outputs_of(model(*inputs))
            model.zero_grad()
            sum(
                (y * (torch.arange(y.numel()).view_as(y) % 7 - 3.0)).mean() + y.square().mean()
                for y in outputs
            ).backward()  # type: ignore[union-attr]
            for optimizer in optimizers:
                optimizer.step()
            found.append(torch.cat([y.detach().flatten() for y in outputs]))
        results.append(torch.stack(found))
    one, two = results
    assert (one[0] != one[-1]).any()
    torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12 * one.abs().max().item())


# A transformer, and the rows of what folds into what


def transformer(
    readout: str = "base(width) / width * (readout @ norm)",
    norm: str = "rmsnorm(x, gain = last)",
    place: str = "place",
    attention: str = "project @ attention(query @ n, key @ n, value @ n, heads = 4, "
    "scale = head^(-1/2), causal = true)",
    table: str = "",
    optimizer: str = "adamw { lr = lr, betas = (0.9, 0.95), eps = 1e-6, weight_decay = 0.1 }",
    queries: str = "",
) -> str:
    """Four heads whatever the width, so that they grow."""
    return f"""model Tiny
dim width -> inf, base = 16
dim head = width / 4
dim vocab = 11
dim context = 6
hyper lr = 1e-2
parametrization mup
tensor table : input [vocab, width]
tensor place : input [context, width]
{table}
forward(tokens : index(vocab) [context]) {{
    tensor last, shift : input [width] {{ init = ones }}
    tensor readout : output [vocab, width] {{ a = 0 }}
    x = embed(table, tokens) + {place}
    repeat 2 as layers {{
        tensor first, second : input [width] {{ init = ones }}
        tensor query, key, value, project : hidden [width, width]
        tensor up      : hidden [2 * width, width]
        tensor down    : hidden [width, 2 * width]
        {queries}
        n = rmsnorm(x, gain = first)
        x = x + {attention}
        x = x + down @ gelu(up @ rmsnorm(x))
    }}
    norm = {norm}
    return {readout}
}}
optimizer {optimizer}
loss cross_entropy
"""


PACKED = """
    block Packed(n) {
        tensor c_attn : hidden [3 * width, width]
        tensor bias   : input [3 * width]
        tensor c_proj : hidden [width, width]
        q, k, v = split(c_attn @ n + bias, 3)
        return c_proj @ attention(q, k, v, heads = 4, scale = sqrt(base(head)) / head)
    }
"""
HEADS = (
    "project @ attention({q}, {k}, value @ n, heads = 4, scale = sqrt(base(head)) / head, "
    "causal = true)"
)
TIED = "base(width) / width * (table.T @ norm)"
QUARTER = Fraction(1, 4)
HALF = Fraction(1, 2)
ROWS: dict[str, tuple[str, Any, dict[str, Fraction]]] = {
    "readout": (transformer(), scales, {"readout": Fraction(1)}),
    "tied readout": (transformer(TIED), scales, {"last": Fraction(1)}),
    "tied readout behind a norm with a bias": (
        transformer(TIED, "layernorm(x, gain = last, bias = shift)"),
        scales,
        {"last": Fraction(1), "shift": Fraction(1)},
    ),
    "tied readout, half of the factor in the model": (
        transformer(TIED),
        lambda call: call.operation.multiple and {"width": -HALF},
        {"last": HALF},
    ),
    "scale of positions, which the model has and the spec has not": (
        transformer("readout @ norm", place="2 * place"),
        lambda call: call.operation.multiple and {"width": HALF},
        {"place": -HALF},
    ),
    "queries": (
        transformer(attention=HEADS.format(q="query @ n", k="key @ n")),
        "beyond usual",
        {"layers.query": HALF, "readout": Fraction(1)},
    ),
    "queries behind a norm": (
        transformer(
            attention=HEADS.format(
                q="rmsnorm(query @ n, gain = of_queries, heads = 4)",
                k="rmsnorm(key @ n, gain = of_keys, heads = 4)",
            ),
            queries="tensor of_queries, of_keys : input [head] { init = ones }",
        ),
        "beyond usual",
        {"layers.of_queries": HALF, "readout": Fraction(1)},
    ),
    "packed queries, keys and values": (
        transformer(attention="Packed(layernorm(x, gain = first, bias = second))").replace(
            "forward(", PACKED + "forward("
        ),
        "beyond usual",
        {
            "layers.packed.c_attn": QUARTER,
            "layers.packed.bias": QUARTER,
            "layers.packed.c_proj": -QUARTER,
            "readout": Fraction(1),
        },
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_what_folds_into_what(name: str, tmp_path: Path):
    text, dropped, wanted = ROWS[name]
    program = program_of(text)
    dropped = beyond_usual(program) if dropped == "beyond usual" else dropped
    assert theta(text, dropped) == {path: {"width": by} for path, by in wanted.items()}
    other = folded(program, dropped)
    trains_the_same(program, other, tmp_path)
    assert judged(other).verdict == judged(program).verdict


BRANCHES = """model Deep
dim width -> inf, base = 8
dim depth -> inf after width, base = 2
dim pixels = 5
hyper lr = 1e-2
parametrization mup
tensor enter : input [width, pixels]
tensor leave : output [3, width] { a = 0 }
forward(x : [pixels]) {
    h = enter @ x
    repeat depth as layers {
        tensor up, down : hidden [width, width]
        tensor bias, last : input [width]
        h = h + (depth / base(depth))^-1 * (down @ gelu(up @ rmsnorm(h) + bias) + last)
    }
    return base(width) / width * (leave @ rmsnorm(h))
}
optimizer sgd { lr = lr, momentum = 0.9, weight_decay = 0.01 }
loss mse
"""


def test_branches_and_a_readout_each_in_its_own_dim(tmp_path: Path):
    wanted = {
        "layers.down": {"depth": Fraction(1)},
        "layers.last": {"depth": Fraction(1)},
        "leave": {"width": Fraction(1)},
    }
    assert theta(BRANCHES) == wanted
    program = program_of(BRANCHES)
    other = folded(program, all_of)
    assert not factors_of(other)
    assert theta_of(program, other) == {
        "layers.down": {"depth": 1},
        "layers.last": {"depth": 1},
        "leave": {"": 1},
    }
    assert theta_of(program, other, "c")["leave"] == {"": 2}
    trains_the_same(program, other, tmp_path)


RULES = [
    "sgd { lr = lr, momentum = 0.9, weight_decay = 0.01 }",
    "adam { lr = lr, eps = 1e-3, weight_decay = 0.01 }",
    "adagrad { lr = lr, eps = 1e-3 }",
    "lion { lr = 0.1 * lr, weight_decay = 0.1 }",
]


@pytest.mark.parametrize("optimizer", RULES)
def test_by_every_kind_of_optimizer(optimizer: str, tmp_path: Path):
    program = program_of(transformer(TIED, optimizer=optimizer))
    trains_the_same(program, folded(program, scales), tmp_path)


# What cannot be folded


def refusal(text: str, dropped: Any = scales) -> str:
    with pytest.raises(SpecError) as found:
        folded(program_of(text), dropped)
    (only,) = found.value.diagnostics
    assert only.code == "P0434"
    return f"{only.message}; {only.help}".replace("without it these would not all stay: ", "")


REFUSED: dict[str, tuple[str, Any, list[str]]] = {
    "gains that are added to 1": (
        transformer(TIED, "rmsnorm(x, gain = 1 + last)"),
        scales,
        ["the output (line", "what `x + k` gives (line", "`x` of `rmsnorm` (line"],
    ),
    "a tied readout behind a norm without a gain": (
        transformer(TIED, "rmsnorm(x)"),
        scales,
        ["the output (line", "what `rmsnorm` gives (line", "`x` of `rmsnorm` (line"],
    ),
    "norms of queries and keys without gains": (
        transformer(
            "readout @ norm",
            attention=HEADS.format(q="rmsnorm(query @ n, heads = 4)", k="rmsnorm(key @ n)"),
        ),
        all_of,
        ["the logits of `attention` (line", "what `rmsnorm` gives (line"],
    ),
    "an optimizer without a gauge": (
        transformer(optimizer="lamb { lr = lr }"),
        scales,
        ["`readout`, as `lamb` has no other gauge (line", "the output"],
    ),
    "clipping": (
        transformer(optimizer="adam { lr = lr, clip_norm = 1 }"),
        scales,
        ["`readout`, whose gradients are clipped (line"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_folded_says_what_is_in_the_way(name: str):
    text, dropped, reasons = REFUSED[name]
    said = refusal(text, dropped)
    assert all(reason in said for reason in reasons), said


def test_others_are_folded_all_the_same():
    text = transformer(TIED, "rmsnorm(x)", "(width / base(width))^(-1/2) * place")
    found = fold(program_of(text), scales)
    assert found.theta == {"place": {"width": HALF}}
    (kept,) = found.kept
    assert [factor.text for factor in factors_of(found.program)] == [
        "attention, scale = head^(-1 / 2)",
        "times base(width) / width",
    ]
    assert any("`rmsnorm`" in reason for reason in kept.reasons)


def test_what_is_left_of_a_factor_is_said_as_a_person_would():
    heads = HEADS.format(q="query @ n", k="key @ n")
    for scale, wanted in {
        "sqrt(base(head)) / head": "head^(-0.5)",
        "lr / head": "lr * width^(-0.5)",
    }.items():
        text = transformer("readout @ norm", attention=heads)
        program = program_of(text.replace("sqrt(base(head)) / head", scale))
        (factor,) = factors_of(folded(program, beyond_usual(program)))
        assert factor.text == f"attention, scale = {wanted}"


def test_what_is_no_power_is_not_folded():
    text = transformer("base(width) / (width + 1) * (readout @ norm)")
    assert "no product of powers" in refusal(text)


# Choices


def test_tensors_are_kept_or_scaled_together():
    assert theta(transformer(), scales, keep=lambda path: path == "readout") == {
        "last": {"width": 1}
    }
    text = transformer(attention=HEADS.format(q="query @ n", k="key @ n"))
    program = program_of(text)

    def key(path: str) -> str:
        return path.replace("key", "query")

    found = fold(
        program, beyond_usual(program), together=key, keep=lambda path: path == "layers.first"
    )
    assert found.theta == {
        "layers.query": {"width": QUARTER},
        "layers.key": {"width": QUARTER},
        "readout": {"width": 1},
    }
    assert "`readout`, which is kept" in refusal_of(program, keep=lambda path: True)


def refusal_of(program: Program, **options: Any) -> str:
    with pytest.raises(SpecError) as found:
        folded(program, scales, **options)
    return str(found.value)


def test_without_an_epsilon_a_norm_sees_no_factor(tmp_path: Path):
    """A tied table could take the factor too; a gain is preferred, and without one it does."""
    text = transformer(TIED, "rmsnorm(x, eps = 0)", attention="project @ rmsnorm(n)")
    bare = text.replace("rmsnorm(x, gain = first)", "rmsnorm(x, gain = first, eps = 0)")
    bare = bare.replace("gelu(up @ rmsnorm(x))", "gelu(up @ rmsnorm(x, eps = 0))")
    found = theta(bare, scales)
    assert found == {
        path: {"width": 1} for path in ("table", "place", "layers.project", "layers.down")
    }
    program = program_of(bare)
    trains_the_same(program, folded(program, scales), tmp_path)
    gained = bare.replace(
        "rmsnorm(x, eps = 0)\n    return", "rmsnorm(x, gain = last, eps = 0)\n    return"
    )
    assert theta(gained, scales) == {"last": {"width": 1}}


def test_zeros_go_with_anything(tmp_path: Path):
    text = """model Zeros
dim width -> inf, base = 8
dim pixels = 5
hyper lr = 1e-2
parametrization mup
tensor enter : input [width, pixels]
tensor leave : output [3, width]
forward(x : [pixels]) {
    h = zeros(width)
    h = h + base(width) / width * (enter @ x)
    return leave @ tanh(base(width) / width * relu(h) + 0 * h)
}
optimizer adam { lr = lr }
loss mse
"""
    program = program_of(text)
    found = fold(program, all_of)
    assert found.theta == {"enter": {"width": 2}} and not found.kept
    trains_the_same(program, found.program, tmp_path)


def test_nothing_to_fold_leaves_a_program_as_it_is():
    program = program_of(transformer("readout @ norm"))
    assert folded(program, scales) is program
    assert folded(program_of(transformer()), lambda call: False).folded is False


def test_a_program_of_its_own_has_a_hash_of_its_own():
    program = program_of(transformer())
    specs = (emit(p).split('_SPEC = "')[1][:16] for p in (program, folded(program, scales)))
    assert len({*specs}) == 2


# Degrees of operations: another gauge, through values, leaves outputs as they are


FOLDERS = (SPECS, EXAMPLES, EMIT_SPECS)  # of specs of one name, the last
EVERY = {path.stem: path for folder in FOLDERS for path in sorted(folder.glob("*.param"))}
del EVERY["mlp_unknown"]  # it cannot be emitted


@pytest.mark.parametrize("name", EVERY)
def test_what_solves_the_equations_changes_no_output(name: str, tmp_path: Path):
    unchanged(program_of(EVERY[name].read_text(encoding="utf-8"), EVERY[name].name), tmp_path)


@pytest.mark.parametrize("name", CASES)
def test_degrees_of_every_operation(name: str, tmp_path: Path):
    unchanged(program_of(spec(CASES[name], "sgd", "sgd { lr = lr }")), tmp_path)


def unchanged(program: Program, folder: Path) -> None:
    """Tensors times random powers that solve the equations leave outputs as they are."""
    found = fold(program)
    degrees, chosen = found.degrees, random.Random(0)
    theta: Theta = {path: dict(by) for path, by in found.theta.items()}
    for dim in program.growing:
        for path, by in homogeneous(degrees, chosen).items():
            its = theta.setdefault(path, {})
            its[dim.name] = its.get(dim.name, Fraction(0)) + by
    assert degrees.hold(theta, found.left_out)
    other = moved(degrees, theta, found.left_out)
    models = [makes(each, folder) for each in (program, other)]
    torch.manual_seed(0)
    with torch.no_grad():
        first, second = (
            named_by_tensor(each, dict(model.named_parameters()))
            for each, model in zip((program, other), models, strict=True)
        )
        for name, parameter in first.items():
            nn.init.normal_(parameter, std=0.3)
            tensor = ".".join(part for part in name.split(".") if not part.isdigit())
            mine = theta.get(tensor, {}).items()
            factor = math.prod(ratio_of(program, dim) ** -float(power) for dim, power in mine)
            second[name].copy_(parameter * factor)
    inputs = inputs_of(program, models[0].config)
    for one, two in zip(*(outputs_of(model(*inputs)) for model in models), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-11 * one.abs().max().item())


def ratio_of(program: Program, dim: str) -> float:
    """A small size over the base."""
    return 2.0 if (program.dims[dim].base or 8) <= 32 else 0.5


def makes(program: Program, folder: Path) -> Any:
    module = load(emit(program), folder)
    sizes = {d.name: int(ratio_of(program, d.name) * (d.base or 8)) for d in program.growing}
    return make(program, module, {**sizes, "head": 8, "classes": 6}).double().eval()


def homogeneous(degrees: ProgramDegrees, chosen: random.Random) -> dict[str, Fraction]:
    """Random θ that need no factor."""
    names = {f"{TENSOR}{path}": path for path in degrees.program.tensors}
    rows = degrees.rows()
    found = {x: Fraction(chosen.choice([-2, -1, 1, 2]), 4) for x in names if x not in rows}
    for name, terms in rows.items():
        found[name] = -sum(
            (k * found.get(x, Fraction(0)) for x, k in terms.items() if x != name), Fraction(0)
        )
    return {names[x]: by for x, by in found.items() if by}


# The least solution


def test_the_least_solution_is_that_of_z3():
    chosen = random.Random(0)
    for _ in range(100):
        compared_with_z3(chosen, chosen.randint(1, 7), chosen.randint(1, 5))


def compared_with_z3(chosen: random.Random, many: int, count: int) -> None:
    names = [f"x{i}" for i in range(many)]
    inside = {x: Fraction(chosen.randint(-2, 2)) for x in chosen.sample(names, (many + 1) // 2)}
    rows = []
    for _ in range(count):
        terms = {
            x: Fraction(chosen.choice([-2, -1, 1, 1, 1])) for x in names if chosen.random() < 0.5
        }
        rows.append((terms, sum((k * inside.get(x, 0) for x, k in terms.items()), Fraction(0))))
    elimination = Elimination(lambda name: None if name == "one" else 0)
    for terms, value in rows:
        elimination.add({**terms, "one": -value} if value else terms)
    solved = [
        SolvedRow(x, {y: k for y, k in t.items() if y != "one"}, -t.get("one", Fraction(0)))
        for x, t in elimination.of_rank(0).items()
    ]
    unknowns = {x: Unknown(chosen.randint(1, 2), 0, place) for place, x in enumerate(names)}
    found = least(solved, unknowns)
    for terms, value in rows:
        assert sum((k * found.get(x, 0) for x, k in terms.items()), Fraction(0)) == value
    oracle, reals = z3.Optimize(), {x: z3.Real(x) for x in names}
    for terms, value in rows:
        total = z3.Sum([z3.RealVal(str(k)) * reals[x] for x, k in terms.items()])
        oracle.add(total == z3.RealVal(str(value)))
    sizes = [z3.If(reals[x] >= 0, reals[x], -reals[x]) * unknowns[x].weight for x in names]
    size = oracle.minimize(z3.Sum(sizes))
    many_of = oracle.minimize(z3.Sum([z3.If(reals[x] == 0, 0, unknowns[x].weight) for x in names]))
    assert oracle.check() == z3.sat
    mine = sum((abs(by) * unknowns[x].weight for x, by in found.items()), Fraction(0))
    assert Fraction(str(oracle.lower(size))) == mine
    assert int(str(oracle.lower(many_of))) == sum(unknowns[x].weight for x in found)
