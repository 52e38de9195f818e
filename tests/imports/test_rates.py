"""How parameters are trained, read from the groups of optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from textwrap import dedent

import pytest

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.imports.factory import find_function
from abcparam.imports.made_models import MadeModels
from abcparam.imports.numbers import Power
from abcparam.imports.rates import Rate, rates_of
from abcparam.imports.settings import settings_of
from tests.imports.conftest import Write

MODEL = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, width=64, depth=2, vocab=96):
        super().__init__()
        self.table = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.readout = nn.Linear(width, vocab, bias=False)
        self.readout.weight = self.table.weight


def build(width=64, depth=2, vocab=96):
    return Net(width, depth, vocab)
"""
NAMES = [
    "table.weight",
    "layers.0.weight",
    "layers.0.bias",
    "layers.1.weight",
    "layers.1.bias",
    "readout.weight",
]
Read = Callable[..., dict[str, Rate]]


@pytest.fixture
def rates(write: Write, tmp_path: Path) -> Read:
    """`rates(text)`: how the parameters are trained by the `optimizer` of a file with this text."""

    def rates(text: str | None, lr_key: str | None = None, grow: str = "width") -> dict[str, Rate]:
        factory = write(MODEL)
        settings = settings_of(MadeModels(factory), dict.fromkeys(grow.split(), ()))
        function = None
        if text is not None:
            header = "import math\nimport torch\nfrom torch.optim import *\n\n"
            (tmp_path / "train.py").write_text(header + dedent(text))
            function = find_function(f"{tmp_path / 'train.py'}:optimizer")
        return rates_of(function, MadeModels(factory), settings, lr_key)

    return rates


def power(coefficient: float, **powers: str | int) -> Power:
    return Power(coefficient, {name: Fraction(p) for name, p in powers.items()})


def underlined(error: SpecError) -> str:
    (found,) = error.diagnostics
    line = error.source.lines[found.span.line - 1]
    return line[found.span.column - 1 : found.span.end_column - 1]


def test_without_an_optimizer_it_is_adamw(rates: Read):
    found = rates(None)
    assert list(found) == NAMES
    wanted = Rate("adamw", power(1e-3), power(1e-2), power(1e-8), {"betas": (0.9, 0.999)})
    assert {name for name, rate in found.items() if rate == wanted} == set(NAMES)


@pytest.mark.parametrize(
    ("made", "rule", "options"),
    [
        ("SGD(p, lr=0.3)", "sgd", {"momentum": 0.0, "nesterov": False}),
        (
            "SGD(p, lr=0.3, momentum=0.9, nesterov=True)",
            "sgd",
            {"momentum": 0.9, "nesterov": True},
        ),
        ("Adam(p, lr=0.3, amsgrad=True)", "adam", {"betas": (0.9, 0.999)}),
        ("Adam(p, 0.3, weight_decay=0.1, decoupled_weight_decay=True)", "adamw", None),
        ("AdamW(p, torch.tensor(0.3), betas=(0.8, 0.9))", "adamw", {"betas": (0.8, 0.9)}),
        ("NAdam(p, 0.3)", "nadam", {"betas": (0.9, 0.999), "momentum_decay": 0.004}),
        ("Adamax(p, 0.3)", "adamax", None),
        ("RMSprop(p, 0.3)", "rmsprop", {"alpha": 0.99, "momentum": 0.0}),
        ("Adagrad(p, 0.3)", "adagrad", {"lr_decay": 0.0}),
        ("Adafactor(p, 0.3)", "adafactor", {"beta2_decay": -0.8, "d": 1.0}),
    ],
)
def test_optimizers_of_pytorch(
    rates: Read, made: str, rule: str, options: dict[str, object] | None
):
    found = rates(f"def optimizer(model):\n    p = model.parameters()\n    return {made}\n")
    assert {rate.rule for rate in found.values()} == {rule}
    for rate in found.values():
        assert rate.lr.coefficient == pytest.approx(0.3)
        assert rate.lr.powers == {}
        assert rate.options == (rate.options if options is None else options)
        assert (rate.eps is None) == (rule in ("sgd", "adafactor"))


