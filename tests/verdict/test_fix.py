"""The way out that `check` proposes: written into the text it makes the spec maximal-update, and it
is no longer than it must be.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import combinations, product

import pytest

import abcparam
from abcparam import Report
from abcparam.analysis.judge import judgement_of
from abcparam.diagnostics.source import Source
from abcparam.optimizers import optimizers
from abcparam.verdict.changes import Change, ExponentChange
from abcparam.verdict.changes import applied as program_with
from abcparam.verdict.check import load
from abcparam.verdict.decay import moved_decay
from abcparam.verdict.laziness import lazy_tensors, mended
from benchmarks.wrong_specs import wrong_specs
from tests.analysis.test_published import MUP
from tests.analysis.test_transformers import spelled, transformer
from tests.support import theorems
from tests.support.judging import judged, mlp_of
from tests.support.paths import EXAMPLES, SPECS
from tests.support.random_mlps import GRID, regauge, spec
from tests.support.theorems import MLP

SHIFTS = [Fraction(k, 4) for k in (-4, -2, -1, 1, 2, 4)]
ROLES = ("input", "hidden", "output")
Place = tuple[int, str]  # a tensor by its index, and a letter
Move = tuple[Place, Fraction]


def applied(text: str, changes: tuple[Change, ...]) -> str:
    """The spec with the changes written into it, by role or by tensor."""
    for change in changes:
        assert isinstance(change, ExponentChange)
        name = change.owner.rpartition(".")[2]
        start = rf"^ *{name} " if name in ROLES else rf"^ *tensor {name} :.*?"
        key = f"{change.key} = {change.after}"
        line = re.compile(rf"({start}\{{.*?)\b{change.key} = [^,}}]*?( ?[,}}])", re.M)
        text, found = line.subn(rf"\g<1>{key}\g<2>", text)
        if not found:
            text, found = re.subn(rf"({start}\])( \{{ )?", rf"\1 {{ {key}, ", text, flags=re.M)
            text = text.replace(f"{key}, \n", f"{key} }}\n")
        assert found == 1, (change, text)
    return text


def assert_fixed(text: str, most: int) -> int:
    """The number of changes, at most so many; 0 where the spec is maximal-update all the same."""
    report = abcparam.check(text)
    if report.verdict == "maximal-update":
        assert not report.fix
        return 0
    assert 1 <= len(report.fix) <= most, text
    found = abcparam.check(applied(text, report.fix))
    assert found.verdict == "maximal-update", (text, report.fix)
    told = "this makes it maximal-update: " + ", ".join(map(str, report.fix))
    assert any(diagnostic.help == told for diagnostic in report.diagnostics), text
    return len(report.fix)


slow = pytest.mark.slow  # pairs take seconds each
many = pytest.mark.parametrize(
    ("perturbed", "share"), [(1, 1), (2, 5), pytest.param(2, 1, marks=slow)]
)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@many
def test_mlps(perturbed: int, share: int, optimizer: str):
    """100 MLPs in every gauge of µP, with one or two exponents moved; or a fifth of them."""
    draw, lengths = random.Random(f"{perturbed} {optimizer}"), Counter[int]()
    for _ in range(100 // share):
        roles = MUP[f"table {draw.choice([3, 8, 9])}", optimizer]
        mlp = mlp_of(optimizer, draw.randint(1, 3), *roles)  # type: ignore[arg-type]
        mlp = regauge(mlp, [draw.choice(GRID) for _ in mlp.layers])
        layers = list(mlp.layers)
        places = [(index, letter) for index in range(len(layers)) for letter in "abc"]
        for index, letter in draw.sample(places, perturbed):
            moved = getattr(layers[index], letter) + draw.choice(SHIFTS)
            layers[index] = replace(layers[index], **{letter: moved})
        broken = replace(mlp, layers=tuple(layers), zero_readout=draw.random() < 0.3)
        lengths[assert_fixed(spec(broken), perturbed)] += 1
    assert lengths[perturbed] >= 70 // share, lengths


def roles(optimizer: str) -> list[list[str]]:
    table = (
        ["0 0 0", "0 1/2 1", "1 0 0"] if optimizer == "adam" else ["0 0 -1", "0 1/2 0", "1 0 -1"]
    )
    return [exponents.split() for exponents in table]


def alone(text: str) -> str:
    """Every tensor on a line of its own, so that it can be changed alone."""
    names = ("query", "key", "value")
    lines = (f"    tensor {name} : hidden [heads * head, width]\n" for name in names)
    return text.replace(
        "    tensor query, key, value : hidden [heads * head, width]\n", "".join(lines)
    )


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_role_of_a_transformer(optimizer: str):
    """Every exponent of every role moved by every shift: one change of a role suffices.

    Norms forgive a stream that starts and moves by less.
    """
    for role in range(3):
        for letter in range(3):
            for shift in SHIFTS:
                table = roles(optimizer)
                table[role][letter] = str(Fraction(table[role][letter]) + shift)
                text = alone(transformer(spelled(*map(" ".join, table)), optimizer))
                count = assert_fixed(text, most=1)
                assert count == 1 or (role, letter) == (0, 0), (role, letter, shift)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@many
def test_tensors_of_a_transformer(perturbed: int, share: int, optimizer: str):
    """30 transformers with one or two tensors that do not take an exponent from their role; or a
    fifth of them.
    """
    draw = random.Random(f"transformer {perturbed} {optimizer}")
    names = ["query", "key", "value", "project", "up", "down"]
    a, b, c = roles(optimizer)[1]
    for _ in range(30 // share):
        text = alone(transformer(spelled(*map(" ".join, roles(optimizer))), optimizer))
        for name in draw.sample(names, perturbed):
            letter, standard = draw.choice([("a", a), ("b", b), ("c", c)])
            moved = Fraction(standard) + draw.choice(SHIFTS)
            pattern = rf"(tensor {name} : hidden \[.*\])"
            text = re.sub(pattern, rf"\1 {{ {letter} = {moved} }}", text)
        assert_fixed(text, most=perturbed)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("cases", [4, pytest.param(15, marks=slow)])
def test_no_shorter_way_and_no_smaller_move(cases: int, optimizer: str):
    """MLPs with one or two exponents moved, against every single change on a grid of quarters:
    where two are proposed none does it, where one is none smaller does.
    """
    draw = random.Random(f"brute force {optimizer}")
    for _ in range(cases):
        mlp = mlp_of(optimizer, 2, *MUP["table 3", optimizer])  # type: ignore[arg-type]
        places = [(index, letter) for index in range(3) for letter in "abc"]
        layers = list(mlp.layers)
        for index, letter in draw.sample(places, 2):
            moved = getattr(layers[index], letter) + draw.choice(SHIFTS)
            layers[index] = replace(layers[index], **{letter: moved})
        broken = replace(mlp, layers=tuple(layers))
        found = abcparam.check(spec(broken))
        if found.verdict == "maximal-update":
            continue
        (first, *more) = found.fix
        assert isinstance(first, ExponentChange)
        least = 99 if more else abs(first.after - first.before)
        for (index, letter), quarters in product(places, range(-12, 13)):
            by = Fraction(quarters, 4)
            one = replace(layers[index], **{letter: getattr(layers[index], letter) + by})
            tried = replace(broken, layers=(*layers[:index], one, *layers[index + 1 :]))
            if abs(by) < least:
                assert judged(spec(tried))["verdict"] != "maximal-update", (index, letter, by)


@pytest.mark.parametrize("count", [150, pytest.param(2000, marks=slow)])
def test_no_fewer_changes_do_it(count: int):
    """MLPs of µP in any gauge with up to three exponents moved, against every smaller set of
    changes on a grid of quarters, judged by the published theorems: none is maximal-update and
    makes nothing lazy. Where one change is proposed, none of the same kind is smaller.
    """
    draw, lengths = random.Random("fewer changes"), Counter[int]()
    while lengths.total() < count:
        optimizer = draw.choice(["adam", "sgd"])
        table = MUP[f"table {draw.choice([3, 8, 9])}", optimizer]
        mlp = mlp_of(optimizer, draw.randint(1, 2), *table)  # type: ignore[arg-type]
        mlp = regauge(mlp, [draw.choice(GRID) for _ in mlp.layers])
        places = [(index, letter) for index in range(len(mlp.layers)) for letter in "abc"]
        some = draw.sample(places, draw.randint(1, 3))
        mlp = moved(mlp, [(place, draw.choice(SHIFTS)) for place in some])
        broken = replace(mlp, zero_readout=draw.random() < 0.3)
        found = abcparam.check(spec(broken))
        if found.verdict != "maximal-update":
            lengths[len(found.fix)] += 1
            smaller = smaller_change(broken, places, found)
            assert found.fix and smaller is None, (spec(broken), found.fix, smaller)
    assert lengths.keys() == {1, 2, 3}, lengths


def smaller_change(broken: MLP, places: list[Place], found: Report) -> list[Move] | None:
    """The first set of fewer changes on a grid of quarters that does it, or one smaller change."""
    grid = [Fraction(k, 4) for k in range(-8, 9) if k]
    tried = [
        list(zip(some, by, strict=True))
        for count in range(1, len(found.fix))
        for some in combinations(places, count)
        for by in product(grid, repeat=count)
    ]
    if len(found.fix) == 1:
        (only,) = found.fix
        assert isinstance(only, ExponentChange)
        least = abs(only.after - only.before)
        tried = [[(place, by)] for place in places for by in grid if abs(by) < least]
    lazy = lazy_tensors(found.judgement)
    for moves in tried:
        other = moved(broken, moves)
        best = theorems.verdict(other) == "maximal-update"
        if best and mended(judgement_of(load(Source(spec(other)))), lazy):
            return moves
    return None


def moved(mlp: MLP, moves: Iterable[Move]) -> MLP:
    """The MLP with exponents moved."""
    layers = list(mlp.layers)
    for (index, letter), by in moves:
        layers[index] = replace(layers[index], **{letter: getattr(layers[index], letter) + by})
    return replace(mlp, layers=tuple(layers))


DEEP = """model M
dim width -> inf, base = 64
dim depth -> inf after width, base = 4
dim features = 8
dim classes = 4
hyper lr = 1e-3
tensor U : input [width, features] { a = 0, b = 0, c = 0 }
tensor V : output [classes, width] { a = 1, b = 0, c = 0 }
block Layer(x) {
    tensor A : hidden [width, width] { a = 0, b = 1/2, c = 1 }
    return depth^(-1/2) * (A @ relu(x))
}
forward(x : [features]) {
    h = U @ x
    repeat depth as layers {
        h = h + Layer(h)
    }
    return V @ h
}
optimizer adam { lr = lr }
loss cross_entropy
"""


def test_an_exponent_that_is_not_written():
    """Residual branches of depth^-1/2 need learning rates that fall as depth^-1/2 (Tensor Programs
    VI, arXiv 2310.02244).
    """
    (change,) = abcparam.check(DEEP).fix
    assert str(change) == "`layers.layer.A` c[depth] = 0 -> 1/2"


def test_learning_rates_are_changed_before_multipliers():
    """Llama in standard parametrization: two multipliers and scales would do as well."""
    text = (EXAMPLES / "llama.param").read_text(encoding="utf-8")
    found = abcparam.check(text.replace("parametrization mup", "parametrization sp")).fix
    assert [str(change) for change in found] == ["`readout` c = 0 -> 1", "`hidden` c = 0 -> 1"]


def test_nothing_is_proposed_under_another_alignment():
    table = roles("adam")
    table[1][2] = "2"
    text = transformer(spelled(*map(" ".join, table)))
    assert not abcparam.check(f"{text}assume alignment = full\n").fix


# As an expert would


def proposed(text: str) -> list[str]:
    """What is proposed; written into the text it makes the spec maximal-update."""
    found = abcparam.fix(text)
    assert found.report.verdict == "maximal-update", found.reason
    return list(map(str, found.changes))


def wrong(name: str) -> str:
    return (EXAMPLES / "wrong" / f"{name}.param").read_text(encoding="utf-8")


def test_the_scale_of_attention():
    """1/d where heads grow (arXiv 2203.03466, Definition 4.1), and what else is in it stays."""
    text = wrong("attention_scale")
    assert proposed(text) == ["`scale = head^-1` (now `head^(-1/2)`)"]
    assert "scale = attn_mult * head^-1, causal" in abcparam.fix(text).text
    for before, after in {
        "attn_mult": "attn_mult * head^-1",
        "1": "head^-1",
        "1 / sqrt(head)": "1 / head",
        "attn_mult / head^(1/2)": "attn_mult / head",
        "(width / base(width))^(-1/2)": "(width / base(width))^-1",
    }.items():
        other = abcparam.fix(text.replace("attn_mult * head^(-1/2)", before))
        assert f"scale = {after}, causal" in other.text, other.text


def test_a_scale_of_the_width_over_heads_of_one_size():
    """1 / sqrt(d_model) in place of 1 / sqrt(head): logits of more heads fade."""
    text = (EXAMPLES / "llama.param").read_text(encoding="utf-8")
    mended = {
        "1 / sqrt(width)": "1 / base(width)^(1/2)",
        "head^(-1/2) * width": "head^(-1/2) * base(width)",
        "(width / base(width))^-1": "1",
    }
    for before, after in mended.items():
        found = abcparam.fix(text.replace("scale = head^(-1/2)", f"scale = {before}"))
        assert found.text == text.replace("scale = head^(-1/2)", f"scale = {after}")


def test_epsilon_falls_with_the_gradients():
    assert proposed(wrong("constant_epsilon")) == [
        "`input` d = 0 -> 1",
        "`readout` d = 0 -> 1",
        "`hidden` d = 0 -> 1",
    ]


def test_a_tied_readout_is_divided_by_the_width():
    text = wrong("tied_readout")
    assert proposed(text) == ["`out_mult * base(width) / width` for the factor `out_mult`"]
    plain = text.replace("out_mult * (embedding.T @ h)", "embedding.T @ h")
    assert proposed(plain) == ["`base(width) / width * (embedding.T @ h)`"]


def test_a_factor_that_grows_stays_what_it_is_at_base():
    """Of a branch, and of a router's scores, which are a softmax's but no attention's."""
    text = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    branch = text.replace("x + Attention", "x + width^(-1/2) * Attention")
    assert proposed(branch) == ["`base(width)^(-1/2)` for the factor `width^(-1/2)`"]
    over = branch.replace("width^(-1/2) *", "1 / sqrt(width) *")
    assert "x + 1 / base(width)^(1/2) * Attention" in abcparam.fix(over).text
    text = (EXAMPLES / "mixtral.param").read_text(encoding="utf-8")
    router = text.replace("mixture(router @ x", "mixture(width^(1/2) * (router @ x)")
    assert proposed(router) == ["`base(width)^(1/2)` for the factor `width^(1/2)`"]


