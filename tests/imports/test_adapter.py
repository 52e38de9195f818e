"""The adapter: a file of torch alone that makes a user's class maximal-update."""

from __future__ import annotations

import copy
import linecache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from abcparam.commands.cli import main
from abcparam.emission.execute import executed
from abcparam.imports.trained import optimizers_of
from tests.imports.models import MODELS, nanogpt, perceptron

VOCAB = 65


@pytest.fixture(scope="module")
def adapter() -> ModuleType:
    text = abcparam.adapt(abcparam.audit(nanogpt.make, ["width"], adamw))
    made = ModuleType("adapter")
    exec(compile(text, "adapter.py", "exec"), made.__dict__)
    return made


def adamw(model: nn.Module) -> torch.optim.Optimizer:
    """Matrices are decayed, vectors are not."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=6e-4, betas=(0.9, 0.95))


def gpt(width: int, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return nanogpt.make(width)[0]


def test_it_imports_torch_and_nothing_of_ours() -> None:
    text = abcparam.adapt(abcparam.audit(nanogpt.make, ["width"]))
    lines = [line for line in text.splitlines() if line.startswith(("import", "from"))]
    assert {line.split()[1].partition(".")[0] for line in lines} == {"math", "typing", "torch"}


def test_nothing_changes_at_base(adapter: ModuleType) -> None:
    model = gpt(64)
    before = copy.deepcopy(model.state_dict())
    adapter.init_(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    theirs = adamw(model).param_groups
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in theirs for p in g["params"]}
    for group in adapter.param_groups(model):
        for p in group["params"]:
            assert rates[id(p)] == pytest.approx((group["lr"], group["weight_decay"]))


def test_scales_and_rates_follow_the_width(adapter: ModuleType) -> None:
    model = gpt(256)
    adapter.init_(model)
    layer = model.transformer.h[1]
    assert float(layer.mlp.c_fc.weight.detach().std()) == pytest.approx(0.02 / 2, rel=0.02)
    assert float(model.transformer.ln_f.weight.detach()[0]) == 0.25
    groups = adapter.make_optimizer(model).param_groups
    by_id = {id(p): group for group in groups for p in group["params"]}
    assert by_id[id(layer.mlp.c_fc.weight)]["lr"] == pytest.approx(6e-4 / 4)
    assert by_id[id(layer.mlp.c_fc.weight)]["weight_decay"] == pytest.approx(0.4)
    assert by_id[id(model.lm_head.weight)]["lr"] == pytest.approx(6e-4)
    assert groups[0]["betas"] == (0.9, 0.95)


def test_a_second_call_is_refused(adapter: ModuleType) -> None:
    model = gpt(256)
    adapter.init_(model)
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match="for a freshly made model, once"):
        adapter.init_(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_another_model_is_refused(adapter: ModuleType) -> None:
    model = gpt(128)
    model.extra = nn.Linear(3, 3)
    with pytest.raises(ValueError, match=r"extra\.weight has no law"):
        adapter.param_groups(model)
    with pytest.raises(ValueError, match="weight has no law: it is not the model that was read"):
        adapter.init_(nn.Linear(3, 3))
    del model.extra, model.transformer["wpe"]
    with pytest.raises(ValueError, match=r"there is no transformer\.wpe\.weight"):
        adapter.init_(model)


def test_names_of_wrappers_are_left_out(adapter: ModuleType) -> None:
    class Wrapped(nn.Module):
        def __init__(self, inner: nn.Module) -> None:
            super().__init__()
            self.module = inner

    plain, wrapped = gpt(128), Wrapped(torch.compile(gpt(128)))
    adapter.init_(plain)
    adapter.init_(wrapped)
    pairs = zip(plain.parameters(), wrapped.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert len(adapter.param_groups(wrapped)) == len(adapter.param_groups(plain))


def test_a_flattened_scheduler_is_seen(adapter: ModuleType) -> None:
    optimizer = adapter.make_optimizer(gpt(256))
    adapter.check_param_groups(optimizer)
    torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    adapter.check_param_groups(optimizer)
    for group in optimizer.param_groups:
        group["lr"] = 1e-4
    with pytest.raises(ValueError, match=r"as 0\.0001 : 0\.0001, must be as 0\.25 : 1\.0"):
        adapter.check_param_groups(optimizer)


def test_a_deeper_model_has_the_same_laws(adapter: ModuleType) -> None:
    model, _ = nanogpt.make(width=128, depth=4)
    adapter.init_(model)
    assert len(adapter.param_groups(model)) == len(adapter.param_groups(gpt(128)))


def test_it_trains_as_a_readout_with_a_multiplier(adapter: ModuleType) -> None:
    """1/r in the last norm is 1/r before the logits: the same training, to rounding."""
    torch.manual_seed(1)
    folded = gpt(256).double()
    adapter.init_(folded)
    plain = copy.deepcopy(folded)
    norm = plain.transformer.ln_f
    with torch.no_grad():
        norm.weight.mul_(4)
    optimizer = adapter.make_optimizer(folded, weight_decay=0.0)
    groups = adapter.param_groups(plain, weight_decay=0.0)
    for group in groups:
        if any(p is norm.weight for p in group["params"]):
            group["lr"], group["eps"] = group["lr"] * 4, group["eps"] / 4
    other = torch.optim.AdamW(groups, betas=(0.9, 0.95))
    for _ in range(10):
        tokens = torch.randint(VOCAB, (4, 8))
        for model, steps, by in ((folded, optimizer, 1.0), (plain, other, 0.25)):
            logits = by * model(tokens)
            steps.zero_grad()
            F.cross_entropy(logits.flatten(0, 1), tokens.flatten()).backward()
            steps.step()
    difference = (folded(tokens) - plain(tokens) / 4).abs().max()
    assert float(difference.detach()) < 1e-10
    assert float(plain(tokens).detach().abs().max()) > 1e-3


def test_a_factor_that_nothing_makes_up_for_is_hooked_on() -> None:
    """Behind a norm without a gain the tied readout's 1/width is a factor of the forward."""
    found = abcparam.audit(perceptron.tied, ["width"])
    assert [missing.module for missing in found.remedy.missing] == ["head"]
    made = ModuleType("hooked")
    exec(abcparam.adapt(found), made.__dict__)
    model, (tokens,) = perceptron.tied(256)
    before, names = model(tokens), sorted(model.state_dict())
    made.scale_(model)
    torch.testing.assert_close(model(tokens), before / 4)
    torch.testing.assert_close(copy.deepcopy(model)(tokens), before / 4)
    assert sorted(model.state_dict()) == names
    with pytest.raises(ValueError, match="head is scaled already"):
        made.scale_(model)


