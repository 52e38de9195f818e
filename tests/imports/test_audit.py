"""A model in PyTorch is read, judged as it is, and told what makes it maximal-update."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from linecache import getline
from typing import Any

import pytest
import torch

import abcparam
from abcparam.imports.audit_text import folded, render_audit
from abcparam.imports.built import built
from abcparam.imports.factory import find_factory
from tests.imports.models import MODELS

HALF = Fraction(1, 2)


@pytest.fixture(scope="module")
def nanogpt() -> abcparam.Audit:
    return abcparam.audit(f"{MODELS}/nanogpt.py:make", ["width"])


def test_the_standard_parametrization_is_unstable(nanogpt: abcparam.Audit) -> None:
    assert nanogpt.verdict == "unstable-at-init"
    assert not nanogpt.as_expected


def test_layers_that_repeat_are_one_row(nanogpt: abcparam.Audit) -> None:
    paths = {law.path for law in nanogpt.report.judgement.tensors}
    assert "transformer.h.*.attn.c_attn.weight" in paths
    assert len(paths) == 16


def test_lengths_are_formulas(nanogpt: abcparam.Audit) -> None:
    tensor = nanogpt.program.tensors["transformer.h.*.attn.c_attn.weight"]
    assert [str(axis.value) for axis in tensor.axes] == ["3 * width", "width"]
    assert [str(count.value) for count in tensor.copies] == ["depth"]


def test_a_finding_is_at_the_users_line(nanogpt: abcparam.Audit) -> None:
    found = nanogpt.report.diagnostics[0]
    line = nanogpt.program.source.holding(found.span).lines[found.span.line - 1]
    assert found.code == "P0501"
    assert "scaled_dot_product_attention" in line


def test_modules_that_no_line_of_the_users_calls_have_their_names() -> None:
    """Those of a `Sequential` are called by a line of PyTorch's: they are where they are made."""

    def build(width: int = 64) -> tuple[torch.nn.Module, torch.Tensor]:
        first, last = torch.nn.Linear(7, width), torch.nn.Linear(width, 10)
        inner = torch.nn.Linear(width, width)
        return torch.nn.Sequential(first, torch.nn.ReLU(), inner, last), torch.randn(5, 7)

    audit = abcparam.audit(build, ["width"])
    found = next(d for d in audit.report.diagnostics if d.message.startswith("`2`"))
    made = "torch.nn.Linear(width, width)"
    assert found.message == f"`2` grows like width: the change of {made} (width), added"
    line = audit.program.source.holding(found.span).lines[found.span.line - 1]
    assert line[found.span.column - 1 : found.span.end_column - 1] == made
    assert "the update of 2.weight (1) applied to 1 (1)" in found.notes[0]
    table = render_audit(audit)
    assert "\n2           1        width\n" in table


