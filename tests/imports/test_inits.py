"""How parameters start, read from what writes them."""

from __future__ import annotations

import math
from fractions import Fraction
from textwrap import indent

import pytest
import torch

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.imports.inits import Start, notes_of, starts_of
from abcparam.imports.made_models import MadeModels
from abcparam.imports.settings import settings_of
from tests.imports.conftest import Write

HEAD = """
import math
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=64, depth=2, vocab=96):
        super().__init__()
        self.each = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.table = nn.Embedding(vocab, width)
"""


@pytest.fixture
def starts(write: Write):
    """`starts(lines)`: how each parameter starts, of a model with these lines in its `__init__`."""

    def starts(lines: str, grow: str = "width") -> dict[str, Start]:
        factory = write(HEAD + indent(lines, "        "), "Net")
        return starts_of(
            MadeModels(factory), settings_of(MadeModels(factory), dict.fromkeys(grow.split(), ()))
        )

    return starts


def short(start: Start) -> tuple[str, float, dict[str, str]]:
    """Kind, coefficient and exponents."""
    assert start.scale is not None
    powers = {name: str(power) for name, power in start.scale.powers.items()}
    return start.kind, round(start.scale.coefficient, 7), powers


HALF = {"width": "-1/2"}


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("nn.Linear(width, 4 * width)", {"weight bias": ("uniform", 1.0, HALF)}),
        ("nn.Linear(4 * width, width)", {"weight bias": ("uniform", 0.5, HALF)}),
        ("nn.Linear(7, width)", {"weight bias": ("uniform", round(7**-0.5, 7), {})}),
        ("nn.Embedding(vocab, width)", {"weight": ("normal", 1.0, {})}),
        ("nn.Embedding(vocab, width, padding_idx=3)", {"weight": ("normal", 1.0, {})}),
        ("nn.Conv2d(width, 5, 3)", {"weight bias": ("uniform", round(1 / 3, 7), HALF)}),
        (
            "nn.Conv1d(width, width, 5, groups=width)",
            {"weight": ("uniform", round(5**-0.5, 7), {})},
        ),
        ("nn.GRU(3, width)", {"weight_ih_l0 weight_hh_l0 bias_ih_l0": ("uniform", 1.0, HALF)}),
        ("nn.LSTM(3, width, 2)", {"weight_ih_l0 weight_hh_l1 bias_hh_l1": ("uniform", 1.0, HALF)}),
        (
            "nn.MultiheadAttention(width, 4)",
            {
                "in_proj_weight": ("uniform", round(math.sqrt(3 / 2), 7), HALF),
                "out_proj.weight": ("uniform", 1.0, HALF),
            },
        ),
        (
            "nn.Bilinear(width, 2, 3)",
            {"weight bias": ("uniform", 1.0, HALF)},
        ),
    ],
)
def test_layers_of_pytorch(starts, layer: str, expected: dict[str, tuple[object, ...]]):
    found = starts(f"self.layer = {layer}")
    for names, wanted in expected.items():
        assert {short(found[f"layer.{name}"]) == wanted for name in names.split()} == {True}
    assert {start.note for start in found.values()} == {""}
    assert all(start.place for start in found.values())


