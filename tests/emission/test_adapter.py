"""Adapters: models of other people's classes, initialized and trained as the emitted ones are."""

from __future__ import annotations

import copy
import dataclasses
import math
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import abcparam
from abcparam.emission.adapter import emit_adapter
from abcparam.emission.emit import emit
from abcparam.emission.lowering.scope import ModuleScope, multiplier
from abcparam.pipeline import gauged
from abcparam.python_code.formula import ONE
from tests.support.emitted import by_tensor, load, make, program_of
from tests.support.paths import EMIT_SPECS, EXAMPLES, SPECS

EVERY = sorted(
    [
        *EXAMPLES.glob("*.param"),
        *SPECS.glob("*.param"),
        *EMIT_SPECS.glob("*.param"),
    ]
)


def of_both(text: str, folder: Path) -> tuple[ModuleType, ModuleType]:
    """The emitted module in the plain gauge, and the adapter."""
    return (
        load(abcparam.compile(text, "plain"), folder),
        load(abcparam.compile(text, adapter=True), folder),
    )


# Every spec: the adapter of what is emitted does what the emitted module does


def plain(path: Path) -> Any:
    text = path.read_text(encoding="utf-8")
    try:
        return gauged(program_of(text, path.name), "plain")
    except abcparam.SpecError:
        pytest.skip("there is no such gauge of it")


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_an_adapter_does_what_the_emitted_module_does(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = plain(path)
    module, adapter = load(emit(program), tmp_path), load(emit_adapter(program), tmp_path)
    model: Any = make(program, module)
    with monkeypatch.context() as patch:
        for name in ("normal_", "uniform_", "orthogonal_"):
            patch.setattr(nn.init, name, written_down)
        model.reset_parameters()
        wanted = [p.clone() for p in model.parameters()]
        for parameter in model.parameters():
            nn.init.constant_(parameter, math.nan)
        config = adapter.Config(**dataclasses.asdict(model.config))
        named = by_tensor(program, model)
        adapter.init_(named, config)
    for one, other in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=0)
    assert adapter.param_groups(named, config) == module.param_groups(model)
    shown = re.findall(r'^    sizes\["(\w+)"\]', emit_adapter(program), flags=re.M)
    others = {k: v for k, v in dataclasses.asdict(config).items() if k not in shown}
    assert adapter.config_of(named, **others) == config


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_no_tensor_is_left_with_a_multiplier(path: Path):
    program = plain(path)
    assert all(multiplier(ModuleScope(program), t) == ONE for t in program.tensors.values())


