"""What the use of a tensor says where the spec does not: its role, and what it starts at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import abcparam
from abcparam import SpecError
from abcparam.emission.emit import emit
from abcparam.operations import operations
from tests.support.emitted import build, laws_of, named_by_tensor, program_of
from tests.support.paths import EMIT_SPECS, EXAMPLES, SPECS

FOLDERS = (EXAMPLES, EXAMPLES / "wrong", EXAMPLES / "reproduce", SPECS, EMIT_SPECS)
WITH_ROLES = [
    path
    for folder in FOLDERS
    for path in sorted(folder.glob("*.param"))
    if not re.search(r"= \?", path.read_text(encoding="utf-8"))
    and path.stem != "unbatched"  # which has a tensor that nothing uses
]
ROLE = re.compile(r"(tensor [\w, ]+:) *(?:input|hidden|output|scalar) *\[")
STARTS = {"ones": 1.0, "zeros": 0.0}


def without_roles(text: str) -> str:
    return ROLE.sub(r"\1 [", text)


@pytest.mark.parametrize("path", WITH_ROLES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_roles_that_are_left_out_change_nothing(path: Path):
    text = path.read_text(encoding="utf-8")
    said, unsaid = (program_of(each) for each in (text, without_roles(text)))
    assert unsaid.tensors == said.tensors
    assert unsaid.root == said.root
    modules = [re.sub(r"[0-9a-f]{16}", "", emit(each, laws_of(each))) for each in (said, unsaid)]
    assert modules[0] == modules[1]


@pytest.mark.parametrize("name", ["llama", "gpt2", "t5"])
def test_neither_do_laws(name: str):
    text = (EXAMPLES / f"{name}.param").read_text(encoding="utf-8")
    said, unsaid = (abcparam.check(each).to_dict() for each in (text, without_roles(text)))
    for key in ("verdict", "complete", "tensors", "activations", "output"):
        assert unsaid[key] == said[key]


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
        assert operation.tables <= operation.weights, operation.name


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
    program, module = build(text, folder)
    found: set[float] = set()
    for width in (16, 64):
        model = module.Probe(module.Config(width=width))
        named = named_by_tensor(program, dict(model.named_parameters()))
        (tensor,) = (p for n, p in named.items() if "t" in n.split("."))
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


FEW_HEADS = ("dim head = 4\ndim heads = width / head", "dim heads = 4\ndim head = width / heads")
BOTH_GROW = ("dim head = 4", "dim head -> inf, base = 4, rate = 1/2")
NORMED = "h = rmsnorm(h, gain = t, heads = heads)"
BIASED = CASES["attention"].body.format("bias")


@pytest.mark.parametrize("role", ["", "input"])
@pytest.mark.parametrize(
    ("shape", "body", "dims"),
    [
        ("[heads, head]", NORMED, ("", "")),
        ("[heads, head]", NORMED, FEW_HEADS),
        ("[heads, head]", NORMED, BOTH_GROW),
        ("[1, width]", "h = h + t", ("", "")),
        ("[context, width]", "h = h + t", ("", "")),
        ("[1, width]", "h = concat(t, h, axis = 0)", ("", "")),
        ("[heads, context, context]", BIASED, ("", "")),
    ],
)
def test_what_no_map_applies_is_an_input_tensor(
    role: str, shape: str, body: str, dims: tuple[str, str]
):
    text = probe(f"{role} {shape}", body).replace(*dims)
    tensor = next(t for t in abcparam.check(text).to_dict()["tensors"] if t["name"] == "t")
    assert (tensor["role"], tensor["a"]) == ("input", {})


TIED = f"""{HEAD.replace("dim context = 5", "dim context = 5; dim vocab = 50")}parametrization mup
tensor table : ROLE [vocab, width]
forward(tokens : index(vocab) [context]) {{
    x = embed(table, tokens)
    return width^-1 * (READ @ layernorm(x))
}}
optimizer adam {{ lr = 0.1, eps = 0 }}
loss cross_entropy
"""


def codes(text: str) -> set[str]:
    try:
        return {d.code for d in abcparam.check(text).diagnostics}
    except SpecError as error:
        return {d.code for d in error.diagnostics}


@pytest.mark.parametrize(
    ("role", "read", "said"),
    [
        ("", "table.T", set()),
        ("input", "table.T", set()),
        ("output", "table", set()),
        ("", "table", {"P0321"}),
        ("input", "table", {"P0302"}),
    ],
)
def test_a_tied_readout_is_asked_for_its_role_where_it_matters(
    role: str, read: str, said: set[str]
):
    found = codes(TIED.replace("ROLE", role).replace("READ", read))
    assert found & {"P0302", "P0321", "P0608"} == said


MIXED = """tensor other : [vocab, width]
tensor mix : [vocab, width]
forward(tokens : index(vocab) [context]) {
    x = embed(LOOKED_UP, tokens)
    x = x + table @ softmax(mix @ x)
    return mix @ layernorm(x)
}
"""


@pytest.mark.parametrize(("looked_up", "warned"), [("table", False), ("other", True)])
def test_a_map_that_is_stored_as_a_table_is_warned_of(looked_up: str, warned: bool):
    """Unless it is looked up, here where a softmax weighs the rows."""
    head, _, rest = TIED.replace("ROLE", "input").partition("forward")
    text = head + MIXED.replace("LOOKED_UP", looked_up) + rest.partition("}\n")[2]
    assert ("P0608" in codes(text)) == warned


@pytest.mark.parametrize(("shape", "warned"), [("pixels, width", True), ("width, pixels", False)])
def test_a_first_layer_is_stored_out_in(shape: str, warned: bool):
    text = probe("[width]", "h = h + t").replace(
        "first : [width, pixels]", f"first : input [{shape}]"
    )
    assert ("P0608" in codes(text)) == warned
