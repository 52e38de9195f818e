"""Exact laws of operations, and what is refused because it has none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import abcparam
from abcparam import SpecError
from abcparam.calculus.bilinear import Share
from abcparam.calculus.node import Node
from tests.support.emitted import load, program_of

HEAD = """model Probe
dim width -> inf, base = 64
dim head = 16
dim heads = width / head
dim colours = 3
dim side = 8
dim classes = 10
dim experts = 4
hyper lr = 0.1
parametrization mup
tensor stem : input [width, colours, 1, 1]
tensor readout : output [classes, width] { init = normal(1) }
"""
TAIL = """optimizer adam { lr = lr, eps = 0 }
loss cross_entropy
"""


def spec(body: str, tensors: str, result: str) -> str:
    return f"""{HEAD}{tensors}
forward(image : [colours, side, side]) {{
    x = conv2d(stem, image)
    {body}
    return readout @ {result}
}}
{TAIL}"""


def activations(
    body: str, tensors: str = "", result: str = "mean(y, axis = (-2, -1))"
) -> dict[str, Node]:
    return abcparam.check(spec(body, tensors, result)).graph.activations


def laws(node: Node) -> tuple[str, ...]:
    return tuple(map(str, (node.s0, node.d, node.g0, node.gd)))


def test_a_convolution_is_a_linear_map():
    """arXiv 2203.03466, appendix B: its fan-in is kernel times channels, and kernels are finite."""
    kernel = activations("y = conv2d(A, x, padding = 1)", "tensor A : hidden [width, width, 3, 3]")
    tensor = "tensor A : hidden [width, width]"
    turned = "y = transpose(A @ transpose(flat))"
    plain = activations(f"flat = mean(x, axis = -1)\n    {turned}", tensor, "mean(y, axis = -1)")
    assert laws(kernel["y"]) == laws(plain["y"])


def test_a_transposed_convolution_is_a_linear_map():
    tensor = "tensor A : hidden [width, width, 2, 2]"
    plain = activations("y = conv2d(A, x, stride = 2)", tensor)
    turned = activations("y = conv_transpose2d(A, x, stride = 2)", tensor)
    assert laws(turned["y"]) == laws(plain["y"])


def test_down_and_up_again_is_the_same_shape(tmp_path: Path):
    """A U-Net: sizes that halve are exact where they are declared from the coarsest one."""
    text = f"""{HEAD.replace("dim side = 8", "dim coarse = 4" + chr(10) + "dim side = 4 * coarse")}
