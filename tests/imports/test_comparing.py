"""`abcparam diff` of a user's model and a spec: the same in the limit, or where not."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor, nn

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.imports.comparing import compared_with
from abcparam.program.model import Program
from abcparam.verdict.check import load
from tests.imports.models import MODELS, perceptron
from tests.support.running import Run

PERCEPTRON = """model Perceptron
dim width -> inf, base = 128
dim pixels = 30
dim classes = 7
hyper lr = 0.01
parametrization mup
block Up(x) {
    tensor weight : input [width, pixels]
    tensor bias : input [width]
    return weight @ x + bias
}
block Inner(x) {
    tensor weight : hidden [width, width]
    tensor bias : input [width]
    return weight @ x + bias
}
block Out(x) {
    tensor weight : output [classes, width]
    tensor bias : scalar [classes] { init = zeros }
    return weight @ x + bias
}
forward(x : [pixels]) {
    return Out(relu(Inner(relu(Up(x)))))
}
optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""
TIED = """model Tied
dim width -> inf, base = 128
dim vocab = 1000
dim context = 12
dim depth = 4
parametrization mup
tensor embedding : input [vocab, width]
block Block(x) {
    tensor up : hidden [4 * width, width]
    tensor down : hidden [width, 4 * width]
    return x + down @ relu(up @ x)
}
block Norm(x) {
    tensor weight : input [width] { init = ones }
    return rmsnorm(x, weight)
}
forward(tokens : index(vocab) [context]) {
    x = embed(embedding, tokens)
    repeat depth as layers {
        x = Block(x) as block
    }
    return width^-1 * (embedding.T @ (Norm(x) as norm))
}
optimizer adamw { lr = 1e-3, weight_decay = 0 }
loss cross_entropy
"""


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Tied(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, width)
        self.layers = nn.ModuleList(nn.ModuleDict({"block": Block(width)}) for _ in range(depth))
        self.norm = nn.RMSNorm(width)
        self.head = nn.Linear(width, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer["block"](x)  # type: ignore[index]
        return self.head(self.norm(x))


def tied(width: int = 64, depth: int = 2) -> tuple[nn.Module, tuple[Tensor]]:
    return Tied(width, depth), (torch.randint(50, (5, 7)),)


def undecayed(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)


def spec(text: str) -> Program:
    return load(Source(text, "spec.param"))


def test_what_a_person_scaled_by_hand_is_the_maximal_update_parametrization():
    """In another gauge of the readout, at other finite sizes: from either side."""
    audit = abcparam.audit(perceptron.scaled, ["width"], perceptron.groups)
    for found in (
        compared_with(audit, spec(PERCEPTRON)),
        compared_with(spec(PERCEPTRON), audit),
        compared_with(audit, audit),
    ):
        assert (found.same, found.differences) == ("asymptotically", ())
        assert [str(verdict) for verdict in found.verdicts] == ["maximal-update, complete"] * 2


def test_what_differs_is_named():
    audit = abcparam.audit(perceptron.scaled, ["width"])  # one rate for all
    found = abcparam.diff(audit, PERCEPTRON)
    assert found.same == "no"
    updates = {d.name: str(d.a) for d in found.laws if d.quantity == "update"}
    assert updates["inner.weight"] == "width"


def test_an_adapted_model_is_the_spec_whose_factor_its_norm_took_over():
    """`1 / width` behind a tied readout, or in the gain in front of it: the same training."""
    audit = abcparam.audit(tied, ["width"], undecayed)
    assert compared_with(audit, spec(TIED)).same == "no"
    found = compared_with(audit, spec(TIED), adapted=True)
    assert (found.same, found.laws) == ("asymptotically", ())


def test_other_tensors_are_a_difference():
    audit = abcparam.audit(perceptron.wide, ["width"])
    found = compared_with(audit, spec(PERCEPTRON))
    rows = {d.name: (d.a, d.b) for d in found.differences}
    assert rows["embed.weight"] == ("[width, 20]", None)
    assert rows["inner.weight"] == (None, "[width, width]")


def test_the_command(run: Run, tmp_path: Path):
    file = tmp_path / "mlp.param"
    file.write_text(PERCEPTRON, encoding="utf-8")
    model = f"{MODELS}/perceptron.py:scaled"
    groups = ("--optimizer", f"{MODELS}/perceptron.py:groups")
    same = run("diff", model, file, "--grow", "width", *groups)
    assert (same.status, same.out.splitlines()[0]) == (0, "the same in the limit")
    other = run("diff", file, model, "--grow", "width", "--format", "json")
    assert (other.status, json.loads(other.out)["same"]) == (1, "no")
    assert run("diff", file, model, "--grow", "width", "--adapted", *groups).status == 0
    assert run("diff", file, model).err.endswith("say what grows, --grow\n")
    assert run("diff", file, file, "--grow", "width").status == 2


def test_a_sequential_model_is_its_own_text() -> None:
    """Parameters that numbers alone tell apart are `weight`, `weight2`, `weight3` in a text."""

    def make(width: int = 32) -> object:
        layers = [nn.Linear(20, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(width, 5)), (torch.randn(6, 20),)

    audit = abcparam.audit(make, ["width"])
    text = abcparam.import_model(make, ["width"]).text
    program = load(Source(text, "model.param"))
    for found in (compared_with(audit, program), compared_with(program, audit)):
        assert (found.same, found.differences) == ("asymptotically", ())
    other = text.replace("hidden { a = 0, b = 1/2, c = 0 }", "hidden { a = 0, b = 1/2, c = 1 }")
    assert other != text
    differ = compared_with(audit, load(Source(other, "model.param"))).laws
    assert "2.weight" in {law.name for law in differ}
