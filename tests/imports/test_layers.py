"""Layers with calls between them: one repeat, its text, its verdict and its adapter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.emission.execute import executed
from abcparam.imports.adapter import adapter_of
from abcparam.imports.comparing import compared_with
from abcparam.imports.layer_numbers import deep_paths
from abcparam.verdict.check import load

PIXELS, CLASSES = 7, 10
Call = Callable[["Layers", Tensor, int], Tensor]


class Layers(nn.Module):
    """Equal layers, with what `call` computes of the stream and of one of them."""

    def __init__(self, width: int, depth: int, call: Call) -> None:
        super().__init__()
        self.first = nn.Linear(PIXELS, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        normed = depth if call is of_two_lists else 0
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(normed))
        self.out = nn.Linear(width, CLASSES)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for number in range(len(self.layers)):
            x = self.call(self, x, number)
        return self.out(x)


def outside(model: Layers, x: Tensor, number: int) -> Tensor:
    return torch.relu(model.layers[number](x))


def residual(model: Layers, x: Tensor, number: int) -> Tensor:
    return x + torch.tanh(model.layers[number](x)) / len(model.layers)


def branch_first(model: Layers, x: Tensor, number: int) -> Tensor:
    x = 0.1 * torch.tanh(model.layers[number](x)) + x
    return model.layers[number](F.layer_norm(x, x.shape[-1:])) + x


def before(model: Layers, x: Tensor, number: int) -> Tensor:
    return x + model.layers[number](F.layer_norm(x, x.shape[-1:]))


def of_two_lists(model: Layers, x: Tensor, number: int) -> Tensor:
    return x + model.layers[number](model.norms[number](x))


def but_the_last(model: Layers, x: Tensor, number: int) -> Tensor:
    x = model.layers[number](x)
    return torch.relu(x) if number < len(model.layers) - 1 else x


def factory(call: Call) -> Callable[..., Any]:
    def make(width: int = 16, depth: int = 4) -> Any:
        return Layers(width, depth, call), (torch.randn(5, PIXELS),)

    return make


def sequential(width: int = 7, depth: int = 3) -> Any:
    """Its first and last layer are equal to the others where the width is that of the input."""
    layers: list[nn.Module] = [nn.Linear(PIXELS, width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Linear(width, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, PIXELS)), (torch.randn(5, PIXELS),)


def feed_forward(width: int, by: int) -> nn.Module:
    inner = by * width
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, inner), nn.ReLU(), nn.Linear(inner, width)
    )


class Pairs(nn.Module):
    """Layers in lists of two, called one by one, as in lucidrains' repositories."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Linear(PIXELS, width)
        self.layers = nn.ModuleList(
            nn.ModuleList([feed_forward(width, by) for by in (1, 2)]) for _ in range(depth)
        )
        self.out = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for pair in self.layers:
            one, other = pair.children()
            x = one(x) + x
            x = other(x) + x
        return self.out(x)


def pairs(width: int = 16, depth: int = 3) -> Any:
    return Pairs(width, depth), (torch.randn(5, PIXELS),)


class Weights(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Linear(PIXELS, width)
        drawn = (torch.randn(width, width) / width**0.5 for _ in range(depth))
        self.maps = nn.ParameterList(map(nn.Parameter, drawn))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for weight in self.maps:
            x = torch.tanh(F.linear(x, weight))
        return x.mean(-1, keepdim=True)


def weights(width: int = 16, depth: int = 3) -> Any:
    return Weights(width, depth), (torch.randn(5, PIXELS),)


@pytest.mark.parametrize(
    ("make", "body", "verdict"),
    [
        (factory(residual), "h = h + 1 / depth * tanh(weight @ h + bias)", "unstable"),
        (pairs, "h = Sequential(h) as layers_0_0 + h", "unstable-at-init"),
        (factory(before), "h = h + (weight @ layernorm(h) + bias)", "unstable-at-init"),
        (
            factory(of_two_lists),
            "h = h + (layers @ layernorm(h, gain = weight, bias = bias) + layers_bias)",
            "unstable-at-init",
        ),
    ],
)
def test_width_and_depth_grow(make: Callable[..., Any], body: str, verdict: str) -> None:
    """Outputs and gradients are the model's at two widths and depths, or nothing is written."""
    found = abcparam.import_model(make, grow=["width", "depth"])
    assert found.audit.verdict == verdict
    assert "repeat depth as" in found.text
    assert body in found.text
    assert len({(x.sizes["width"], x.sizes["depth"]) for x in found.compared}) == 2
    assert len({x.sizes["depth"] for x in found.compared}) == 2


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (factory(outside), "h = relu(weight @ h + bias)"),
        (factory(but_the_last), "h = relu(weight @ h + bias)"),
        (sequential, "h = relu(weight3 @ h + bias3)"),
        (weights, "h = tanh(weight @ h)"),
    ],
)
def test_equal_layers_are_a_repeat(make: Callable[..., Any], body: str) -> None:
    found = abcparam.import_model(make, grow=["width"])
    assert "repeat depth" in found.text
    assert body in found.text