block Stage(x, inner, outer, stride = 1) {{
    tensor kernel : hidden [outer, inner, 3, 3]
    return silu(groupnorm(conv2d(kernel, x, stride = stride, padding = 1), groups = 8))
}}
tensor finer : hidden [width, 3 * width, 2, 2]
tensor paint : output [colours, width, 3, 3] {{ init = zeros }}
tensor time  : input [width, 1]
forward(image : [colours, side, side], noise : [1]) {{
    x = conv2d(stem, image) + unsqueeze(time @ noise, axis = (-2, -1))
    fine = Stage(x, width, width) as one
    coarser = Stage(fine, width, 2 * width, 2) as two
    x = Stage(coarser, 2 * width, 2 * width, stride = 2) as three
    x = Stage(concat(upsample(x, factor = 2), coarser, axis = 0), 4 * width, 3 * width) as four
    x = conv_transpose2d(finer, x, stride = 2) + fine
    return conv2d(paint, x, padding = 1)
}}
{TAIL.replace("cross_entropy", "mse")}""".replace(
        "tensor readout : output [classes, width] { init = normal(1) }" + chr(10), ""
    )
    assert abcparam.check(text).verdict == "maximal-update"
    module = load(abcparam.compile(text), tmp_path)
    image = torch.randn(2, 3, 16, 16)
    assert module.Probe(module.Config())(image, torch.randn(2, 1)).shape == image.shape


CONTRASTIVE = """model Pairs
dim width -> inf, base = 64
dim pixels = 12
dim words = 20
dim common = width / 8
hyper lr = 0.01
parametrization mup
tensor image : input [width, pixels]
tensor text  : input [width, words]
tensor image_out, text_out : hidden [common, width]
tensor temperature : scalar [1] { init = constant(2) }
forward(x : [pixels], y : [words]) {
    u = rmsnorm(image_out @ relu(image @ x))
    v = rmsnorm(text_out @ relu(text @ y))
    return similarity(exp(temperature) * u, v / common)
}
optimizer adamw { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


def test_similarities_of_each_pair_in_the_batch(tmp_path: Path):
    """A contrastive loss with a learned temperature is trained on what the module gives."""
    assert abcparam.check(CONTRASTIVE).verdict == "maximal-update"
    module = load(abcparam.compile(CONTRASTIVE), tmp_path)
    model = module.Pairs(module.Config())
    optimizer = module.make_optimizer(model)
    x, y = torch.randn(5, 12), torch.randn(5, 20)
    logits = model(x, y)
    u, v = model.image_out, model.text_out
    u, v = (
        torch.nn.functional.rms_norm(out(torch.relu(first(z))), (8,), eps=1e-5)
        for out, first, z in ((u, model.image, x), (v, model.text, y))
    )
    scaled = torch.tensor(2.0).exp() * u @ v.T / 8
    assert logits.shape == (5, 5) and torch.allclose(logits, scaled, atol=1e-5)
    torch.nn.functional.cross_entropy(logits, torch.arange(5)).backward()
    optimizer.step()


LATER = (
    *("upsample", "unsqueeze", "conv_transpose2d", "similarity", "exp"),
    *("log", "log_softmax", "logsumexp"),
    *("permute", "repeat_interleave", "take", "rescale"),
)


@pytest.mark.parametrize("name", LATER)
def test_a_block_may_have_a_later_operation_s_name(name: str):
    """A spec that was there before the operation goes on to mean what it meant."""
    text = f"""{HEAD}
block {name}(x) {{
    tensor A : hidden [width, width, 1, 1]
    return conv2d(A, x)
}}
forward(image : [colours, side, side]) {{
    return readout @ mean({name}(conv2d(stem, image)) as one, axis = (-2, -1))
}}
{TAIL}"""
    assert "one.A" in [law.path for law in abcparam.check(text).judgement.tensors]


@pytest.mark.parametrize(("groups", "axis"), [("width", "1"), ("heads", "head")])
def test_many_groups_are_maps_of_finite_fan(groups: str, axis: str):
    """A group of finitely many channels sums nothing infinite, forward or backward."""
    found = activations(
        f"y = conv2d(A, x, groups = {groups})", f"tensor A : input [width, {axis}, 1, 1]"
    )
    assert laws(found["y"]) == laws(found["x"])


@pytest.mark.parametrize("norm", ["batchnorm(z)", "groupnorm(z, groups = 4)"])
@pytest.mark.parametrize("power", ["-1", "-1/2", "0", "1/3", "1"])
def test_norms_divide_their_input_s_scale_out(norm: str, power: str):
    """Change and gradient as under layernorm: what comes out does not know the factor."""
    found = activations(f"z = width^({power}) * x\n    y = {norm}")
    assert laws(found["y"])[:2] == ("1", "1")
    plain = activations(f"z = 1 * x\n    y = {norm}")
    assert laws(found["x"]) == laws(plain["x"])


def test_the_largest_of_centred_values_is_not_centred():
    """The mean over the width of what a convolution gives falls, that of its maxima does not."""
    sizes = {}
    for name in ("maxpool", "avgpool"):
        body = f"z = {name}(conv2d(A, x), size = 2)\n    y = mean(z, axis = 0)"
        found = activations(
            body, "tensor A : hidden [width, width, 1, 1]", "mean(z, axis = (-2, -1))"
        )
        sizes[name] = str(found["y"].s0)
    assert sizes == {"maxpool": "1", "avgpool": "width^(-1/2)"}


def test_what_starts_at_random_has_mean_zero_but_not_along_the_axes_that_it_lacks():
    """A mean over the width of a bias that is drawn falls, that of a scalar or of ones does not."""
    tensors = """tensor drawn : input [width] { init = normal(1) }
tensor first : input [width] { init = ones }
tensor factor : [1] { init = normal(1) }
"""
    body = """flat = mean(x, axis = (-2, -1))
    a = mean(flat + drawn, axis = 0)
    b = mean(flat + first, axis = 0)
    c = mean(flat + factor, axis = 0)
    d = mean(factor * flat, axis = 0)
    e = mean(drawn * relu(flat), axis = 0)
    y = a * (b * (c * (d * (e * flat))))"""
    found = activations(body, tensors, "y")
    sizes = [str(found[name].s0) for name in "abcde"]
    assert sizes == ["width^(-1/2)", "1", "1", "width^(-1/2)", "width^(-1/2)"]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("mean(mix @ relu(rows), axis = 0)", "1"),
        ("mean(mix @ rows, axis = 0)", "width^(-1/2)"),
        ("mean(transpose(mix @ relu(rows)), axis = 1)", "1"),
        ("mean(transpose(W @ relu(transpose(rows))), axis = 0)", "width^(-1/2)"),
        ("similarity(transpose(mix @ relu(rows)), transpose(blend @ relu(rows)))", "width"),
        ("similarity(transpose(mix @ rows), transpose(blend @ relu(rows)))", "width^(1/2)"),
    ],
)
def test_a_map_over_places_is_the_same_in_all_channels(value: str, size: str):
    """What it gives has no mean of zero along them: measured width^0.46 and width^0.53, a Mixer.

    There `width^(1/2) * mean(mix @ v)` and `width^(-1/2)` times the inner product.
    """
    tensors = """tensor mix, blend : scalar [side, side] { init = normal(1) }
tensor W : hidden [width, width]"""
    body = f"rows = mean(x, axis = -1)\n    y = {value}\n    z = mean(x, axis = (-2, -1))"
    assert str(activations(body, tensors, "z")["y"].s0) == size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("layernorm(0 * x + first)", "0"),
        ("layernorm(relu(2 * first))", "0"),
        ("layernorm(first * rmsnorm(first))", "0"),
        ("layernorm(x + first)", "1"),
        ("rmsnorm(first)", "1"),
        ("x - x", "0"),
    ],
)
def test_nothing_is_left_of_one_number_less_its_mean(value: str, size: str):
    """And then a norm meets its epsilon, as it does at an exact zero."""
    body = f"x = mean(x, axis = (-2, -1))\n    y = {value}\n    z = x + y"
    found = activations(body, "tensor first : input [width] { init = ones }", "z")
    assert str(found["y"].s0) == size


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("log(1 + square(zero @ x))", "0"),
        ("log(2 + square(zero @ x))", "1"),
        ("exp(zero @ x) - 1", "0"),
        ("1 - exp(nothing)", "0"),
        ("exp(nothing) - first", "0"),
        ("2 * sigmoid(zero @ x) - 1", "0"),
        ("sigmoid(2 * sigmoid(nothing) - first) - 1/2", "0"),
        ("small * small - 1/4", "0"),
        ("relu(small - first)", "0"),
        ("relu(first - small)", "1"),
        ("mean(first, axis = 0) - 1", "0"),
        ("concat(*split(first, 2)) - 1", "0"),
        ("layernorm(exp(zero @ x))", "0"),
        ("first - tanh(first)", "1"),
        ("1 - sigmoid(gelu(nothing) + small)", "1"),
        ("exp(gelu(nothing)) - 1", "0"),
        ("1 - shrinking", "1"),
        ("1 - folded", "0"),
        ("first - drawn", "1"),
        ("softplus(nothing) - 0.69", "1"),
    ],
)
def test_numbers_that_cancel_at_the_start_leave_exactly_zero(value: str, size: str, tmp_path: Path):
    """Functions of exact zeros are numbers, of which another one is taken away.

    So does the emitted model, whose output is made of them here.
    """
    tensors = """tensor zero : hidden [width, width] { init = zeros }
tensor nothing : input [width] { init = zeros }
tensor first : input [width] { init = ones }
tensor small : input [width] { init = constant(1/2) }
tensor shrinking : input [width] { a = 1/2, init = ones }
tensor folded : input [width] { a = 1/2, b = -1/2, init = ones }
tensor drawn : input [width] { init = normal(1) }
"""
    value = value.replace("concat(*split(first, 2))", "concat(left, right)")
    body = f"""x = mean(x, axis = (-2, -1))
    left, right = split(first, 2)
    y = {value}
    z = 0 * x + y"""
    text = spec(body, tensors, "z")
    assert str(abcparam.check(text).graph.activations["y"].s0) == size
    module = load(abcparam.compile(text), tmp_path)
    model = module.Probe(module.Config(width=128))
    largest = float(model(torch.randn(2, 3, 8, 8)).detach().abs().max())
    assert (largest > 1e-5) == (size != "0")