@pytest.mark.parametrize("layer", ["LayerNorm", "BatchNorm1d", "BatchNorm2d", "InstanceNorm1d"])
def test_norms(starts, layer: str):
    affine = ", affine=True" if layer.startswith("Instance") else ""
    found = starts(f"self.norm = nn.{layer}(width{affine})")
    assert found["norm.weight"].kind == "ones"
    assert found["norm.bias"].kind == "zeros"
    assert found["norm.weight"].scale is None


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("nn.init.normal_(w, std=0.02)", ("normal", 0.02, {})),
        ("w.data.normal_(0.0, width ** -0.75)", ("normal", 1.0, {"width": "-3/4"})),
        ("nn.init.uniform_(w, -0.1, 0.1)", ("uniform", 0.1, {})),
        ("nn.init.constant_(w, 0.5)", ("constant", 0.5, {})),
        ("nn.init.constant_(w, -1 / width)", ("constant", -1.0, {"width": "-1"})),
        ("nn.init.kaiming_normal_(w)", ("normal", round(math.sqrt(2), 7), HALF)),
        ("nn.init.kaiming_uniform_(w)", ("uniform", round(math.sqrt(6), 7), HALF)),
        ("nn.init.xavier_normal_(w)", ("normal", 1.0, HALF)),
        ("nn.init.xavier_uniform_(w, 2.0)", ("uniform", round(math.sqrt(12), 7), HALF)),
        ("nn.init.orthogonal_(w)", ("orthogonal", 1.0, HALF)),
        ("nn.init.orthogonal_(w, math.sqrt(2))", ("orthogonal", round(math.sqrt(2), 7), HALF)),
        ("nn.init.trunc_normal_(w, std=0.02)", ("normal", 0.02, {})),
        ("nn.init.normal_(w, std=0.02); w.data.mul_(3)", ("normal", 0.06, {})),
        (
            "nn.init.normal_(w); w.data /= math.sqrt(2 * depth)",
            ("normal", 0.7071068, {"depth": "-1/2"}),
        ),
        ("nn.init.uniform_(w); w.data.mul_(2).sub_(1)", ("uniform", 1.0, {})),
        ("w.data.copy_(torch.randn(width, width) * 0.02)", ("normal", 0.02, {})),
        ("w.data = 0.02 * torch.randn_like(w)", ("normal", 0.02, {})),
        ("w.data = torch.randn_like(w) / torch.tensor(width)", ("normal", 1.0, {"width": "-1"})),
        ("w.data = torch.rand(width, width).T - 0.5", ("uniform", 0.5, {})),
        ("w.data = 1 - 2 * torch.rand(width, width)", ("uniform", 1.0, {})),
        ("w.data = torch.normal(0.0, 0.3, (width, width))", ("normal", 0.3, {})),
        ("w.data = torch.full((width, width), 0.3).double()", ("constant", 0.3, {})),
        ("w.data[:] = 0.3", ("constant", 0.3, {})),
        ("w.data.t().normal_(std=0.1)", ("normal", 0.1, {})),
        ("w.data.view(-1).normal_(std=0.1)", ("normal", 0.1, {})),
        ("for row in w.data: row.normal_(std=0.1)", ("normal", 0.1, {})),
        ("for part in w.data.chunk(2): part.normal_(std=0.1)", ("normal", 0.1, {})),
        ("w.data = torch.cat([0.1 * torch.randn(width // 2, width) for _ in '12'])", None),
        ("w.data.normal_(std=0.1); w.data[0] = 0; w.data[-1].zero_()", ("normal", 0.1, {})),
        ("w.data.uniform_(-0.3, 0.3).clamp_(-9, 9)", ("uniform", 0.3, {})),
        ("w.data = torch.full_like(w, 4.0).sqrt()", ("constant", 2.0, {})),
        ("import copy; w.data.normal_(std=0.1); self.w = copy.deepcopy(w)", None),
    ],
)
def test_writes(starts, call: str, expected: tuple[object, ...] | None):
    found = starts(f"w = self.w = nn.Parameter(torch.empty(width, width))\n{call}")["w"]
    assert short(found) == (expected or ("normal", 0.1, {}))
    assert found.note == ""


def test_truncated_normals(starts):
    """Their own standard deviation, whichever function cut them off."""
    found = starts("""
self.a, self.b, self.c = (nn.Parameter(torch.empty(width, width)) for _ in range(3))
std = width ** -0.5
nn.init.trunc_normal_(self.a, std=std, a=-2 * std, b=2 * std)
cut = math.erf(math.sqrt(2))
self.b.data.uniform_(-cut, cut).erfinv_().mul_(std * math.sqrt(2)).clamp_(-2 * std, 2 * std)
self.c.data.uniform_(-1, 1).erfinv_().mul_(std * math.sqrt(2)).add_(0.0)
""")
    assert short(found["a"]) == short(found["b"]) == ("normal", 0.8796257, HALF)
    assert short(found["c"]) == ("normal", 1.0, HALF)
    values = torch.empty(1000, 1000)
    torch.nn.init.trunc_normal_(values, std=0.1, a=-0.2, b=0.2)
    assert float(values.std()) == pytest.approx(0.08796257, rel=0.01)


def test_orthogonal_matrices_have_the_size_of_their_longer_side(starts):
    found = starts("""
self.tall, self.wide = (nn.Parameter(torch.empty(n * width, 4 * width // n)) for n in (4, 1))
nn.init.orthogonal_(self.tall)
nn.init.orthogonal_(self.wide)
self.q = nn.Parameter(torch.linalg.qr(torch.randn(width, width))[0] * 3)
""")
    assert short(found["tall"]) == short(found["wide"]) == ("orthogonal", 0.5, HALF)
    assert short(found["q"]) == ("orthogonal", 3.0, HALF)
    assert float(torch.nn.init.orthogonal_(torch.empty(256, 64)).std()) == pytest.approx(
        0.5 * 64**-0.5, rel=0.01
    )