def test_layers_that_are_no_residual_stream_do_not_grow_in_number() -> None:
    with pytest.raises(SpecError) as error:
        abcparam.audit(factory(outside), grow=["width", "depth"])
    (diagnostic,) = error.value.diagnostics
    assert diagnostic.code == "P0417"
    source = error.value.source.holding(diagnostic.span)
    assert source.lines[diagnostic.span.line - 1].strip().startswith("x = self.call")


@pytest.mark.parametrize(
    ("make", "last", "middle"),
    [
        (sequential, "-1.weight", "2::2.weight"),
        (factory(but_the_last), "layers.-1.weight", "layers.*.weight"),
    ],
)
def test_the_adapter_of_a_deeper_model_knows_its_last_layer(
    make: Callable[..., Any], last: str, middle: str
) -> None:
    names = executed(adapter_of(abcparam.audit(make, grow=["width"]), "adapt"))
    model = make(width=16, depth=6)[0]
    paths = names["_paths"](model)
    numbers = [name for name in paths if name.endswith("weight") and name[-8].isdigit()]
    assert paths[numbers[-1]] == last
    assert [paths[name] for name in numbers[-6:-1]] == [middle] * 5
    names["init_"](model)
    names["make_optimizer"](model)


def test_paths_of_layers_in_deeper_models() -> None:
    def paths(*found: tuple[int, str]) -> dict[str, str]:
        return deep_paths({f"h.{number}.w": f"h.{part}.w" for number, part in found})

    assert paths((0, "*"), (1, "*")) == {"h.*.w": "h.*.w"}
    assert paths((0, "0"), (1, "1-2"), (2, "1-2"), (3, "3")) == {
        "h.0.w": "h.0.w",
        "h.1-2.w": "h.*.w",
        "h.3.w": "h.-1.w",
    }
    alternate = [(n, f"{n % 2}-{n % 2 + 2}/2") for n in range(4)]
    assert paths(*alternate) == {"h.0-2/2.w": "h.0::2.w", "h.1-3/2.w": "h.1::2.w"}
    runs = [(n, "0-1" if n < 2 else "2-3") for n in range(4)]
    assert paths(*runs) == {"h.0-1.w": "h.0:2.w", "h.2-3.w": "h.2:4.w"}


@pytest.mark.parametrize("call", [outside, of_two_lists])
def test_a_model_is_what_was_written_of_it(call: Call) -> None:
    """Its own text by `diff`: biases beside maps, and tensors of lists that share a repeat."""
    audit = abcparam.audit(factory(call), grow=["width"])
    text = abcparam.import_model(factory(call), grow=["width"]).text
    assert compared_with(audit, load(Source(text, "model.param"))).same == "asymptotically"


class Shared(nn.Module):
    """Each layer has a map of its own and one that is in all of them."""

    def __init__(self, width: int, depth: int, call: Callable[..., Tensor]) -> None:
        super().__init__()
        self.first = nn.Linear(32, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.shared = nn.Linear(width, width)
        self.out = nn.Linear(width, CLASSES)
        self.call = call

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = self.call(x, layer, self.shared)
        return self.out(x)


def _rms(x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:])


DEEP: dict[str, tuple[Callable[..., Tensor], list[str], str]] = {
    "it multiplies": (lambda x, own, _: x + torch.relu(own(x)), ["depth"], "exp(depth)"),
    "means of one kind": (
        lambda x, own, shared: x + torch.relu(shared(own(_rms(x)))),
        ["depth"],
        "depth",
    ),
    "a map that is shared": (
        lambda x, own, shared: x + shared(torch.tanh(x)) + 0 * own(x),
        ["width", "depth"],
        "depth",
    ),
    "behind a norm": (
        lambda x, own, shared: x + shared(_rms(x + own(_rms(x)))),
        ["width", "depth"],
        "depth",
    ),
}


