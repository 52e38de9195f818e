"""Published facts about MLPs: tables of exponents, edges of regimes, epsilon."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
import torch

import abcparam
from tests.support.emitted import load
from tests.support.judging import judged, mlp_of, per_tensor, statuses, swapped
from tests.support.paths import SPECS
from tests.support.random_mlps import QUARTER, random_mlps, regauge, spec
from tests.support.theorems import HALF, MLP, VERDICTS, Optimizer, verdict

MUP = {
    # Tensor Programs V (arXiv 2203.03466), Tables 3, 8 and 9: input, hidden, output.
    ("table 3", "sgd"): ((0, 0, -1), (0, "1/2", 0), (0, 1, 1)),
    ("table 8", "sgd"): ((0, 0, -1), (0, "1/2", 0), (1, 0, -1)),
    ("table 9", "sgd"): (("-1/2", "1/2", 0), (0, "1/2", 0), ("1/2", "1/2", 0)),
    ("table 3", "adam"): ((0, 0, 0), (0, "1/2", 1), (0, 1, 1)),
    ("table 8", "adam"): ((0, 0, 0), (0, "1/2", 1), (1, 0, 0)),
    ("table 9", "adam"): (("-1/2", "1/2", "1/2"), (0, "1/2", 1), ("1/2", "1/2", "1/2")),
}


@pytest.mark.parametrize("hidden_layers", [1, 2, 4])
@pytest.mark.parametrize("zero_readout", [False, True])
@pytest.mark.parametrize(("table", "kind"), MUP)
def test_mup(table, kind, zero_readout, hidden_layers):
    """Every update moves what it feeds by its own size; the output starts as n^-1/2 or at zero."""
    mlp = replace(mlp_of(kind, hidden_layers, *MUP[table, kind]), zero_readout=zero_readout)
    report = judged(spec(mlp))
    assert (report["verdict"], report["complete"]) == ("maximal-update", True)
    assert set(statuses(report)) == {"maximal"}
    assert set(per_tensor(report, "update")) == set(per_tensor(report, "slack")) == {"0"}
    output = {"at_init": {"width": "-inf" if zero_readout else "-1/2"}, "change": {"width": "0"}}
    assert report["output"] == output


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_the_three_tables_of_mup_are_gauges_of_one_another(kind):
    third, eighth, ninth = (mlp_of(kind, 3, *MUP[f"table {n}", kind]) for n in (3, 8, 9))
    zero, one = Fraction(0), Fraction(1)
    assert regauge(third, [zero, zero, zero, one]) == eighth
    assert regauge(third, [-HALF, zero, zero, HALF]) == ninth


def with_bias(text: str, c: Fraction) -> str:
    """A bias beside ``W1``, in the input form ``a = b = 0``."""
    bias = f"tensor b1 : input [width] {{ a = 0, b = 0, c = {c}, init = zeros }}\n"
    return swapped(
        swapped(text, "h1 = W1 @ x", "h1 = W1 @ x + b1"), "tensor W2", bias + "tensor W2"
    )


@pytest.mark.parametrize(("kind", "c"), [("sgd", Fraction(-1)), ("adam", Fraction(0))])
def test_biases_scale_like_input_tensors(kind, c):
    """Tensor Programs V, Tables 3 and 8; a bias with a smaller rate is left behind, no more."""
    text = spec(mlp_of(kind, 2, *MUP["table 3", kind]))
    assert judged(with_bias(text, c))["verdict"] == "maximal-update"
    left_behind = judged(with_bias(text, c + 1))
    assert left_behind["verdict"] == "feature-learning"
    bias = next(tensor for tensor in left_behind["tensors"] if tensor["name"] == "b1")
    assert (bias["slack"], bias["status"]) == ({"width": "1"}, "under")
    assert judged(with_bias(text, c - QUARTER))["verdict"] == "unstable"


def standard(kind: Optimizer, hidden_layers: int, *c: object) -> MLP:
    """Standard parametrization, He initialization: one ``c``, or one by role."""
    first, hidden, last = c if len(c) == 3 else c * 3
    return mlp_of(kind, hidden_layers, (0, 0, first), (0, "1/2", hidden), (0, "1/2", last))


@pytest.mark.parametrize(
    ("kind", "hidden_layers", "edge"),
    [("sgd", 1, 1), ("sgd", 3, 1), ("adam", 2, Fraction(3, 2)), ("adam", 4, Fraction(3, 2))],
)
def test_lazy_edge_of_standard_parametrization(kind, hidden_layers, edge):
    """With one ``c``, SP is unstable below the edge, a kernel at it, trivial above.

    SGD: IV, Table 1. Adam: IVb, Theorem 2.8.12, with ``a_o + b_o = 1/2`` asks ``c - 1 >= 1/2``.
    """
    below, at, above = (standard(kind, hidden_layers, edge + QUARTER * k) for k in (-1, 0, 1))
    assert judged(spec(below))["verdict"] == "unstable"
    assert judged(spec(at))["verdict"] == "kernel"
    assert judged(spec(above))["verdict"] == "trivial"


def test_sp_adam_with_rate_1_over_n_has_logits_that_grow_like_sqrt_n():
    """Two papers remark that it learns features; by IVb Theorem 2.8.12 it is not even stable."""
    report = judged(spec(standard("adam", 3, 1)))
    assert report["verdict"] == "unstable"
    assert report["output"]["change"] == {"width": "1/2"}
    hidden = {x["name"]: x["change"]["width"] for x in report["activations"]}
    assert (hidden["h1"], hidden["h2"], hidden["h3"]) == ("-1", "0", "0")


def test_readout_alignment_decides_about_sp_adam_with_rates_by_layer():
    """``c = (0, 1, 1)``: sound in Everett et al. (arXiv 2407.05872), unstable in IVb."""
    mlp = standard("adam", 3, 0, 1, 1)
    theirs = judged(spec(mlp, assume="alignment = full"))
    assert not theirs["verdict"].startswith("unstable")
    assert theirs["alignment"] == "full"
    ours = judged(spec(mlp))
    assert (ours["verdict"], ours["alignment"]) == ("unstable", "tensor-programs")
    assert ours["output"]["change"] == {"width": "1/2"}
    assert per_tensor(ours, "slack") == ["-1/2", "-1/2", "-1/2", "0"]
    assert statuses(ours) == ["over", "over", "over", "maximal"]


def test_a_readout_that_starts_at_zero_makes_those_rates_sound():
    mlp = replace(standard("adam", 3, 0, 1, 1), zero_readout=True)
    assert judged(spec(mlp))["verdict"] == "maximal-update"


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_ntk_is_a_kernel_although_no_learning_rate_has_room(kind):
    """IV, Theorem 3.3: ``a_o + b_o = 1/2`` asks ``r >= 1/2``, and the rates spend all of it."""
    c: Sequence[object] = (0, 0, 0) if kind == "sgd" else ("1/2", 1, "1/2")
    roles = ((0, 0, c[0]), ("1/2", 0, c[1]), ("1/2", 0, c[2]))
    report = judged(spec(mlp_of(kind, 3, *roles)))
    assert (report["verdict"], set(statuses(report))) == ("kernel", {"maximal"})
    assert set(per_tensor(report, "update")[:-1]) == {"-1/2"}


FORMS = {
    # The (a, b) of Everett et al. 2024 (arXiv 2407.05872): input, hidden, output.
    "standard": ((0, 0), (0, "1/2"), (0, "1/2")),
    "ntk": ((0, 0), ("1/2", 0), ("1/2", 0)),
    "mup": (("-1/2", "1/2"), (0, "1/2"), ("1/2", "1/2")),
    "mean field": ((0, 0), ("1/2", 0), (1, 0)),
}
RATES = {
    # SGD, full alignment: the largest stable c. The gradient exponent is min(a_o+b_o, 2a_o+c_o)
    # (printed with max, which gives another table).
    ("sgd", "full", "standard"): ("-1/2", "1/2", 1),
    ("sgd", "full", "ntk"): ("-1/2", "-1/2", 0),
    ("sgd", "full", "mup"): (0, 0, 0),
    ("sgd", "full", "mean field"): (-1, -1, -1),
    ("sgd", "none", "standard"): ("-1/2", 0, "1/2"),
    ("sgd", "none", "ntk"): ("-1/2", -1, "-1/2"),
    ("sgd", "none", "mup"): ("1/2", 0, "-1/2"),
    ("sgd", "none", "mean field"): ("-1/2", -1, "-3/2"),
    ("adam", "full", "standard"): (0, 1, 1),
    ("adam", "full", "ntk"): (0, "1/2", "1/2"),
    ("adam", "full", "mup"): ("1/2", 1, "1/2"),
    ("adam", "full", "mean field"): (0, "1/2", 0),
    # Adam, no alignment: the readout of the mean-field form goes down to -1/2.
    ("adam", "none", "standard"): (0, "1/2", "1/2"),
    ("adam", "none", "ntk"): (0, 0, 0),
    ("adam", "none", "mup"): ("1/2", "1/2", 0),
    ("adam", "none", "mean field"): (0, 0, "-1/2"),
    # Adafactor: relative to the weights, so that a multiplier makes no difference.
    ("adafactor", "full", "standard"): (0, "1/2", "1/2"),
    ("adafactor", "full", "ntk"): (0, "1/2", "1/2"),
    ("adafactor", "full", "mup"): (0, "1/2", 0),
    ("adafactor", "full", "mean field"): (0, "1/2", 0),
    ("adafactor", "none", "standard"): (0, 0, 0),
    ("adafactor", "none", "ntk"): (0, 0, 0),
}


def with_rates(kind: str, alignment: str, form: str, rates: Sequence[object]) -> str:
    roles = [(*ab, c) for ab, c in zip(FORMS[form], rates, strict=True)]
    text = spec(mlp_of("sgd" if kind == "sgd" else "adam", 3, *roles), f"alignment = {alignment}")
    adafactor = "optimizer adafactor { lr = lr }"
    return re.sub("optimizer adam .*", adafactor, text) if kind == "adafactor" else text


def largest(kind: str, alignment: str, form: str) -> tuple[Fraction, ...]:
    """Everett et al. 2024, section 2, in closed form: an update's sum over fan-in is n where it is
    aligned with its input, sqrt(n) where not.
    """
    (a1, b1), (a, b), (ao, bo) = (tuple(Fraction(str(x)) for x in ab) for ab in FORMS[form])
    aligned = Fraction(1) if alignment == "full" else HALF
    if kind == "adam":
        return (-a1, aligned - a, aligned - ao)
    if kind == "adafactor":
        return (-a1 - b1, aligned - a - b, aligned - ao - bo)
    last = aligned - 2 * ao
    gradient = min(ao + bo, 2 * ao + last)
    return (-2 * a1 - gradient, aligned - 2 * a - gradient, last)


@pytest.mark.parametrize(("kind", "alignment", "form"), RATES)
def test_largest_rates_under_other_alignments(kind, alignment, form):
    """Everett et al. 2024: stable, with no room left in any tensor."""
    rates = RATES[kind, alignment, form]
    assert tuple(Fraction(str(c)) for c in rates) == largest(kind, alignment, form)
    report = judged(with_rates(kind, alignment, form, rates))
    assert not report["verdict"].startswith("unstable")
    assert set(statuses(report)) == {"maximal"}


@pytest.mark.parametrize(
    ("kind", "alignment", "form"), [case for case in RATES if case[2] in {"standard", "ntk"}]
)
def test_solve_finds_the_rates_under_other_alignments(kind, alignment, form):
    """The forms in which features can move in full at a readout that is not aligned with them."""
    text = with_rates(kind, alignment, form, RATES[kind, alignment, form])
    found = abcparam.solve(re.sub(r"c = [-\d/]+", "c = ?", text))
    assert abcparam.diff(found, text).same == "exactly"


@pytest.mark.parametrize("form", ["mup", "mean field"])
def test_a_relative_rate_that_grows_with_the_width_feeds_itself(form):
    """Without alignment the readout of these forms could take c = -1/2 in Adafactor's first step;
    the next one is relative to what that step has made.
    """
    rates = largest("adafactor", "none", form)
    assert list(rates) == [0, 0, -HALF]
    report = abcparam.check(with_rates("adafactor", "none", form, rates))
    assert report.verdict == "unstable"
    assert "P0503" in {diagnostic.code for diagnostic in report.diagnostics}


def test_mean_field_readout_without_alignment_has_room_at_plus_one_half():
    """One published solver lists +1/2 for it; the constraint's best is -1/2."""
    roles = [(*ab, c) for ab, c in zip(FORMS["mean field"], (0, 0, "1/2"), strict=True)]
    report = judged(spec(mlp_of("adam", 3, *roles), assume="alignment = none"))
    assert per_tensor(report, "slack") == ["0", "0", "0", "1"]