def test_the_gauge_of_the_spec_is_kept():
    text = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    text = text.replace("b = 1/2, c = 1 }", "b = 1/3, c = 2/3 }")
    assert proposed(text) == ["`hidden` b = 1/3 -> 1/2", "`hidden` c = 2/3 -> 1"]
    assert proposed(wrong("standard_parametrization")) == [
        "`readout` b = 1/2 -> 1",
        "`readout` c = 0 -> 1",
        "`hidden` c = 0 -> 1",
    ]


def test_a_router_that_starts_as_a_hidden_map():
    text = (EXAMPLES / "mixtral.param").read_text(encoding="utf-8")
    text, count = re.subn(
        r"(tensor router : output \[.*\]).*", r"\1 { a = 0, b = 1/2, c = 1 }", text
    )
    assert count == 1
    assert proposed(text) == ["`layers.mixture.router` b = 1/2 -> 1"]


GATE = """model M
dim width -> inf, base = 64
dim few = 64
dim vocab = 100
dim context = 16
hyper lr = 1e-3
parametrization mup
tensor table : input [vocab, width]
tensor gate_down : [few, width]
tensor gate_up : [width, few]
tensor hidden_map : [width, width]
tensor readout : [vocab, width] { init = zeros }
forward(tokens : index(vocab) [context]) {
    n = rmsnorm(embed(table, tokens))
    g = sigmoid(gate_up @ silu(gate_down @ n) / sqrt(width))
    return readout @ rmsnorm(hidden_map @ n * g)
}
optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


BY_MEAN = GATE.replace(
    "gate_up @ silu(gate_down @ n) / sqrt(width)",
    "unsqueeze(mean(hidden_map @ n, axis = -1), axis = -1)",
).replace("tensor gate_down : [few, width]\ntensor gate_up : [width, few]\n", "")


def test_a_gate_is_not_divided_by_too_much():
    """It starts as small as few numbers are, and opens as these learn; a factor keeps it shut."""
    assert proposed(GATE) == ["`base(width)^(1/2)` for the factor `sqrt(width)`"]
    assert abcparam.check(GATE.replace(" / sqrt(width)", " / 8")).verdict == "maximal-update"


def test_no_fix_makes_a_table_lazy():
    """A gate that is too small: an embedding whose update vanishes would mend it."""
    assert abcparam.check(BY_MEAN).verdict == "unstable-at-init"
    for change in abcparam.check(BY_MEAN).fix:
        assert "table" not in str(change)


MUON = """model M
dim width -> inf, base = 64
dim vocab = 100
dim context = 8
hyper lr = 0.02
parametrization {
  input { a = 0, b = 0, c = 0 }
  hidden { a = 0, b = 1/2, c = 0 }
  output { a = 0, b = 1, c = 0 }
}
tensor table : input [vocab, width]
tensor W1, W2 : hidden [width, width]
tensor readout : output [vocab, width]
forward(tokens : index(vocab) [context]) {
    x = embed(table, tokens)
    x = x + W2 @ gelu(W1 @ layernorm(x))
    return readout @ layernorm(x)
}
optimizer muon { lr = lr, weight_decay = 0, adjust = spectral }
loss cross_entropy
"""


def test_the_rate_of_a_table_rises_under_muon():
    assert proposed(MUON) == ["`table` c = 0 -> -1"]


TWO_RATES = DEEP.replace("tensor A", "tensor A, B").replace("A @ relu(x)", "B @ relu(A @ x)")


def test_one_change_of_a_role_does_for_its_tensors():
    exponents = "hidden [width, width] { a = 0, b = 1/2, c = 1 }"
    roles = ["input { a = 0, b = 0, c = 0 }", exponents.replace("[width, width] ", "")]
    text = TWO_RATES.replace(exponents, "hidden [width, width]").replace(
        "tensor U", f"parametrization {{\n    {roles[0]}\n    {roles[1]}\n}}\ntensor U"
    )
    assert proposed(text) == ["`hidden` c[depth] = 0 -> 1/2"]


def test_a_declaration_for_two_places_that_differ():
    """One gain serves the layers and the end, and only in the layers is its rate to fall."""
    text = DEEP.replace("tensor A :", "tensor A : ").replace("A @ relu(x)", "A @ relu(Norm(x))")
    text = text.replace("return V @ h", "return V @ Norm(h)")
    norm = "block Norm(x) {\n    tensor gain : input [width] { a = 0, b = 0, c = 0, init = ones }\n"
    text = text.replace("block Layer", f"{norm}    return rmsnorm(x, gain = gain)\n}}\nblock Layer")
    found = abcparam.fix(text)
    assert not found.changes and "are declared in one place" in str(found.reason)
    help = abcparam.check(text).diagnostics[0].help
    assert "`gain` is declared once" in help and "apart" in help


def test_a_proof():
    mlp = mlp_of("adam", 1, *MUP["table 3", "adam"])  # type: ignore[arg-type]
    layers = list(mlp.layers)
    layers[1] = replace(layers[1], c=layers[1].c + 1)
    text = spec(replace(mlp, layers=tuple(layers)))
    found = abcparam.prove(text)
    assert found.proof is not None and found.fix == found.proof.changes
    assert list(map(str, found.fix)) == proposed(text)
    assert "(proved smallest: " in found.diagnostics[0].help


def test_what_cannot_be_proved_is_said():
    found = abcparam.prove(BY_MEAN)
    assert found.proof is not None and not found.proof.changes
    assert found.proof.outcome.endswith("makes `hidden_map`, `table` lazy")
    assert found.proof.outcome in found.diagnostics[0].help


BIASED = """model M
dim width -> inf, base = 64
dim features = 8
dim classes = 4
parametrization mup
tensor U : input [width, features] { U }
tensor W : hidden [width, width] { W }
tensor bias : input [width] { bias }
tensor V : output [classes, width] { V }
forward(x : [features]) {
    return V @ relu(rmsnorm(W @ relu(U @ x + bias)))
}
optimizer RULE { lr = 0.1 }
loss cross_entropy
"""


FOR_ANY = sorted(n for n, rule in optimizers().items() if not (rule.axes or rule.keeps_norm))


@pytest.mark.parametrize("rule", FOR_ANY)
def test_every_optimizer(rule: str):
    """15 MLPs each, exponents written at random: steps relative to the weights among them, of which
    one from an exact zero is no gauge's, and grows where its learning rate does. (Those of matrices
    take no bias, those on spheres nothing that starts at zero.)
    """
    draw, count = random.Random(f"any {rule}"), 0
    while count < 15:
        text = BIASED.replace("RULE", rule)
        for name in ("U", "W", "bias", "V"):
            keys = {key: Fraction(draw.randint(-4, 6), 4) for key in "abc" if draw.random() < 0.3}
            settings = [f"{key} = {value}" for key, value in keys.items()]
            if name in ("bias", "V") and draw.random() < 0.4:
                settings.append("init = zeros")
            text = text.replace(f"{{ {name} }}", f"{{ {', '.join(settings) or 'mult = 1'} }}")
        if abcparam.check(text).verdict != "maximal-update":
            count += 1
            found = abcparam.fix(text)
            assert found.changes and found.report.verdict == "maximal-update", text


def test_a_relative_step_from_zero_is_mended_by_its_multiplier():
    """A learning rate that grows would let the relative steps that follow grow without end."""
    text = (EXAMPLES / "t5.param").read_text(encoding="utf-8")
    text = text.replace("parametrization mup", "parametrization mup {\n    output { a = 2 }\n}")
    assert proposed(text) == ["`readout` a = 2 -> 1"]
    assert abcparam.fix(text).report.verdict == "maximal-update"


@pytest.mark.parametrize(("seed", "count"), [(1, 12), pytest.param(2, 400, marks=pytest.mark.slow)])
def test_random_wrong_specs(seed: int, count: int):
    """Published architectures with exponents moved and usual slips: each is mended by a change that
    can be written, of which nothing can be left out, and which makes nothing lazy. What moves a
    weight decay is needed for the decay, not for the verdict.
    """
    for text in wrong_specs(count, seed):
        found = abcparam.fix(text)
        assert found.changes and found.report.verdict == "maximal-update", (found.reason, text)
        before = abcparam.check(text)
        assert lazy_tensors(found.report.judgement) <= lazy_tensors(before.judgement)
        for left_out in found.changes if len(found.changes) > 1 else ():
            others = [change for change in found.changes if change != left_out]
            without = judgement_of(program_with(before.program, others))
            assert not mended(without, lazy_tensors(before.judgement)) or moved_decay(without), (
                left_out,
                text,
            )


@pytest.mark.parametrize(
    ("factor", "mended_as"),
    [
        ("alpha / width", "alpha / base(width)"),
        ("alpha / sqrt(width)", "alpha / base(width)^(1/2)"),
    ],
)
def test_the_factor_of_an_adapter_is_mended_and_no_rate_made_to_grow(factor: str, mended_as: str):
    """No published rate makes Adam move each entry by a power of the width."""
    text = (EXAMPLES / "lora.param").read_text(encoding="utf-8")
    found = abcparam.fix(text.replace("alpha / rank", factor))
    assert found.text == text.replace("alpha / rank", mended_as)
    assert found.report.as_expected


@pytest.mark.parametrize(
    ("name", "readout", "factor", "mended_as"),
    [
        ("gpt", "readout", "width^(-1/2)", "base(width)^(-1/2)"),  # no rate grows, under Adam
        ("mlp", "W3", "1 / width", "1 / base(width)"),  # and no multiplier
    ],
)
def test_a_factor_too_many_behind_a_readout_is_mended(
    name: str, readout: str, factor: str, mended_as: str
):
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    wrong, right = (
        text.replace(f"return {readout}", f"return {by} * {readout}") for by in (factor, mended_as)
    )
    assert abcparam.fix(wrong).text == right


@pytest.mark.parametrize(
    ("written", "mended_as"),
    [
        ("wd / width", "wd * width / base(width)^2"),
        ("wd / sqrt(width)", "wd * width / base(width)^(3/2)"),
        ("wd * width^2 / base(width)", "wd * width"),
        ("0.1 * base(width) / width", "0.1 * width / base(width)"),
        ("wd * (width / base(width))^2", "wd * (width / base(width))"),
    ],
)
def test_weight_decay_keeps_its_value_at_base(written: str, mended_as: str):
    text = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    hidden = "hidden { a = 0, b = 1/2, c = 1 }"
    assert hidden in text
    text = text.replace("hyper lr", "hyper wd = 0.1\nhyper lr")
    wrong = hidden.replace("1 }", f"0, weight_decay = {written} }}")
    right = hidden.replace("1 }", f"1, weight_decay = {mended_as} }}")
    assert abcparam.fix(text.replace(hidden, wrong)).text == text.replace(hidden, right)


@pytest.mark.parametrize(
    ("name", "written", "mended_as"),
    [
        ("gpt", "lr / width", "lr / base(width)"),
        ("gpt", "lr * width / base(width)", "lr"),
        ("gpt", "lr / sqrt(width / base(width))", "lr"),
        ("mlp", "lr * base(width) / width", "lr"),  # SGD
    ],
)
def test_a_power_of_the_width_in_a_rate_beside_exponents_goes(
    name: str, written: str, mended_as: str
):
    """Exponents scale rates already: three roles' `c` are no mend that anybody would make."""
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    assert text.count("lr = lr") == 1
    found = abcparam.fix(text.replace("lr = lr", f"lr = {written}"))
    assert found.text == text.replace("lr = lr", f"lr = {mended_as}")
    assert str(found.changes[0]).startswith("`optimizer ")