def test_copies_of_modules_are_where_what_holds_them_is_made() -> None:
    def build(width: int = 64) -> tuple[torch.nn.Module, torch.Tensor]:
        layer = torch.nn.TransformerEncoderLayer(width, width // 16, width, 0.0, batch_first=True)
        return torch.nn.Sequential(
            torch.nn.Linear(7, width),
            torch.nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
            torch.nn.Softmax(-1),
        ), torch.randn(2, 5, 7)

    with pytest.raises(abcparam.SpecError) as caught:
        abcparam.audit(build, ["width"])
    source, (found,) = caught.value.source, caught.value.diagnostics
    assert "torch.nn.Softmax(-1)," in source.holding(found.span).lines[found.span.line - 1]
    model, *_ = find_factory(build).make({"width": 32})
    place = built(model, "1.layers.0.self_attn")
    assert place is not None
    assert "torch.nn.TransformerEncoder(" in getline(place.file, place.line)


def test_the_remedy_needs_no_change_of_the_forward(nanogpt: abcparam.Audit) -> None:
    """A tied readout's 1/width is in the last norm's gain and bias (b = c = 1)."""
    changes = {change.path: change for change in nanogpt.remedy.changes}
    assert nanogpt.remedy.verdict == "maximal-update"
    assert not nanogpt.remedy.missing
    hidden = changes["transformer.h.*.mlp.c_fc.weight"]
    assert (hidden.init, hidden.lr) == ({"width": -HALF}, {"width": Fraction(-1)})
    assert changes["transformer.wte.weight"].key == ((), (), (), ())
    gain = changes["transformer.ln_f.weight"]
    assert (gain.init, gain.lr) == ({"width": Fraction(-1)}, {"width": Fraction(-1)})
    bias = changes["transformer.ln_f.bias"]
    assert (bias.init, bias.lr) == ({}, {"width": Fraction(-1)})


def test_decay_keeps_its_product_with_the_rate(nanogpt: abcparam.Audit) -> None:
    for change in nanogpt.remedy.changes:
        assert change.decay == {name: -power for name, power in change.lr.items()}


def test_the_json_is_that_of_a_check_and_more(nanogpt: abcparam.Audit) -> None:
    found = json.loads(json.dumps(nanogpt.to_dict()))
    assert found["verdict"] == "unstable-at-init"
    assert found["settings"][0] == {"width": 64, "head": 16, "depth": 2, "vocab": 65}
    assert found["remedy"]["verdict"] == "maximal-update"
    assert found["remedy"]["forward"] == []


def test_attention_over_heads_that_grow_is_folded_into_what_makes_queries_and_keys() -> None:
    """With 1/sqrt(head) in the forward, packed q, k, v take r^(-1/4), what follows them r^(1/4)."""
    found = abcparam.audit(f"{MODELS}/nanogpt.py:few_heads", ["width"])
    changes = {change.path: change for change in found.remedy.changes}
    assert found.remedy.verdict == "maximal-update"
    packed = changes["transformer.h.*.attn.c_attn.weight"]
    assert packed.init == {"width": Fraction(-3, 4)}
    after = changes["transformer.h.*.attn.c_proj.weight"]
    assert after.init == {"width": Fraction(-1, 4)}


def test_what_is_maximal_update_is_left_alone() -> None:
    """A perceptron that scales itself, with its own groups."""
    found = abcparam.audit(
        f"{MODELS}/perceptron.py:scaled", ["width"], f"{MODELS}/perceptron.py:groups"
    )
    assert found.verdict == "maximal-update"
    assert found.as_expected
    assert all(change.key == ((), (), (), ()) for change in found.remedy.changes)


def test_rates_are_those_of_the_optimizer() -> None:
    found = abcparam.audit(f"{MODELS}/perceptron.py:scaled", ["width"])
    assert found.verdict == "unstable"


def test_two_sizes_grow() -> None:
    """PyTorch's own initial scale is one over the root of fan-in: only rates and readout change."""
    found = abcparam.audit(f"{MODELS}/perceptron.py:wide", ["width", "inner"])
    changes = {change.path: change for change in found.remedy.changes}
    assert (changes["up.weight"].init, changes["up.weight"].lr) == ({}, {"width": Fraction(-1)})
    assert changes["down.weight"].lr == {"inner": Fraction(-1)}
    assert changes["out.weight"].init == {"width": -HALF}
    assert found.remedy.verdict == "maximal-update"


class Layers(torch.nn.Module):
    """A perceptron whose first hidden layer may be frozen."""

    def __init__(self, width: int, frozen: bool = False) -> None:
        super().__init__()
        self.up = torch.nn.Linear(20, width)
        self.inner = torch.nn.Linear(width, width)
        self.out = torch.nn.Linear(width, 10)
        self.inner.weight.requires_grad_(not frozen)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.inner(torch.relu(self.up(x)))))


def build(width: int = 32) -> tuple[Any, Any]:
    return Layers(width), (torch.randn(5, 20),)


def status(found: abcparam.Audit) -> dict[str, str | None]:
    assert render_audit(found)
    return {law.path: law.status for law in found.report.judgement.tensors}