NANOGPT = """
import math
from dataclasses import dataclass

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.c_attn = nn.Linear(width, 3 * width, bias=False)
        self.c_proj = nn.Linear(width, width, bias=False)


class GPT(nn.Module):
    def __init__(self, width, depth, vocab):
        super().__init__()
        self.wte = nn.Embedding(vocab, width)
        self.h = nn.ModuleList([Block(width) for _ in range(depth)])
        self.ln_f = nn.LayerNorm(width, bias=False)
        self.lm_head = nn.Linear(width, vocab, bias=False)
        self.wte.weight = self.lm_head.weight
        self.apply(self._init_weights)
        for name, parameter in self.named_parameters():
            if name.endswith("c_proj.weight"):
                torch.nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * depth))

    def _init_weights(self, module):
        if isinstance(module, (nn.Linear, nn.Embedding)):
            torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)


def build(width=64, depth=2, vocab=96):
    return GPT(width, depth, vocab), (torch.randint(vocab, (5, 7)),)
"""


def test_nanogpt(write: Write):
    factory = write(NANOGPT)
    for grow in ({"width": ()}, {"width": (), "depth": ()}):
        found = starts_of(MadeModels(factory), settings_of(MadeModels(factory), grow))
        assert list(found) == [
            "wte.weight",
            "h.0.c_attn.weight",
            "h.0.c_proj.weight",
            "h.1.c_attn.weight",
            "h.1.c_proj.weight",
            "ln_f.weight",
            "lm_head.weight",
        ]
        assert found["wte.weight"] == found["lm_head.weight"]
        for name in ("wte.weight", "h.0.c_attn.weight", "h.1.c_attn.weight"):
            assert short(found[name]) == ("normal", 0.02, {})
        assert found["h.1.c_proj.weight"].kind == "normal"
        scale = found["h.1.c_proj.weight"].scale
        assert scale is not None
        assert scale.powers == {"depth": Fraction(-1, 2)}
        assert scale.coefficient == pytest.approx(0.02 / math.sqrt(2), rel=1e-9)
        assert found["ln_f.weight"].kind == "ones"


def test_the_line_that_writes(write: Write):
    factory = write(NANOGPT)
    found = starts_of(MadeModels(factory), settings_of(MadeModels(factory), {"width": ()}))
    lines = NANOGPT.splitlines()
    wanted = {
        "wte.weight": "torch.nn.init.normal_(module.weight, mean=0.0, std=0.02)",
        "h.0.c_proj.weight": (
            "torch.nn.init.normal_(parameter, mean=0.0, std=0.02 / math.sqrt(2 * depth))"
        ),
        "ln_f.weight": "self.ln_f = nn.LayerNorm(width, bias=False)",
    }
    for name, text in wanted.items():
        place = found[name].place
        assert place is not None
        assert place[0] == factory.file
        assert lines[place[1] - 1].strip() == text


def test_copies_of_a_layer_are_placed_where_it_was_made(starts):
    found = starts("""
layer = nn.TransformerEncoderLayer(width, 4, 2 * width)
self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
""")
    assert short(found["encoder.layers.1.linear2.weight"]) == ("uniform", round(0.5**0.5, 7), HALF)
    places = {s.place[1] for n, s in found.items() if n.startswith("encoder") and s.place}
    assert places == {HEAD.count("\n") + 2}


# What is not read


@pytest.mark.parametrize(
    ("value", "scale", "note"),
    [
        ("torch.eye(width)", ("measured", 1.0, HALF), "measured, as `eye` wrote it"),
        (
            "torch.randn(width, width) @ torch.randn(width, width)",
            ("measured", 1.0, {"width": "1/2"}),
            "measured, as `mm` wrote it",
        ),
        (
            "torch.cat([torch.randn(width, width), 3 * torch.randn(width, width)])",
            ("measured", 2.24, {}),
            "measured, as `cat` wrote it",
        ),
        (
            "torch.cat([torch.zeros(width), torch.ones(width)])",
            ("measured", round(0.5**0.5, 7), {}),
            "measured, as `cat` wrote it",
        ),
        (
            "torch.randn(width, width).sign() / width",
            ("measured", 1.0, {"width": "-1"}),
            "",
        ),
        (
            "1 + 0.02 * torch.randn(width)",
            ("constant", 1.0, {}),
            "normal around 1, of spread 0.02; the mean counts",
        ),
        (
            "torch.rand(width)",
            ("constant", 0.5, {}),
            "uniform around 0.5, of spread 0.5; the mean counts",
        ),
    ],
)
def test_measured(starts, value: str, scale: tuple[object, ...], note: str):
    found = starts(f"self.w = nn.Parameter({value})")["w"]
    kind, coefficient, powers = short(found)
    assert (kind, powers) == (scale[0], scale[2])
    assert coefficient == pytest.approx(scale[1], rel=0.02)
    assert found.note == note