def test_no_power_goes_from_a_rate_where_more_would_have_to_change():
    """A rate over the width is right for the hidden maps of a spec without exponents of its own."""
    text = (EXAMPLES / "mlp.param").read_text(encoding="utf-8")
    text = re.sub(
        r"parametrization .*?\n}|parametrization \w+", "parametrization sp", text, flags=re.S
    )
    text = re.sub(r"optimizer .*", "optimizer adam { lr = lr / width }", text)
    assert all(isinstance(c, ExponentChange) for c in abcparam.fix(text).changes)


def test_what_muon_is_not_made_for_is_said():
    [slack] = [d for d in abcparam.check(MUON).diagnostics if d.code == "P0506"]
    assert any("`optimizer adamw for table { … }`" in note for note in slack.notes)


def test_the_default_of_weight_decay_is_named_where_it_does_something():
    text = (EXAMPLES / "gpt.param").read_text(encoding="utf-8")
    report = abcparam.check(re.sub(r"optimizer .*", "optimizer muon { lr = lr }", text))
    [decay] = [d for d in report.diagnostics if d.code == "P0603"]
    assert decay.notes == ("weight_decay is the default of muon, 0.1",)


@pytest.mark.parametrize(("query", "logits"), [("q = q + q", ""), ("", "z = z + tanh(z)")])
def test_ways_through_many_sums_are_not_taken_one_by_one(query: str, logits: str):
    """There are 2^60 of them: `check` ran for ever where it looked for factors of attention."""
    lines = ["q = query @ x", *[query] * 60, "z = width^(-1/2) * similarity(q, key @ x)"]
    body = "\n    ".join(line for line in (*lines, *[logits] * 60) if line)
    text = f"""model M
dim width -> inf, base = 64
dim vocab = 100
dim context = 16
hyper lr = 1e-3
parametrization mup
tensor table : input [vocab, width]
tensor query, key : hidden [width, width]
tensor readout : output [vocab, width] {{ init = zeros }}
forward(tokens : index(vocab) [context]) {{
    x = layernorm(embed(table, tokens))
    {body}
    return readout @ layernorm(x * mean(softmax(z), axis = 0)[0])
}}
optimizer adam {{ lr = lr, eps = 1e-12 }}
loss cross_entropy
"""
    report = abcparam.check(text)
    assert report.verdict == "unstable"
    assert all(report.diagnostics)


