"""A model in PyTorch is written as a spec, which is proved to be the same model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import abcparam
from abcparam.commands.cli import main
from abcparam.imports.result import ImportedModel
from abcparam.imports.text.printing import TextPrinter
from tests.imports.models import MODELS


def is_proved(found: ImportedModel) -> bool:
    """Whether it is the same at two settings, in both precisions, and judged the same."""
    settings = [tuple(x.sizes.items()) for x in found.compared]
    assert len(settings) == 4 and len(set(settings)) == 2
    assert found.verdict == found.audit.verdict
    assert abcparam.format(found.text) == found.text
    return all(x.wrong is None for x in found.compared)


@pytest.fixture(scope="module")
def nanogpt() -> ImportedModel:
    return abcparam.import_model(f"{MODELS}/nanogpt.py:make", ["width"])


def test_a_perceptron() -> None:
    found = abcparam.import_model(
        f"{MODELS}/perceptron.py:scaled", ["width"], f"{MODELS}/perceptron.py:groups"
    )
    assert is_proved(found)
    assert found.verdict == "maximal-update"
    assert "hidden { a = 0, b = 1/2, c = 1 }" in found.text
    assert "output { a = 0, b = 1,   c = 1 }" in found.text
    body = found.text.partition("forward")[2]
    assert body.startswith(
        dedent("""\
        (x : [20]) {
            return out @ relu(inner @ relu(up @ x + up_bias) + inner_bias) + out_bias
        }
    """)
    )
    assert "optimizer adam {" in found.text


def test_two_sizes_grow() -> None:
    found = abcparam.import_model(f"{MODELS}/perceptron.py:wide", ["width", "inner"])
    assert is_proved(found)
    assert "b[inner] = 1/2" in found.text


def test_a_gpt(nanogpt: ImportedModel) -> None:
    assert is_proved(nanogpt)
    assert nanogpt.compared[-1].tolerance == 1e-10
    for line in (
        "dim width   -> inf, base = 64",
        "dim heads   = width / head",
        "init = normal(0.02 * (2 * depth)^(-1/2))",
        "q, k, v = split(c_attn @ x + c_attn_bias, 3)",
        "y = attention(q, k, v, heads = heads, scale = head^(-1/2), causal = true)",
        "repeat depth as h {",
        "x = x + MLP(layernorm(x, gain = ln_2, bias = ln_2_bias))",
        "return wte.T @ layernorm(x, gain = ln_f, bias = ln_f_bias)",
    ):
        assert line in nanogpt.text


def test_tied_tensors_are_one(nanogpt: ImportedModel) -> None:
    assert nanogpt.weights["wte"].parameter == "transformer.wte.weight"
    assert len(re.findall(r"^tensor wte ", nanogpt.text, re.MULTILINE)) == 1
    assert "lm_head" not in nanogpt.text


def test_each_tensor_is_a_parameter(nanogpt: ImportedModel) -> None:
    assert nanogpt.weights["h.attn.c_proj"].parameter == "transformer.h.*.attn.c_proj.weight"
    assert len(nanogpt.weights) == len(nanogpt.report.program.tensors) == 16


def test_what_is_written_is_compiled_and_mended(nanogpt: ImportedModel) -> None:
    assert "class GPT(nn.Module)" in abcparam.compile(nanogpt.text, width=128)
    assert abcparam.fix(nanogpt.text).report.verdict == "maximal-update"


def test_heads_that_grow() -> None:
    found = abcparam.import_model(f"{MODELS}/nanogpt.py:few_heads", ["width"])
    assert is_proved(found)
    assert "heads = 4, scale = 2 * width^(-1/2)" in found.text


class Attention(nn.Module):
    """Attention that is spelled out, as it was before there was a call for it."""

    def __init__(self, width: int, p: float = 0.0) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.drop, self.attention_drop = nn.Dropout(p), nn.Dropout(0.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, n = x.shape
        q, k, v = (f(x).view(b, t, n // 16, 16).transpose(1, 2) for f in self.maps)
        weights = q @ k.mT * 16**-0.5
        hidden = torch.ones(t, t, dtype=torch.bool).triu(1)
        weights = weights.masked_fill(hidden, float("-inf")).softmax(-1)
        y = (self.attention_drop(weights) @ v).transpose(1, 2).reshape(b, t, n)
        return self.drop(self.out(y))

    @property
    def maps(self) -> tuple[nn.Module, ...]:
        return self.query, self.key, self.value


class Net(nn.Module):
    """Something between a table and a readout."""

    def __init__(self, width: int, inner: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.table = nn.Embedding(30, width)
        self.inner = inner(width)
        self.readout = nn.Linear(width, 30)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.table(tokens)
        return self.readout(x + self.inner(x))


def net(inner: Callable[[int], nn.Module]) -> Callable[..., Any]:
    def build(width: int = 32) -> tuple[nn.Module, Any]:
        return Net(width, inner), (torch.randint(30, (5, 7)),)

    return build


def test_attention_that_is_spelled_out() -> None:
    found = abcparam.import_model(net(Attention), ["width"])
    assert is_proved(found)
    assert "heads = heads, scale = 1/4, causal = true)" in found.text.replace("0.25", "1/4")


def angles(t: int) -> torch.Tensor:
    return torch.outer(torch.arange(t), 100.0 ** (-torch.arange(8) / 8))[:, None]


def by_pairs(x: torch.Tensor) -> torch.Tensor:
    """As llama2.c has it."""
    cos, sin = angles(x.shape[1]).cos(), angles(x.shape[1]).sin()
    one, other = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([one * cos - other * sin, one * sin + other * cos], -1)
    return turned.flatten(3).type_as(x)


def as_complex_numbers(x: torch.Tensor) -> torch.Tensor:
    """As Llama has it."""
    turns = torch.polar(torch.ones(8), angles(x.shape[1]))
    pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * turns).flatten(3).type_as(x)


def every_two(x: torch.Tensor) -> torch.Tensor:
    """As GPT-J has it."""
    sin, cos = (y.repeat_interleave(2, -1) for y in (angles(7).sin(), angles(7).cos()))
    return x * cos + torch.stack((-x[..., 1::2], x[..., ::2]), -1).flatten(-2) * sin


@pytest.mark.parametrize("turn", [by_pairs, as_complex_numbers, every_two])
def test_neighbours_that_are_turned_in_place(turn: Callable[..., torch.Tensor]) -> None:
    class T(Attention):  # a name that emitted modules have
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            b, t, n = x.shape
            q, k, v = (f(x).view(b, t, n // 16, 16) for f in self.maps)
            q, k, v = (y.swapdims(1, 2) for y in (turn(q), turn(k), v))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(y.transpose(1, 2).reshape(b, t, n))  # type: ignore[no-any-return]

    class Config(Net):
        pass

    def build(width: int = 32) -> tuple[nn.Module, Any]:
        return Config(width, T), (torch.randint(30, (5, 7)),)

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    assert "theta = 100, interleaved = true, in_place = true)" in found.text
    assert found.text.count("width / 16") == 1 and "model ConfigModule" in found.text


class Near(Attention):
    """Attention to what is near on both sides, its logits capped."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, n = x.shape
        q, k, v = (f(x).view(b, t, n // 16, 16).transpose(1, 2) for f in self.maps)
        weights = 20 * torch.tanh(q @ k.transpose(-2, -1) * 16**-0.5 / 20)
        near = torch.ones(t, t, dtype=torch.bool).tril(2).triu(-2)
        weights = weights.masked_fill(~near, float("-inf")).softmax(-1)
        return self.drop(self.out((weights @ v).transpose(1, 2).reshape(b, t, n)))


def test_attention_to_what_is_near() -> None:
    found = abcparam.import_model(net(Near), ["width"])
    assert is_proved(found)
    assert "scale = 0.25, window = 3, softcap = 20)" in found.text


def test_dropout_is_written() -> None:
    found = abcparam.import_model(net(lambda width: Attention(width, 0.1)), ["width"])
    assert is_proved(found)
    assert "dropout(" in found.text and ", 0.1)" in found.text


class Gated(nn.Module):
    """A norm by hand, a gate, and a function that the language lacks, if it is to have one."""

    def __init__(self, width: int, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))
        self.gate, self.up = (nn.Linear(width, 2 * width, bias=False) for _ in range(2))
        self.down = nn.Linear(2 * width, width, bias=False)
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.gain * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
        return self.down(self.function(self.gate(x)) * self.up(x))


def test_a_function_is_known_by_what_it_computes() -> None:
    found = abcparam.import_model(
        net(lambda width: Gated(width, lambda x: x * torch.sigmoid(x))), ["width"]
    )
    assert is_proved(found)
    assert "rmsnorm(x, gain = gain, eps = 1e-6)" in found.text.replace("0.000001", "1e-6")
    assert "silu(gate @ " in found.text


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (
            nn.functional.hardshrink,
            "`aten.hardshrink.default` has no spelling in the language: a function",
        ),
        (lambda x: torch.roll(x, 1, -1), "`aten.roll.default` has no spelling in the language"),
    ],
)
def test_what_has_no_spelling_is_refused_at_its_line(function: Any, what: str) -> None:
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.import_model(net(lambda width: Gated(width, function)), ["width"])
    (found,) = caught.value.diagnostics
    assert found.code == "P1013"
    assert what in found.message
    assert found.span.file == __file__