@pytest.mark.parametrize("what", DEEP)
def test_streams_that_add_up_coherently_are_judged(what: str) -> None:
    """At width 256 and depths 8, 16, 32, 64 the second has 1.35, 2.35, 4.4, 9.0 and the third 2.8,
    6.3, 14, 30: as the depth, where copies that were added at random would give its root.
    """
    call, grow, size = DEEP[what]

    def make(width: int = 64, depth: int = 4) -> Any:
        return Shared(width, depth, call), (torch.randn(8, 32),)

    found = abcparam.audit(make, grow)
    assert found.verdict == "unstable-at-init"
    if size == "depth":
        assert str(found.report.graph.outputs[0].s0) == size
    else:
        assert f"is of size {size} at initialization" in found.report.diagnostics[0].message


def test_a_last_layer_of_its_own_is_named_where_the_number_of_layers_grows() -> None:
    def call(model: Layers, x: Tensor, number: int) -> Tensor:
        inner = model.layers[number](x)
        return x + (inner if number == len(model.layers) - 1 else torch.tanh(inner))

    def make(width: int = 64, depth: int = 4) -> Any:
        return Layers(width, depth, call), (torch.randn(5, PIXELS),)

    with pytest.raises(SpecError) as caught:
        abcparam.audit(make, ["depth"])
    (found,) = caught.value.diagnostics
    assert found.code == "P1004"
    assert "of `layers.3.weight` here, and `aten.linear.default` of `layers.7.weight`" in str(found)


def test_layers_in_turns_that_are_no_residual_stream_are_refused_as_such() -> None:
    def call(model: Layers, x: Tensor, number: int) -> Tensor:
        inner = model.layers[number](x)
        return torch.relu(inner) if number % 2 else x + torch.tanh(inner)

    def make(width: int = 64, depth: int = 4) -> Any:
        return Layers(width, depth, call), (torch.randn(5, PIXELS),)

    with pytest.raises(SpecError, match="is not a residual stream"):
        abcparam.audit(make, ["width", "depth"])


class Decoder(nn.Module):
    """A list whose first layer is from few numbers that were computed."""

    def __init__(self, width: int, depth: int, frozen: int) -> None:
        super().__init__()
        self.code = nn.Linear(PIXELS, 3)
        self.layers = nn.ModuleList(
            nn.Linear(width if number else 3, width) for number in range(depth)
        )
        self.out = nn.Linear(width, CLASSES)
        for layer in self.layers[1 : 1 + frozen]:
            layer.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.code(x)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return self.out(x)


@pytest.mark.parametrize(
    ("frozen", "shapes"),
    [
        (0, {"layers.0.weight": "[width, 3]", "layers.1-5.weight": "[width, width]"}),
        (
            2,
            {
                "layers.0.weight": "[width, 3]",
                "layers.1-2.weight": "[width, width]",
                "layers.3-5.weight": "[width, width]",
            },
        ),
    ],
)
def test_maps_of_other_shapes_or_that_are_not_trained_are_no_copies(
    frozen: int, shapes: dict[str, str]
) -> None:
    """What comes in may be of another length, though all give the same."""

    def make(width: int = 16, depth: int = 6) -> Any:
        return Decoder(width, depth, frozen), (torch.randn(5, PIXELS),)

    tensors = abcparam.audit(make, grow=["width"]).program.tensors
    found = {
        path: f"[{', '.join(map(str, tensor.shape))}]"
        for path, tensor in tensors.items()
        if path.startswith("layers") and path.endswith("weight")
    }
    assert found == shapes
    assert {path for path in tensors if tensors[path].frozen} == (
        {"layers.1-2.weight", "layers.1-2.bias"} if frozen else set()
    )