def written_down(tensor: Tensor, low: float = 0, high: float = 0, **named: float) -> Tensor:
    """The numbers that a distribution is called with, in place of what it draws."""
    return nn.init.constant_(tensor, high + sum(named.values()))


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_its_layout_is_that_of_ruff(path: Path):
    ruff = Path(sys.executable).parent / "ruff"
    command = [str(ruff), "format", "--isolated", "--diff", "-"]
    code = emit_adapter(plain(path))
    run = subprocess.run(command, input=code, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


# Hugging Face's Llama

LLAMA = (EXAMPLES / "llama_hf.param").read_text(encoding="utf-8")
BASE = 32  # of the tests
TINY = LLAMA.replace("base = 256", f"base = {BASE}").replace("dim head     = 64", "dim head = 8")
TINY = TINY.replace("eps = 1e-12,", "eps = 1e-6,")  # gradients of both are alike to 1e-7
TINY = TINY.replace("{ init = zeros }", "")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    return of_both(TINY, tmp_path_factory.mktemp("llama"))


def hugging_face(width: int, **settings: Any) -> nn.Module:
    transformers: Any = pytest.importorskip("transformers")
    config = transformers.LlamaConfig(
        hidden_size=width, num_hidden_layers=2, num_attention_heads=width // 8, head_dim=8,
        num_key_value_heads=width // 16, intermediate_size=3 * width, vocab_size=50, **settings,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(config)
    assert isinstance(model, nn.Module)
    return model


SIZES = {"depth": 2, "group": 2, "ffn_16": 48, "vocab": 50}


@pytest.mark.parametrize("width", [BASE, 4 * BASE])
def test_hugging_face_llama_trains_as_the_emitted_one(
    width: int, llama: tuple[ModuleType, ModuleType]
):
    module, adapter = llama
    torch.manual_seed(0)
    ours, theirs = module.LlamaHF(module.Config(width=width, **SIZES)), hugging_face(width)
    assert {*dict(ours.named_parameters())} == {*dict(theirs.named_parameters())}
    theirs.load_state_dict(ours.state_dict())
    config = adapter.config_of(theirs)
    assert dataclasses.asdict(config) == dataclasses.asdict(ours.config)
    optimizers = module.make_optimizer(ours), adapter.make_optimizer(theirs)
    module.check_param_groups(optimizers[1])
    tokens = torch.randint(50, (4, 12))
    for _ in range(5):
        results = ours(tokens), theirs(tokens).logits
        torch.testing.assert_close(*results, atol=1e-5, rtol=0)
        for result, optimizer in zip(results, optimizers, strict=True):
            train(result, tokens, optimizer)
    for name, parameter in theirs.named_parameters():
        wanted = ours.get_parameter(name)
        torch.testing.assert_close(parameter, wanted, atol=1e-5, rtol=0)


def train(logits: Tensor, tokens: Tensor, optimizer: torch.optim.Optimizer) -> float:
    """A step of predicting the next token."""
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("width", [BASE, 4 * BASE])
def test_initial_values_are_those_of_the_emitted_model(
    width: int, llama: tuple[ModuleType, ModuleType]
):
    """Ones are ones, and spreads the same to four standard errors."""
    module, adapter = llama
    torch.manual_seed(1)
    ours, theirs = module.LlamaHF(module.Config(width=width, **SIZES)), hugging_face(width)
    buffers = {name: buffer.clone() for name, buffer in theirs.named_buffers()}
    adapter.init_(theirs)
    for name, one in theirs.named_parameters():
        one, other = one.detach(), ours.get_parameter(name).detach()
        if other.dim() == 1:
            assert torch.equal(one, other)
            continue
        error = 4 * float(other.std()) / math.sqrt(other.numel())
        assert abs(float(one.mean() - other.mean())) < error * math.sqrt(2)
        assert abs(float(one.std() - other.std())) < error
    assert all(torch.equal(b, buffers[name]) for name, b in theirs.named_buffers())
    assert buffers


def test_a_readout_that_starts_at_zero(tmp_path: Path):
    adapter = load(abcparam.compile(LLAMA, adapter=True, head=8), tmp_path)
    model = hugging_face(64)
    adapter.init_(model)
    assert not model.get_parameter("lm_head.weight").any()


def test_hugging_face_trainer(llama: tuple[ModuleType, ModuleType], tmp_path: Path):
    transformers: Any = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    _, adapter = llama
    torch.manual_seed(0)
    model = hugging_face(64)
    adapter.init_(model)
    optimizer = adapter.make_optimizer(model)
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}
    tokens = torch.randint(50, (16, 12))
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=4, report_to=[], use_cpu=True, save_strategy="no",
        per_device_train_batch_size=4, disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = transformers.Trainer(
        model, arguments, optimizers=(optimizer, None),
        train_dataset=[{"input_ids": row, "labels": row} for row in tokens],
    )  # fmt: skip
    trainer.train()
    adapter.check_param_groups(trainer.optimizer)
    assert rates["hidden"] == rates["input"] / 2
    assert {group["initial_lr"] for group in optimizer.param_groups} == {*rates.values()}


# Models of one's own

NANO = """
model NanoGPT
dim width   -> inf, base = 32
dim depth   = 2
dim head    = 8
dim heads   = width / head
dim vocab   = 65
dim context = 24
hyper lr  = 1e-2
hyper std = 0.02
parametrization mup
block Norm(x) {
    tensor weight : input [width] { init = ones }
    tensor bias   : input [width]
    return layernorm(x, gain = weight, bias = bias)
}
block Last(x) {
    tensor weight : input [width] { init = ones, a = 1 }
    tensor bias   : input [width] { a = 1 }
    return layernorm(x, gain = weight, bias = bias)
}
block Linear(x, inner, outer) {
    tensor weight : hidden [outer, inner] { weight_decay = 0.1 * width / base(width) }
    tensor bias   : input [outer]
    return weight @ x + bias
}
block Attention(x) {
    q, k, v = split(Linear(x, width, 3 * width) as c_attn, 3)
    y = attention(q, k, v, heads = heads, scale = head^(-1/2), causal = true)
    return Linear(y, width, width) as c_proj
}
block Mlp(x) {
    return Linear(gelu(Linear(x, width, 4 * width) as c_fc), 4 * width, width) as c_proj
}
block Transformer(tokens) {
    tensor wte : input [vocab, width] { init = normal(std) }
    tensor wpe : input [context, width] { init = normal(std) }
    x = embed(wte, tokens) + wpe
    repeat depth as h {
        x = x + Attention(Norm(x) as ln_1) as attn
        x = x + Mlp(Norm(x) as ln_2) as mlp
    }
    return wte.T @ (Last(x) as ln_f)
}
forward(tokens : index(vocab) [context]) { return Transformer(tokens) as transformer }
optimizer adamw { lr = lr, betas = (0.9, 0.95), eps = 1e-8, weight_decay = 0.1 }
loss cross_entropy
"""


class NanoAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // 8
        self.c_attn = nn.Linear(width, 3 * width)
        self.c_proj = nn.Linear(width, width)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        parts = self.c_attn(x).chunk(3, -1)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).flatten(2))


class NanoMlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.c_proj(F.gelu(self.c_fc(x)))


class NanoBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = NanoAttention(width), NanoMlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Nano(nn.Module):
    """nanoGPT in the test's own words: its names, and the readout tied to the embedding."""

    transformer: Any

    def __init__(self, width: int, depth: int = 3) -> None:
        super().__init__()
        self.lm_head = nn.Linear(width, 65, bias=False)
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(65, width),
            "wpe": nn.Embedding(24, width),
            "h": nn.ModuleList(NanoBlock(width) for _ in range(depth)),
            "ln_f": nn.LayerNorm(width),
        })  # fmt: skip
        self.transformer["wte"].weight = self.lm_head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        parts = self.transformer
        x = parts["wte"](tokens) + parts["wpe"](torch.arange(tokens.shape[1]))
        for block in parts["h"]:
            x = block(x)
        logits: Tensor = self.lm_head(parts["ln_f"](x))
        return logits


@pytest.fixture(scope="module")
def nano(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    return of_both(NANO, tmp_path_factory.mktemp("nano"))


@pytest.mark.parametrize("width", [BASE, 4 * BASE])
def test_nanogpt_trains_as_the_emitted_one(width: int, nano: tuple[ModuleType, ModuleType]):
    """In double precision, with a tied readout whose 1 / width is in the last norm."""
    module, adapter = nano
    torch.manual_seed(0)
    theirs, ours = Nano(width).double(), module.NanoGPT(module.Config(width=width, depth=3))
    ours.double()
    adapter.init_(theirs)
    assert float(theirs.transformer["ln_f"].weight[0]) == BASE / width
    weights = dict(theirs.named_parameters())
    weights["transformer.wte.weight"] = weights.pop("lm_head.weight")
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            parameter.copy_(weights.get(name, weights[fitting(name, weights)]))
    optimizers = module.make_optimizer(ours), adapter.make_optimizer(theirs)
    tokens = torch.randint(65, (4, 24))
    for _ in range(5):
        results = ours(tokens), theirs(tokens)
        torch.testing.assert_close(*results, atol=1e-10, rtol=0)
        for result, optimizer in zip(results, optimizers, strict=True):
            train(result, tokens, optimizer)


def fitting(name: str, weights: dict[str, Any]) -> str:
    """Their name for one of ours, which lacks or has a `weight` at its end."""
    names = name, f"{name}.weight", name.removesuffix(".weight")
    return next(candidate for candidate in names if candidate in weights)


def test_wrapped_and_copied_models(nano: tuple[ModuleType, ModuleType]):
    """Compiled, in DataParallel (whose names are those of DDP), copied, loaded: the same groups."""
    _, adapter = nano
    model = Nano(64)
    wanted = groups_of(adapter, model)
    assert [len(group["params"]) for group in wanted] == [1 + 1 + 3 * 8, 3 * 4, 2]
    compiled: Any = torch.compile(model, backend="eager")
    for wrapped in (compiled, nn.DataParallel(model), nn.DataParallel(compiled)):
        assert adapter.param_groups(wrapped) == adapter.param_groups(model)
        adapter.init_(wrapped)
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    assert groups_of(adapter, other) == wanted


def groups_of(adapter: ModuleType, model: nn.Module) -> list[dict[str, Any]]:
    """Groups with the names of parameters in place of these."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found: list[dict[str, Any]] = adapter.param_groups(model)
    return [{**group, "params": [names[p] for p in group["params"]]} for group in found]


def test_a_state_of_training_goes_on_in_a_copy(nano: tuple[ModuleType, ModuleType]):
    _, adapter = nano
    torch.manual_seed(0)
    model, tokens = Nano(64), torch.randint(65, (4, 24))
    adapter.init_(model)
    optimizer = adapter.make_optimizer(model)
    train(model(tokens), tokens, optimizer)
    late = Nano(64)
    late.load_state_dict(model.state_dict())
    resumed = adapter.make_optimizer(late)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    adapter.check_param_groups(resumed)
    for _ in range(3):
        assert train(model(tokens), tokens, optimizer) == train(late(tokens), tokens, resumed)


def test_values_are_given_or_read(nano: tuple[ModuleType, ModuleType]):
    _, adapter = nano
    config = adapter.config_of(Nano(96, depth=5), lr=0.5, head=16)
    wanted = {"width": 96, "depth": 5, "head": 16, "vocab": 65, "context": 24}
    assert dataclasses.asdict(config) == {**wanted, "lr": 0.5, "std": 0.02}
    groups = adapter.param_groups(Nano(96), adapter.config_of(Nano(96), lr=0.5))
    assert groups[0]["lr"] == 0.5


# Factors that the model has not

TIED = NANO.replace("return wte.T @", "return base(width) / width * wte.T @")
TIED = TIED.replace(", a = 1", "").replace(" { a = 1 }", "")


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModuleType, ModuleType]:
    """The emitted module, whose readout is multiplied by `base / width`, and the folded adapter."""
    folder = tmp_path_factory.mktemp("tied")
    code = abcparam.compile(TIED, adapter=True, fold=True)
    return load(abcparam.compile(TIED), folder), load(code, folder)


@pytest.mark.parametrize("width", [BASE, 2 * BASE, 4 * BASE])
def test_nanogpt_needs_no_factor_of_its_readout(width: int, tied: tuple[ModuleType, ModuleType]):
    """It trains as the emitted module, which has the factor: its last norm makes up for it."""
    module, adapter = tied
    torch.manual_seed(0)
    theirs, ours = Nano(width).double(), module.NanoGPT(module.Config(width=width, depth=3))
    ours.double()
    adapter.init_(theirs)
    assert theirs.transformer["ln_f"].weight[0].item() == BASE / width
    weights = dict(theirs.named_parameters())
    weights["transformer.wte.weight"] = weights.pop("lm_head.weight")
    with torch.no_grad():
        for name, parameter in ours.named_parameters():
            last = ".ln_f." in name
            theirs_of_it = weights.get(name, weights[fitting(name, weights)])
            parameter.copy_(theirs_of_it * (width / BASE if last else 1))
    optimizers = module.make_optimizer(ours), adapter.make_optimizer(theirs)
    tokens = torch.randint(65, (4, 24))
    for _ in range(12):
        results = ours(tokens), theirs(tokens)
        torch.testing.assert_close(*results, atol=1e-11, rtol=0)
        for result, optimizer in zip(results, optimizers, strict=True):
            train(result, tokens, optimizer)
    adapter.check_param_groups(optimizers[1])


def test_what_is_folded_is_no_factor_of_the_docstring():
    doc = abcparam.compile(TIED, adapter=True, fold=True).split('"""')[1]
    assert "--adapter --fold" in doc
    assert re.findall(r"^    line \d+: (.*)$", doc, flags=re.M) == [
        "attention, scale = head^(-1 / 2)"
    ]
    tripled = TIED.replace("return base(width)", "return 3 * base(width)")
    doc = abcparam.compile(tripled, adapter=True, fold=True).split('"""')[1]
    assert re.findall(r"^    line \d+: (times.*)$", doc, flags=re.M) == ["times 3"]


def test_what_cannot_be_folded_is_said_with_the_reason():
    bare = TIED.replace(
        "layernorm(x, gain = weight, bias = bias)", "layernorm(x) + 0 * bias * weight"
    )
    doc = abcparam.compile(bare, adapter=True, fold=True).split('"""')[1]
    said = " ".join(doc.split())
    assert "times base(width) / width; without it would change: " in said
    assert "what `layernorm` gives (line" in said and "the output (line" in said


def test_only_an_adapter_is_folded():
    with pytest.raises(ValueError, match="adapter"):
        abcparam.compile(TIED, fold=True)


# What does not fit


def refusal(adapter: ModuleType, model: nn.Module, **values: Any) -> str:
    """What is said of a model, by all functions alike."""
    with pytest.raises(ValueError) as found:
        adapter.config_of(model, **values)
    for function in (adapter.init_, adapter.param_groups, adapter.make_optimizer):
        with pytest.raises(ValueError, match=re.escape(str(found.value))):
            function(model)
    return str(found.value)


def test_other_parameters_are_refused_by_name(nano: tuple[ModuleType, ModuleType]):
    _, adapter = nano
    model = Nano(64)
    for block in model.transformer["h"]:
        block.mlp.gate = nn.Linear(64, 64)
        block.ln_2 = nn.LayerNorm(64, bias=False)
    before = copy.deepcopy(model.state_dict())
    assert refusal(adapter, model) == (
        "the model is not that of the spec: "
        "transformer.h.*.mlp.gate.weight is no tensor of the spec; "
        "transformer.h.*.mlp.gate.bias is no tensor of the spec; "
        "transformer.h.ln_2.bias of the spec is no parameter of the model"
    )
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


def test_a_readout_of_its_own_is_refused_where_the_spec_ties_it(
    nano: tuple[ModuleType, ModuleType],
):
    _, adapter = nano
    model = Nano(64)
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.clone())
    assert "lm_head.weight is no tensor of the spec" in refusal(adapter, model)