# Epsilon


def faithful(mlp: MLP) -> list[Fraction]:
    """IVb: ``d_l = a_l + a_o + b_o`` and ``d_o = a_o`` keep epsilon at the gradient's size."""
    readout = mlp.readout.a + mlp.readout.b
    return [layer.a + readout for layer in mlp.hidden] + [mlp.readout.a]


def with_epsilon(mlp: MLP, epsilons: Sequence[Fraction], assume: str = "") -> str:
    return spec(mlp, assume, settings="lr = lr, eps = 1e-3", epsilons=epsilons)


def test_faithful_epsilon_changes_no_verdict():
    """With it no gradient of a stable MLP is below epsilon, whatever else moves."""
    mlps = [mlp for mlp in random_mlps(41, 500) if mlp.optimizer == "adam"]
    for mlp in [mlp for mlp in mlps if not mlp.zero_readout and verdict(mlp) != VERDICTS[0]][:100]:
        report = judged(with_epsilon(mlp, faithful(mlp), assume="epsilon = strict"))
        assert report["verdict"] == verdict(mlp), spec(mlp)


FAITHFUL = {"table 3": (1, 1, 0), "table 8": (1, 1, 1), "table 9": (HALF, 1, HALF)}


@pytest.mark.parametrize("table", FAITHFUL)
def test_the_faithful_epsilon_of_mup(table):
    """IVb's rule for the three tables; `check` advises it, and anything less freezes a tensor."""
    mlp = mlp_of("adam", 3, *MUP[table, "adam"])
    first, hidden, last = FAITHFUL[table]
    assert faithful(mlp) == [first, hidden, hidden, last]
    assert judged(with_epsilon(mlp, faithful(mlp), "epsilon = strict"))["verdict"] == (
        "maximal-update"
    )
    advised = abcparam.check(with_epsilon(mlp, [Fraction(0)] * 4)).diagnostics
    found = [re.findall(r"`d = (\S+)`", d.help) for d in advised if d.code == "P0602"]
    assert {Fraction(d) for (d,) in found} == {Fraction(d) for d in faithful(mlp) if d}
    for index, d in enumerate(faithful(mlp)):
        less = [e - QUARTER * (i == index) for i, e in enumerate(faithful(mlp))]
        report = judged(with_epsilon(mlp, less, "epsilon = strict"))
        assert statuses(report)[index] == "under", d


