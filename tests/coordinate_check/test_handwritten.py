"""`coord-check --module`: a model written by hand is held to the laws of a spec."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from abcparam.pipeline import compile
from tests.support.paths import SPECS
from tests.support.running import Ran, Run

SPEC = Path(__file__).with_name("perceptron.param").read_text(encoding="utf-8")
MODEL = """
import torch
from torch import nn


class MLP(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.first = nn.Linear(config.pixels, config.width, bias=False)
        self.second = nn.Linear(config.width, config.width, bias=False)
        self.readout = nn.Linear(config.width, config.classes, bias=False)
        self.config, self.scale = config, 64 / config.width
        nn.init.normal_(self.first.weight, std=config.pixels**-0.5)
        nn.init.normal_(self.second.weight, std=config.width**-0.5)
        nn.init.normal_(self.readout.weight, std=1 / 8)

    def forward(self, x):
        return self.scale * self.readout(torch.tanh(self.second(torch.tanh(self.first(x)))))
"""
OPTIMIZER = """

def make_optimizer(model):
    rate, ratio = model.config.lr, model.config.width / 64
    hidden = {"params": [model.second.weight], "lr": rate / ratio}
    others = {"params": [model.first.weight, model.readout.weight], "lr": rate}
    return torch.optim.Adam([hidden, others])
"""
BY_HAND = MODEL + OPTIMIZER
# The output moves as it should without the readout, by the features: its own row alone tells.
OTHERS = '"params": [model.first.weight, model.readout.weight], "lr": rate}'
BY_ITSELF = """"params": [model.first.weight], "lr": rate}
    hidden["params"].append(model.readout.weight)"""


@pytest.fixture
def check(run: Run, tmp_path: Path):
    """`check(text, "--fresh")`: the command on a file of this text."""
    spec, mine = tmp_path / "mlp.param", tmp_path / "mine.py"
    spec.write_text(SPEC)

    def checked(text: str, *more: str, name: str = "MLP") -> Ran:
        mine.write_text(text)
        options = ("--widths", "64,128,256,512", "--resume", tmp_path / "kept", "--format", "json")
        return run("coord-check", spec, "--module", f"{mine}:{name}", *options, *more)

    checked.spec = spec

    return checked


def rows(ran: Ran) -> dict[tuple[str, str], bool]:
    found = json.loads(ran.out)
    return {(r["name"], r["quantity"]): r["agree"] for r in found["rows"] + found["gradients"]}


def slopes(ran: Ran) -> dict[tuple[str, str], float | None]:
    found = json.loads(ran.out)
    lists = (found["rows"], found["gradients"], found["unresolved"])
    return {(r["name"], r["quantity"]): r["measured"] for rows in lists for r in rows}


SEEN = {
    ("first", "at_init"),
    ("second", "at_init"),
    ("first", "update"),
    ("second", "update"),
    ("readout", "relative"),
    ("output", "at_init"),
    ("output", "change"),
    ("output", "gradient"),
}


@pytest.mark.parametrize("text", [BY_HAND, MODEL], ids=["its own optimizer", "the emitted one"])
def test_a_correct_model_agrees(check, text: str):
    ran = check(text)
    assert ran.status == 0
    assert rows(ran) == dict.fromkeys(SEEN, True)
    assert json.loads(ran.out)["notes"][1] == (
        "6 of 14 derived rows cannot be seen in it and are not judged, those of h, k"
    )


@pytest.mark.parametrize("before", [False, True], ids=["behind the readout", "before it"])
def test_a_factor_of_the_code_may_stand_on_either_side(check, before: bool):
    """It is the same function: the readout's own values are judged up to that factor."""
    text = SPEC.replace("output [classes, width]", "output [classes, width] { a = 0 }")
    check.spec.write_text(text.replace("return readout", "return base(width) / width * readout"))
    model = MODEL.replace("self.scale * self.readout(", "self.readout(self.scale * ")
    ran = check(model if before else MODEL)
    assert ran.status == 0 and rows(ran) == dict.fromkeys(SEEN, True)


@pytest.mark.parametrize(
    ("old", "new", "disagrees"),
    [
        ("return self.scale * ", "return ", ("output", "at_init")),
        ("std=config.width**-0.5", "std=0.125", ("second", "at_init")),
        ('"lr": rate / ratio', '"lr": rate', ("second", "update")),
        ("[model.second.weight]", "[]", ("second", "update")),
        (OTHERS, BY_ITSELF, ("readout", "relative")),
    ],
)
def test_a_mistake_is_caught(check, old: str, new: str, disagrees: tuple[str, str]):
    """The same folder of kept runs serves both: what is kept of one file is not another's."""
    assert check(BY_HAND).status == 0
    assert old in BY_HAND
    ran = check(BY_HAND.replace(old, new))
    assert ran.status == 1
    assert rows(ran)[disagrees] is False


