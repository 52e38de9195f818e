"""Every optimizer: µP as published for it, solved for from nothing, and the emitted classes held to
their papers' formulas.
"""

from __future__ import annotations

import inspect
import math
import re
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import abcparam
from abcparam.algebra.sizes import Size, numeric
from abcparam.calculus.parameter import Parameter
from abcparam.diagnostics.source import Source
from abcparam.optimizers import optimizers
from abcparam.verdict.check import judged, load
from tests.support.emitted import load as imported
from tests.support.judging import with_words
from tests.support.paths import ROOT

MODEL = """model M
dim width -> inf, base = 64
dim features = 8
dim classes = 4
hyper lr = 0.01
{parametrization}
tensor U : input [width, features]
tensor A : hidden [width, width]
tensor V : output [classes, width]
forward(x : [features]) {{
    h = U @ x
    k = A @ tanh(h)
    return V @ tanh(k)
}}
optimizer {optimizer} {{ {settings} }}
loss cross_entropy
"""
GRADIENTS = [torch.tensor([[0.5, -2.0], [0.0, 1.0]]), torch.tensor([[-1.0, -1.0], [3.0, 0.5]])]
SPECTRAL = "lr = lr, adjust = spectral"
START = torch.tensor([[1.0, 2.0], [-3.0, 0.5]])


def model(optimizer: str, parametrization: str = "parametrization mup", settings: str = "lr = lr"):
    return MODEL.format(optimizer=optimizer, parametrization=parametrization, settings=settings)


def test_the_norm_of_lambs_update_is_divided_out_epsilon_and_all():
    """But of what starts at exact zero, which moves as under Adam."""
    zero = model("lamb").replace("[width, width]", "[width, width] { init = zeros }")
    for text, slack in ((model("lamb"), "1"), (zero, "width^(1/2)")):
        found = judged(load(Source(f"{text}assume epsilon = strict\n"))).judgement
        (law,) = (law for law in found.tensors if law.path == "A")
        assert str(law.slack) == slack


@pytest.mark.parametrize(("name", "word"), with_words())
def test_mup_suits_it(name: str, word: str):
    report = abcparam.check(model(name, settings=f"lr = lr{word}"))
    assert report.verdict == "maximal-update"
    assert {str(law.update) for law in report.judgement.tensors} == {"1"}


@pytest.mark.parametrize(("name", "word"), with_words())
def test_solve_finds_mup(name: str, word: str):
    """From no exponents: what is shipped, which the published tables say."""
    settings = f"lr = lr{word}"
    solved = abcparam.solve(model(name, "", settings))
    assert abcparam.diff(solved, model(name, settings=settings)).same == "exactly"


@pytest.mark.parametrize(("name", "word"), with_words())
def test_each_tensor_takes_the_form_for_its_own_optimizer(name: str, word: str, tmp_path: Path):
    """Hidden matrices by this one, the rest by SGD: maximal, and a step moves everything."""
    text = model(name, settings=f"lr = lr{word}")
    mixed = text.replace(f"optimizer {name}", f"optimizer {name} for hidden")
    mixed += "optimizer sgd { lr = lr }\n"
    report = abcparam.check(mixed)
    assert report.verdict == "maximal-update"
    module: Any = imported(abcparam.compile(mixed), tmp_path)
    made = module.M(module.Config())
    optimizers = module.make_optimizer(made)
    assert [len(o.param_groups) for o in optimizers] == [1, 1]
    before = {path: value.clone() for path, value in made.state_dict().items()}
    for _ in range(2):
        torch.nn.functional.cross_entropy(
            made(torch.randn(3, 8)), torch.tensor([0, 1, 2])
        ).backward()
        for optimizer in optimizers:
            optimizer.step()
    after = made.state_dict()
    assert {path for path in before if not torch.equal(before[path], after[path])} == {*before}


def test_optimizers_with_other_words_differ():
    assert abcparam.diff(model("muon"), model("muon", settings=SPECTRAL)).same == "no"


TABLE = re.compile(r"^\| (`.*?) \| (.*) \| `(.*)` \| (\d) \| (.*) \|$", re.MULTILINE)
FORMULA = str.maketrans({"γ": "gamma ", "ρ": "rho_"})