def test_a_factor_beside_a_mixture_is_made_a_constant():
    """No exponent of an expert makes up for it alone: the router's weights are behind it too."""
    text = (EXAMPLES / "mixtral.param").read_text(encoding="utf-8")
    wrong, right = (
        text.replace("x + Mixture", f"x + {factor} * Mixture")
        for factor in ("1 / sqrt(width)", "1 / base(width)^(1/2)")
    )
    assert abcparam.fix(wrong).text == right


def test_a_tensor_that_nothing_uses_is_said_beside_all_else():
    """A readout that is left behind when the table is tied: no fix does as long as it is there."""
    text = (EXAMPLES / "llama.param").read_text(encoding="utf-8")
    text = text.replace("return readout @ Norm(x)", "return embedding.T @ Norm(x)")
    report = abcparam.check(text)
    assert not report.fix
    assert [d.message for d in report.diagnostics if d.code == "P0507"] == [
        "`readout` is never updated: nothing uses it"
    ]
    assert proposed(re.sub(r"tensor readout .*\n", "", text)) == [
        "`base(width) / width * (embedding.T @ Norm(x))`"
    ]


GPT_DEPTH = (SPECS / "gpt_depth.param").read_text(encoding="utf-8")


@pytest.mark.parametrize("written", ["", "(depth / base(depth))^(-1/4) * "])
def test_branches_of_an_infinite_stream(written: str):
    """1/L where the spec is to be complete (arXiv 2505.01618), 1/sqrt(L) where it is not, with
    learning rates that fall as that (arXiv 2310.02244).
    """
    text = GPT_DEPTH.replace("(depth / base(depth))^-1 * ", written)
    ratio = "(depth / base(depth))"
    found = abcparam.fix(text)
    assert found.report.as_expected, found.changes
    assert not any(isinstance(change, ExponentChange) for change in found.changes)
    assert found.text.count(f"{ratio}^-1 * " if written else "base(depth) / depth * ") == 2
    found = abcparam.fix(text.replace(", complete", ""))
    assert "`hidden` c[depth] = 0 -> 1/2" in map(str, found.changes)
    assert found.text.count(f"{ratio}^(-1/2) * ") == 2


def test_many_changes_alike_are_one_of_them_and_a_number():
    layers = range(12)
    text = "\n".join(
        [
            "model Deep\ndim width -> inf, base = 64\ndim pixels = 784\ndim classes = 10",
            "hyper lr = 0.1",
            "tensor first : input [width, pixels] { a = 0, b = 0, c = 0 }",
            *(f"tensor W{k} : hidden [width, width] {{ a = 0, b = 1/3, c = 1 }}" for k in layers),
            "tensor last : output [classes, width] { a = 1, b = 0, c = 0 }",
            "forward(x : [pixels]) {\n    h = first @ x",
            *(f"    h = W{k} @ relu(h)" for k in layers),
            "    return last @ relu(h)\n}\noptimizer adam { lr = lr }\nloss cross_entropy",
        ]
    )
    help = abcparam.check(text).diagnostics[0].help
    assert help == "this makes it maximal-update: `W0` and 11 more b = 1/3 -> 1/2"
    assert [change.owner for change in abcparam.fix(text).changes] == [f"W{k}" for k in layers]
