"""Published facts about MLPs: tables of exponents, edges of regimes, epsilon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import pytest

import abcparam
from tests.judging import judged, mlp_of, per_tensor, statuses, swapped
from tests.random_mlps import QUARTER, random_mlps, regauge, spec
from tests.theorems import HALF, MLP, VERDICTS, Optimizer, verdict

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
    # Adam, no alignment: the readout of the mean-field form goes down to -1/2.
    ("adam", "none", "standard"): (0, "1/2", "1/2"),
    ("adam", "none", "ntk"): (0, 0, 0),
    ("adam", "none", "mup"): ("1/2", "1/2", 0),
    ("adam", "none", "mean field"): (0, 0, "-1/2"),
}


@pytest.mark.parametrize(("kind", "alignment", "form"), RATES)
def test_largest_rates_under_other_alignments(kind, alignment, form):
    """Everett et al. 2024: stable, with no room left in any tensor."""
    rates = RATES[kind, alignment, form]
    roles = [(*ab, c) for ab, c in zip(FORMS[form], rates, strict=True)]
    report = judged(spec(mlp_of(kind, 3, *roles), assume=f"alignment = {alignment}"))
    assert not report["verdict"].startswith("unstable")
    assert set(statuses(report)) == {"maximal"}


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
    return spec(mlp, assume, settings="lr = lr, eps = 1e-8", epsilons=epsilons)


def test_faithful_epsilon_changes_no_verdict():
    """With it no gradient of a stable MLP is below epsilon, whatever else moves."""
    mlps = [mlp for mlp in random_mlps(41, 500) if mlp.optimizer == "adam"]
    for mlp in [mlp for mlp in mlps if not mlp.zero_readout and verdict(mlp) != VERDICTS[0]][:100]:
        report = judged(with_epsilon(mlp, faithful(mlp), assume="epsilon = strict"))
        assert report["verdict"] == verdict(mlp), spec(mlp)


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