def test_what_is_not_trained_is_frozen() -> None:
    def frozen(width: int = 32) -> tuple[Any, Any]:
        return Layers(width, frozen=True), (torch.randn(5, 20),)

    def slow(model: Layers) -> torch.optim.Optimizer:
        rest = [p for p in model.parameters() if p is not model.inner.weight]
        still = {"params": [model.inner.weight], "lr": 0.0}
        return torch.optim.AdamW([{"params": rest}, still], lr=1e-3)

    assert status(abcparam.audit(frozen, ["width"]))["inner.weight"] == "frozen"
    found = abcparam.audit(build, ["width"], slow)
    assert status(found)["inner.weight"] == "frozen"
    assert found.remedy.reaches


def test_two_optimizers() -> None:
    def both(model: Layers) -> list[torch.optim.Optimizer]:
        hidden = [model.inner.weight]
        rest = [p for p in model.parameters() if p is not model.inner.weight]
        return [torch.optim.Muon(hidden, lr=0.02), torch.optim.AdamW(rest, lr=1e-3)]

    found = abcparam.audit(build, ["width"], both)
    assert [optimizer.rule.name for optimizer in found.program.optimizers] == ["adamw", "muon"]
    assert found.remedy.reaches


@pytest.mark.parametrize("grow", [(64, 64), (0, 64), (64, 128, 64)])
def test_what_does_not_grow_is_refused(grow: tuple[int, ...]) -> None:
    with pytest.raises(abcparam.SpecError, match="P1025"):
        abcparam.audit(build, {"width": grow})


def no_parameters(width: int = 32) -> tuple[Any, Any]:
    return torch.nn.ReLU(), (torch.randn(5, width),)


def another_precision(width: int = 32) -> tuple[Any, Any]:
    return Layers(width).bfloat16(), (torch.randn(5, 20),)


def unmade(width: int = 32) -> tuple[Any, Any]:
    return torch.nn.LazyLinear(width), (torch.randn(5, 20),)


@pytest.mark.parametrize("make", [no_parameters, another_precision, unmade])
def test_what_cannot_be_read_is_told(make: Callable[..., Any]) -> None:
    with pytest.raises(abcparam.SpecError, match="P10"):
        abcparam.audit(make, ["width"])


def test_every_parameter_that_changes_is_named(nanogpt: abcparam.Audit) -> None:
    """Those that differ in one part of their names are one row."""
    paths = ["h.*.q.weight", "h.*.up.w", "h.*.k.weight", "head", "tail", "h.*.down.w", "h.w"]
    assert folded(paths) == ["h.*.{q, k}.weight", "h.*.{up, down}.w", "head", "tail", "h.w"]
    layers = [f"h.{i}.{part}.proj.w" for i in range(4) for part in ("attn", "mlp")]
    assert folded(layers) == ["h.{0..3}.{attn, mlp}.proj.w"]
    assert folded([*layers, "h.5.mlp.proj.w"]) == ["h.{0..3}.{attn, mlp}.proj.w", "h.5.mlp.proj.w"]
    assert folded(["0.w", "2.w"]) == ["{0, 2}.w"]
    told = render_audit(nanogpt)
    assert "transformer.h.*.mlp.{c_fc, c_proj}.weight  " in told
    rows = told.partition("makes it maximal-update")[2].partition("now, by")[0]
    changed = [c.path for c in nanogpt.remedy.changes if any(c.key)]
    assert len(changed) > 5 and all(path.split(".")[-2] in rows for path in changed)


def test_all_outputs_count_where_none_is_named() -> None:
    """Actor and critic are both made maximal-update; one alone where it is asked for."""
    found = abcparam.audit(f"{MODELS}/perceptron.py:agent", ["width"])
    assert found.program.outputs == ("output 0", "output 1", "output 2")
    assert found.remedy.reaches
    changed = {change.path for change in found.remedy.changes if any(change.key)}
    assert changed == {"actor.2.weight", "critic.2.weight"}
    alone = abcparam.audit(f"{MODELS}/perceptron.py:agent", ["width"], output="0")
    assert alone.program.outputs == ("output 0",)
    (note,) = [x for x in alone.report.said or () if x.code == "P1011"]
    assert note.message.startswith("no output depends on `spread`, `critic.0.weight`")