def test_the_table_of_laws():
    """Every row of docs/theory.md: kind of size, law, gauge and source are those of the code."""
    text = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    table = text.partition("### Optimizers")[2].partition("## Rounds")[0]
    rows = {title.replace("`", ""): rest for title, *rest in TABLE.findall(table)}
    assert [*rows] and {*rows} == {name + word for name, word in with_words()}
    for title, (kind, law, gauge, source) in rows.items():
        name, _, word = title.partition(", ")
        exponents = "{ input { a = 1/3, b = -1/3, c = 1/5 }, hidden { a = 1/7, b = 5/14, c = 1 }, "
        given = f"parametrization {exponents} output {{ a = 1/2, b = 1/2, c = 3/4 }} }}"
        text = model(name, given, f"lr = lr, {word}" if word else "lr = lr")
        report = judged(load(Source(text)))
        rule = report.graph.program.optimizers[0].rule
        assert (kind == "spectral norm", int(gauge), source) == (
            rule.spectral,
            rule.gauge,
            rule.source,
        )
        assert report.verdict in {"trivial", "kernel", "feature-learning"}, "settled"
        for tensor in report.judgement.tensors:
            assert formula(law, tensor.parameter) == of_width(tensor.parameter.entry), title


def of_width(size: Size) -> Fraction:
    return Fraction(numeric(size).exponents()["width"])


def formula(law: str, parameter: Parameter) -> Fraction:
    """The value of a law as documented, for the numbers of a tensor."""
    sizes = {"gamma": parameter.gamma, "c": parameter.c}
    sizes |= {"rho_i": parameter.rho_in, "rho_o": parameter.rho_out}
    sizes["w"] = (parameter.sigma + parameter.a) | parameter.entry
    values = {name: of_width(size) for name, size in sizes.items()}
    return Fraction(eval(law.translate(FORMULA), {"max": max}, values))


@pytest.mark.parametrize(("name", "word"), with_words())
def test_defaults_are_those_of_the_class(name: str, word: str, tmp_path: Path):
    """torch's or the emitted one: a setting that the spec leaves out is left to its constructor."""
    module: Any = imported(abcparam.compile(model(name, settings=f"lr = lr{word}")), tmp_path)
    made = type(module.make_optimizer(module.M(module.Config())))
    theirs = inspect.signature(made).parameters
    ours = {key: value_of(default) for key, default in optimizers()[name].settings.items()}
    assert {key: theirs[key].default for key in ours} == ours


def value_of(default: object) -> object:
    """The number that a default stands for."""
    if isinstance(default, tuple):
        return tuple(map(value_of, default))
    return float(default) if isinstance(default, str) else default


def test_the_constructor_of_an_emitted_class():
    """Its defaults are as the rule writes them, each of the type that it stands for."""
    code = abcparam.compile(model("soap"))
    inside = code.partition("class SOAP(")[2].partition("    ) -> None:")[0]
    assert re.findall(r"^        (\w+: .*),$", inside, re.MULTILINE) == [
        "params: Any",
        "lr: float = 3e-3",
        "betas: tuple[float, float] = (0.95, 0.95)",
        "eps: float = 1e-8",
        "weight_decay: float = 0.01",
        "interval: int = 10",
        "largest: int = 10000",
    ]
    code = abcparam.compile(model("muon", settings=SPECTRAL))
    assert "        nesterov: bool = True,\n        ns_steps: int = 5,\n" in code
    assert "        weight_decay: float = 0.0,\n" in abcparam.compile(model("lion"))


def stepped(name: str, settings: str, folder: Path) -> Tensor:
    """The weights after two steps of the emitted optimizer with given gradients."""
    module: Any = imported(abcparam.compile(model(name, settings=settings)), folder)
    parameter = torch.nn.Parameter(START.clone())
    made = module.make_optimizer(module.M(module.Config()))
    settings_of = {key: made.param_groups[0][key] for key in made.defaults}
    optimizer = type(made)([parameter], **{**settings_of, "lr": 0.1})
    for gradient in GRADIENTS:
        parameter.grad = gradient.clone()
        optimizer.step()
    return parameter.detach()


def test_lion(tmp_path: Path):
    """Algorithm 2 of arXiv 2302.06675."""
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        w = w - 0.1 * ((0.9 * m + 0.1 * g).sign() + 0.5 * w)
        m = 0.99 * m + 0.01 * g
    assert torch.allclose(stepped("lion", "lr = lr, weight_decay = 0.5", tmp_path), w)