def test_what_bypasses_pytorch_is_seen_in_the_values(starts):
    found = starts(
        """
self.w = nn.Parameter(torch.zeros(width, width))
self.w.data.numpy()[:] = np.random.default_rng(0).normal(0, 3 / width, (width, width))
self.v = nn.Parameter(torch.from_numpy(np.ones((width, width)) / width))
""".replace("self.w =", "import numpy as np; self.w =", 1)
    )
    assert short(found["w"])[::2] == ("measured", {"width": "-1"})
    assert found["w"].note == "measured, as something else wrote it"
    assert short(found["v"]) == ("constant", 1.0, {"width": "-1"})


def test_sums_count_by_their_leading_term(starts):
    found = starts("""
self.readout = nn.Linear(width, vocab)
nn.init.xavier_uniform_(self.readout.weight)
self.narrow = nn.Linear(width, 10)
nn.init.xavier_normal_(self.narrow.weight, gain=5 / 3)
""")
    readout, narrow = found["readout.weight"], found["narrow.weight"]
    assert readout.scale is not None and narrow.scale is not None
    assert readout.scale.powers == narrow.scale.powers == {"width": Fraction(-1, 2)}
    assert readout.scale.at({"width": 64}) == pytest.approx(math.sqrt(6 / (64 + 96)))
    assert "whose leading term counts" in readout.note
    assert narrow.scale.at({"width": 64}) == pytest.approx(5 / 3 * math.sqrt(2 / (64 + 10)))


def test_sizes_that_do_not_grow_may_be_in_no_power(starts):
    found = starts("""
self.w = nn.Parameter(torch.empty(width, width))
nn.init.normal_(self.w, std=math.exp(-depth / vocab) / width)
""")["w"]
    assert short(found) == ("normal", round(math.exp(-2 / 96), 7), {"width": "-1"})
    assert found.note == "as at depth=2, vocab=96"


@pytest.mark.parametrize(
    ("lines", "values"),
    [
        (
            "nn.init.normal_(w, std=1 / math.log(width))",
            "0.2404 at width=64, depth=2, vocab=96, 0.2061 at width=128, depth=2, vocab=96, ",
        ),
        (
            "nn.init.normal_(w) if width < 100 else nn.init.uniform_(w, -1, 1)",
            "normal at width=64, depth=2, vocab=96, uniform at width=128, depth=2, vocab=96, ",
        ),
        ("w.data = torch.randn(width, width).abs() * width ** 0.375", None),
    ],
)
def test_no_power(starts, lines: str, values: str | None):
    with pytest.raises(SpecError) as caught:
        starts(f"w = self.w = nn.Parameter(torch.empty(width, width))\n{lines}")
    (found,) = caught.value.diagnostics
    assert found.code == "P1007"
    assert found.message.startswith(
        f"the scale at which `w` starts is no power of the sizes: {values or ''}"
    )
    line = caught.value.source.lines[found.span.line - 1]
    assert line[found.span.column - 1 : found.span.end_column - 1] == lines


def test_what_nothing_initializes(starts):
    with pytest.raises(SpecError) as caught:
        starts("self.w = nn.Parameter(torch.empty(width, width))")
    text = str(caught.value)
    assert text.startswith("error[P1022]: nothing initializes `w`")
    assert "self.w = nn.Parameter(torch.empty(width, width))" in text
    assert starts("self.w = nn.Parameter(torch.empty(0))")["w"].kind == "zeros"


def test_two_sizes_that_grow_share_no_leading_term(starts):
    lines = "self.out = nn.Linear(width, vocab)\nnn.init.xavier_normal_(self.out.weight)"
    with pytest.raises(SpecError, match="P1007"):
        starts(lines, "width vocab")


def test_notes(write: Write):
    """One for each line."""
    factory = write(
        HEAD + "        self.w = nn.ParameterList(torch.eye(width) for _ in '12')\n", "Net"
    )
    found = starts_of(MadeModels(factory), settings_of(MadeModels(factory), {"width": ()}))
    ((source, note),) = notes_of(found, factory.file)
    assert (note.code, note.severity) == ("P1008", "note")
    assert note.message == "the start of `w.0`: measured, as `eye` wrote it"
    assert "nn.ParameterList" in source.lines[note.span.line - 1]


def test_random_numbers_elsewhere_are_not_disturbed(starts):
    torch.manual_seed(5)
    wanted = torch.rand(2)
    torch.manual_seed(5)
    starts("self.w = nn.Parameter(torch.eye(width))")
    assert torch.equal(torch.rand(2), wanted)