@pytest.mark.parametrize(
    ("value", "learns"),
    [
        ("relu(1 - 2 * first)", False),
        ("relu(2 * first - 1)", True),
        ("relu(zeros @ x - first)", False),
        ("relu6(7 * first)", False),
        ("relu6(5 * first)", True),
        ("hardtanh(-first)", False),
        ("hardtanh(first / 2)", True),
        ("hardsigmoid(first - 4)", False),
        ("hardsigmoid(first - 3)", True),
        ("hardswish(-4 * first)", False),
        ("hardswish(4 * first)", True),
        ("leaky_relu(-first)", True),
        ("leaky_relu(-first, slope = 0)", False),
    ],
)
def test_nothing_learns_through_a_function_that_starts_at_a_number_where_it_is_flat(
    value: str, learns: bool, tmp_path: Path
):
    """A tensor before it was said to be maximal."""
    tensors = """tensor zeros : hidden [width, width] { init = zeros }
tensor first : input [width] { init = ones }
"""
    body = f"x = mean(x, axis = (-2, -1))\n    z = x + {value}"
    text = spec(body, tensors, "z")
    laws = {law.path: law for law in abcparam.check(text).judgement.tensors}
    assert laws["first"].update.is_zero != learns
    model = load(abcparam.compile(text), tmp_path)
    made = model.Probe(model.Config(width=128))
    made(torch.randn(2, 3, 8, 8)).square().sum().backward()
    assert (float(made.first.grad.abs().max()) > 0) == learns