def test_sign_descent(tmp_path: Path):
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        m = 0.5 * m + 0.5 * g
        w = w - 0.1 * m.sign()
    assert torch.allclose(stepped("signsgd", "lr = lr, momentum = 0.5", tmp_path), w)


def test_lamb(tmp_path: Path):
    """Algorithm 2 of arXiv 1904.00962, with the identity for its scaling function."""
    w, m, v = START.clone(), torch.zeros(2, 2), torch.zeros(2, 2)
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        r = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-6) + 0.5 * w
        w = w - 0.1 * w.norm() / r.norm() * r
    assert torch.allclose(stepped("lamb", "lr = lr, weight_decay = 0.5", tmp_path), w)


def test_lars(tmp_path: Path):
    """Section 4 of arXiv 1708.03888, the rate of each layer times its norm over its gradient's."""
    w, m = START.clone(), torch.zeros(2, 2)
    for g in GRADIENTS:
        m = 0.9 * m + w.norm() / g.norm() * g
        w = w - 0.1 * m
    assert torch.allclose(stepped("lars", "lr = lr, momentum = 0.9", tmp_path), w)


def test_radam(tmp_path: Path):
    """torch's, under the language's settings."""
    module: Any = imported(abcparam.compile(model("radam")), tmp_path)
    optimizer = module.make_optimizer(module.M(module.Config()))
    assert type(optimizer) is torch.optim.RAdam


def test_adan(tmp_path: Path):
    """Algorithm 1 of arXiv 2208.06677, its moments unbiased and the first difference zero as in its
    authors' code, its decay before the step.
    """
    w, m, v, n = START.clone(), *(torch.zeros(2, 2) for _ in range(3))
    last = GRADIENTS[0]
    for t, g in enumerate(GRADIENTS, 1):
        m, v = 0.98 * m + 0.02 * g, 0.92 * v + 0.08 * (g - last)
        n = 0.99 * n + 0.01 * (g + 0.92 * (g - last)) ** 2
        size = (n / (1 - 0.99**t)).sqrt() + 1e-3
        step = (m / (1 - 0.98**t) + 0.92 * v / (1 - 0.92**t)) / size
        w, last = (1 - 0.1 * 0.5) * w - 0.1 * step, g
    found = stepped("adan", "lr = lr, eps = 1e-3, weight_decay = 0.5", tmp_path)
    assert torch.allclose(found, w)


@pytest.mark.parametrize("warmup", [0, 4])
def test_ademamix(warmup: int, tmp_path: Path):
    """Algorithm 1 of arXiv 2409.03137; the slow mean warms up by its equation for beta3(t)."""
    w, fast, slow, n = START.clone(), *(torch.zeros(2, 2) for _ in range(3))
    for t, g in enumerate(GRADIENTS, 1):
        part = min(1.0, t / warmup) if warmup else 1.0
        log1, log3 = math.log(0.9), math.log(0.9999)
        beta = math.exp(log1 * log3 / ((1 - part) * log3 + part * log1))
        fast, slow = 0.9 * fast + 0.1 * g, beta * slow + (1 - beta) * g
        n = 0.999 * n + 0.001 * g**2
        size = (n / (1 - 0.999**t)).sqrt() + 1e-3
        w = w - 0.1 * ((fast / (1 - 0.9**t) + part * 5 * slow) / size + 0.5 * w)
    given = f"lr = lr, eps = 1e-3, weight_decay = 0.5, warmup = {warmup}"
    assert torch.allclose(stepped("ademamix", given, tmp_path), w)


def test_schedule_free_adamw(tmp_path: Path):
    """Algorithm 1 of arXiv 2405.15682 with Adam's root: z steps, x averages, y is between them."""
    z, v = START.clone(), torch.zeros(2, 2)
    x = y = z
    for t, g in enumerate(GRADIENTS, 1):
        v = 0.999 * v + 0.001 * g**2
        z = z - 0.1 * (g / ((v / (1 - 0.999**t)).sqrt() + 1e-3) + 0.5 * y)
        x = (1 - 1 / t) * x + 1 / t * z
        y = 0.1 * z + 0.9 * x
    given = "lr = lr, eps = 1e-3, weight_decay = 0.5"
    assert torch.allclose(stepped("schedule_free_adamw", given, tmp_path), y)


