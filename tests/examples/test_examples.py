"""The examples: what they expect holds, they train, `solve` finds their rule, `derive` states their
laws; and the wrong ones are caught with their reason.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.algebra.exponents import Affine
from abcparam.pipeline import to_source
from abcparam.symbolic.constraints import holds
from abcparam.symbolic.derive.derived import Derived
from abcparam.symbolic.solve.complete import complete
from tests.support.emitted import build, inputs_of, make, outputs_of
from tests.support.paths import EXAMPLES

NAMES = sorted(path.stem for path in EXAMPLES.glob("*.param"))
TINY = {
    "depth": 2, "vocab": 50, "context": 12, "source": 12, "target": 10, "classes": 5, "time": 4,
    "rows": 32, "columns": 32, "pixels": 20,
}  # fmt: skip


def text_of(name: str) -> str:
    return (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")


def test_there_is_one_for_every_architecture():
    wanted = "mlp gpt gpt2 gpt3 llama bert vit t5 mixtral resnet18 resnet50 wide_resnet lora rnn"
    assert {*wanted.split(), "transformer_wikitext", "qwen3"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_holds(name: str):
    text = text_of(name)
    assert text.startswith("# ")
    report = abcparam.check(text)
    assert "maximal-update" in report.graph.program.expected
    assert report.verdict == "maximal-update" and report.judgement.complete


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow if n in {"resnet18", "resnet50"} else ())
        for n in NAMES
    ],
)
def test_it_trains(name: str, tmp_path: Path):
    """Three steps, at a tenth of the rate that suits larger batches, make the loss smaller."""
    program, module = build(text_of(name), tmp_path)
    width = 256 if program.dims["width"].base in {64, 128, 256} else program.dims["width"].base
    rate = float(program.hypers["lr"].value / 10)
    model = make(program, module, {**TINY, "width": width, "lr": rate})
    torch.manual_seed(0)
    model.reset_parameters()
    optimizer = module.make_optimizer(model)
    inputs = [x if x.dtype == torch.long else x.float() for x in inputs_of(program, model.config)]
    targets = [
        torch.randint(y.shape[-1], y.shape[:-1]).flatten() for y in outputs_of(model(*inputs))
    ]
    losses = []
    for _ in range(4):
        outputs = outputs_of(model(*inputs))
        loss = sum(
            torch.nn.functional.cross_entropy(y.flatten(end_dim=-2), t)
            for y, t in zip(outputs, targets, strict=True)
        )
        losses.append(float(loss))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
    assert losses[-1] < losses[0]
    assert all(p.isfinite().all() for p in model.parameters())


WRONG = {  # the code that says why, and what it names
    "attention_scale": ("P0502", "layers.attention.query"),
    "tied_readout": ("P0501", "`out_mult * base(width) / width` for the factor `out_mult`"),
    "standard_parametrization": ("P0502", "the update of readout (1)"),
    "readout_scaled_thrice": ("P0504", "the update of readout (width^-1)"),
    "constant_epsilon": ("P0504", "the update of readout (width^-2)"),
}


def test_every_wrong_example_is_known():
    assert {path.stem for path in (EXAMPLES / "wrong").glob("*.param")} == set(WRONG)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_caught_with_its_reason(name: str):
    report = abcparam.check(EXAMPLES / "wrong" / f"{name}.param")
    code, named = WRONG[name]
    found = [d for d in report.diagnostics if d.code == code and d.severity == "error"]
    assert found and report.verdict != "maximal-update"
    assert any(named in " ".join([d.message, d.label, d.help, *map(str, d.notes)]) for d in found)


def test_a_constant_epsilon_is_named_as_the_reason():
    text = text_of("wrong/constant_epsilon")
    (found,) = (d for d in abcparam.check(text).diagnostics if d.code == "P0504")
    assert "gradient width^-1 over epsilon 1" in found.label
    lenient = abcparam.check(text.replace("assume epsilon = strict\n", ""))
    (warning,) = (d for d in lenient.diagnostics if d.code == "P0602")
    assert lenient.verdict == "maximal-update" and "layers.attention.query" in warning.message


# Solved and derived, at two layers: laws do not depend on a finite depth

ROLES = """parametrization {
    input  { a = ?, b = ?, c = ? }
    hidden { a = ?, b = ?, c = ? }
    output { a = ?, b = ?, c = ? }
}"""
RULES: dict[
    str, dict[str, tuple[str | int, str | int]]
] = {  # b and c by role; a = 0, 0, 1 (arXiv 2203.03466, Table 8)
    "adam": {"input": (0, 0), "hidden": ("1/2", 1), "output": (0, 0)},
    "adamw": {"input": (0, 0), "hidden": ("1/2", 1), "output": (0, 0)},
    "adafactor": {"input": (0, 0), "hidden": ("1/2", "1/2"), "output": (0, 0)},
    "sgd": {"input": (0, -1), "hidden": ("1/2", 0), "output": (0, -1)},
}
BY_ROLE = [name for name in NAMES if name not in {"mlp", "lora"}]


OWN = r"parametrization (mup( \{.*?\n\})?|\{.*?\n\})"  # what an example says of its exponents


def shallow(name: str) -> str:
    return re.sub(r"^(dim depth +=) \d+", r"\1 2", text_of(name), flags=re.M)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_exponent_may_be_a_symbol(name: str):
    """At its whole depth: directions are followed, or taken to be the most that there is."""
    with abcparam.budget(120):
        found = abcparam.derive(EXAMPLES / f"{name}.param", all=True)
    assert found.to_dict()["cases"]


def rule(optimizer: str, symbol: str) -> Fraction:
    """The published value of an exponent, `b_hidden`."""
    letter, _, role = symbol.partition("_")
    b, c = RULES[optimizer][role]
    return {"a": Fraction(role == "output"), "b": Fraction(b), "c": Fraction(c)}[letter]


@pytest.mark.parametrize("name", BY_ROLE)
def test_solve_finds_the_published_rule(name: str):
    text = re.sub(OWN, ROLES, shallow(name), count=1, flags=re.S)
    found = complete(to_source(text), order=()).solution
    optimizer = found.program.optimizers[0].rule.name
    wanted = {symbol: Affine(rule(optimizer, symbol)) for symbol in found.values}
    assert found.values == wanted


def test_solve_finds_the_gauge_of_one_learning_rate():
    """arXiv 2011.14522, Table 1, as the example has it; the b of a bias that is 0 means nothing."""
    text = re.sub(r"\b([abc]) = -?\d+(/\d+)?", r"\1 = ?", text_of("mlp"))
    found = complete(to_source(text), order=[("c", Fraction(0))]).solution
    assert {symbol: value.constant for symbol, value in found.values.items()} == {
        **exponents_of("mlp"),
        "b_b1": 0,
    }


def exponents_of(name: str) -> dict[str, Fraction]:
    """`a_W1` and so on: what an example gives each of the tensors that it trains."""
    tensors = abcparam.check(shallow(name)).program.tensors.values()
    return {
        f"{letter}_{tensor.path.rpartition('.')[2]}": value.constant
        for tensor in tensors
        if not tensor.frozen
        for letter, exponents in tensor.exponents.items()
        for value in exponents.values()
    }


def test_solve_finds_the_rates_of_lora_plus():
    """arXiv 2402.12354: the rates of A and B differ by a factor of the width."""
    text = shallow("lora").replace("{ a = 0, b = 1, c = 1,", "{ a = 0, b = ?, c = ?,")
    text = text.replace("c = 0, init = zeros,", "c = ?, init = zeros,")
    values = complete(to_source(text), order=()).solution.values
    wanted = {"b_down": 1, "c_down": 1, "c_up": 0}
    assert values == {symbol: Affine(Fraction(value)) for symbol, value in wanted.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_ROLE)
def test_derive_states_the_laws(name: str):
    """Every exponent a symbol: the published rule lies in the region that is maximal-update, and
    the standard parametrization does not.
    """
    text = shallow(name)
    derived = abcparam.derive(text, all=True)
    optimizer = derived.program.optimizers[0].rule.name
    published = {symbol: rule(optimizer, symbol) for symbol in derived.program.symbols}
    standard = {**published, "c_hidden": Fraction(0), "c_input": Fraction(0)}
    if optimizer == "sgd":
        standard["c_hidden"] = Fraction(-1)
    assert maximal(derived, published) and not maximal(derived, standard)
    checked = abcparam.check(text).to_dict()["tensors"]
    for case in derived.cases:
        stated = case.to_dict()["tensors"]
        assert [row["name"] for row in stated] == [row["name"] for row in checked]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "faster"), [("mlp", "c_W2"), ("lora", "c_down")])
def test_derive_states_the_laws_of_those_with_exponents_of_their_own(name: str, faster: str):
    derived = abcparam.derive(shallow(name), all=True)
    own = exponents_of(name)
    symbols = derived.program.symbols
    written = {s: own[s] if s in own else rule("adamw", s) for s in symbols}
    assert maximal(derived, written)
    assert not maximal(derived, {**written, faster: written[faster] - 1})


def maximal(derived: Derived, values: dict[str, Fraction]) -> bool:
    regions = (case.regions["maximal-update"] for case in derived.cases)
    return any(holds(region.condition, values, region.symbols) for region in regions)
