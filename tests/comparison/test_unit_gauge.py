"""The gauge `unit`: weights, values and gradients of about 1 at init, at every width."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import abcparam
from abcparam.coordinate_check.laws import GRADIENT
from abcparam.coordinate_check.output.page import page
from abcparam.coordinate_check.output.text import render_check
from abcparam.coordinate_check.ranges import WEIGHT_GRADIENT, outside
from tests.support.emitted import load
from tests.support.paths import EXAMPLES

DECODER = """model Decoder
dim width -> inf, base = 64
dim depth = 2
dim head = 16
dim heads = width / head
dim vocab = 64
dim context = 16
hyper lr = 4e-3
hyper start = 1
parametrization mup
tensor embedding  : input [vocab, width] { init = normal(start) }
tensor final_gain : input [width] { init = ones }
tensor readout    : output [vocab, width]

block Attention(x) {
    tensor gain : input [width] { init = ones }
    tensor query, key, value : hidden [heads * head, width]
    tensor query_bias : input [heads * head]
    tensor project : hidden [width, heads * head]
    h = rmsnorm(x, gain = gain)
    q = query @ h + query_bias
    y = attention(q, key @ h, value @ h, heads = heads, scale = head^-1, causal = true)
    return project @ y
}

block FeedForward(x) {
    tensor gain : input [width] { init = ones }
    tensor up, gate : hidden [3 * width, width]
    tensor down : hidden [width, 3 * width]
    h = rmsnorm(x, gain = gain)
    m = silu(gate @ h) * (up @ h)
    return down @ m
}

