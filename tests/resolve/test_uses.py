"""What the use of a tensor says where the spec does not: what it starts at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import abcparam
from abcparam.operations import operations
from tests.support.emitted import build

STARTS = {"ones": 1.0, "zeros": 0.0}


HEAD = """model Probe
dim width -> inf, base = 16
dim head = 4
dim heads = width / head
dim pixels = 6
dim context = 5
dim classes = 3
"""
TAIL = """tensor first : [width, pixels]
tensor readout : [classes, width]
optimizer adam { lr = 0.1, eps = 0 }
loss mse
"""


def probe(shape: str, body: str, keys: str = "", blocks: str = "", roles: str = "") -> str:
    """A spec with a tensor `t` that the body uses to turn `h [context, width]` into another."""
    return f"""{HEAD}parametrization mup {roles}
{TAIL}tensor t : {shape} {keys}
{blocks}
forward(x : [context, pixels]) {{
    h = first @ x
    {body}
    return readout @ h
}}
"""


class Case(NamedTuple):
    """A use of an operation: `{}` is the name of the operand, `{x}` and `{y}` its two sides."""

    body: str
    shapes: tuple[str, ...]


VECTORS = ("[width]", "[1, width]", "[context, 1]")
HEADS = ("[head]", "[heads, head]")
LOGITS = ("[context, context]", "[heads, context, context]", "[heads, 1, 1]")
CASES = {
    "layernorm": Case("h = layernorm(h, {} = t, heads = heads)", HEADS),
    "rmsnorm": Case("h = rmsnorm(h, {} = t, heads = heads)", HEADS),
    "batchnorm": Case("h = transpose(batchnorm(transpose(h), {} = t))", ("[width]",)),
    "groupnorm": Case("h = transpose(groupnorm(transpose(h), groups = 4, {} = t))", ("[width]",)),
    "attention": Case("h = attention(h, h, h, heads = heads, scale = head^-1, {} = t)", LOGITS),
    "+": Case("h = {x} + {y}", VECTORS),
    "-": Case("h = {x} - {y}", VECTORS),
    "offset": Case("h = rmsnorm(h, gain = 1 + t, heads = heads)", HEADS),
}
USES = [
    pytest.param(case, operand, start, shape, id=f"{name}-{operand}-{shape}")
    for name, operation in operations().items()
    for operand, start in operation.starts.items()
    for case in [CASES.get(name)]
    for shape in (case.shapes if case else ("",))
]


def test_every_optional_operand_says_what_it_starts_at():
    for operation in operations().values():
        assert operation.optional - operation.indices <= operation.starts.keys(), operation.name
        assert operation.starts.keys() <= set(operation.values), operation.name


@pytest.mark.parametrize(("case", "operand", "start", "shape"), USES)
def test_what_a_tensor_starts_at_is_the_operation_s(
    case: Case | None, operand: str, start: str, shape: str, tmp_path: Path
):
    assert case is not None, "an operation with `starts` needs a case in CASES"
    sides = {"x": "h", "y": "h", operand: "t"}
    text = probe(shape, case.body.format(operand, **sides))
    assert starts(text, tmp_path) == {STARTS[start]}
    assert sizes(text)["t"] == ("0" if start == "ones" else "-inf")


def starts(text: str, folder: Path) -> set[float]:
    """The values that `t` starts with in the emitted module, at base and at four times that."""
    _, module = build(text, folder)
    found: set[float] = set()
    for width in (16, 64):
        model = module.Probe(module.Config(width=width))
        (tensor,) = (p for n, p in model.named_parameters() if "t" in n.split("."))
        found |= set(torch.unique(tensor.detach()).tolist())
    return found


def sizes(text: str) -> dict[str, str]:
    """What each tensor starts as, by the laws."""
    tensors = abcparam.check(text).to_dict()["tensors"]
    return {tensor["name"]: tensor["at_init"]["width"] for tensor in tensors}


def test_a_bias_of_a_convolution_starts_at_zeros(tmp_path: Path):
    text = f"""{HEAD}parametrization mup
tensor stem : [width, 3, 3, 3]
tensor t : [width, 1, 1]
tensor readout : [classes, width]
forward(x : [3, 8, 8]) {{
    return readout @ mean(relu(conv2d(stem, x, padding = 1) + t), axis = (-2, -1))
}}
optimizer adam {{ lr = 0.1, eps = 0 }}
loss mse
"""
    assert starts(text, tmp_path) == {0.0}
    assert sizes(text)["t"] == "-inf"


NORM = "block Norm(x, by) {\n    return rmsnorm(x, gain = by, heads = heads)\n}\n"
SHARED = "h = Norm(h, u) as one\n    h = one(h, t)"


@pytest.mark.parametrize(
    ("body", "blocks"),
    [
        ("g = t\n    h = rmsnorm(h, gain = g, heads = heads)", ""),
        ("h = rmsnorm(h, gain = 2 * t, heads = heads)", ""),
        ("h = Norm(h, t)", NORM),
        (SHARED, f"tensor u : [heads, head]\n{NORM}"),
        ("repeat 2 { h = rmsnorm(h, gain = t, heads = heads) }", ""),
        ("h = h + rmsnorm(h, gain = t, bias = t, heads = heads)", ""),
    ],
)
def test_a_gain_is_known_by_any_name(body: str, blocks: str, tmp_path: Path):
    text = probe("[heads, head]", body, blocks=blocks)
    assert starts(text, tmp_path) == {1.0}
    assert sizes(text)["t"] == "0"


@pytest.mark.parametrize(
    "body", ["h = h + t", "h = t + h", "h = h - t", "p = 2 * t\n    h = h + p"]
)
def test_a_table_of_positions_starts_at_random(body: str, tmp_path: Path):
    assert len(starts(probe("[context, width]", body), tmp_path)) > 100


@pytest.mark.parametrize("said", ["tensor", "role"])
def test_an_init_of_the_spec_goes_first(said: str, tmp_path: Path):
    init = "{ init = constant(3) }"
    keys, roles = (init, "") if said == "tensor" else ("", f"{{ input {init} }}")
    body = "h = rmsnorm(h, gain = t, heads = heads)"
    assert starts(probe("[heads, head]", body, keys, roles=roles), tmp_path) == {3.0}


def test_zeros_of_a_role_go_first(tmp_path: Path):
    text = probe("[width]", "h = rmsnorm(h, gain = t)", roles="{ input { init = zeros } }")
    assert starts(text, tmp_path) == {0.0}