@pytest.mark.parametrize("d", [(HALF, 1, HALF), (0, 0, 0)])
def test_the_neural_tangent_parametrization_of_adam_needs_a_faithful_epsilon(d):
    """IVb, Definition 2.5.1: c = 1/2, 1, 1/2; with a constant epsilon not even the kernel moves."""
    mlp = mlp_of("adam", 3, (0, 0, "1/2"), ("1/2", 0, 1), ("1/2", 0, "1/2"))
    assert faithful(mlp) == [HALF, 1, 1, HALF]
    first, hidden, last = (Fraction(x) for x in d)
    report = judged(with_epsilon(mlp, [first, hidden, hidden, last], "epsilon = strict"))
    assert report["verdict"] == ("kernel" if d[0] else "trivial")


DEPTH = SPECS / "gpt_depth.param"


def test_epsilon_and_decay_of_complete_p():
    """arXiv 2505.01618, Table 1, residual multiplier 1/L: epsilon n^-1 L^-1 inside the blocks and
    a weight decay of n for hidden tensors, which keeps lr * weight_decay. The table leaves the
    embedding's epsilon constant, although that gradient falls as 1/n too.
    """
    text = swapped(DEPTH.read_text(encoding="utf-8"), "eps = 1e-16", "eps = 1e-7")
    table = "d = 1, d[depth] = 1, weight_decay = wd * width / base(width) }"
    published = {d.message.split("`")[3]: d for d in warned(text)}
    assert not [path for path in published if "bias" not in path and path.startswith("layers.")]
    assert advice(published["token_embedding"]) == "d = 1"
    both = [d for d in warned(swapped(text, table, "d = 0 }")) if "query" in d.message]
    assert [d.code for d in both] == ["P0602", "P0603"]
    assert advice(both[0]) == "d = 1, d[depth] = 1"
    assert "weight_decay = … * width / base(width)" in both[1].help