def test_a_tied_readout_is_refused_where_the_spec_does_not_tie_it(
    llama: tuple[ModuleType, ModuleType],
):
    _, adapter = llama
    text = refusal(adapter, hugging_face(64, tie_word_embeddings=True))
    assert "lm_head and model.embed_tokens are one parameter, two in the spec" in text


def test_transposed_parameters_are_refused(nano: tuple[ModuleType, ModuleType]):
    """As GPT-2 of `transformers` stores them, in `Conv1D`."""
    _, adapter = nano
    model = Nano(64)
    for block in model.transformer["h"]:
        block.mlp.c_fc.weight = nn.Parameter(block.mlp.c_fc.weight.detach().T.clone())
    assert (
        "transformer.h.mlp.c_fc.weight is (64, 256), not (256, 64), its transpose: "
        "it is stored the other way round"
    ) in refusal(adapter, model)


def test_other_shapes_are_refused(nano: tuple[ModuleType, ModuleType]):
    _, adapter = nano
    model = Nano(64)
    model.transformer["h"][1].mlp.c_proj = nn.Linear(128, 64)
    text = refusal(adapter, model)
    assert "c_proj.weight is (64, 128), not (64, 256)" in text and "Config(width=64" in text
    model = Nano(64)
    model.transformer["h"][1].mlp.c_proj.weight = nn.Parameter(torch.zeros(3))
    assert "transformer.h.mlp.c_proj.weight is (3,), not of 2 axes" in refusal(adapter, model)
    assert "3 copies, not 4" in refused_config(adapter, Nano(64, depth=3), depth=4)


