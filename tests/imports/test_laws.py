"""Laws of PyTorch's calls at init: sizes that theory has, and that were measured to be so.

Data are of size 1, parameters drawn from a standard normal, and `n` is the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from abcparam.diagnostics.diagnostic import Diagnostic
from tests.imports.trial import Trial, gradients_apart, refused, tried

Shape = Callable[[int], Sequence[int]]


class Given(nn.Module):
    """A module of some parameters, and what is computed by them."""

    def __init__(self, forward: Callable[..., Any], parameters: dict[str, Tensor]) -> None:
        super().__init__()
        self.computed = forward
        for name, value in parameters.items():
            self.register_parameter(name, nn.Parameter(value))

    def forward(self, *data: Tensor) -> Any:
        return self.computed(self, *data)


DATA = {"x": (5, 7, 11), "z": (5, 13, 11), "image": (5, 3, 8, 8), "ids": (5, 7)}


def law(forward: Callable[..., Any], data: str = "x", **shapes: Shape) -> str:
    """The size of what is computed from data by parameters of these shapes, as n grows."""

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        drawn = {name: torch.randn(*shape(width)) for name, shape in shapes.items()}
        names = data.split()
        given = [torch.randint(17, DATA[n]) if n == "ids" else torch.randn(DATA[n]) for n in names]
        return Given(forward, drawn), tuple(given)

    return agreed(tried(make))


def agreed(trial: Trial) -> str:
    """The size of an output, where its gradients grow as they should too."""
    assert gradients_apart(trial) == {}
    return trial.output


def vector(n: int) -> Sequence[int]:
    return (n,)


def first(n: int) -> Sequence[int]:
    return (11, n)


def square(n: int) -> Sequence[int]:
    return (n, n)


def out(n: int) -> Sequence[int]:
    return (37, n)


def table(n: int) -> Sequence[int]:
    return (17, n)


MAPS: dict[str, tuple[str, Callable[..., Any], dict[str, Shape]]] = {
    "data are finite": ("1", lambda m, x: x @ m.a, {"a": first}),
    "linear": ("width^(1/2)", lambda m, x: F.linear(x @ m.a, m.b), {"a": first, "b": square}),
    "with a bias": (
        "width^(1/2)",
        lambda m, x: F.linear(x @ m.a, m.b, m.c),
        {"a": first, "b": out, "c": lambda n: (37,)},
    ),
    "a scaled weight": (
        "width^(-1/2)",
        lambda m, x: F.linear(x @ m.a, m.b / m.b.shape[1]),
        {"a": first, "b": square},
    ),
    "twice": (
        "width",
        lambda m, x: x @ m.a @ m.b @ m.b,
        {"a": first, "b": square},
    ),
    "a map and its transpose": (
        "width",
        lambda m, x: x @ m.a @ m.b @ m.b.T,
        {"a": first, "b": square},
    ),
    "from the left": (
        "width^(1/2)",
        lambda m, x: m.b @ (x @ m.a).transpose(1, 2),
        {"a": first, "b": square},
    ),
    "a chunk of a weight": (
        "width^(1/2)",
        lambda m, x: F.linear(x @ m.a, m.b.chunk(3)[1]),
        {"a": first, "b": lambda n: (3 * n, n)},
    ),
    "rows of a weight": (
        "width^(1/2)",
        lambda m, x: F.linear(x @ m.a, m.b[: m.b.shape[1]]),
        {"a": first, "b": lambda n: (3 * n, n)},
    ),
    "one of several matrices": (
        "width^(1/2)",
        lambda m, x: x @ m.a @ m.b[1],
        {"a": first, "b": lambda n: (3, n, n)},
    ),
    "a matrix for each": (
        "width^(1/2)",
        lambda m, x: torch.bmm(x @ m.a, m.b),
        {"a": first, "b": lambda n: (5, n, n)},
    ),
    "a view of a weight": (
        "width^(1/2)",
        lambda m, x: torch.einsum("btn,hdn->bthd", x @ m.a, m.b.view(4, -1, m.b.shape[1])),
        {"a": first, "b": square},
    ),
    "einsum by heads": (
        "width^(1/2)",
        lambda m, x: torch.einsum("btn,hdn->bhtd", x @ m.a, m.b),
        {"a": first, "b": lambda n: (4, n // 4, n)},
    ),
    "einsum over heads and their channels": (
        "width^(1/2)",
        lambda m, x: torch.einsum("...hd,hdn->...n", (x @ m.a).unflatten(-1, (4, -1)), m.b),
        {"a": first, "b": lambda n: (4, n // 4, n)},
    ),
    "einsum of a gain": (
        "1",
        lambda m, x: torch.einsum("btn,n->btn", x @ m.a, m.b),
        {"a": first, "b": vector},
    ),
    "einsum transposes": (
        "1",
        lambda m, x: torch.einsum("btn->bnt", x @ m.a),
        {"a": first},
    ),
    "einsum sums": (
        "width^(1/2)",
        lambda m, x: torch.einsum("btn->bt", x @ m.a),
        {"a": first},
    ),
    "a sum of what a weight weighs": (
        "width^(1/2)",
        lambda m, x: ((x @ m.a)[..., None, :] * m.b).sum(-1),
        {"a": first, "b": square},
    ),
    "the same, and its transpose": (
        "width",
        lambda m, x: ((x @ m.a @ m.b)[..., None, :] * m.b).sum(-1, keepdim=True)[..., 0],
        {"a": first, "b": square},
    ),
    "transposed in another way": (
        "width",
        lambda m, x: x @ m.a @ m.b @ m.b.mT,
        {"a": first, "b": square},
    ),
    "a sum in each head": (
        "width^(1/2)",
        lambda m, x: (m.b * (x @ m.a).unflatten(-1, (4, -1))).sum(-1),
        {"a": first, "b": lambda n: (1, 4, n // 4)},
    ),
    "a mean of what a weight weighs": (
        "width^(-1/2)",
        lambda m, x: (x @ m.a * m.b).mean(-1),
        {"a": first, "b": vector},
    ),
    "a vector": ("width^(1/2)", lambda m, x: x @ m.a @ m.b, {"a": first, "b": vector}),
    "a vector from the left": (
        "width^(1/2)",
        lambda m, x: m.b @ (x @ m.a).mT,
        {"a": first, "b": vector},
    ),
    "addmm": (
        "width^(1/2)",
        lambda m, x: torch.addmm(m.c, x[0] @ m.a, m.b),
        {"a": first, "b": square, "c": vector},
    ),
}


@pytest.mark.parametrize("name", MAPS)
def test_maps(name: str):
    expected, forward, shapes = MAPS[name]
    assert law(forward, **shapes) == expected


IMAGES: dict[str, tuple[str, Callable[..., Any], dict[str, Shape]]] = {
    "of finitely many channels": (
        "1",
        lambda m, x: F.conv2d(x, m.a, padding=1),
        {"a": lambda n: (n, 3, 3, 3)},
    ),
    "of many channels": (
        "width^(1/2)",
        lambda m, x: F.conv2d(F.conv2d(x, m.a), m.b, stride=2),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, n, 3, 3)},
    ),
    "with a bias": (
        "width^(1/2)",
        lambda m, x: F.conv2d(F.conv2d(x, m.a), m.b, m.c),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, n, 1, 1), "c": vector},
    ),
    "of each channel alone": (
        "1",
        lambda m, x: F.conv2d(F.conv2d(x, m.a), m.b, groups=m.b.shape[0]),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, 1, 3, 3)},
    ),
    "transposed": (
        "width^(1/2)",
        lambda m, x: F.conv_transpose2d(F.conv2d(x, m.a), m.b, stride=2),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, n, 2, 2)},
    ),
    "upsampled beside a skip": (
        "width^(1/2)",
        lambda m, x: F.conv2d(
            torch.cat([F.interpolate(F.conv2d(x, m.a, stride=2), scale_factor=2), x], 1), m.b
        ),
        {"a": lambda n: (n, 3, 2, 2), "b": lambda n: (n, n + 3, 1, 1)},
    ),
    "over groups": (
        "1",
        lambda m, x: F.group_norm(F.conv2d(F.conv2d(x, m.a), m.b), 4),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, n, 1, 1)},
    ),
    "over a batch": (
        "1",
        lambda m, x: F.batch_norm(F.conv2d(F.conv2d(x, m.a), m.b), None, None, training=True),
        {"a": lambda n: (n, 3, 1, 1), "b": lambda n: (n, n, 1, 1)},
    ),
    "the largest": (
        "1",
        lambda m, x: F.max_pool2d(F.conv2d(x, m.a), 2),
        {"a": lambda n: (n, 3, 1, 1)},
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name: str):
    expected, forward, shapes = IMAGES[name]
    assert law(forward, "image", **shapes) == expected


def grown(m: Any, x: Tensor) -> Any:
    """A value of size √n."""
    return x @ m.a @ m.b


def rms(x: Tensor) -> Tensor:
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)


NORMS: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    "layernorm": ("1", lambda x: F.layer_norm(x, x.shape[-1:])),
    "rmsnorm": ("1", lambda x: F.rms_norm(x, x.shape[-1:])),
    "rmsnorm by hand": ("1", rms),
    "over a root": ("1", lambda x: x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6)),
    "over a mean of squares to the half": (
        "1",
        lambda x: x / (x.square().mean(-1, keepdim=True) + 1e-6) ** 0.5,
    ),
    "layernorm by hand": (
        "1",
        lambda x: (
            (x - x.mean(-1, keepdim=True))
            / torch.sqrt((x - x.mean(-1, keepdim=True)).pow(2).mean(-1, keepdim=True) + 1e-5)
        ),
    ),
    "layernorm of a variance": (
        "1",
        lambda x: (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.var(-1, keepdim=True) + 1e-5),
    ),
    "layernorm of a deviation": (
        "1",
        lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-6),
    ),
    "over a deviation": ("1", lambda x: x / (x.std(-1, keepdim=True) + 1e-6)),
    "over that of all": ("1", lambda x: (x - x.mean()) / (x.std() + 1e-6)),
    "a deviation": ("width^(1/2)", lambda x: x.std(-1)),
    "a variance": ("width", lambda x: x.var(-1)),
    "that of all": ("width", lambda x: x * x.std(unbiased=False)),
    "a root of mean squares": ("width^(1/2)", lambda x: torch.sqrt(x.square().mean(-1))),
    "a root of a sum": ("width", lambda x: torch.sqrt((x * x).sum(-1) + 1e-6)),
    "a direction": ("width^(-1/2)", lambda x: F.normalize(x, dim=-1)),
    "over its norm": ("width^(-1/2)", lambda x: x / x.norm(dim=-1, keepdim=True)),
    "over its norm and a little": (
        "width^(-1/2)",
        lambda x: x / (torch.linalg.vector_norm(x, dim=-1, keepdim=True) + 1e-6),
    ),
    "over a root of squares": (
        "width^(-1/2)",
        lambda x: x / torch.pow(torch.sum(torch.pow(x, 2), dim=-1, keepdim=True), 0.5),
    ),
    "times a reciprocal root": (
        "width^(-1/2)",
        lambda x: x * torch.rsqrt((x * x).sum(-1, keepdim=True) + 1e-6),
    ),
    "a length": ("width", lambda x: x.norm(dim=-1)),
    "the mean of what is centred": ("1", lambda x: x.mean(-1)),
    "the mean of what is not": ("width^(1/2)", lambda x: x.relu().mean(-1)),
    "the sum of what is centred": ("width", lambda x: x.sum(-1)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms_and_means(name: str):
    expected, function = NORMS[name]
    assert law(lambda m, x: function(grown(m, x)), a=first, b=square) == expected


def annotated(m: Any, x: Tensor) -> Tensor:
    """The layer norm of The Annotated Transformer, whose gain comes first."""
    mean, std = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
    return m.gain * (x - mean) / (std + 1e-6) + m.bias


def reciprocal(m: Any, x: Tensor) -> Tensor:
    return m.gain * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6) + m.bias


@pytest.mark.parametrize("norm", [annotated, reciprocal])
def test_norms_whose_gain_comes_first(norm: Callable[..., Tensor]):
    def forward(m: Any, x: Tensor) -> Tensor:
        return norm(m, grown(m, x))

    assert law(forward, a=first, b=square, gain=vector, bias=vector) == "1"


FUNCTIONS: dict[str, tuple[str, str, Callable[[Tensor], Any]]] = {
    "relu": ("width^(1/2)", "relu", torch.relu),
    "in place": ("width^(1/2)", "relu", lambda x: F.relu(x + 0, inplace=True)),
    "gelu": ("width^(1/2)", "gelu", F.gelu),
    "gelu as GPT-2 has it": (
        "width^(1/2)",
        "gelu_tanh",
        lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    ),
    "gelu by its error function": (
        "width^(1/2)",
        "gelu",
        lambda x: x * 0.5 * (1 + torch.erf(x / 2**0.5)),
    ),
    "silu by a sigmoid": ("width^(1/2)", "silu", lambda x: x * torch.sigmoid(x)),
    "tanh": ("1", "tanh", torch.tanh),
    "a soft cap": ("1", "mul", lambda x: 30 * torch.tanh(x / 30)),
    "squares of relu": ("width", "square", lambda x: F.relu(x).square()),
    "a clamp": ("1", "hardtanh", lambda x: x.clamp(-1, 1)),
    "between other numbers": ("1", "clamp", lambda x: x.clamp(-1, 2)),
    "leaky": ("width^(1/2)", "leaky_relu", lambda x: F.leaky_relu(x, 0.1)),
    "the power of a half": ("1", "sigmoid", torch.sigmoid),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str):
    expected, operation, function = FUNCTIONS[name]

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        drawn = {"a": torch.randn(11, width), "b": torch.randn(width, width)}
        return Given(lambda m, x: function(grown(m, x)), drawn), (torch.randn(5, 7, 11),)

    trial = tried(make)
    assert trial.output == expected
    if expected != "1":  # a bounded one is flat where it saturates, which laws leave out
        assert gradients_apart(trial) == {}
    assert trial.graph.outputs[0].title == operation


OF_SIZE_ONE: dict[str, tuple[str, Callable[[Tensor], Any]]] = {
    **{
        name: (name, getattr(F, name))
        for name in (
            *("elu", "selu", "mish", "leaky_relu", "hardswish", "hardsigmoid", "hardtanh", "relu6"),
            *("softsign", "tanhshrink", "logsigmoid", "hardshrink", "softshrink"),
        )
    },
    **{name: (name, getattr(torch, name)) for name in ("asinh", "erf", "sinh", "cosh", "exp2")},
    "celu": ("elu", F.celu),
    "elu of another slope": ("elu", lambda x: F.elu(x, 0.5)),
    "softplus of another slope": ("softplus", lambda x: F.softplus(x, 2)),
    "softsign by hand": ("softsign", lambda x: x / (1 + x.abs())),
    "relu6 by hand": ("relu6", lambda x: x.clamp(0, 6)),
    "mish by hand": ("mish", lambda x: x * torch.tanh(F.softplus(x))),
    "a threshold": ("threshold", lambda x: F.threshold(x, 0.1, 0)),
    "a reciprocal": ("mul", lambda x: 1 / (1 + x * x)),
    "a root": ("sqrt", lambda x: torch.sqrt(1 + x * x)),
    "a reciprocal root": ("rsqrt", lambda x: torch.rsqrt(1 + x * x)),
    "the identity's half": ("leaky_relu", lambda x: torch.maximum(x, 0.5 * x)),
}


@pytest.mark.parametrize("name", OF_SIZE_ONE)
def test_functions_of_what_is_of_size_one(name: str):
    operation, function = OF_SIZE_ONE[name]

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        drawn = {"a": torch.randn(11, width) / 11**0.5, "b": torch.randn(width, width)}

        def forward(m: Any, x: Tensor) -> Tensor:
            return function(grown(m, x) / m.b.shape[0] ** 0.5)

        return Given(forward, drawn), (torch.randn(5, 7, 11),)

    trial = tried(make)
    assert agreed(trial) == "1"
    assert trial.graph.outputs[0].title == operation


@pytest.mark.parametrize(
    "function",
    [lambda x: x / x.sin(), lambda x: torch.rsqrt(x * x + 1e-6), lambda x: torch.sqrt(x.abs())],
)
def test_what_may_be_near_zero_is_no_divisor(function: Callable[[Tensor], Tensor]):
    assert told(lambda m, x: function(x @ m.a), a=first).code == "P1005"


def heads(x: Tensor, count: int = 4) -> Tensor:
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


def logits(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.transpose(-2, -1)


def packed(take: Callable[[Tensor], Sequence[Tensor]]) -> Callable[..., Tensor]:
    """The logits of a head by the first two of three parts of one map."""

    def forward(m: Any, x: Tensor) -> Tensor:
        q, k, *_ = take(F.linear(x, m.a))
        return logits(q, k)

    return forward


PARTS: dict[str, Callable[[Tensor], Sequence[Tensor]]] = {
    "split": lambda y: y.split(y.shape[-1] // 3, dim=2),
    "chunk": lambda y: [heads(part) for part in y.chunk(3, -1)],
    "slices": lambda y: (
        y[..., : y.shape[-1] // 3],
        y[..., y.shape[-1] // 3 : y.shape[-1] // 3 * 2],
    ),
    "parts outside of heads": lambda y: y.reshape(5, 7, 3, 4, -1).permute(2, 0, 3, 1, 4).unbind(0),
    "parts inside of heads": lambda y: y.view(5, 7, 4, 3, -1).transpose(1, 2).unbind(3),
    "parts of each head": lambda y: y.view(5, 7, 4, -1).transpose(1, 2).chunk(3, dim=-1),
    "selected": lambda y: [y.view(5, 7, 3, -1).select(2, i) for i in range(3)],
    "with a factor behind": lambda y: (0.5 * y).chunk(3, -1),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_one_map_are_independent(name: str):
    """Their product over n channels obeys the central limit."""
    forward = packed(PARTS[name])
    assert law(forward, a=lambda n: (12 * n, 11)) == "width^(1/2)"


def test_parts_whose_mean_is_not_zero_are_aligned():
    forward = packed(lambda y: (y + 9).chunk(3, -1))
    assert law(forward, a=lambda n: (12 * n, 11)) == "width"


def test_a_part_is_aligned_with_itself():
    forward = packed(lambda y: (y.chunk(3, -1)[0], y.chunk(3, -1)[0]))
    assert law(forward, a=lambda n: (12 * n, 11)) == "width"


def test_unequal_parts_of_one_map():
    def forward(m: Any, x: Tensor) -> Tensor:
        n = m.a.shape[0] // 8
        q, k, _ = F.linear(x, m.a).split([4 * n, 2 * n, 2 * n], dim=-1)
        return logits(heads(q), heads(k, 2).repeat_interleave(2, dim=1))

    assert law(forward, a=lambda n: (8 * n, 11)) == "width^(1/2)"


def attention(m: Any, x: Tensor) -> Tensor:
    q, k, v = (F.linear(x, w) for w in (m.q, m.k, m.v))
    return F.scaled_dot_product_attention(heads(q), heads(k), heads(v), is_causal=True)


def by_hand(m: Any, x: Tensor) -> Tensor:
    q, k, v = (heads(F.linear(x, w)) for w in (m.q, m.k, m.v))
    scores = logits(q, k) / q.shape[-1] ** 0.5
    hidden = torch.ones(7, 7, dtype=torch.bool).triu(1)
    return scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v


@pytest.mark.parametrize("forward", [attention, by_hand])
def test_attention(forward: Callable[..., Tensor]):
    shapes = dict.fromkeys("qkv", lambda n: (n, 11))
    assert law(forward, **shapes) == "1"


def test_rotations_by_complex_numbers():
    def forward(m: Any, x: Tensor) -> Tensor:
        y = torch.view_as_complex(F.linear(x @ m.a, m.b).unflatten(-1, (-1, 2)))
        angles = torch.outer(torch.arange(7.0), torch.linspace(0, 1, y.shape[-1]))
        return torch.view_as_real(y * torch.polar(torch.ones_like(angles), angles)).flatten(2)

    assert law(forward, a=first, b=square) == "width^(1/2)"


def test_attention_to_something_else_by_parts_of_one_weight():
    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        class Cross(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one, self.two = nn.Linear(11, width), nn.Linear(11, width)
                self.attention = nn.MultiheadAttention(width, width // 8, batch_first=True)

            def forward(self, x: Tensor, z: Tensor) -> Tensor:
                z = self.two(z)
                y, _ = self.attention(self.one(x), z, z, need_weights=False)
                return y  # type: ignore[no-any-return]

        return Cross(), (torch.randn(5, 7, 11), torch.randn(5, 13, 11))

    assert agreed(tried(make)) == "1"


def test_a_readout_by_what_was_looked_up():
    assert law(lambda m, i: F.linear(F.embedding(i, m.a), m.a), "ids", a=table) == "width"
    assert law(lambda m, i: m.a[i] @ m.a.T, "ids", a=table) == "width"
    spelled = law(lambda m, i: torch.einsum("btn,vn->btv", m.a[i], m.a), "ids", a=table)
    assert spelled == "width"


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_recurrent_layers(kind: str):
    """PyTorch starts the map of the input too by the root of the width."""

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        layer = getattr(nn, kind)(11, width, num_layers=2, batch_first=True, bidirectional=True)

        class Outputs(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = layer

            def forward(self, x: Tensor) -> Tensor:
                return self.layer(x)[0]  # type: ignore[no-any-return]

        return Outputs(), (torch.randn(5, 7, 11),)

    assert tried(make).output == "width^(-1/2)"


def test_cells_by_hand():
    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        class Cells(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cell = nn.LSTMCell(11, width)

            def forward(self, x: Tensor) -> Tensor:
                state = None
                for place in range(3):
                    state = self.cell(x[:, place], state)
                assert state is not None
                return state[0]  # type: ignore[no-any-return]

        return Cells(), (torch.randn(5, 7, 11),)

    assert agreed(tried(make)) == "width^(-1/2)"


def test_experts_are_chosen_and_weighted():
    """The two likeliest of four, each with its share of what the two have."""

    def forward(m: Any, x: Tensor) -> Tensor:
        y = (x @ m.a).flatten(0, 1)
        weights, chosen = (y @ m.r / y.shape[-1]).softmax(-1).topk(2)
        weights = weights / weights.sum(-1, keepdim=True)
        every = torch.einsum("tn,enm->tem", y, m.b)
        each = every.gather(1, chosen[..., None].expand(-1, -1, y.shape[-1]))
        return (each * weights[..., None]).sum(1)

    shapes: dict[str, Shape] = {"a": first, "r": lambda n: (n, 4), "b": lambda n: (4, n, n)}
    assert law(forward, **shapes) == "width^(1/2)"


def test_similarities_of_directions():
    """As CLIP has them: a learned temperature, times cosines."""

    def forward(m: Any, x: Tensor, z: Tensor) -> Tensor:
        u, v = (F.normalize(y.mean(1) @ w, dim=-1) for y, w in ((x, m.a), (z, m.b)))
        return (m.scale / 100).exp() * u @ v.T

    shapes: dict[str, Shape] = {"a": first, "b": first, "scale": lambda n: (1,)}
    assert law(forward, "x z", **shapes) == "width^(-1/2)"


def test_weights_of_neighbours():
    """A softmax over the edges of each node, as graph attention has it."""

    def forward(m: Any, x: Tensor) -> Tensor:
        h, starts, ends = x @ m.a, torch.arange(14) * 3 // 2 % 7, torch.arange(14) % 7
        weights = F.leaky_relu((h @ m.b / m.b.shape[0])[:, starts], 0.2).exp()
        total = torch.zeros(5, 7, 1).index_add(1, ends, weights) + 1e-9
        shares = weights / total[:, ends]
        return torch.zeros_like(h).index_add(1, ends, shares * h[:, starts])

    assert law(forward, a=first, b=lambda n: (n, 1)) == "1"


def test_attention_of_neighbours_is_made_maximal_update():
    """A vector for each head weighs coordinates, whose sum is a logit: it reads out."""

    def of_edges(m: Any, h: Tensor, weights: Tensor) -> Tensor:
        ends = torch.arange(14) % 7
        h = (h @ weights).unflatten(-1, (4, -1))
        starts, stops = (h * m.start).sum(-1), (h * m.end).sum(-1)
        edges = F.leaky_relu(starts.repeat(1, 2, 1) + stops[:, ends], 0.2).exp()
        shares = edges / torch.zeros(5, 7, 4).index_add(1, ends, edges)[:, ends]
        return torch.zeros_like(h).index_add(1, ends, shares[..., None] * h[:, ends]).flatten(2)

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        square, heads = torch.randn(width, width) / width**0.5, torch.randn(1, 4, width // 4)
        given = {"a": torch.randn(11, width), "b": square, "c": square.clone()}
        given |= {"start": heads, "end": heads.clone(), "out": torch.randn(width, 3) / width}

        def forward(m: Any, x: Tensor) -> Tensor:
            h: Tensor = F.elu(of_edges(m, F.elu(of_edges(m, x @ m.a, m.b)), m.c)) @ m.out
            return h

        return Given(forward, given), (torch.randn(5, 7, 11),)

    remedy = tried(make).remedy
    assert remedy.reaches
    changes = {change.path: change for change in remedy.changes}
    for name in ("start", "end"):
        assert changes[name].init == {"width": -1} and changes[name].lr == {"width": -1}


def gated(m: Any, x: Tensor) -> Tensor:
    return F.glu(x @ m.a @ m.b / m.b.shape[0] ** 0.5)


def between(m: Any, x: Tensor) -> Tensor:
    return torch.lerp(x @ m.a, x @ m.a @ m.b, 0.5)


def cosines(m: Any, x: Tensor) -> Tensor:
    return F.cosine_similarity(x @ m.a, x @ m.a @ m.b, dim=-1)


@pytest.mark.parametrize(
    ("expected", "forward"),
    [("1", gated), ("width^(1/2)", between), ("width^(-1/2)", cosines)],
)
def test_calls_that_are_several_others(expected: str, forward: Callable[..., Tensor]):
    assert law(forward, a=first, b=square) == expected


@pytest.mark.parametrize(("mode", "size"), [("mean", "1"), ("sum", "1"), ("max", "1")])
def test_bags_of_a_table(mode: str, size: str):
    """As many rows in each bag: what becomes of them is that of a matrix of indices."""

    def forward(m: Any, ids: Tensor) -> Tensor:
        return F.embedding_bag(ids, m.t, mode=mode)

    assert law(forward, "ids", t=table) == size


def test_bags_of_several_sizes_are_refused():
    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        def forward(m: Any, ids: Tensor) -> Tensor:
            return F.embedding_bag(ids, m.t, torch.tensor([0, 2, 5]))

        given = {"t": torch.randn(17, width)}
        return Given(forward, given), (torch.randint(17, (9,)),)

    assert "embedding_bag" in refused(make).message


def test_what_does_not_grow_lies_beside_what_does():
    """Of a narrow model 63 coordinates of size 1 are most, of a wide one those of the map."""

    class Skip(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up = nn.Linear(63, width)
            self.out = nn.Linear(width + 63, 3)
            nn.init.normal_(self.up.weight, std=0.01)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.out(torch.cat([x, torch.relu(self.up(x)), x[..., :0]], -1))
            return result

    trial = tried(lambda width: (Skip(width), (torch.randn(5, 63),)))
    assert trial.apart == ()


def test_numbers_of_which_some_start_at_zero():
    """A stream and where it began are weighed by 1 and 0: the part is zero, its size Θ(1)."""

    class Weighed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.up, self.out = nn.Linear(11, width), nn.Linear(width, 10)
            self.weights = nn.Parameter(torch.tensor([1.0, 0.0]))

        def forward(self, x: Tensor) -> Tensor:
            start = self.up(x)
            x = self.weights[0] * torch.relu(start) + self.weights[1] * start
            result: Tensor = self.out(x)
            return result

    trial = tried(lambda width: (Weighed(width), (torch.randn(5, 7, 11),)))
    assert trial.apart == () and trial.output == "1"


def test_data_that_grow():
    """A buffer of √n, and one whose entries differ."""
    assert law(lambda m, x: x @ m.a * torch.tensor(m.a.shape[1] ** 0.5), a=first) == "width^(1/2)"

    def forward(m: Any, x: Tensor) -> Tensor:
        return x @ m.a + torch.linspace(0.5, 1, m.a.shape[1]) * m.a.shape[1]

    assert law(forward, a=first) == "width"


def test_values_that_are_filled_part_by_part():
    def forward(m: Any, x: Tensor) -> Tensor:
        y = F.linear(x @ m.a, m.b)
        filled = y.new_empty(y.shape)
        half = y.shape[-1] // 2
        filled[..., :half] = y[..., half:]
        filled[..., half:] = y[..., :half]
        return filled

    assert law(forward, a=first, b=square) == "width^(1/2)"


# What is refused


def told(forward: Callable[..., Any], **shapes: Shape) -> Diagnostic:
    """What is said of what is computed from x by parameters of these shapes."""

    def make(width: int) -> tuple[nn.Module, tuple[Tensor, ...]]:
        drawn = {name: torch.randn(*shape(width)) for name, shape in shapes.items()}
        return Given(forward, drawn), (torch.randn(5, 7, 11),)

    return refused(make)


def without_gradient(m: Any, x: Tensor) -> Tensor:
    y = x @ m.a
    with torch.no_grad():
        size = y.norm(dim=-1, keepdim=True)
    return y / size


STOPPED: dict[str, tuple[str, Callable[..., Any]]] = {
    "detach": ("1", lambda m, x: (x @ m.a).detach() * (x @ m.a)),
    "no_grad": ("width^(-1/2)", without_gradient),
}


@pytest.mark.parametrize("name", STOPPED)
def test_gradients_that_are_stopped(name: str):
    expected, forward = STOPPED[name]
    assert law(forward, a=first) == expected


def viewed_and_changed(m: Any, x: Tensor) -> Tensor:
    y = x @ m.a
    view = y.flatten(0, 1)
    y.mul_(2)
    return view


def part_changed(m: Any, x: Tensor) -> Tensor:
    y = x @ m.a
    y[..., 0].zero_()
    return y


def branched(m: Any, x: Tensor) -> Tensor:
    y = x @ m.a
    return y if y.sum() > 0 else -y


def differentiated(m: Any, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_(True)
    (found,) = torch.autograd.grad((x @ m.a).tanh().sum(), x, create_graph=True)
    return found


REFUSED: dict[str, tuple[str, str, Callable[..., Any]]] = {
    "a view of what changes": ("P1005", "`aten.mul_.Tensor`", viewed_and_changed),
    "a part that changes": ("P1005", "`aten.zero_.default`", part_changed),
    "a number": ("P1005", "taken out of values", lambda m, x: (x @ m.a) * (x @ m.a).mean().item()),
    "a branch": ("P1003", "what runs depends on values", branched),
    "a derivative": ("P1003", "takes a gradient of its own values", differentiated),
    "complex": (
        "P1005",
        "complex numbers",
        lambda m, x: torch.view_as_real(
            torch.view_as_complex((x @ m.a).unflatten(-1, (-1, 2))).exp()
        ),
    ),
    "a transform": (
        "P1005",
        "multiply by buffers of cosines and sines in place of the transform",
        lambda m, x: torch.fft.irfft(torch.fft.rfft(x @ m.a, dim=1), dim=1),
    ),
    "a computed weight": (
        "P1005",
        "a weight that is computed from parameters",
        lambda m, x: F.linear(x, (m.a + m.a.tanh()).T),
    ),
    "a logarithm": ("P1005", "what may be zero", lambda m, x: torch.log((x @ m.a).abs())),
    "a norm of one": (
        "P1005",
        "a norm of one number",
        lambda m, x: F.layer_norm((x @ m.a).mean(-1, keepdim=True), (1,)),
    ),
    "a softmax of many": ("P1005", "over a growing axis", lambda m, x: (x @ m.a).softmax(-1)),
    "a quotient": (
        "P1005",
        "may be near zero",
        lambda m, x: (x @ m.a) / (x @ m.a).sum(-1, keepdim=True),
    ),
    "an unknown factor": (
        "P1007",
        "a factor is no power of the sizes",
        lambda m, x: (x @ m.a) * (1 + m.a.shape[1] ** 0.5),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str):
    code, text, forward = REFUSED[name]
    found = told(forward, a=first)
    assert found.code == code
    assert text in found.message
    assert found.span.file == __file__


class Policy(nn.Module):
    """A Gaussian policy beside a value; `squashed`: of actions that it draws, through tanh."""

    def __init__(self, width: int, squashed: bool) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, width), nn.Tanh(), nn.Linear(width, width))
        self.mean, self.value = nn.Linear(width, 3), nn.Linear(width, 1)
        self.log_std = nn.Linear(width, 3)
        self.squashed = squashed

    def forward(self, x: Tensor, action: Tensor) -> tuple[Tensor, ...]:
        hidden = torch.tanh(self.body(x))
        spread = self.log_std(hidden).clamp(-20, 2).exp()
        found = torch.distributions.Normal(self.mean(hidden), spread)
        action = found.rsample() if self.squashed else action
        log_density = found.log_prob(action).sum(-1)
        if self.squashed:
            log_density = log_density - (2 * (-action - F.softplus(-2 * action))).sum(-1)
        return log_density, found.entropy().sum(-1), self.value(hidden).squeeze(-1)


@pytest.mark.parametrize("squashed", [False, True])
def test_distributions_of_policies(squashed: bool):
    """`torch.distributions` looks whether what it is given is valid, which is no law's matter."""

    def make(width: int = 64) -> Any:
        return Policy(width, squashed), (torch.randn(6, 5), torch.randn(6, 3))

    before = torch.distributions.Distribution._validate_args
    audit = abcparam.audit(make, grow=["width"])
    assert torch.distributions.Distribution._validate_args == before
    assert audit.verdict == "unstable"
    assert audit.remedy.reaches
    changes = {change.path: change for change in audit.remedy.changes}
    for readout in ("mean.weight", "log_std.weight", "value.weight"):
        assert changes[readout].lr == {"width": -1}


class Taught(nn.Module):
    """A model beside a frozen teacher, which is called without gradients or as usual."""

    def __init__(self, width: int, stops: bool) -> None:
        super().__init__()
        self.teacher = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Linear(40, 3))
        self.teacher.requires_grad_(False)
        self.body = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width))
        self.head = nn.Linear(width, 3)
        self.stops = stops

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        with torch.set_grad_enabled(not self.stops):
            wanted = self.teacher(x).log_softmax(-1)
        logits = self.head(torch.relu(self.body(x)))
        teaching = F.kl_div(logits.log_softmax(-1), wanted, log_target=True, reduction="batchmean")
        return F.cross_entropy(logits, y) + teaching


def test_a_frozen_teacher_without_gradients_is_one():
    def audit(stops: bool) -> Any:
        def make(width: int = 64) -> Any:
            return Taught(width, stops), (torch.randn(6, 5), torch.randint(3, (6,)))

        return abcparam.audit(make, grow=["width"])

    stopped, usual = audit(True), audit(False)
    assert stopped.remedy.reaches
    assert stopped.verdict == usual.verdict == "unstable"
    assert stopped.remedy.to_dict()["changes"] == usual.remedy.to_dict()["changes"]