def warned(text: str) -> list[abcparam.Diagnostic]:
    return [d for d in abcparam.check(text).diagnostics if d.code in {"P0602", "P0603", "P0604"}]


def advice(diagnostic: abcparam.Diagnostic) -> str:
    return diagnostic.help.split("`")[1]


@pytest.mark.parametrize("table", ["table 3", "table 8", "table 9"])
def test_a_constant_epsilon_freezes_the_strict_limit_only(table):
    """By default that is a warning, since at every real width the gradient may exceed it."""
    mlp = mlp_of("adam", 3, *MUP[table, "adam"])
    constant = [Fraction(0)] * len(mlp.layers)
    lenient = abcparam.check(with_epsilon(mlp, constant)).to_dict()
    strict = judged(with_epsilon(mlp, constant, assume="epsilon = strict"))
    assert lenient["verdict"] == "maximal-update"
    assert any(diagnostic["severity"] == "warning" for diagnostic in lenient["diagnostics"])
    assert strict["verdict"] != "maximal-update"
    assert "under" in statuses(strict)


SINKING = """model Sinking
dim width -> inf, base = 64
dim depth -> inf after width, base = 2
dim features = 8
dim classes = 4
hyper lr = 1e-3
parametrization mup
tensor U : input [width, features]
tensor V : output [classes, width]
block Branch(x) {
    tensor up, down : hidden [width, width]
    return down @ tanh(up @ x)
}
forward(x : [features]) {
    h = U @ x
    repeat depth as layers {
        h = h + (depth / base(depth))^-1 * Branch(h)
    }
    return V @ h
}
optimizer adam { lr = lr, eps = EPS }
loss cross_entropy
"""