@pytest.mark.parametrize("line", ["y = square(y)", "y = y * y", "y = 3 * y"])
def test_numbers_that_no_float_holds_are_not_known(line: str):
    """2^(2^200) has no end: they are held to be of size 1, as other constants are."""
    body = "\n    ".join(["y = 2 * first", *[line] * 200, "z = mean(x, axis = (-2, -1)) + y"])
    found = activations(body, "tensor first : input [width] { init = ones }", "z")["y"]
    assert found.exact is None and str(found.s0) == "1"


EXPERT = """tensor router : output [experts, width] { init = normal(1) }
block Expert(x) {
    tensor A : hidden [width, width]
    return A @ x
}
"""


def test_a_mixture_of_finitely_many_experts_is_of_their_size():
    body = "z = mean(x, axis = (-2, -1))\n    y = mixture(router @ z, Expert(z), top = 2)"
    found = activations(body, EXPERT, "y")
    assert (str(found["y"].s0), str(found["y"].d)) == ("1", "1")


@pytest.mark.parametrize(
    ("settings", "learns"),
    [
        ("top = 1", False),
        ("top = 1, sigmoid = true", False),
        ("top = 1, normalize = false", True),
        ("top = 2", True),
    ],
)
def test_a_router_of_one_expert_whose_weight_is_normalized_learns_nothing(
    settings: str, learns: bool, tmp_path: Path
):
    """Its weight is 1 whatever its logits are: it was said to be maximal."""
    body = f"z = mean(x, axis = (-2, -1))\n    y = z + mixture(router @ z, Expert(z), {settings})"
    text = spec(body, EXPERT, "y")
    laws = {law.path: law for law in abcparam.check(text).judgement.tensors}
    assert (laws["router"].status == "maximal") == learns
    assert laws["router"].update.is_zero != learns
    module = load(abcparam.compile(text), tmp_path)
    model = module.Probe(module.Config(width=128))
    model(torch.randn(4, 3, 8, 8)).square().sum().backward()
    grad = model.router.weight.grad
    assert (grad is not None and float(grad.abs().max()) > 1e-6) == learns


@pytest.mark.parametrize("top", [1, 2, 4])
def test_gradients_of_scores_that_are_shared_by_the_chosen(top: int):
    """Those of a softmax over `top` equal logits, chosen among 8 experts; of one there is none."""
    values = torch.randn(20_000, top, generator=torch.Generator().manual_seed(0))
    logits = torch.zeros(20_000, top, requires_grad=True)
    (logits.softmax(-1) * values).sum().backward()
    assert logits.grad is not None
    measured = logits.grad.square().mean().item() * top / 8
    assert Share(normalized=True, sigmoid=False).slope(top, 8) == pytest.approx(measured, rel=0.03)