def test_an_optimizer_is_named_by_its_class(write: Write):
    factory = write(MODEL)
    settings = settings_of(MadeModels(factory), {"width": ()})
    found = rates_of(find_function("torch.optim:RMSprop"), MadeModels(factory), settings)
    assert found["table.weight"].rule == "rmsprop"
    assert found["table.weight"].lr == power(0.01)


def test_groups_with_their_own_rates(rates: Read):
    found = rates(
        """
        def optimizer(model, width, depth=2):
            hidden = [layer.weight for layer in model.layers]
            others = [model.table.weight, *(layer.bias for layer in model.layers)]
            return AdamW(
                [
                    {"params": hidden, "lr": 6e-4 * 64 / width, "weight_decay": 0.1 * width / 64},
                    {"params": others, "eps": 1e-8 / math.sqrt(width * depth), "name": "others"},
                    {"params": []},
                ],
                lr=6e-4,
                weight_decay=0.0,
            )
        """
    )
    hidden, others = found["layers.0.weight"], found["readout.weight"]
    assert hidden.lr.powers == {"width": -1}
    assert hidden.lr.at({"width": 64}) == pytest.approx(6e-4)
    assert hidden.weight_decay == power(0.1 / 64, width=1)
    assert hidden.eps == power(1e-8)
    assert found["table.weight"] == others == found["layers.1.bias"]
    assert (others.lr, others.weight_decay) == (power(6e-4), power(0.0))
    assert others.eps is not None
    assert others.eps.powers == {"width": Fraction(-1, 2), "depth": Fraction(-1, 2)}


def test_configure_optimizers_of_nanogpt(rates: Read):
    found = rates(
        """
        def configure(model, weight_decay, learning_rate, betas):
            named = {n: p for n, p in model.named_parameters() if p.requires_grad}
            matrices = [p for p in named.values() if p.dim() >= 2]
            others = [p for p in named.values() if p.dim() < 2]
            groups = [
                {"params": matrices, "weight_decay": weight_decay},
                {"params": others, "weight_decay": 0.0},
            ]
            print(f"num decayed parameter tensors: {len(matrices)}")
            return torch.optim.AdamW(groups, lr=learning_rate, betas=betas)

        def optimizer(model):
            return configure(model, 0.1, 6e-4, (0.9, 0.95))
        """
    )
    assert list(found) == NAMES
    for name, rate in found.items():
        assert rate.rule == "adamw"
        assert rate.lr == power(6e-4)
        assert rate.options == {"betas": (0.9, 0.95)}
        assert rate.weight_decay == power(0.0 if name.endswith("bias") else 0.1)


@pytest.mark.parametrize(
    "returned",
    ["[muon, adam]", "(muon, adam)", "{'matrices': muon, 'rest': adam}", "([muon, adam], [])"],
)
def test_several_optimizers(rates: Read, returned: str):
    found = rates(
        f"""
        def optimizer(model):
            matrices = [p for n, p in model.named_parameters() if "layers" in n and p.ndim == 2]
            rest = [p for p in model.parameters() if all(p is not m for m in matrices)]
            muon = torch.optim.Muon(matrices, lr=0.02, adjust_lr_fn="match_rms_adamw")
            adam = torch.optim.AdamW(rest, lr=3e-4)
            return {returned}
        """
    )
    muon, adam = found["layers.0.weight"], found["layers.0.bias"]
    assert (muon.rule, muon.lr, muon.eps) == ("muon", power(0.02), None)
    assert muon.options == {
        "momentum": 0.95,
        "nesterov": True,
        "ns_steps": 5.0,
        "adjust": "match_rms_adamw",
    }
    assert (adam.rule, adam.lr) == ("adamw", power(3e-4))
    assert found["readout.weight"] == adam


def test_muon_adjusts_as_its_author_does_unless_told(rates: Read):
    found = rates(
        """
        def optimizer(model):
            matrices = [p for p in model.parameters() if p.ndim == 2]
            return Muon(matrices, 0.02), SGD([p for p in model.parameters() if p.ndim < 2], 0.1)
        """
    )
    assert found["layers.0.weight"].options["adjust"] == "original"