@pytest.mark.parametrize(
    ("dim", "eps", "lowest", "highest"), [("width", 3e-3, 512, 4096), ("depth", 2e-3, 32, 256)]
)
def test_the_gradient_reaches_epsilon_where_the_warning_says(dim, eps, lowest, highest, tmp_path):
    """Measured on the emitted model, the RMS over 8 seeds with one example each."""
    text = SINKING.replace("EPS", str(eps))
    (warning,) = [d for d in warned(text) if "`layers.branch.up`" in d.message]
    size = float(re.findall(rf"{dim} (\S+?e[+-]\d+)", warning.message)[0])
    assert lowest <= size <= highest, warning.message
    module = load(abcparam.compile(text), tmp_path)
    squares = []
    for seed in range(8):
        torch.manual_seed(seed)
        model = module.Sinking(module.Config(**{dim: round(size)})).double()
        logits = model(torch.randn(1, 8, dtype=torch.float64))
        torch.nn.functional.cross_entropy(logits, torch.tensor([seed % 4])).backward()
        squares.append(float(model.layers[0].branch.up.weight.grad.square().mean()))
    measured = (sum(squares) / len(squares)) ** 0.5
    assert eps / 3 < measured < 3 * eps


def test_decay_that_grows_as_a_root_of_the_width_is_told_so():
    """arXiv 2510.15262 lets decay grow as the root: the product falls, which is what it means."""
    text = DEPTH.read_text(encoding="utf-8")
    rooted = swapped(text, "wd * width / base(width)", "wd * (width / base(width))^(1/2)")
    (said,) = (d for d in warned(rooted) if d.code == "P0603" and "query" in d.message)
    assert "lr * weight_decay = width^(-1/2)" in said.message
    assert "weight_decay grows like width^(1/2)" in said.help
    assert "`(width / base(width))^(1/2)` more keeps their product" in said.help
    assert "2510.19093" in said.help and "2510.15262" in said.help


def test_independent_decay(tmp_path):
    """torch's AdamW decays by lr * weight_decay: with `wd / lr`, and the width beside it, by wd."""
    text = SINKING.replace(
        "adam { lr = lr, eps = EPS }", "adamw { lr = lr, weight_decay = wd / lr }"
    )
    text = swapped(text, "hyper lr", "hyper wd = 1e-4\nhyper lr")
    assert "P0603" in {d.code for d in warned(text)}
    decay = "hidden { weight_decay = wd / lr * width / base(width) }"
    text = swapped(text, "parametrization mup", f"parametrization mup {{ {decay} }}")
    assert not {"P0603", "P0604"} & {d.code for d in warned(text)}
    module = load(abcparam.compile(text), tmp_path)
    for width, lr in ((64, 1e-3), (256, 3e-3)):
        model = module.Sinking(module.Config(width=width, lr=lr))
        groups = module.make_optimizer(model).param_groups
        assert [g["lr"] * g["weight_decay"] for g in groups] == pytest.approx([1e-4] * len(groups))