@pytest.mark.parametrize(("name", "count"), [("gpt", 17), ("lstm", 10)])
def test_the_emitted_model_agrees_as_a_file(run: Run, tmp_path: Path, name: str, count: int):
    """What is emitted is a model like any other. Hooks on its layers measure the very slopes that
    are measured with every use of a tensor named.
    """
    spec, file = SPECS / f"{name}.param", tmp_path / f"{name}.py"
    file.write_text(compile(spec))
    model = spec.read_text().split("model ")[1].split()[0]
    options = "--widths 32,64,128 --seeds 2 --steps 2 --fresh --format json".split()
    emitted = slopes(run("coord-check", spec, *options))
    ran = run("coord-check", spec, "--module", f"{file}:{model}", *options)
    assert ran.status == 0
    found = slopes(ran)
    for path in {path for path, quantity in found if quantity == "relative"}:
        emitted[path, "relative"] = emitted[path, "update"] - emitted[path, "at_init"]
    assert found == {key: pytest.approx(emitted[key], abs=1e-6) for key in found}
    assert len(found) == count < len(emitted)


BLOCK = """
block Affine(x) {
    tensor weight : hidden [width, width]
    tensor bias   : input  [width] { b = 0 }
    return weight @ x + bias
}
"""


def test_a_layer_may_hold_several_tensors(check):
    """`weight` and `bias` of a block are those of a `Linear`, each measured alone."""
    check.spec.write_text(
        SPEC.replace("tensor second  : hidden [width, width]\n", BLOCK).replace(
            "second @ tanh(h)", "Affine(tanh(h)) as second"
        )
    )
    text = MODEL.replace(
        "config.width, bias=False)\n        self.readout", "config.width)\n        self.readout"
    )
    ran = check(
        text.replace(
            "        nn.init", "        nn.init.zeros_(self.second.bias)\n        nn.init", 1
        )
    )
    assert ran.status == 0, ran
    of_second = [key for key in rows(ran) if key[0].startswith("second")]
    assert of_second == [
        ("second.weight", "at_init"),
        ("second.bias", "at_init"),
        ("second.weight", "update"),
        ("second.bias", "update"),
    ]


def test_a_use_that_no_layer_makes_leaves_the_tensor_out(check):
    """The spec uses `second` once: half of what is made of it must not be taken for the whole."""
    layer = "self.second(torch.tanh(self.first(x)))"
    other = "torch.nn.functional.linear(torch.tanh(self.first(x)), self.second.weight)"
    assert layer in MODEL
    for use, missing in ((other, {"second"}), (f"{layer} / 2 + {layer} / 2", {"first", "second"})):
        ran = check(MODEL.replace(layer, use))
        assert ran.status == 0
        assert rows(ran).keys() == {key for key in SEEN if key[0] not in missing}


WRONG = [
    (
        MODEL.replace("self.second", "self.middle"),
        "error[P0822]",
        "there is no `second.weight` [64, 64]; the spec has no `middle.weight`",
    ),
    (
        MODEL.replace("(config.pixels, config.width", "(2 * config.pixels, config.width"),
        "error[P0822]",
        "`first.weight` is [64, 64], not [64, 32]",
    ),
    (MODEL.replace("self.scale * ", "1 + self.scal * "), "error[P0821]", "(line 18)"),
    (MODEL.replace("import torch\n", "import torch, nothing_of_the_kind\n"), "P0821", "(line 2)"),
    ("def f(:\n", "error[P0821]", "SyntaxError"),
    (MODEL.replace("class MLP", "class GPT"), "error[P0820]", "the file has no `MLP`"),
    (
        MODEL.replace("return self.scale", "return x[..., :3]\n        return self.scale"),
        "error[P0823]",
        "are of shape [64, 3], the spec's of [64, 10]",
    ),
]


@pytest.mark.parametrize(("text", "code", "said"), WRONG, ids=range(len(WRONG)))
def test_what_does_not_fit_is_told(check, text: str, code: str, said: str):
    ran = check(text)
    assert (ran.status, ran.out) == (2, "")
    assert code in ran.err
    assert said in ran.err


def test_two_names_of_one_tensor_are_told(check):
    """`first.bias` and `first_bias` are both what the spec's `first_bias` may be called."""
    spec = SPEC.replace("h = first @ x", "h = first @ x + first_bias")
    spec = spec.replace("tensor second", "tensor first_bias : input [width]\ntensor second", 1)
    check.spec.write_text(spec)
    text = MODEL.replace("config.width, bias=False)", "config.width)", 1)
    more = "self.first_bias = nn.Parameter(torch.zeros(config.width))"
    ran = check(text.replace("self.config, self", f"{more}\n        self.config, self", 1))
    assert (ran.status, ran.out) == (2, "")
    assert "`first.bias` and `first_bias` are both" in ran.err or (
        "`first_bias` and `first.bias` are both" in ran.err
    )


@pytest.mark.parametrize("module", ["mine.py", "none.py:MLP", ":MLP", "mine.py:", "mine.py:a.b"])
def test_what_is_not_there_is_told(run: Run, module: str):
    ran = run("coord-check", SPECS / "mlp.param", "--module", module)
    assert (ran.status, ran.out) == (2, "")
    assert f"error[P0820]: there is no module `{module}`" in ran.err


def test_other_parametrizations_are_of_the_emitted_model(run: Run):
    options = ("--module", "mine.py:MLP", "--against", "sp", "--html", "page.html")
    ran = run("coord-check", SPECS / "mlp.param", *options)
    assert ran.status == 2
    assert "does not go with --module" in ran.err