def test_schedule_free_weights_are_averages_where_they_are_evaluated(tmp_path: Path):
    module: Any = imported(abcparam.compile(model("schedule_free_adamw")), tmp_path)
    parameter = torch.nn.Parameter(START.clone())
    optimizer = module.AdamWScheduleFree([parameter], lr=0.1)
    seen = []
    for gradient in GRADIENTS:
        parameter.grad = gradient.clone()
        optimizer.step()
        seen.append(optimizer.state[parameter]["weights"].clone())
    y = parameter.detach().clone()
    for _ in range(2):
        optimizer.eval()
    assert torch.allclose(parameter, sum(seen) / 2)
    with pytest.raises(RuntimeError, match="call `train\\(\\)` before a step"):
        optimizer.step()
    for _ in range(2):
        optimizer.train()
    assert torch.allclose(parameter, y)
    optimizer.step()


@pytest.mark.parametrize("name", ["adamh", "muonh"])
def test_hyperball(name: str, tmp_path: Path):
    """W' = R Norm(W - lr R Norm(u)) (Wen et al. 2025), u the update of Adam or Muon."""
    w = START.double()
    m, v = torch.zeros(2, 2).double(), torch.zeros(2, 2).double()
    radius = w.norm()
    for t, gradient in enumerate(GRADIENTS, 1):
        g = gradient.double()
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        update = m / (1 - 0.9**t) / ((v / (1 - 0.999**t)).sqrt() + 1e-3)
        if name == "muonh":
            nesterov = g + 0.9 * (m - g)
            left, _, right = torch.linalg.svd(nesterov)
            update = left @ right
        w = w - 0.1 * radius * update / update.norm()
        w = w * radius / w.norm()
    given = "eps = 1e-3" if name == "adamh" else "momentum = 0.9, ns_steps = 20"
    found = stepped(name, f"lr = lr, {given}", tmp_path)
    assert torch.allclose(found.norm().double(), radius)
    # Newton-Schulz's singular values are within 0.7 and 1.2, not at 1
    assert torch.allclose(found.double(), w, atol=1e-6 if name == "adamh" else 0.05)


@pytest.mark.parametrize("name", ["adamh", "muonh"])
def test_what_starts_at_zero_would_stay_there_on_a_sphere(name: str, tmp_path: Path):
    zero = model(name).replace("[width, width]", "[width, width] { init = zeros }")
    with pytest.raises(abcparam.SpecError, match=r"P0426.*keeps the norm of `A`"):
        abcparam.check(zero)
    module: Any = imported(abcparam.compile(model(name)), tmp_path)
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer = getattr(module, {"adamh": "AdamH", "muonh": "MuonH"}[name])([parameter])
    parameter.grad = GRADIENTS[0].clone()
    optimizer.step()
    assert torch.equal(parameter, torch.zeros(2, 2))


def test_normuon(tmp_path: Path):
    """Its authors' code: rows over their running root mean squares, then the norm of before."""
    module: Any = imported(abcparam.compile(model("normuon")), tmp_path)
    draw = torch.Generator().manual_seed(0)
    for rows, columns in ((12, 3), (3, 12)):
        start = torch.randn(rows, columns, generator=draw).double()
        parameter = torch.nn.Parameter(start.clone())
        optimizer = module.NorMuon([parameter], lr=0.1)
        w, m, squares = start, torch.zeros_like(start), torch.zeros(rows, 1).double()
        for _ in range(3):
            g = torch.randn(rows, columns, generator=draw).double()
            parameter.grad = g.clone()
            optimizer.step()
            m = 0.95 * m + 0.05 * g
            update = module._orthogonal(0.05 * g + 0.95 * m, 5)
            squares = 0.95 * squares + 0.05 * (update**2).mean(1, keepdim=True)
            even = update / squares.sqrt()
            w = w - 0.1 * max(1, rows / columns) ** 0.5 * even * update.norm() / even.norm()
        assert torch.allclose(parameter.detach(), w)


def test_normuon_like_adamw_has_updates_of_one_size(tmp_path: Path):
    """arXiv 2510.05491, Algorithm 1: the root mean square is 0.2 of the learning rate."""
    text = model("normuon", settings="lr = lr, adjust = match_rms_adamw")
    module: Any = imported(abcparam.compile(text), tmp_path)
    for shape in ((12, 3), (3, 12)):
        parameter = torch.nn.Parameter(torch.zeros(shape))
        parameter.grad = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        module.MatchingNorMuon([parameter], lr=0.1).step()
        assert float(parameter.detach().square().mean().sqrt()) == pytest.approx(0.02, rel=1e-4)