def test_a_text_that_computes_something_else_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    made = TextPrinter.text

    def wrong(self: TextPrinter, *given: Any) -> str:
        return made(self, *given).replace("relu(up", "tanh(up")

    monkeypatch.setattr(TextPrinter, "text", wrong)
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.import_model(f"{MODELS}/perceptron.py:scaled", ["width"])
    (found,) = caught.value.diagnostics
    assert found.code == "P1012"
    assert "the output differs by" in found.message
    assert found.span.file.endswith("perceptron.py")


def test_the_command_writes_a_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    factory = f"{MODELS}/perceptron.py:scaled"
    assert main(["import", factory, "--grow", "width"]) == 0
    text, said = capsys.readouterr()
    assert "Scaled: unstable; outputs and gradients are the model's to" in said
    target = tmp_path / "model.param"
    assert main(["import", factory, "--grow", "width", "-o", str(target)]) == 0
    assert target.read_text().startswith(f"{text}# digest of the lines above: ")
    assert main(["check", str(target)]) == 1
    assert "verdict: unstable" in capsys.readouterr().out


def test_no_file_where_there_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "model.py"
    model.write_text(
        dedent("""\
            import torch
            from torch import nn


            class Model(nn.Module):
                def __init__(self, width):
                    super().__init__()
                    self.up, self.out = nn.Linear(20, width), nn.Linear(width, 10)

                def forward(self, x):
                    return self.out(nn.functional.hardshrink(self.up(x)))


            def build(width=32):
                return Model(width), (torch.randn(5, 20),)
            """)
    )
    target = tmp_path / "model.param"
    target.write_text(kept := "# Model, read by abcparam from model.py:build\n")
    assert main(["import", f"{model}:build", "--grow", "width", "-o", str(target)]) == 2
    assert target.read_text() == kept
    assert "model.py:11:9" in capsys.readouterr().err