def test_the_bias_of_a_tied_readout_is_as_it_was() -> None:
    """`nn.Linear(width, vocab)` has one unless it is told not to."""

    class Tied(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.table = nn.Embedding(17, width)
            self.map = nn.Linear(width, width)
            self.head = nn.Linear(width, 17)
            self.head.weight = self.table.weight
            nn.init.normal_(self.table.weight, std=0.02)

        def forward(self, x: Tensor) -> Tensor:
            x = self.table(x)
            x = x + torch.relu(self.map(F.layer_norm(x, x.shape[-1:])))
            return self.head(F.layer_norm(x, x.shape[-1:]))

    def make(width: int = 64) -> Any:
        return Tied(width), (torch.randint(17, (2, 5)),)

    found = abcparam.audit(make, ["width"])
    assert [missing.module for missing in found.remedy.missing] == ["head"]
    made = executed(abcparam.adapt(found))
    model, (tokens,) = make(256)
    bias = model.head.bias
    wanted = (model(tokens) - bias) / 4 + bias
    made["scale_"](model)
    torch.testing.assert_close(model(tokens), wanted)
    assert float(bias.detach().abs().max()) > 1e-3


def test_the_command_writes_a_hook_only_where_it_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mup.py"
    command = ["adapt", f"{MODELS}/perceptron.py:tied", "--grow", "width", "-o", str(out)]
    assert main(command) == 1
    assert "and a factor 1/(width / base)" in capsys.readouterr().err
    assert not out.exists()
    assert main([*command, "--allow-forward"]) == 0
    assert "call `scale_(model)` of it too" in capsys.readouterr().err
    assert "def scale_(" in out.read_text(encoding="utf-8")


def test_another_base_than_the_first_size_read() -> None:
    found = abcparam.audit(nanogpt.make, ["width"], adamw)
    made = ModuleType("at_256")
    exec(abcparam.adapt(found, base={"width": 256}), made.__dict__)
    model = gpt(256)
    before = copy.deepcopy(model.state_dict())
    made.init_(model)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    with pytest.raises(ValueError, match="the base is of what grows, width, not of depth"):
        abcparam.adapt(found, base={"depth": 4})


class Muddle(nn.Module):
    """A map of maps, whose inner one has an optimizer of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(32, width, bias=False)
        self.inner = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, 10, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.out(torch.tanh(self.inner(torch.tanh(self.first(x)))))
        return found


def muon_beside(model: Muddle) -> list[torch.optim.Optimizer]:
    """Rates that follow the width, and two optimizers."""
    lr = 0.1 * (model.inner.in_features / 64) ** -0.5
    others = [model.first.weight, model.out.weight]
    return [
        torch.optim.AdamW(others, lr=lr, betas=(0.8, 0.95), weight_decay=0.0),
        torch.optim.Muon([model.inner.weight], lr=0.02, weight_decay=0.0),
    ]


def test_several_optimizers_whose_rates_follow_sizes() -> None:
    """Each is made over its own groups; the rates at other sizes are those of the laws."""

    def build(width: int = 64) -> tuple[Any, ...]:
        return Muddle(width), (torch.randn(5, 32),)

    audit = abcparam.audit(build, ["width"], muon_beside)
    text = abcparam.adapt(audit)
    made: dict[str, Any] = {}
    exec(compile(text, "adapter.py", "exec"), made)
    model = Muddle(256)
    made["init_"](model)
    ours = made["make_optimizers"](model)
    assert [type(x) for x in ours] == [torch.optim.AdamW, torch.optim.Muon]
    groups = {id(p): g for x in ours for g in x.param_groups for p in g["params"]}
    rates = {name: groups[id(p)]["lr"] for name, p in model.named_parameters()}
    assert rates == pytest.approx(
        {"first.weight": 0.1, "inner.weight": 0.02, "out.weight": 0.1 / 4}, rel=1e-4
    )
    trained = optimizers_of(audit, model, {"width": 256}, adapted=True)
    theirs = {id(p): g for x in trained for g in x.param_groups for p in g["params"]}
    for name, p in model.named_parameters():
        assert theirs[id(p)]["lr"] == pytest.approx(rates[name], rel=1e-4)
    model(torch.randn(5, 32)).square().sum().backward()
    for one in ours:
        one.step()
        made["check_param_groups"](one)


def test_directions_that_data_divide_are_read_out_as_directions() -> None:
    """A mean over neighbours of what has length 1 has length 1: its readout starts as the other."""

    class Neighbours(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.first = nn.Linear(7, width)
            self.own, self.others = (nn.Linear(width, 3, bias=False) for _ in range(2))

        def forward(self, x: Tensor, pairs: Tensor) -> Tensor:
            x = F.normalize(torch.relu(self.first(x)), dim=-1)
            start, end = pairs
            total = torch.zeros_like(x).index_add_(0, end, x[start])
            count = torch.zeros(len(x)).index_add_(0, end, torch.ones(len(end))).clamp(min=1)
            return self.own(x) + self.others(total / count[:, None])

    def make(width: int = 64) -> Any:
        return Neighbours(width), (torch.randn(20, 7), torch.randint(20, (2, 50)))

    remedy = abcparam.audit(make, grow=["width"]).remedy
    assert remedy.reaches
    changes = {change.path: change for change in remedy.changes}
    assert changes["own.weight"].key == changes["others.weight"].key


class Towers(nn.Module):
    """Scores of pairs: inner products of what two networks give."""

    def __init__(self, width: int, together: bool) -> None:
        super().__init__()
        self.one, self.other = (
            nn.Sequential(nn.Linear(size, width), nn.ReLU(), nn.Linear(width, width))
            for size in (7, 9)
        )
        self.together = together

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y = self.one(x), self.other(y)
        return x @ y.T if self.together else (x * y).sum(-1)


@pytest.mark.parametrize("together", [False, True])
def test_scores_of_pairs_are_divided_by_their_length_in_a_tower(together: bool) -> None:
    """As attention's logits with a scale of 1/d, which the queries' map can have."""

    def make(width: int = 32) -> Any:
        return Towers(width, together), (torch.randn(8, 7), torch.randn(8, 9))

    found = abcparam.audit(make, ["width"])
    assert found.verdict == "unstable-at-init"
    assert found.remedy.reaches and not found.remedy.missing
    changes = {change.path: change for change in found.remedy.changes}
    assert changes["one.2.weight"].init == {"width": -1}
    assert changes["one.2.weight"].lr == {"width": -2}
    assert changes["other.2.weight"].lr == {"width": -1}


def test_a_factor_that_would_end_before_a_relu_is_one_of_the_forward() -> None:
    """A recommender's products of features stand beside one of these features (DLRM)."""

    class Crossed(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.tables = nn.ModuleList(nn.Embedding(11, width) for _ in range(2))
            self.first, self.second = nn.Linear(7, width), nn.Linear(width, width)
            self.out = nn.Linear(width + 9, 1)

        def forward(self, x: Tensor, which: Tensor) -> Tensor:
            x = torch.relu(self.second(torch.relu(self.first(x))))
            looked = [table(which[:, index]) for index, table in enumerate(self.tables)]
            every = torch.stack([x, *looked], 1)
            products = torch.bmm(every, every.transpose(1, 2))
            return self.out(torch.cat([x, products.flatten(1)], 1))

    def make(width: int = 32) -> Any:
        return Crossed(width), (torch.randn(8, 7), torch.randint(11, (8, 2)))

    remedy = abcparam.audit(make, ["width"]).remedy
    assert remedy.reaches
    (missing,) = remedy.missing
    assert missing.powers == {"width": -1} and not missing.reasons
    assert "torch.bmm" in linecache.getline(__file__, missing.span.line)