def test_radam_is_adam_but_where_gradients_grow():
    """Its first steps are as large as their gradients, which fall in a usual network."""
    assert abcparam.diff(model("radam"), model("adam")).same == "asymptotically"
    grown = "parametrization { input { a = -2, b = 2, c = 2 }, hidden { a = 0, b = 1/2, c = 1 }, "
    grown += "output { a = 1, b = 0, c = 0 } }"
    updates = [
        {law.path: str(law.update) for law in abcparam.check(model(name, grown)).judgement.tensors}
        for name in ("radam", "adam")
    ]
    assert updates[0] != updates[1]


@pytest.mark.parametrize("beta", [0.999, 0.9, 0.8, 0.7])
def test_radam_divides_late(beta: float):
    """The first step of torch's RAdam that does not follow the size of its gradient."""
    settings = f"lr = lr, betas = (0.9, {beta})"
    (optimizer,) = load(Source(model("radam", settings=settings))).optimizers
    steps = []
    for scale in (1.0, 10.0):
        parameter = torch.nn.Parameter(torch.zeros(1))
        made = torch.optim.RAdam([parameter], lr=1.0, betas=(0.9, beta), eps=0)
        seen = [0.0]
        for _ in range(12):
            parameter.grad = torch.tensor([scale])
            made.step()
            seen.append(float(parameter.detach()))
        steps.append([y - x for x, y in pairwise(seen)])
    same = [math.isclose(x, y, rel_tol=1e-3) for x, y in zip(*steps, strict=True)]
    assert same.index(True) == optimizers()["radam"].late(optimizer.settings)


def test_radam_that_never_divides_has_no_law():
    with pytest.raises(abcparam.SpecError, match="all its steps are SGD's"):
        abcparam.check(model("radam", settings="lr = lr, betas = (0.9, 0.6)"))


def test_radam_has_no_gauge():
    """With `a` in `b` and `c`, Adam takes the same steps; RAdam's first ones are others."""
    given = "parametrization {{ input {{ a = 0, b = 0, c = 0 }}, "
    given += "hidden {{ a = 0, b = 1/2, c = 1 }}, output {{ {} }} }}"
    outputs = ("a = 1, b = 0, c = 0", "a = 1/2, b = 1/2, c = 1/2")
    a, b = (given.format(output) for output in outputs)
    for name, same in (("adam", "exactly"), ("radam", "asymptotically")):
        assert abcparam.diff(*(model(name, x, "lr = lr, eps = 0") for x in (a, b))).same == same
    with pytest.raises(abcparam.SpecError, match="P0432"):
        abcparam.compile(model("radam", a), gauge="plain")


def test_a_step_may_reevaluate_the_loss(tmp_path: Path):
    """The closure runs with gradients on, and its loss is returned."""
    module: Any = imported(abcparam.compile(model("lion")), tmp_path)
    made = module.M(module.Config())
    optimizer = module.make_optimizer(made)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = made(torch.ones(3, 8)).square().mean()
        loss.backward()
        return loss

    before = made.U.weight.detach().clone()
    assert optimizer.step(closure).requires_grad
    assert not torch.equal(before, made.U.weight)


def test_shampoo(tmp_path: Path):
    """Algorithm 1 of arXiv 1802.09568; of one gradient it is the orthogonal factor."""
    w, left, right = START.double(), torch.zeros(2, 2), torch.zeros(2, 2)
    for t, gradient in enumerate(GRADIENTS):
        g = gradient.double()
        left, right = left + g @ g.T, right + g.T @ g
        roots = [torch.linalg.matrix_power(_root(_root(m)), -1) for m in (left, right)]
        update = roots[0] @ g @ roots[1]
        if t == 0:
            u, _, v = torch.linalg.svd(g)
            assert torch.allclose(update, u @ v)
        w = w - 0.1 * (update + 0.5 * w)
    found = stepped("shampoo", "lr = lr, weight_decay = 0.5, ridge = 1e-9", tmp_path)
    assert torch.allclose(found.double(), w, atol=1e-4)