def refused_config(adapter: ModuleType, model: nn.Module, **values: Any) -> str:
    with pytest.raises(ValueError) as found:
        adapter.config_of(model, **values)
    return str(found.value)


# What can be no adapter


def test_clipping_and_rules_without_a_gauge_are_refused_at_their_line():
    clipped = NANO.replace("eps = 1e-8,", "clip_norm = 1,")
    lamb = re.sub(r"optimizer .*", "optimizer lamb { lr = lr }", NANO)
    for text, code in ((clipped, "P0431"), (lamb, "P0432")):
        with pytest.raises(abcparam.SpecError) as found:
            abcparam.compile(text, adapter=True)
        line = next(n for n, row in enumerate(text.split("\n"), 1) if row.startswith("optimizer"))
        assert {(d.code, d.span.line) for d in found.value.diagnostics} == {(code, line)}


def test_a_gauge_with_multipliers_is_refused():
    with pytest.raises(ValueError, match="plain"):
        abcparam.compile(NANO, "unit", adapter=True)
    assert abcparam.compile(NANO, "plain", adapter=True) == abcparam.compile(NANO, adapter=True)


def test_factors_of_the_forward_are_in_the_docstring():
    text = NANO.replace("return wte.T @", "return 2 * base(width) / width * wte.T @")
    text = text.replace(", a = 1", "").replace(" { a = 1 }", "")
    doc = abcparam.compile(text, adapter=True).split('"""')[1]
    lines = text.split("\n")
    found = re.findall(r"^    line (\d+): (.*)$", doc, flags=re.M)
    assert [factor for _, factor in found] == [
        "attention, scale = head^(-1 / 2)",
        "times 2 * base(width) / width",
    ]
    assert ["attention(" in lines[int(n) - 1] for n, _ in found] == [True, False]
    assert "return 2 *" in lines[int(found[1][0]) - 1]
    assert "has to have" not in abcparam.compile(abcparam.new("mlp"), adapter=True)