def test_a_vector_that_is_added_starts_at_zero_and_a_table_at_random():
    """Biases, and positions."""
    tensors = "tensor shift : [side]\ntensor table : [width, side, side]"
    program = program_of(spec("y = x + shift + table", tensors, "mean(y, axis = (-2, -1))"))
    starts = {name: program.tensors[name].init.kind for name in ("shift", "table")}
    assert starts == {"shift": "zeros", "table": "normal"}


UNCOVERED = {
    "experts that grow": ("mixture(R @ z, Expert(z))", "tensor R : hidden [width, width]", "P0306"),
    "space that grows": ("conv1d(C, R @ x[0])", "", "P0306"),
    "a softmax over the width": ("softmax(z)", "", "P0306"),
    "a state-space recurrence": ("mamba(z)", "", "P0417"),
    "a selective scan": ("selective_scan(z, z)", "", "P0417"),
    "values divided by values": ("z / z", "", "P0417"),
}


@pytest.mark.parametrize("what", UNCOVERED)
def test_what_has_no_law_is_refused(what: str):
    value, tensors, code = UNCOVERED[what]
    if "conv1d" in value:
        tensors = "tensor R : input [width, side]\ntensor C : input [width, side, 1]"
    body = f"z = mean(x, axis = (-2, -1))\n    y = {value}"
    with pytest.raises(SpecError) as caught:
        activations(body, EXPERT + tensors, "y")
    assert code in [d.code for d in caught.value.diagnostics]


def test_an_exponent_of_a_finite_dim_is_refused():
    with pytest.raises(SpecError, match="classes"):
        activations("y = x", "tensor A : input [width] { a[classes] = 1 }")


KEPT = """tensor A : hidden [width, width]
tensor few : output [classes, width]
tensor g : input [width] { init = ones }"""


def of_rows(value: str) -> dict[str, str | None]:
    """A value's law, and the status of each tensor, where a value weighs rows of an image."""
    body = f"x = transpose(mean(x, axis = -1))\n    y = {value}\n    z = y * x"
    report = abcparam.check(spec(body, KEPT, "mean(z, axis = 0)"))
    y = report.graph.activations["y"]
    statuses = {law.path: law.status for law in report.judgement.tensors}
    return {"init": str(y.s0), "change": str(y.d), **statuses}


@pytest.mark.parametrize(
    ("value", "size", "tensor"),
    [
        ("mean(softmax(few @ x), axis = -1)", "1", "few"),
        ("sum(3 * softmax(few @ x), axis = -1)", "1", "few"),
        ("mean(layernorm(A @ x), axis = (0, 1))", "0", "A"),
        ("mean(2 * layernorm(A @ x, heads = heads), axis = -1)", "0", "A"),
        ("sum(1 - softmax(few @ x), axis = -1)", "1", "few"),
        ("sum(softmax(few @ x) / 2 + softmax(few @ relu(x)), axis = -1)", "1", "few"),
        ("sum(softmax(few @ x) - softmax(few @ relu(x)), axis = -1)", "0", "few"),
        ("mean(1/2 + layernorm(A @ x) - 1/2, axis = -1)", "0", "A"),
        ("mean(mean(2 - softmax(few @ x), axis = 0), axis = -1)", "1", "few"),
        ("mean(layernorm(A @ x) + 1 / width, axis = -1)", "width^-1", "A"),
        ("mean(layernorm(A @ x) + 3 * width^(1/2) - 1, axis = -1)", "width^(1/2)", "A"),
        ("mean(softmax(few @ x) / width - width^(-1/2), axis = -1)", "width^(-1/2)", "few"),
        ("mean((1 - softmax(few @ x)) / width, axis = -1)", "width^-1", "few"),
    ],
)
def test_sums_of_a_softmax_and_means_of_a_layer_norm_are_numbers(
    value: str, size: str, tensor: str
):
    """Nothing learns through them: the map behind a sum of 1 was said to be maximal."""
    whole = "(0, 1)" in value or "axis = 0" in value
    lifted = value if whole else f"unsqueeze({value}, axis = -1)"
    found = of_rows(lifted)
    assert (found["init"], found["change"], found[tensor]) == (size, "0", "under")