def _root(matrix: Tensor) -> Tensor:
    """The positive root of a positive matrix, by the Denman-Beavers iteration."""
    y, z = matrix, torch.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(60):
        y, z = (y + torch.linalg.inv(z)) / 2, (z + torch.linalg.inv(y)) / 2
    return y


def test_soap(tmp_path: Path):
    """Algorithm 3 of arXiv 2409.11321, started as its authors' code is: the first gradient gives
    the basis, in which the next ones are Adam's.
    """
    q_left = torch.linalg.svd(GRADIENTS[0])[0].flip(1)
    q_right = torch.linalg.svd(GRADIENTS[0].T)[0].flip(1)
    g = GRADIENTS[1]
    rotated = q_left.T @ g @ q_right
    w = START - 0.1 * (q_left @ (rotated / (rotated.abs() + 1e-3)) @ q_right.T + 0.5 * START)
    found = stepped("soap", "lr = lr, weight_decay = 0.5, eps = 1e-3", tmp_path)
    assert torch.allclose(found, w, atol=1e-5)


def test_soap_follows_the_covariance(tmp_path: Path):
    """The basis of many steps is that of the covariances; of one long axis it is none."""
    module: Any = imported(abcparam.compile(model("soap")), tmp_path)
    draw = torch.Generator().manual_seed(0)
    parameter = torch.nn.Parameter(torch.zeros(6, 3))
    optimizer = module.SOAP([parameter], interval=1, largest=5)
    scales = torch.tensor([3.0, 2.0, 1.0])
    turn = torch.linalg.qr(torch.randn(3, 3, generator=draw))[0]
    for _ in range(400):
        parameter.grad = torch.randn(6, 3, generator=draw) * scales @ turn
        optimizer.step()
    (state,) = optimizer.state.values()
    assert {*state["bases"]} == {1}
    assert torch.allclose((turn @ state["bases"][1]).abs().amax(0), torch.ones(3), atol=0.1)


def test_spectral_muon(tmp_path: Path):
    """torch's Muon for a tall matrix, sqrt(rows / columns) of it for a wide one; exact up to the
    bfloat16 in which torch makes matrices orthogonal.
    """
    module: Any = imported(abcparam.compile(model("muon", settings=SPECTRAL)), tmp_path)
    draw = torch.Generator().manual_seed(0)
    for rows, columns in ((12, 3), (3, 12)):
        start = torch.randn(rows, columns, generator=draw)
        gradients = [torch.randn(rows, columns, generator=draw) for _ in range(3)]
        found = []
        for kind in (module.SpectralMuon, torch.optim.Muon):
            parameter = torch.nn.Parameter(start.clone())
            optimizer = kind([parameter], lr=0.1, weight_decay=0.0)
            for gradient in gradients:
                parameter.grad = gradient.clone()
                optimizer.step()
            found.append(parameter.detach() - start)
        ours, theirs = found
        wanted = theirs * min(1, rows / columns) ** 0.5
        assert (ours - wanted).norm() < 0.02 * wanted.norm()


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muon_is_told_how_to_adjust(adjust: str, tmp_path: Path):
    code = abcparam.compile(model("muon", settings=f"lr = lr, adjust = {adjust}"))
    module: Any = imported(code, tmp_path)
    optimizer = module.make_optimizer(module.M(module.Config()))
    assert (optimizer.defaults["adjust_lr_fn"] or "original") == adjust


def test_muon_like_adamw_has_rates_like_adamw():
    """Moonshot's adjustment makes updates of Adam's size, so their exponents are Adam's: hidden
    c = 1/2 + 1/2 for the spectral norm (arXiv 2502.16982, section 2.2).
    """
    text = model("muon", "", "lr = lr, adjust = match_rms_adamw")
    report = abcparam.check(abcparam.solve(text))
    assert report.verdict == "maximal-update"
    rates = {law.path: str(law.parameter.c) for law in report.judgement.tensors}
    assert rates["A"] == "width^(1/2)"


@pytest.mark.parametrize("word", ["fast", "1", "true"])
def test_words_that_are_not_known(word: str):
    with pytest.raises(abcparam.SpecError) as refused:
        abcparam.check(model("muon", settings=f"lr = lr, adjust = {word}"))
    (error,) = refused.value.diagnostics
    assert error.message == "`adjust` must be one of original, match_rms_adamw, spectral"
