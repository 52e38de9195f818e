"""Sizes at init beside what was measured: what agrees, and what is found where a law is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import inf, isnan, log, sqrt
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.algebra.exponents import Affine
from abcparam.algebra.record import replace
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.imports.alike import Repeated, TracedStep
from abcparam.imports.aten import laws
from abcparam.imports.capture import exported_of, trace_of
from abcparam.imports.held import objections, same_indices
from abcparam.imports.measured import Disagreement, Magnitudes, disagreements
from abcparam.imports.numbers import Power
from abcparam.imports.seen import Law, Seen
from abcparam.program.expressions import Expression
from abcparam.program.model import Program
from tests.imports.trial import Trial, tried


class Branch(nn.Module):
    """A small branch of a stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.map = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.map.weight, std=0.002)

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu(self.map(self.norm(x)))


class Residual(nn.Module):
    """A stream that small branches grow into: at small widths the lookup leads."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.table = nn.Embedding(17, width)
        self.h = nn.ModuleList(Branch(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, 97)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = self.table(x)
        for branch in self.h:
            x = branch(x)
        return self.out(self.norm(x))


def residual(width: int, depth: int) -> tuple[nn.Module, Tensor]:
    return Residual(width, depth), torch.randint(17, (5, 7))


@pytest.fixture(scope="module")
def trial() -> Trial:
    return tried(residual, depth=2)


def test_sums_may_be_led_by_another_share_yet(trial: Trial):
    """0.02 beside `0.002 * sqrt(width)`: the exponent 1/2 is not to be seen below width 100."""
    loop = next(part for part in trial.model.parts if isinstance(part, Repeated))
    ((_, end),) = loop.carried
    step = next(
        part for part in loop.body if isinstance(part, TracedStep) and part.name == end.name
    )
    (sizes,) = step.sizes
    assert log(sizes[1] / sizes[0]) / log(4) < 0.2
    assert str(trial.graph.activations[f"h.*.{end.name}"].s0) == "width^(1/2)"
    assert trial.apart == ()


def with_exponent(program: Program, path: str, b: Fraction) -> Program:
    """A tensor that starts otherwise."""
    tensor = program.tensors[path]
    exponents = {**tensor.exponents, "b": {"width": Affine(b)}}
    return replace(program, tensors={**program.tensors, path: replace(tensor, exponents=exponents)})


def found(trial: Trial, program: Program) -> list[Disagreement]:
    return list(disagreements(program, trial.model, trial.settings, trial.grow))


def test_a_start_that_was_misread_is_found_where_it_is_used(trial: Trial):
    program = with_exponent(trial.program(), "h.*.map.weight", Fraction(1, 2))
    (apart,) = found(trial, program)
    assert apart.operation == "aten.linear.default"
    assert apart.size == "width"
    assert apart.measured == pytest.approx(0.5, abs=0.1)
    assert apart.derived == pytest.approx(0.0, abs=0.1)
    assert apart.span.file == __file__
    assert apart.diagnostic.code == "P1014"
    assert "grow like width^0.5" in apart.diagnostic.message


def test_a_lookup_that_starts_otherwise_is_found(trial: Trial):
    program = with_exponent(trial.program(), "table.weight", Fraction(-1, 2))
    assert [x.operation for x in found(trial, program)] == ["aten.embedding.default"]


def test_a_wrong_law_is_found(trial: Trial, monkeypatch: pytest.MonkeyPatch):
    def doubled(see: Seen) -> Expression:
        value = right(see)
        assert not isinstance(value, tuple)
        return see.scaled(value, Power(1.0, {"width": Fraction(1)}))

    known: Mapping[str, Law] = laws()
    right = known["aten.layer_norm.default"]
    monkeypatch.setitem(known, "aten.layer_norm.default", doubled)  # type: ignore[arg-type]
    assert {x.operation for x in trial.apart} == {"aten.layer_norm.default"}


def test_what_is_held_against_a_model(trial: Trial):
    exported = exported_of(trial.factory.make(trial.settings[0]))
    given = trace_of(exported), trial.model, trial.settings
    assert objections(exported, *given, trial.grow, trial.starts, trial.rates) == ()
    misread = replace(trial.starts["h.0.map.weight"], scale=Power(0.1, {"width": Fraction(-1)}))
    starts = {**trial.starts, "h.0.map.weight": misread}
    (found,) = objections(exported, *given, trial.grow, starts, trial.rates)
    assert (found.code, found.span.file) == ("P1014", __file__)


def test_a_model_that_gives_nan(tmp_path: Path):
    """What it was called with, or the first call that makes it; never a law that it breaks."""
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def forward(self, x, low=None):\n"
        "        y = super().forward(torch.nan_to_num(x))\n"
        "        return y if low is None else y * low - y * low\n"
        "def net(width, *args):\n"
        "    return Net(nn.Linear(8, width), nn.ReLU(), nn.Linear(width, 4)), args\n"
        "def given(width=64):\n"
        "    return nn.Linear(8, width), (torch.full((3, 8), torch.nan),)\n"
        "def taken_out(width=64):\n"
        "    x = torch.randn(5, 8)\n"
        "    x[0, 0] = torch.nan\n"
        "    return net(width, x)\n"
        "def made(width=64):\n"
        "    return net(width, torch.randn(5, 8), torch.tensor(torch.inf))\n",
        encoding="utf-8",
    )
    for name, said in {
        "given": "error[P1030]: the model gives NaN at init: its input `input` has NaN",
        "made": "error[P1030]: the model gives NaN at init: `aten.sub.Tensor` gives it first",
    }.items():
        with pytest.raises(SpecError) as caught:
            abcparam.audit(f"{tmp_path}/net.py:{name}", ["width"])
        assert str(caught.value).startswith(said)
    assert abcparam.audit(f"{tmp_path}/net.py:taken_out", ["width"]).verdict


def test_indices_that_are_all_the_same_are_told_of_beside_what_was_measured_of_them(trial: Trial):
    example = trial.factory.make(trial.settings[0])
    alike = example._replace(args=tuple(torch.zeros_like(x) for x in example.args))
    (found,) = same_indices(exported_of(alike))
    assert found.code == "P1029" and "every index of the example's" in found.message
    assert [*same_indices(exported_of(example))] == []


def test_few_numbers_that_are_drawn_differ_by_chance():
    """Ten rewards whose size is 0.4 at one width and 1.1 at another are no power of the width."""

    class Mixed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.reward, self.state = nn.Linear(1, width), nn.Linear(17, width)
            self.out = nn.Linear(width, 3)

        def forward(self, reward: Tensor, state: Tensor) -> Tensor:
            result: Tensor = self.out(torch.relu(self.reward(reward) + self.state(state)))
            return result

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        model = Mixed(width)
        reward = torch.randn(2, 5, 1) * (1.0 if width == 32 else 0.4)
        return model, (reward, torch.randn(2, 5, 17))

    trial = tried(make)
    assert trial.apart == ()
    changes = {change.path: change for change in trial.remedy.changes}
    assert not changes["reward.weight"].init and not changes["reward.weight"].lr


def test_few_numbers_that_grow_with_the_width_are_its_power():
    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        return nn.Linear(5, width), (torch.linspace(0.5, 1, 5)[None] * width**0.5,)

    trial = tried(make)
    assert trial.output == "width^(1/2)"


def test_exact_zeros_are_zero_in_both(trial: Trial):
    program = trial.program()
    zeros = replace(program.tensors["out.bias"].init, kind="zeros", argument=None)
    tensor = replace(program.tensors["table.weight"], init=zeros)
    changed = replace(program, tensors={**program.tensors, "table.weight": tensor})
    apart = found(trial, changed)[0]
    assert (apart.operation, apart.derived) == ("aten.embedding.default", -inf)
    assert "its law says 0" in apart.diagnostic.message


class Small(nn.Module):
    """A norm of what is far below its epsilon."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.map = nn.Linear(11, width, bias=False)
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.map.weight, std=1e-5 * width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.map(x))