class Image(nn.Module):
    """Convolutions, norms over channels, pooling."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.conv = nn.Conv2d(width, width, 3, padding=1, groups=4, bias=False)
        self.groups = nn.GroupNorm(4, width)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(width, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.stem(image)))
        x = self.pool(x + self.groups(self.conv(x)))
        return self.head(x.mean((-2, -1)))


def test_convolutions() -> None:
    def build(width: int = 16) -> tuple[nn.Module, Any]:
        return Image(width), (torch.randn(5, 3, 16, 16),)

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    assert "conv2d(stem, image, stride = 2, padding = 1) + stem_bias" in found.text
    assert "conv2d(conv, x, padding = 1, groups = 4)" in found.text.replace("h,", "x,")


class Logarithms(nn.Module):
    """What is positive under a logarithm, softmaxes under one, and a smooth larger image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, width, 2, 2)
        self.gate, self.head = nn.Conv2d(width, width, 1), nn.Linear(width, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        fine = F.gelu(self.stem(image))
        coarse = torch.log1p(fine * fine) - torch.log(self.gate(fine).softmax(-1) + 1e-6)
        large = F.interpolate(self.down(coarse), scale_factor=2, mode="bilinear")
        level = torch.logsumexp(large, -1, keepdim=True)
        mixed = F.logsigmoid(large) * level + torch.log2(1 + torch.exp(fine))
        return F.log_softmax(self.head(mixed.mean((2, 3))), dim=-1)


def test_logarithms() -> None:
    def build(width: int = 16) -> tuple[nn.Module, Any]:
        return Logarithms(width), (torch.randn(2, 3, 4, 4),)

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    for part in (
        "log(1 + fine * fine) - log(1e-6 + softmax(",
        ", factor = 2, linear = true)",
        "unsqueeze(logsumexp(large), axis = -1)",
        "logsigmoid(large)",
        "return log_softmax(head @",
    ):
        assert part in found.text


class Activations(nn.Module):
    """Functions of one value of PyTorch's, with settings of their own and without."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.third, self.fourth = nn.Linear(width, width), nn.Linear(width, width)
        self.leaky = nn.LeakyReLU(0.2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = F.elu(x) + F.selu(x) + F.mish(x) + F.hardswish(x) + F.celu(x) + F.logsigmoid(x)
        x = self.second(x)
        x = self.third(F.hardtanh(x) + F.relu6(x) + F.softsign(x) + F.hardsigmoid(x))
        x = self.fourth(self.leaky(x) * F.leaky_relu(x) + F.tanhshrink(x))
        return torch.exp(0.1 * torch.relu(x)) + x.clamp(0, 6)


def test_activations() -> None:
    found = abcparam.import_model(net(Activations), ["width"])
    assert is_proved(found)
    for part in (
        "elu(x) + selu(x) + mish(x) + hardswish(x) + elu(x) + logsigmoid(x)",
        "hardtanh(x) + relu6(x) + softsign(x) + hardsigmoid(x)",
        "leaky_relu(x, slope = 0.2) * leaky_relu(x) + tanhshrink(x)",
        "exp(relu(x) / 10) + relu6(x)",
    ):
        assert part in found.text


class Unnamed(nn.Module):
    """A setting of a function that no word of the language has."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.elu(self.inner(x), 0.5)


def test_a_function_that_has_no_word() -> None:
    with pytest.raises(abcparam.SpecError, match="a function of one value that is none of its own"):
        abcparam.import_model(net(Unnamed), ["width"])


class Parts(nn.Module):
    """Parts of different lengths that are equal parts all the same, and a soft cap."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.packed = nn.Linear(width, 2 * width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        width = x.shape[-1]
        a, b, c = self.packed(x).split([width, width // 2, width // 2], dim=-1)
        return 5 * torch.tanh(a / 5) + torch.cat([b, torch.relu(c) ** 2], dim=-1)


def test_parts_and_functions_call_by_call() -> None:
    found = abcparam.import_model(net(Parts), ["width"])
    assert is_proved(found)
    assert "square(relu(" in found.text and "5 * tanh(" in found.text


class Thirds(Parts):
    """Parts that are none of equal ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        width = x.shape[-1]
        a, b = self.packed(x).split([width + width // 2, width // 2], dim=-1)
        return a[..., :width] + torch.cat([b, b], dim=-1)


class WithLoss(nn.Module):
    """Logits, and the loss of all of them in one row."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(30, width), nn.Linear(width, 30)

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, ...]:
        logits = self.head(torch.relu(self.table(tokens)))
        return logits, F.cross_entropy(logits.view(-1, 30), targets.view(-1))


def test_the_loss_of_logits_in_one_row() -> None:
    def build(width: int = 16) -> tuple[nn.Module, Any]:
        return WithLoss(width), (torch.randint(30, (5, 7)), torch.randint(30, (5, 7)))

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    assert "forward(tokens : index(30) [context])" in found.text


@pytest.mark.parametrize(
    ("written", "forward"),
    [
        ("v @ relu(", lambda x, v: x @ v),
        ("v @ relu(", lambda x, v: (v.view(1, -1) * x).sum(-1)),
        ("1 / width * v @ h * mean(h", lambda x, v: (x * v).mean(-1, True) * x.mean(-1, True)),
    ],
)
def test_coordinates_that_a_vector_weighs(written: str, forward: Callable[..., Any]) -> None:
    class Weighed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up = nn.Linear(11, width)
            self.v = nn.Parameter(torch.randn(width))

        def forward(self, x: torch.Tensor) -> Any:
            return forward(torch.relu(self.up(x)), self.v)

    def build(width: int = 16) -> tuple[nn.Module, Any]:
        return Weighed(width), (torch.randn(5, 11),)

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    assert written in found.text and re.search(r"tensor v +: output \[1, width\]", found.text)


def test_a_part_that_others_of_its_length_do_not_make_up_is_refused() -> None:
    with pytest.raises(abcparam.SpecError, match=r"P1013.*others of its length do not make up"):
        abcparam.import_model(net(Thirds), ["width"])


class Uneven(nn.Module):
    """Parts of two lengths, of all of a value and of each of its heads."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.packed = nn.Linear(width, 3 * width // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        width = x.shape[-1]
        a, b = self.packed(x).split([width, width // 2], dim=-1)
        p, q = a.unflatten(-1, (width // 16, 16)).split([12, 4], dim=-1)
        return torch.cat([torch.relu(q), p], dim=-1).flatten(-2) + torch.cat([b, b], dim=-1)


def test_parts_of_two_lengths() -> None:
    found = abcparam.import_model(net(Uneven), ["width"])
    assert is_proved(found)
    for line in (
        "a, b = split(packed @ x, (width, width / 2))",
        "p, q = split(a, (12, 4), heads = heads)",
        "concat(h, p, heads = heads)",
    ):
        assert line in found.text


def test_padding_is_told() -> None:
    def build(width: int = 32) -> tuple[nn.Module, Any]:
        model = Net(width, lambda n: nn.Linear(n, n))
        model.table = nn.Embedding(30, width, padding_idx=0)
        return model, (torch.randint(30, (5, 7)),)

    found = abcparam.import_model(build, ["width"])
    assert is_proved(found)
    assert [note.code for note in found.notes] == ["P1016"]
    assert "row 0 of `table` is for padding" in found.notes[0].message


def test_experts_that_are_chosen_by_biased_scores_in_groups() -> None:
    found = abcparam.import_model(f"{MODELS}/experts.py:balanced", ["width"])
    assert is_proved(found)
    for line in (
        "tensor up           : hidden [3 * width, width]",
        "tensor down         : hidden [width, 3 * width]",
        "tensor experts_bias : input  [3 * width]",
        "return down @ relu(up @ x + experts_bias)",
        "return 2.5 * mixture(logits, Experts(x), top = 2, sigmoid = true, groups = 2, ",
        ", groups = 2, group_top = 1, balanced = true)",
    ):
        assert line in found.text
    assert found.weights["mixture.experts.up"].parameter == "mixture.experts.up"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("best", "mixture(router @ x, Experts(x), top = 2)"),
        ("of_all", "mixture(router @ x, Experts(x), top = 1, normalize = false)"),
    ],
)
def test_experts_that_are_chosen_by_a_softmax(name: str, call: str) -> None:
    found = abcparam.import_model(f"{MODELS}/experts.py:{name}", ["width"])
    assert is_proved(found)
    assert call in found.text


def test_experts_that_all_see_all_tokens() -> None:
    found = abcparam.import_model(f"{MODELS}/experts.py:dense", ["width"])
    assert is_proved(found)
    assert "split(softmax(router @ h), 3)" in found.text


def test_experts_that_are_given_the_tokens_that_chose_them_are_refused() -> None:
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.audit(f"{MODELS}/experts.py:picked", ["width"])
    (found,) = caught.value.diagnostics
    assert (found.code, found.span.line) == ("P1003", 125)
    assert "how many there are depends on values" in found.message
    assert "for experts weights that are zero" in found.help


@pytest.mark.slow
def test_experts_that_are_masked_are_judged_and_not_written() -> None:
    reference = f"{MODELS}/experts.py:masked"
    assert abcparam.audit(reference, ["width"]).remedy.reaches
    with pytest.raises(abcparam.SpecError, match=r"P1013.*changes from layer to layer") as caught:
        abcparam.import_model(reference, ["width"])
    assert caught.value.diagnostics[0].span.line == 123  # `out = out + weight * …` of each expert


def test_weights_of_experts_by_another_rule_are_refused() -> None:
    with pytest.raises(
        abcparam.SpecError, match=r"P1013.*mixture of experts that is put"
    ) as caught:
        abcparam.import_model(f"{MODELS}/experts.py:bent", ["width"])
    (found,) = caught.value.diagnostics
    assert found.span.file.endswith("experts.py")


def test_a_norm_by_a_corrected_deviation_is_no_layernorm() -> None:
    """It is 1 - 1 / (2 width) times one: such a model is judged, and not written."""

    class Model(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first, self.out = nn.Linear(20, width), nn.Linear(width, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.first(x)
            h = (h - h.mean(-1, keepdim=True)) / h.std(-1, keepdim=True)
            return self.out(torch.relu(h))

    def make(width: int = 32) -> Any:
        return Model(width), (torch.randn(6, 20),)

    assert abcparam.audit(make, ["width"]).remedy.reaches
    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.import_model(make, ["width"])
    (found,) = caught.value.diagnostics
    assert found.code == "P1013" and "`nn.LayerNorm` is one" in found.message


def test_a_factory_that_mixes_its_own_precision_with_the_default_one() -> None:
    """It raises where the default is double precision: the proof is then in single precision."""

    class Mixed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            turns = torch.polar(torch.ones(3), torch.arange(3).float())
            self.register_buffer("scales", turns.real)
            self.first, self.out = nn.Linear(3, width), nn.Linear(width, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = self.out(torch.relu(self.first(x)))
            return found

    def make(width: int = 16) -> Any:
        return Mixed(width), (torch.randn(4, 3),)

    found = abcparam.import_model(make, grow=["width"])
    assert [x.tolerance for x in found.compared] == [1e-5, 1e-5]
    assert all(x.wrong is None for x in found.compared)