def test_classes_that_are_emitted(rates: Read):
    """They are known by their names; a subclass that only makes groups is its base."""
    emitted = """
        class Lion(torch.optim.Optimizer):
            def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0):
                super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

        class MyAdamW(AdamW):
            def __init__(self, model, lr):
                super().__init__([{"params": list(model.parameters())}], lr=lr)

        def optimizer(model):
            return MADE
    """
    found = rates(emitted.replace("MADE", "Lion(model.parameters())"))["table.weight"]
    assert (found.rule, found.lr, found.eps) == ("lion", power(1e-4), None)
    assert found.options == {"betas": (0.9, 0.99)}
    found = rates(emitted.replace("MADE", "MyAdamW(model, 0.2)"))["table.weight"]
    assert (found.rule, found.lr) == ("adamw", power(0.2))


def test_groups_of_microsofts_mup(write: Write):
    pytest.importorskip("mup")
    factory = write("""
        import mup
        import torch
        from torch import nn


        def net(width):
            return nn.Sequential(nn.Linear(7, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
                                 mup.MuReadout(width, 10))


        def build(width=64):
            model = net(width)
            mup.set_base_shapes(model, net(32), delta=net(48))
            return model, (torch.ones(5, 7),)


        def optimizer(model):
            return mup.MuAdamW(model.parameters(), lr=1e-3, weight_decay=0.1)
    """)
    optimizer = find_function(f"{factory.file}:optimizer")
    found = rates_of(
        optimizer, MadeModels(factory), settings_of(MadeModels(factory), {"width": ()})
    )
    assert found["2.weight"].lr == power(1e-3 * 32, width=-1)
    assert found["2.weight"].weight_decay == power(0.1 / 32, width=1)
    for name in ("0.weight", "0.bias", "2.bias", "4.weight", "4.bias"):
        assert found[name].lr == power(1e-3)


def test_the_rate_before_its_schedule_counts(rates: Read):
    found = rates(
        """
        def optimizer(model):
            adam = Adam(model.parameters(), 0.25)
            return [adam], [lr_scheduler.LambdaLR(adam, lambda step: step / 100)]
        """
    )
    assert found["table.weight"].lr == power(0.25)


def test_what_is_not_trained(rates: Read):
    found = rates(
        """
        def optimizer(model):
            model.table.requires_grad_(False)
            return Adam(model.layers.parameters(), 0.1)
        """
    )
    assert found["table.weight"].lr == found["readout.weight"].lr == power(0.0)
    assert found["table.weight"].weight_decay == power(0.0)
    assert found["layers.0.bias"].lr == power(0.1)


LAYERWISE = """
    def optimizer(model, depth):
        groups = [
            {"params": layer.parameters(), "lr": 0.1 * 0.9 ** (depth - i)}
            for i, layer in enumerate(model.layers)
        ]
        return Adam([*groups, {"params": model.table.parameters()}], lr=0.1)
"""


def test_layerwise_decay(rates: Read):
    """It is no power of the depth, which does not grow."""
    found = rates(LAYERWISE)
    assert found["layers.0.weight"].lr.powers == {}
    assert found["layers.0.weight"].lr.coefficient == pytest.approx(0.081)
    assert found["layers.1.weight"].lr.coefficient == pytest.approx(0.09)
    assert found["layers.0.weight"].note == "the learning rate: as at depth=2, vocab=96"
    with pytest.raises(SpecError, match=r"P1007.*the learning rate of `layers.0.weight`"):
        rates(LAYERWISE, grow="width depth")


# Keys that are not read

SCALED = """
    def optimizer(model, width):
        hidden = [p for n, p in model.named_parameters() if "layers" in n]
        return AdamW(
            [
                {"params": hidden, "lr_scale": 64 / width, "name": "hidden", "use": True},
                {"params": [model.table.weight], "lr_scale": 1.0},
            ],
            lr=1e-3,
        )
"""


def test_a_key_that_is_not_read(rates: Read):
    with pytest.raises(SpecError) as caught:
        rates(SCALED)
    text = str(caught.value)
    assert text.startswith(
        "error[P1010]: groups have the key `lr_scale`, which AdamW does not read"
    )
    assert "--lr-key lr_scale" in text
    assert underlined(caught.value) == "def optimizer(model, width):"


def test_a_key_that_the_training_loop_reads(rates: Read):
    found = rates(SCALED, "lr_scale")
    assert found["layers.0.weight"].lr == power(0.064, width=-1)
    assert found["table.weight"].lr == power(1e-3)