forward(tokens : index(vocab) [context]) {
    x = embed(embedding, tokens)
    repeat depth as layers {
        x = x + Attention(x)
        x = x + FeedForward(x)
    }
    return readout @ rmsnorm(x, gain = final_gain)
}
optimizer adamw { lr = lr, eps = 1e-12 }
loss cross_entropy
"""
RESNET = """model ResNet
dim width -> inf, base = 32
dim colours = 3
dim side = 16
dim classes = 10
hyper lr = 0.1
parametrization mup
tensor stem    : input  [width, colours, 3, 3]
tensor readout : output [classes, 2 * width]
tensor bias    : scalar [classes]
block Norm(x, channels) {
    tensor gain  : input [channels] { init = ones }
    tensor shift : input [channels]
    return batchnorm(x, gain = gain, bias = shift)
}
block Basic(x, inner, outer, stride) {
    tensor conv1    : hidden [outer, inner, 3, 3]
    tensor conv2    : hidden [outer, outer, 3, 3]
    tensor shortcut : hidden [outer, inner, 1, 1]
    h = relu(Norm(conv2d(conv1, x, stride = stride, padding = 1), outer) as norm1)
    h = Norm(conv2d(conv2, h, padding = 1), outer) as norm2
    return relu(h + Norm(conv2d(shortcut, x, stride = stride), outer) as norm3)
}
forward(image : [colours, side, side]) {
    x = relu(Norm(conv2d(stem, image, padding = 1), width) as stem_norm)
    x = Basic(x, inner = width, outer = width, stride = 1) as stage1
    x = Basic(x, inner = width, outer = 2 * width, stride = 2) as stage2
    return readout @ mean(x, axis = (-2, -1)) + bias
}
optimizer sgd { lr = lr, momentum = 0.9 }
loss cross_entropy
"""


def test_sizes_at_init_lie_in_range_and_slopes_are_as_derived():
    found = abcparam.coord_check(DECODER, gauge="unit", widths=(32, 64, 128), seeds=3, steps=1)
    assert found.agree and not list(outside(found.ranges))
    sizes = {(row.name, row.quantity): row for row in found.ranges}
    for key in (("layers.attention.q", GRADIENT), ("layers.attention.query", WEIGHT_GRADIENT)):
        assert sizes[key].is_inside
    assert len(found.to_dict()["ranges"]) == len(sizes) > 40
    assert "all " in render_check(found) and "<h2>Sizes at init</h2>" in page([found])
    assert not abcparam.coord_check(DECODER, widths=(16, 32, 64), seeds=1, steps=1).ranges


def test_a_size_that_is_out_of_range_decides():
    """A value that the spec names and makes small is its own."""
    read = "readout @ rmsnorm(x, gain = final_gain)"
    small = read.replace("readout @ ", "b = 0.02 * ") + "\n    return 50 * (readout @ b)"
    text = DECODER.replace(f"return {read}", small)
    found = abcparam.coord_check(text, gauge="unit", widths=(16, 32, 64), seeds=1, steps=1)
    assert found.outcome == "disagrees" and not found.agree
    assert "b" in {row.name for row in outside(found.ranges)}
    said = render_check(found).rstrip().rpartition("\n")[2]
    assert said.startswith("measured and derived do not agree: ") and "lie outside" in said


def test_all_sizes_of_a_residual_network_lie_in_range():
    """Shifts too, whose gradients are sums over all pixels of all images."""
    found = abcparam.coord_check(
        RESNET, gauge="unit", widths=(16, 32, 64), seeds=1, steps=1, tokens=64
    )
    assert len(found.ranges) > 30 and not list(outside(found.ranges))


@pytest.mark.slow
def test_all_sizes_of_resnet_18_lie_in_range():
    """Its last stage sees an image of 2 by 2, of which its convolutions meet a part of nine."""
    sizes = {"rows": 64, "columns": 64, "classes": 10}
    path = EXAMPLES / "resnet18.param"
    found = abcparam.coord_check(
        path, gauge="unit", widths=(16, 32, 64), seeds=1, steps=1, set=sizes
    )
    assert len(found.ranges) > 150 and not list(outside(found.ranges))


def given(gradients: tuple[Tensor, ...] | Tensor) -> Tensor:
    """What a module with one output is given back."""
    return gradients[0]


def sizes_of_maps(width: int, folder: Path) -> list[float]:
    """Root mean squares of what a layer's maps read and are given back, of weights and gradients.

    What a map is given back is smaller by the root of the number of positions. A gradient is
    dropped once it is known: a layer of width 16,384 has 7.5 GB of weights.
    """
    text = DECODER.replace("3 * width", "width")
    module = load(abcparam.compile(text, gauge="unit", depth=1), folder)
    torch.manual_seed(0)
    model = module.Decoder(module.Config(width=width))
    found: list[float] = []
    positions = 16 * 16

    def see(x: Tensor, times: float = 1.0) -> None:
        found.append(times * float(x.detach().square().mean().sqrt()))

    def drop(parameter: nn.Parameter) -> None:
        assert parameter.grad is not None
        see(parameter.grad)
        parameter.grad = None

    for parameter in model.parameters():
        parameter.register_post_accumulate_grad_hook(drop)
        if parameter.ndim > 1:
            see(parameter)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, x: see(x[0]))
            layer.register_full_backward_pre_hook(lambda _, g: see(given(g), positions**0.5))
    tokens = torch.arange(positions).reshape(16, 16).square() % 64
    labels = torch.randint(64, (positions,), generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(model(tokens).flatten(0, -2), labels).backward()
    return found


@pytest.mark.parametrize("width", [128, 1024, pytest.param(4096, marks=pytest.mark.slow)])
def test_sizes_lie_in_range_at_large_widths(width: int, tmp_path: Path):
    found = sizes_of_maps(width, tmp_path)
    assert len(found) > 30 and min(found) > 0.25 and max(found) < 4


def gradients(module: nn.Module, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
    module.zero_grad()
    logits = module(tokens).float()
    nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten()).backward()
    return {name: p.grad.float() for name, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("width", "lost"), [(512, 0.005), pytest.param(2048, 0.005, marks=pytest.mark.slow)]
)
def test_float16_keeps_gradients(width: int, lost: float, tmp_path: Path):
    """At every width; as written what is lost grows with it."""
    tokens = torch.arange(64).reshape(4, 16).square() % 64
    worst = {}
    for gauge in ("as-written", "unit"):
        module = load(abcparam.compile(DECODER, gauge=gauge), tmp_path)
        torch.manual_seed(0)
        model = module.Decoder(module.Config(width=width))
        exact = gradients(model, tokens, tokens.roll(-1, 1))
        half = gradients(model.half(), tokens, tokens.roll(-1, 1))
        errors = ((half[n] - g).norm() / g.norm() for n, g in exact.items() if "bias" not in n)
        worst[gauge] = float(max(errors))
    assert worst["unit"] < lost and worst["unit"] < worst["as-written"]


def lost(x: Tensor) -> float:
    """What E4M3 loses of a tensor, beside its norm."""
    rounded = x.clamp(-448, 448).to(torch.float8_e4m3fn).to(x.dtype)
    return float((rounded - x).norm() / x.norm().clamp(min=1e-30))


def losses(gauge: str, folder: Path) -> list[float]:
    """Of weights, of what convolutions read and are given back, and of gradients, at width 128."""
    module = load(abcparam.compile(RESNET, gauge=gauge), folder)
    torch.manual_seed(0)
    model = module.ResNet(module.Config(width=128))
    images = torch.randn(16, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = [lost(p.detach()) for p in model.parameters() if p.ndim > 1]
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.register_forward_pre_hook(lambda _, x: found.append(lost(x[0].detach())))
            layer.register_full_backward_pre_hook(lambda _, g: found.append(lost(given(g))))
    outputs = model(images.requires_grad_())
    nn.functional.cross_entropy(outputs, torch.arange(16) % 10).backward()
    return found + [lost(p.grad) for p in model.parameters() if p.grad is not None]


def test_e4m3_keeps_what_convolutions_read_and_are_given_back(tmp_path: Path):
    """As written it loses gradients, the more the wider."""
    worst = max(losses("unit", tmp_path))
    assert worst < 0.05 and max(losses("as-written", tmp_path)) > 5 * worst


def test_weights_of_unit_variance_keep_their_precision_in_e4m3():
    """At width 16,384 the usual ones fall below its normal numbers."""
    weights = torch.randn(2**16, generator=torch.Generator().manual_seed(0))

    def error(scale: float) -> float:
        x = scale * weights
        rounded = x.to(torch.float8_e4m3fn).float()
        return float((rounded - x).norm() / x.norm())

    assert error(1.0) < 0.03 and error(16384**-0.5) > 2.5 * error(1.0)