@pytest.mark.parametrize(
    "value",
    [
        "few.T @ mean(softmax(few @ x), axis = 0)",
        "unsqueeze(mean(layernorm(A @ x, gain = g), axis = -1), axis = -1)",
        "unsqueeze(mean(log_softmax(few @ x), axis = -1), axis = -1)",
        "unsqueeze(mean(softmax(few @ x) + log_softmax(few @ x), axis = -1), axis = -1)",
        "unsqueeze(mean(softmax(few @ x) * sigmoid(few @ x), axis = -1), axis = -1)",
        "unsqueeze(mean(concat(softmax(few @ x), few @ x), axis = -1), axis = -1)",
    ],
)
def test_other_means_change(value: str):
    assert of_rows(value)["change"] != "0"


@pytest.mark.parametrize(
    "scores",
    [
        "temperature * (similarity(n, w) / width)",
        "temperature * similarity(n, w) / width",
        "width^-1 * (temperature * similarity(n, w))",
        "width^-1 * temperature * similarity(n, w)",
        "similarity(n / width, temperature * w)",
        "width^-1 * (temperature * similarity(n, w) + 1)",
        "width^-1 * (temperature * similarity(n, w) - similarity(n, w))",
        "transpose(transpose(temperature * similarity(n, w)) / width)",
        "unsqueeze(mean(temperature * similarity(n, w), axis = 0) / width, axis = 0)",
    ],
)
def test_a_constant_factor_may_stand_anywhere_in_a_product(scores: str):
    """All are one function, whose slopes at widths 128 to 2048 are those of maximal-update.

    Scores that are divided behind what multiplies them were unstable.
    """
    tensors = """tensor temperature : [] { init = constant(4) }
tensor A : hidden [width, width]"""
    body = f"""x = tanh(A @ transpose(mean(x, axis = -1)))
    n = layernorm(x)
    w = rmsnorm(readout)
    s = {scores}"""
    text = spec(body, tensors, "").replace("return readout @ ", "return mean(s, axis = 0)")
    assert abcparam.check(text).verdict == "maximal-update"


@pytest.mark.parametrize("factor", ["width^(-1/2) * ", ""])
def test_a_product_is_given_no_more_than_the_factor_that_is_there(factor: str):
    """Of a sum over the width half of what it needs, or none, leaves it too large."""
    tensors = "tensor temperature : [] { init = constant(4) }"
    body = f"""x = layernorm(transpose(mean(x, axis = -1)))
    s = {factor}(temperature * similarity(x, rmsnorm(readout)))"""
    text = spec(body, tensors, "").replace("return readout @ ", "return mean(s, axis = 0)")
    assert "unstable" in str(abcparam.check(text).verdict)


@pytest.mark.parametrize(
    ("b", "c", "factor", "verdict"),
    [
        ("1", "3/2", "", "maximal-update"),  # coordinates of width^(-1/2), a length of Θ(1)
        ("1/2", "1", "1 / width * ", "maximal-update"),
        ("1/2", "1/2", "width^-2 * ", "feature-learning"),
        ("1/2", "1", "", "unstable-at-init"),
        ("1", "1", "", "unstable"),
    ],
)
def test_a_square_is_judged_as_the_product_that_it_is(b: str, c: str, factor: str, verdict: str):
    found = []
    for square in ("square(d)", "(d * d)"):
        text = f"""model Distances
dim width -> inf, base = 64
dim pixels = 16
hyper lr = 1e-2
tensor U : input [width, pixels] {{ a = 0, b = 0, c = 0 }}
tensor V : hidden [width, width] {{ a = 0, b = {b}, c = {c} }}
forward(x : [pixels], y : [pixels]) {{
    d = V @ relu(U @ x) - V @ relu(U @ y)
    return unsqueeze(sum({factor}{square}, axis = -1), axis = -1)
}}
optimizer adam {{ lr = lr, eps = 0 }}
loss mse
"""
        report = abcparam.check(text)
        laws = [(x.path, x.status, str(x.slack)) for x in report.judgement.tensors]
        found.append((report.verdict, laws))
    assert found[0] == found[1] and found[0][0] == verdict