# What is refused


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            "Prodigy(p, {'lr': 1.0})",
            "the optimizer `Prodigy` has no law here: it estimates one learning rate for all",
        ),
        (
            "MuonAdamW(p, {'lr': 1.0})",
            "the optimizer `MuonAdamW` has no law here: its Muon brings updates of any rank to one",
        ),
        ("LBFGS(p)", "the optimizer `LBFGS` has no law here: its step comes from a line search"),
        ("Rprop(p)", "the optimizer `Rprop` has no law here"),
        ("Mine(p, {'lr': 0.1})", "the optimizer `Mine` has no law here"),
        ("MyAdam(p)", "the optimizer `MyAdam` has no law here: it has a `step` other than Adam's"),
        (
            "Muon(p, {'lr': 0.1})",
            "the optimizer `Muon` has no law here: it is not `torch.optim.Muon`, only called as",
        ),
        (
            "NAdam(p, weight_decay=0.1, decoupled_weight_decay=True)",
            "the optimizer `NAdam` has no law here: with decoupled weight decay it is another",
        ),
        ("None", "the optimizer `NoneType` has no law here: it is no `torch.optim.Optimizer`"),
        ("[]", "the optimizer `list` has no law here: it is no `torch.optim.Optimizer`"),
    ],
)
def test_optimizers_without_a_law(rates: Read, made: str, message: str):
    text = f"""
        class Mine(Optimizer):
            pass

        class Prodigy(Optimizer):
            pass

        class MuonAdamW(Optimizer):
            pass

        class Muon(Optimizer):
            pass

        class MyAdam(Adam):
            def step(self, closure=None):
                pass

        def optimizer(model):
            p = model.parameters()
            return {made}
    """
    with pytest.raises(SpecError) as caught:
        rates(text)
    assert str(caught.value).startswith(f"error[P1009]: {message}")
    assert "use one of AdEMAMix, Adafactor, Adagrad, Adam, AdamH, AdamW" in str(caught.value)
    assert underlined(caught.value) == "def optimizer(model):"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("Adam(model.layers.parameters())", "`table.weight` is in none of the optimizer's groups"),
        (
            "[Adam(model.parameters()), SGD(model.layers[1].parameters())]",
            "`layers.1.weight` is in 2 of the optimizer's groups",
        ),
    ],
)
def test_each_parameter_has_one_group(rates: Read, made: str, message: str):
    with pytest.raises(SpecError) as caught:
        rates(f"def optimizer(model):\n    return {made}\n")
    assert str(caught.value).startswith(f"error[P1020]: {message}")


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            "Adam(p, lr=1 / math.log(width))",
            "the learning rate of `table.weight` is no power of the sizes: 0.2404 at width=64",
        ),
        (
            "SGD(p, lr=0.1, momentum=1 - 1 / width)",
            "`momentum` of `table.weight` is no power of the sizes: 0.984375 at width=64",
        ),
        (
            "Adam(p, lr=0.1) if width < 200 else SGD(p, lr=0.1)",
            "the optimizer of `table.weight` is no power of the sizes: adam at width=64",
        ),
    ],
)
def test_no_power(rates: Read, made: str, message: str):
    with pytest.raises(SpecError) as caught:
        rates(f"def optimizer(model, width):\n    p = model.parameters()\n    return {made}\n")
    assert str(caught.value).startswith(f"error[P1007]: {message}")


def test_an_optimizer_that_raises(rates: Read):
    with pytest.raises(SpecError) as caught:
        rates("def optimizer(model):\n    return Adam(model.parameters(), lr=-1)\n")
    assert str(caught.value).startswith(
        "error[P1002]: `optimizer` raises at width=64, depth=2, vocab=96: ValueError: Invalid"
    )
    assert underlined(caught.value) == "Adam(model.parameters(), lr=-1)"
    assert "it is called with the model that the factory makes" in str(caught.value)


def test_rates_are_exact(rates: Read):
    found = rates(
        "def optimizer(model, width):\n    return Adam(model.parameters(), 3 / width**0.5)"
    )
    lr = found["table.weight"].lr
    assert lr == power(3.0, width="-1/2")
    assert lr.at({"width": 4096}) == 3 / math.sqrt(4096)