def test_norms_divide_by_no_less_than_their_epsilon():
    trial = tried(lambda width: (Small(width), torch.randn(5, 11)))
    assert trial.output == "1"


class Tied(nn.Module):
    """A table that reads out what it gave."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(53, width)
        self.map = nn.Linear(width, width, bias=False)
        nn.init.normal_(self.map.weight, std=4 * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.table(x)
        return nn.functional.linear(x + self.map(x), self.table.weight)


def test_a_tied_readout_meets_its_table_in_part():
    """One logit in 53 is aligned, and only with a share of what is read out."""
    trial = tried(lambda width: (Tied(width), torch.randint(53, (5, 7))))
    assert trial.output == "width"


def test_magnitudes_are_numbers_whose_sums_are_of_squares():
    space = Magnitudes()
    three, four = (space.of(log(x)) for x in (3.0, 4.0))
    assert (three | four).law() == "5"
    assert (three + four).law() == "12"
    assert (four - three).law() == "1.33333"
    assert four.half().law() == "2"
    assert (three & four) == three < four
    assert (space.zero | three) == three
    assert (space.zero + three).is_zero
    assert not space.unbounded.is_bound
    assert (-three).log == -log(3)
    assert sqrt(2) == pytest.approx(float((space.one | space.one).law()), abs=1e-5)


class Heads(nn.Module):
    """Attention over so many heads, by products, with PyTorch's biases."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.table = nn.Embedding(17, width)
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, 5)
        self.heads = heads
        numbers = torch.arange(1, heads + 1)
        self.register_buffer("slopes", 2.0 ** (-8 * numbers / heads).view(heads, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.table(x)
        shape = (*x.shape[:2], self.heads, x.shape[-1] // self.heads)
        q, k, v = (m(x).view(shape).transpose(1, 2) for m in (self.q, self.k, self.v))
        logits = q @ k.transpose(-1, -2) / shape[-1] ** 0.5
        places = torch.arange(x.shape[1])
        logits = logits - self.slopes * (places[:, None] - places).clamp(min=0)
        mixed = logits.softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).flatten(2))


@pytest.mark.parametrize("size", [4, 16], ids=["of a fixed number", "of a fixed size"])
def test_heads_with_biases_and_slopes(size: int):
    """A bias is the same for each token, which is no mean over what a head's products sum over.

    Slopes of ALiBi (arXiv 2108.12409) have a limit as heads become more: sqrt(1 / (16 log 2)).
    """

    def make(width: int = 64) -> tuple[nn.Module, tuple[Tensor]]:
        return Heads(width, 4 if size == 4 else width // size), (torch.randint(17, (2, 16)),)

    audit = abcparam.audit(make, grow=["width"])
    assert audit.report.verdict == "unstable"
    assert audit.remedy.verdict == "maximal-update"


def test_settings_of_one_example_are_not_held_against_a_law():
    """Ten numbers of one example differ by a third; four examples, by half of that."""

    class Branches(nn.Module):
        def __init__(self, width: int, depth: int) -> None:
            super().__init__()
            self.first = nn.Linear(7, 10)
            pairs = ((nn.Linear(10, width), nn.Linear(width, 10)) for _ in range(depth))
            self.layers = nn.ModuleList(map(nn.ModuleList, pairs))

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            for pair in self.layers:
                up, down = pair.children()
                x = x + down(torch.relu(up(x)))
            return x

    def make(width: int = 16, depth: int = 3) -> tuple[nn.Module, tuple[Tensor]]:
        return Branches(width, depth), (torch.randn(5, 7),)

    audit = abcparam.audit(make, grow=["width"])
    assert [sizes["depth"] for sizes in audit.settings] == [3, 3, 3, 6, 6]
    measured = [
        {i for i, size in enumerate(sizes) if not isnan(size)}
        for part in audit.model.parts
        if isinstance(part, TracedStep)
        for sizes in part.sizes
    ]
    assert measured == [{0, 1, 2}]


class Messages(nn.Module):
    """A number for each pair of tokens, which hardly differ: PyTorch's bounds shrink what does."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.e = nn.Linear(features, width)
        maps = [nn.Linear(width, width) for _ in range(3)]
        self.m = nn.Sequential(*(x for m in maps for x in (m, nn.SiLU())))
        self.x = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.e(x)
        return self.x(self.m(h[:, :, None] - h[:, None])).mean(2)


@pytest.mark.parametrize("features", (12, 16, 19, 21, 24))
def test_numbers_of_tokens_that_are_alike_are_one_draw(features: int):
    """A readout's one row is drawn once, whatever the number of tokens that it meets."""

    def messages(width: int, depth: int) -> tuple[nn.Module, Tensor]:
        return Messages(width, features), torch.randn(3, 6, features)

    assert tried(messages).apart == ()


def test_what_the_last_of_equal_layers_gives_is_measured():
    """Biases that fall with the width leave less and less of each layer: estimates would add up."""

    class Tower(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.f, self.g = (
                nn.Sequential(
                    nn.Linear(8, width),
                    *(x for _ in range(3) for x in (nn.ReLU(), nn.Linear(width, width))),
                )
                for _ in range(2)
            )

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return (self.f(x) * self.g(y)).sum(-1)

    def towers(width: int = 64) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
        return Tower(width), (torch.randn(8, 8), torch.randn(8, 8))

    assert abcparam.audit(towers, ["width"]).verdict == "unstable-at-init"