class Errors(torch.nn.Module):
    """Two maps of one layer and the losses of both, by whichever way they are called."""

    def __init__(self, width: int, losses: Callable[..., Any]) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(20, width)
        self.classes = torch.nn.Linear(width, 10)
        self.value = torch.nn.Linear(width, 1)
        self.losses = losses

    def forward(self, x: torch.Tensor, labels: torch.Tensor, returns: torch.Tensor) -> Any:
        h = torch.relu(self.hidden(x))
        return self.losses(self.classes(h), self.value(h)[:, 0], labels, returns)


def errors(losses: Callable[..., Any]) -> Callable[..., Any]:
    def make(width: int = 64) -> object:
        given = torch.randn(8, 20), torch.randint(10, (8,)), torch.randn(8)
        return Errors(width, losses), given

    return make


F = torch.nn.functional
LOSSES: dict[str, tuple[Callable[..., Any], tuple[str, ...], set[str]]] = {
    "a square": (lambda c, v, y, r: F.mse_loss(v, r), ("output",), {"value"}),
    "the other way around": (lambda c, v, y, r: F.mse_loss(r, v), ("output",), {"value"}),
    "two": (
        lambda c, v, y, r: {"policy": F.cross_entropy(c, y), "state": [F.mse_loss(v, r), v]},
        ("policy", "state.0"),
        {"classes", "value"},
    ),
    "of both": (
        lambda c, v, y, r: F.mse_loss(v, c[:, 0]),
        ("output", "output target"),
        {"classes", "value"},
    ),
}


@pytest.mark.parametrize("what", LOSSES)
def test_all_losses_that_a_model_gives_count(what: str) -> None:
    losses, outputs, layers = LOSSES[what]
    found = abcparam.audit(errors(losses), ["width"])
    assert found.program.outputs == outputs
    changed = {change.path for change in found.remedy.changes if any(change.key)}
    assert found.remedy.reaches and changed == {f"{layer}.weight" for layer in layers}


def test_a_loss_of_several_is_judged_alone_where_it_is_named() -> None:
    found = abcparam.audit(errors(LOSSES["two"][0]), ["width"], output="state.0")
    assert found.program.outputs == ("state.0",)
    assert [loss.kind for loss in found.program.losses] == ["mse"]


@pytest.mark.parametrize("what", LOSSES)
def test_a_loss_is_imported_where_it_is_of_one_value(what: str) -> None:
    make = errors(LOSSES[what][0])
    if what == "of both":
        with pytest.raises(abcparam.SpecError, match="a loss between two values"):
            abcparam.import_model(make, ["width"])
    else:
        assert abcparam.import_model(make, ["width"]).text


def test_a_state_is_no_output_beside_others() -> None:
    class Recurrent(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.cell = torch.nn.GRU(20, width, batch_first=True)
            self.out = torch.nn.Linear(width, 10)

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            y, state = self.cell(x)
            return self.out(y), state

    def make(width: int = 64) -> object:
        return Recurrent(width), (torch.randn(3, 5, 20),)

    assert abcparam.audit(make, ["width"]).program.outputs == ("output 0",)


def test_a_table_that_is_multiplied_by_the_root_of_the_width() -> None:
    """As the first transformer had it: rows of size 1 would make logits of attention grow."""

    class Translator(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.table = torch.nn.Embedding(50, width)
            self.layers = torch.nn.Transformer(width, width // 16, 1, 1, width, batch_first=True)
            self.out = torch.nn.Linear(width, 50)

        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            x, y = (self.table(z) * self.table.weight.shape[1] ** 0.5 for z in (x, y))
            mask = torch.nn.Transformer.generate_square_subsequent_mask(y.shape[1])
            result: torch.Tensor = self.out(self.layers(x, y, tgt_mask=mask))
            return result

    def make(width: int = 32) -> object:
        return Translator(width), (torch.randint(50, (3, 6)), torch.randint(50, (3, 5)))

    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable-at-init"
    assert found.remedy.reaches
    changes = {change.path: change for change in found.remedy.changes}
    assert changes["table.weight"].init == {"width": -HALF}
    assert changes["table.weight"].lr == {"width": -HALF}