class Backbone(nn.Module):
    """What the last layer gives is all that it gives."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Linear(PIXELS, CLASSES)
        self.layers = nn.ModuleList(
            nn.ModuleList([nn.Linear(CLASSES, width), nn.Linear(width, CLASSES)])
            for _ in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for pair in self.layers:
            up, down = pair.children()
            x = x + down(torch.relu(up(x)))
        return x


def test_a_model_that_ends_with_its_layers_is_written() -> None:
    def make(width: int = 16, depth: int = 3) -> Any:
        return Backbone(width, depth), (torch.randn(5, PIXELS),)

    found = abcparam.import_model(make, grow=["width"])
    assert "    }\n    return h\n}" in found.text
    assert all(x.wrong is None for x in found.compared)


class Pieces(nn.Module):
    """Weights and biases of one list, two in each call."""

    def __init__(self, width: int) -> None:
        super().__init__()
        shapes = [(width, PIXELS), (width, width), (width, width), (CLASSES, width)]
        drawn = ((torch.randn(s) / s[1] ** 0.5, torch.zeros(s[0])) for s in shapes)
        self.pieces = nn.ParameterList(nn.Parameter(x) for pair in drawn for x in pair)

    def forward(self, x: Tensor) -> Tensor:
        for number in range(0, 6, 2):
            x = torch.relu(F.linear(x, self.pieces[number], self.pieces[number + 1]))
        return F.linear(x, self.pieces[6], self.pieces[7])


def test_two_parameters_of_a_list_in_one_call() -> None:
    def make(width: int = 64) -> Any:
        return Pieces(width), (torch.randn(5, PIXELS),)

    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable" and found.remedy.reaches
    rates = {name: c.lr for c in found.remedy.changes for name in c.parameters}
    assert rates["pieces.0"] == {}
    assert rates["pieces.2"] == rates["pieces.4"] == rates["pieces.6"] == {"width": -1}


class Twins(nn.Module):
    """Equal layers that are called twice."""

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(8, width), nn.Linear(width, 3)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))

    def tower(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.out(torch.relu(self.tower(x) - self.tower(y)))


def test_layers_that_are_called_twice() -> None:
    """An internal error before: both calls were one loop."""

    def make(width: int = 64, depth: int = 3) -> Any:
        return Twins(width, depth), (torch.randn(6, 8), torch.randn(6, 8))

    found = abcparam.audit(make, ["width"])
    assert set(found.program.tensors) >= {"layers.*.weight", "layers.*.bias"}
    assert found.verdict == "unstable" and found.remedy.reaches


STACK = """\
block Stack(x) {
    repeat depth as layers {
        tensor weight : hidden [width, width] { init = uniform(fan_in^(-1/2)) }
        tensor bias   : input  [width]        { init = uniform(base(width)^(-1/2)), b = 1/2 }
        x = relu(weight @ x + bias)
    }
    return x
}

forward(x : [8], y : [8]) {
    h = Stack(first @ x + first_bias)
    h2 = stack(first @ y + first_bias)
    return out @ relu(h - h2) + out_bias
}
"""


def test_layers_that_are_called_twice_are_a_block_that_is_called_again() -> None:
    """The import proves that outputs and gradients are the model's."""

    def make(width: int = 64, depth: int = 3) -> Any:
        return Twins(width, depth), (torch.randn(6, 8), torch.randn(6, 8))

    found = abcparam.import_model(make, ["width"])
    assert STACK in found.text and found.report.verdict == "unstable"


class Mixed(Twins):
    """Layers that take another value besides the one that goes through them."""

    def meeting(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self.first(x), self.first(y)
        for layer in self.layers:
            x = torch.relu(layer(x + y))
        return x

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.out(self.meeting(x, y) * self.meeting(y, x))


def test_what_layers_take_besides_goes_into_their_block() -> None:
    def make(width: int = 64, depth: int = 3) -> Any:
        return Mixed(width, depth), (torch.randn(6, 8), torch.randn(6, 8))

    text = abcparam.import_model(make, ["width"]).text
    assert "block Stack(x, y) {" in text
    assert "h = Stack(first @ x + first_bias, first @ y + first_bias)" in text
    assert "stack(first @ y + first_bias, first @ x + first_bias)" in text


class Unlike(Twins):
    """The same layers, and other functions behind them at the second call."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = self.tower(x)
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return self.out(x - self.first(y))


def test_layers_that_are_called_otherwise_again_are_refused() -> None:
    def make(width: int = 64, depth: int = 3) -> Any:
        return Unlike(width, depth), (torch.randn(6, 8), torch.randn(6, 8))

    with pytest.raises(SpecError, match=r"P1013.*`layers.*called more than once.*not alike"):
        abcparam.import_model(make, ["width"])
