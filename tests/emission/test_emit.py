"""The emitted module: does it compute what the spec says, and is it what a PyTorch user expects."""

from __future__ import annotations

import copy
import dataclasses
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.emission.emit import emit
from abcparam.emission.lowering.uses import CodeUses
from abcparam.optimizers import optimizers
from abcparam.program.model import Program
from tests.support.emitted import (
    build,
    inputs_of,
    laws_of,
    load,
    make,
    named_by_tensor,
    outputs_of,
    program_of,
    spec,
    values_of,
)
from tests.support.paths import EMIT_SPECS, ROOT, SPECS, SUPPORT
from tests.support.reference import Reference, evaluate, initial, learning_rate, power_of_ratio

GOLDEN = Path(__file__).parent / "golden"
EXTRA = sorted(EMIT_SPECS.glob("*.param"))


def can_be_emitted(path: Path) -> bool:
    try:
        emit(program_of(path.read_text(encoding="utf-8")))
    except Exception:
        return False
    return True


def texts() -> Iterable[Any]:
    for path in [*sorted(SPECS.glob("*.param")), *EXTRA]:
        if "?" not in path.read_text(encoding="utf-8").split("#")[-1] and can_be_emitted(path):
            yield pytest.param(path.read_text(encoding="utf-8"), id=path.stem)


ALL = list(texts())
GPT, MLP = spec("gpt"), spec("mlp")
every = pytest.mark.parametrize("text", ALL)
LARGE = {"lora", "mixtral", "resnet18", "t5"}  # at base in each run, at more in the slow tests


def every_at(*times: int) -> pytest.MarkDecorator:
    """Every spec at so many times its base."""
    cases = []
    for param in ALL:
        for count in times:
            marks = [pytest.mark.slow] if count > 1 and param.id in LARGE else []
            cases.append(pytest.param(*param.values, count, id=f"{count}-{param.id}", marks=marks))
    return pytest.mark.parametrize(("text", "times"), cases)


def weights_of(model: nn.Module, std: float = 0.02) -> dict[str, Tensor]:
    """Random weights in every parameter."""
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)
    return {name: parameter.detach() for name, parameter in model.named_parameters()}


def base_of(program: Program, times: int) -> dict[str, int]:
    return {
        d.name: (d.base or 8) * times for d in program.dims.values() if d.infinite and not d.derived
    }


# It computes what the spec says


@every_at(1, 2, 3)
def test_the_model_computes_the_program(text: str, times: int, tmp_path: Path):
    program, module = build(text, tmp_path)
    model = make(program, module, base_of(program, times)).double().eval()
    weights = named_by_tensor(program, weights_of(model))
    reference = Reference(program, values_of(program, model.config), weights)
    for batch in ((3,), (), (2, 3)):
        inputs = inputs_of(program, model.config, batch)
        for found, wanted in zip(outputs_of(model(*inputs)), reference(*inputs), strict=True):
            assert found.shape == wanted.shape
            torch.testing.assert_close(
                found, wanted, rtol=1e-11, atol=1e-12 * wanted.abs().max().item()
            )


@every_at(1, 2, 5)
def test_inits_rates_and_epsilons_equal_their_formulas(
    text: str, times: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program, module = build(text, tmp_path)
    model = make(program, module, base_of(program, times))
    values = values_of(program, model.config)
    names = paths_of(program, model)
    for path, found in recorded_inits(model, names, monkeypatch).items():
        assert found == pytest.approx(initial(program, program.tensors[path], values), rel=1e-12)
    grouped = set()
    for group in module.param_groups(model):
        for parameter in group["params"]:
            tensor = program.tensors[names[parameter]]
            grouped.add(tensor.path)
            rate = learning_rate(program, tensor, values)
            assert group["lr"] == pytest.approx(rate, rel=1e-12)
            if tensor.weight_decay and "weight_decay" in group:
                assert group["weight_decay"] == pytest.approx(
                    evaluate(tensor.weight_decay.value, values)
                )
            if tensor.epsilon and "eps" in group:
                epsilon = evaluate(tensor.epsilon.value, values)
                epsilon *= power_of_ratio(program, tensor, "d", values)
                tiny = torch.finfo(torch.float32).tiny
                assert group["eps"] == pytest.approx(epsilon or tiny, rel=1e-12)
    assert grouped == {t.path for t in program.tensors.values() if not t.frozen}


def paths_of(program: Program, model: nn.Module) -> dict[nn.Parameter, str]:
    """The paths of the tensors that the parameters of an emitted model are."""
    uses = CodeUses(program)
    return {p: uses.tensor_of(name) for name, p in model.named_parameters()}


def recorded_inits(
    model: nn.Module, names: dict[nn.Parameter, str], monkeypatch: pytest.MonkeyPatch
) -> dict[str, float]:
    """What each tensor's init function was called with."""
    found: dict[str, float] = {}

    def record(kind: str) -> Any:
        def init(parameter: nn.Parameter, *arguments: float, **named: float) -> None:
            fixed = {"zeros_": 0.0, "ones_": 1.0}
            value = fixed[kind] if kind in fixed else [*arguments, *named.values()][-1]
            found[names[parameter]] = value

        return init

    for kind in ("normal_", "zeros_", "ones_", "constant_", "uniform_", "orthogonal_"):
        monkeypatch.setattr(nn.init, kind, record(kind))
    model.reset_parameters()  # type: ignore[operator]
    monkeypatch.undo()
    assert found.keys() == set(names.values())
    return found


@pytest.mark.parametrize(
    ("shape", "b", "returned"),
    [
        ("width, width", "1/2", "V @ y"),
        ("width, width", "0", "V @ y"),
        ("classes, width", "1", "y"),
    ],
)
def test_entries_of_an_orthogonal_matrix_fall_as_the_spec_says(
    shape: str, b: str, returned: str, tmp_path: Path
):
    text = (
        "model M\ndim width -> inf, base = 64\ndim classes = 4\nhyper lr = 0.1\n"
        f"tensor W : [{shape}] {{ a = 0, b = {b}, c = 1, init = orthogonal(2) }}\n"
        "tensor U : [width, classes] { a = 0, b = 0, c = 0 }\n"
        "tensor V : [classes, width] { a = 0, b = 1, c = 1 }\n"
        f"forward(x : [classes]) {{\n    y = W @ U @ x\n    return {returned}\n}}\n"
        "optimizer sgd { lr = lr }\nloss mse\n"
    )
    program, module = build(text, tmp_path)
    sizes = [
        float(make(program, module, {"width": width}).get_parameter("W.weight").detach().std())
        for width in (64, 256)
    ]
    assert sizes[1] / sizes[0] == pytest.approx(4.0 ** -float(Fraction(b)), rel=0.05)


class HandWritten(nn.Module):
    """The GPT of the documentation as nanoGPT would write it, at width 128 and base 256."""

    def __init__(self, weights: dict[str, Tensor], depth: int, heads: int) -> None:
        super().__init__()
        self.w, self.depth, self.heads = weights, depth, heads

    def forward(self, tokens: Tensor) -> Tensor:
        w = self.w
        x = w["token_embedding.weight"][tokens] + w["position_embedding"][: tokens.shape[1]]
        for i in range(self.depth):
            p = f"layers.{i}."
            y = F.layer_norm(x, (x.shape[-1],))
            b, t, c = y.shape
            q, k, v = (
                (y @ w[f"{p}attention.{n}.weight"].T).view(b, t, self.heads, -1).transpose(1, 2)
                for n in ("query", "key", "value")
            )
            logits = (q @ k.transpose(-1, -2)) / (c // self.heads)
            mask = torch.ones(t, t).tril() == 0
            y = logits.masked_fill(mask, -math.inf).softmax(-1) @ v
            x = x + y.transpose(1, 2).reshape(b, t, c) @ w[f"{p}attention.project.weight"].T
            y = F.layer_norm(x, (x.shape[-1],))
            y = F.gelu(y @ w[f"{p}feed_forward.up.weight"].T)
            x = x + y @ w[f"{p}feed_forward.down.weight"].T
        return F.layer_norm(x, (x.shape[-1],)) @ w["readout.weight"].T * (256 / x.shape[-1])


def test_gpt_equals_a_hand_written_one(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    model = make(program, module, {"width": 128}).double()
    hand = HandWritten(weights_of(model, 0.1), 2, 2)
    tokens = torch.randint(50, (3, 9))
    torch.testing.assert_close(model(tokens), hand(tokens))


# Text


@every
def test_the_layout_is_that_of_ruff(text: str):
    code = emit(program_of(text), {})
    ruff = Path(sys.executable).parent / "ruff"
    command = [str(ruff), "format", "--isolated", "--diff", "-"]
    found = subprocess.run(command, input=code, text=True, capture_output=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("name", ["gpt", "bert", "gpt_depth"])
@pytest.mark.parametrize("length", [4, 8, 12, 20])
def test_the_layout_is_that_of_ruff_for_long_names(name: str, length: int):
    words = r"(width|depth|heads|vocab|context|query|project|up_bias|layers|x|tokens|transform)"
    text = re.sub(rf"\b{words}\b(?! = heads)", rf"\1_{'n' * length}", spec(name))
    test_the_layout_is_that_of_ruff(re.sub(r"heads_n+ = heads", "heads = heads", text))


@pytest.mark.parametrize("name", ["gpt", "mlp", "bert", "gpt_depth", "lora", "lstm", "mlp_theta"])
def test_golden(name: str, request: pytest.FixtureRequest, tmp_path: Path):
    program = program_of(spec(name), f"{name}.param")
    code, golden = emit(program, laws_of(program)), GOLDEN / f"{name}.py"
    if request.config.getoption("--update-golden"):
        golden.write_text(code, encoding="utf-8", newline="\n")
    assert code == golden.read_text(encoding="utf-8")
    train(program, load(code, tmp_path))


def train(program: Program, module: ModuleType, steps: int = 1) -> None:
    """Steps by one gradient change every trained tensor that has a gradient, and no other."""
    model = make(program, module).train()
    made = module.make_optimizer(model)
    inputs = [x if x.dtype == torch.long else x.float() for x in inputs_of(program, model.config)]
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    sum(y.sub(1).square().mean() for y in outputs_of(model(*inputs))).backward()  # type: ignore[union-attr]
    for optimizer in (made if isinstance(made, list) else [made]) * steps:
        optimizer.step()
    for name, parameter in model.named_parameters():
        assert parameter.isfinite().all()
        if parameter.grad is None or not parameter.grad.any():
            assert not parameter.requires_grad or parameter.grad is not None
        else:
            assert not torch.equal(parameter, before[name]), name


def test_bytes_do_not_depend_on_the_environment(tmp_path: Path):
    (tmp_path / "gpt.param").write_text(GPT, encoding="utf-8")
    script = (
        "import sys; from tests.support.emitted import program_of\n"
        "from abcparam.emission.emit import emit\n"
        "p = program_of(open(sys.argv[1], encoding='utf-8').read(), sys.argv[1])\n"
        "sys.stdout.buffer.write(emit(p, {}).encode())"
    )
    root, found = str(ROOT), set()
    for seed, locale, folder, file in (
        ("0", "C", str(tmp_path), "gpt.param"),
        ("7", "C.UTF-8", "/", str(tmp_path / "gpt.param")),
    ):
        env = {**os.environ, "PYTHONHASHSEED": seed, "LC_ALL": locale, "PYTHONPATH": root}
        command = [sys.executable, "-c", script, file]
        found.add(
            subprocess.run(command, cwd=folder, env=env, capture_output=True, check=True).stdout
        )
    assert len(found) == 1


def test_every_tensor_says_its_law():
    program = program_of(GPT)
    code = emit(program, {path: f"law of {path}" for path in program.tensors}).splitlines()
    for tensor in program.tensors.values():
        line = next(i for i, text in enumerate(code) if f"self.{tensor.name} = nn." in text)
        assert "a = " in code[line - 1] and f"law of {tensor.path}" in code[line - 1]


def test_gpt_is_short():
    assert len(emit(program_of(GPT), {}).splitlines()) < 260


HOSTILE = [
    'a"""\nimport os\n"""b.param',
    "a\\",
    "x\u2028import os.param",
    "\u202egnp.param",
    "{{ 7 * 7 }}.param",
    "\udcff.param",
    'q"',
]


@pytest.mark.parametrize("file", HOSTILE)
def test_a_file_name_is_only_a_name(file: str, tmp_path: Path):
    program = program_of(MLP, file)
    code = emit(program, {"W1": '"""\nimport os'}, f"abcparam compile {file}")
    plain = emit(program_of(MLP, "plain.param"), {})
    body, wanted = (text.split("\nfrom dataclasses")[1] for text in (code, plain))
    comments = code.count("# input: a = -1/2, b = 1/2, c = 0; '''?import os")
    assert body.count("import") == wanted.count("import") + comments
    assert "49" not in code.splitlines()[0]
    train(program, load(code, tmp_path))


# Config


def test_config_defaults_and_derived_sizes(tmp_path: Path):
    _, module = build(GPT, tmp_path)
    config = module.Config()
    assert (config.width, config.heads, config.lr, config.width_ratio) == (256, 4, 3e-3, 1.0)
    assert module.Config(width=512).width_ratio == 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.width = 1


BAD = [
    ({"width": -1}, "width must be a positive integer"),
    ({"width": 256.0}, "width must be a positive integer"),
    ({"depth": True}, "depth must be a positive integer"),
    ({"depth": 0}, "depth must be a positive integer"),
    ({"lr": math.nan}, "lr must be a finite number"),
    ({"lr": math.inf}, "lr must be a finite number"),
    ({"lr": "1"}, "lr must be a finite number"),
    ({"lr": True}, "lr must be a finite number"),
    ({"width": 100}, "width must be a multiple of 64"),
]


@pytest.mark.parametrize(("fields", "message"), BAD)
def test_config_refuses(fields: dict[str, object], message: str, tmp_path: Path):
    _, module = build(GPT, tmp_path)
    with pytest.raises(ValueError, match=message):
        module.Config(**fields)


TINY = """
model Tiny
dim width -> inf{base}
dim kernel = 3
{dims}
hyper lr = 1e-3
tensor W : [{axis}, kernel] {{ a = 0, b = 0, c = 0 }}
forward(x : [kernel]) {{ return W.T @ (W @ x) }}
optimizer sgd {{ lr = lr }}
loss mse
"""


def tiny(tmp_path: Path, axis: str, dims: str = "", base: str = ", base = 8") -> ModuleType:
    return build(TINY.format(axis=axis, dims=dims, base=base), tmp_path)[1]


def test_an_axis_must_be_whole(tmp_path: Path):
    module = tiny(tmp_path, "width / 4")
    with pytest.raises(ValueError, match="width must be a multiple of 4, not 9"):
        module.Config(width=9)
    assert module.Tiny(module.Config(width=12)).W.shape == (3, 3)


def test_a_rounded_axis_is_always_whole(tmp_path: Path):
    module = tiny(tmp_path, "inner", "dim inner = round_up(8 * width / 3, 16)")
    assert module.Config(width=7).inner == 32
    assert module.Config(width=6).inner == 16


def test_a_root_must_be_whole(tmp_path: Path):
    module = tiny(tmp_path, "inner", "dim inner = width^(1/2)", ", base = 16")
    assert module.Config(width=25).inner == 5
    with pytest.raises(ValueError, match="width must be a perfect power of 2"):
        module.Config(width=26)


def test_a_difference_must_be_positive(tmp_path: Path):
    module = tiny(tmp_path, "rest", "dim rest = width - kernel")
    with pytest.raises(ValueError, match="rest must be a positive integer"):
        module.Config(width=3)


def test_without_a_base_there_is_no_default(tmp_path: Path):
    module = tiny(tmp_path, "width", base="")
    with pytest.raises(TypeError):
        module.Config()
    assert module.Config(width=4).kernel == 3


# Module


ZEROS = """
model Zeros
dim width -> inf, base = 8
dim classes = 5
dim vocab = 50
dim context = 12
hyper lr = 1e-3
{tensor}
block Nothing(x) {{ return x + zeros(width) }}
block Table(tokens) {{
    tensor table : input [vocab, width] {{ a = 0, b = 0, c = 0 }}
    return embed(table, tokens)
}}
block Readout(x) {{
    tensor readout : output [classes, width] {{ a = 1, b = 0, c = 0 }}
    return readout @ x
}}
forward(tokens : index(vocab) [context]) {{ return Readout(Nothing(Table(tokens)) + zeros(width)) }}
optimizer adam {{ lr = lr }}
loss mse
"""


@pytest.mark.parametrize("tensor", ["", "tensor b : input [width] { a = 0, b = 0, c = 0 }"])
def test_zeros_are_made_of_what_is_at_hand(tensor: str, tmp_path: Path):
    program, module = build(ZEROS.format(tensor=tensor), tmp_path)
    model = make(program, module)
    assert model(*inputs_of(program, model.config)).dtype == torch.float32


def test_state_dict_names_are_paths(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    names = list(make(program, module).state_dict())
    assert "layers.0.attention.query.weight" in names
    assert "layers.1.feed_forward.down.weight" in names
    assert {"token_embedding.weight", "position_embedding", "readout.weight"} <= {*names}


@every
def test_it_compiles_as_one_graph(text: str, tmp_path: Path):
    program, module = build(text, tmp_path)
    model = make(program, module).double().eval()
    weights_of(model)
    inputs = inputs_of(program, model.config)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    for found, wanted in zip(
        outputs_of(compiled(*inputs)), outputs_of(model(*inputs)), strict=True
    ):
        torch.testing.assert_close(found, wanted)


@every
def test_meta_then_empty_then_reset_is_the_same_init(text: str, tmp_path: Path):
    program, module = build(text, tmp_path)
    with torch.device("meta"):
        late = make(program, module)
    assert all(p.is_meta for p in late.parameters())
    module.make_optimizer(late)
    late.to_empty(device="cpu")
    torch.manual_seed(0)
    late.reset_parameters()
    now = make(program, module)
    torch.manual_seed(0)
    now.reset_parameters()
    assert late.state_dict().keys() == now.state_dict().keys()
    for name, value in now.state_dict().items():
        assert torch.equal(value, late.state_dict()[name]), name


@every
def test_groups_hold_each_trained_parameter_once(text: str, tmp_path: Path):
    program, module = build(text, tmp_path)
    model = make(program, module)
    groups = module.param_groups(model)
    found = [id(p) for group in groups for p in group["params"]]
    assert sorted(found) == sorted(id(p) for p in model.parameters() if p.requires_grad)
    names = [group["name"] for group in groups]
    assert len({*names}) == len(names)


def test_the_number_of_groups_does_not_depend_on_the_width(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    counts = {
        len(module.param_groups(make(program, module, {"width": w}))) for w in (128, 256, 512)
    }
    assert counts == {2}


@pytest.mark.parametrize("name", ["config", "module", "reset_parameters", "training", "forward"])
def test_attributes_of_modules_are_refused(name: str):
    with pytest.raises(SpecError):
        program_of(re.sub(r"\bW2\b", name, MLP))


def test_classes_make_way_for_what_the_module_imports(tmp_path: Path):
    text = GPT.replace("as layers", "as tensors")
    program, module = build(text, tmp_path)
    assert module.Tensor is Tensor
    assert "tensors.0.attention.query.weight" in make(program, module).state_dict()


SHARED = """model Copies
dim width -> inf, base = 8
dim depth = 2
parametrization mup
tensor first : input [width, 3]
tensor shared : hidden [width, width]
tensor last : output [2, width]
forward(x : [3]) {
    x = first @ x
    repeat depth as layers {
        tensor own : hidden [width, width]
        x = x + own @ gelu(shared @ gelu(x))
    }
    return last @ x
}
optimizer adam { lr = 0.01 }
loss cross_entropy
"""


def test_arguments_make_way_for_what_a_function_reads(tmp_path: Path):
    """A tensor that copies read from outside may be named as a module, or a function of Python."""
    for name in ("F", "input"):
        program, module = build(SHARED.replace("shared", name), tmp_path)
        model = make(program, module).double()
        assert hasattr(model, name)
        assert model(*inputs_of(program, model.config)).isfinite().all()


class Wrapper(nn.Module):
    """What DistributedDataParallel does to names."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


def test_groups_see_through_wrappers(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    model = make(program, module)
    plain = module.param_groups(model)
    model.layers[0] = torch.compile(model.layers[0])  # type: ignore[operator,index]
    for wrapped in (model, torch.compile(model), Wrapper(torch.compile(model))):
        found = module.param_groups(wrapped)
        for one, other in zip(plain, found, strict=True):
            assert {id(p) for p in one["params"]} == {id(p) for p in other["params"]}


def test_optimizers_use_fused_kernels_where_there_are_some(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    optimizer = module.make_optimizer(make(program, module, {"width": 512}))
    assert isinstance(optimizer, torch.optim.AdamW)
    assert all(group["fused"] for group in optimizer.param_groups)
    assert optimizer.defaults["betas"] == (0.9, 0.95)
    assert [(g["name"], g["lr"]) for g in optimizer.param_groups] == [
        ("input_output", 3e-3),
        ("hidden", 1.5e-3),
    ]
    with torch.device("meta"):
        optimizer = module.make_optimizer(make(program, module))
    assert not any(group["fused"] for group in optimizer.param_groups)


@pytest.mark.parametrize("name", sorted(optimizers()))
def test_every_optimizer_is_made_and_steps(name: str, tmp_path: Path):
    """One that takes matrices alone, or keeps zeros, leaves the bias to another; SOAP's first step
    moves nothing.
    """
    rule = optimizers()[name]
    rest = "optimizer sgd for b1 { lr = lr }\n" if rule.axes or rule.keeps_norm else ""
    made = f"{rest}optimizer {name} {{ lr = lr }}"
    text = MLP.replace("optimizer sgd { lr = lr, momentum = 0 }", made)
    train(*build(text, tmp_path), steps=2 if name == "soap" else 1)


def test_several_optimizers_make_a_list(tmp_path: Path):
    program, module = build((EMIT_SPECS / "bare.param").read_text(encoding="utf-8"), tmp_path)
    model = make(program, module, {"width": 8})
    first, second = module.make_optimizer(model)
    assert isinstance(first, torch.optim.SGD) and first.defaults["nesterov"]
    assert isinstance(second, torch.optim.Adam)
    assert not model.V.weight.requires_grad  # type: ignore[union-attr]


def test_a_shorter_input_is_fine_and_a_longer_one_is_not(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    model = make(program, module)
    tokens = torch.randint(50, (2, 12))
    torch.testing.assert_close(model(tokens[:, :5]), model(tokens)[:, :5], rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="tokens is longer than context = 12"):
        model(torch.randint(50, (2, 13)))


def test_copies_are_independent(tmp_path: Path):
    program, module = build(GPT, tmp_path)
    model = make(program, module)
    other = copy.deepcopy(model)
    other.load_state_dict(model.state_dict())
    weights_of(other)
    tokens = torch.randint(50, (2, 12))
    assert not torch.equal(model(tokens), other(tokens))
    other.load_state_dict(model.state_dict(), assign=True)
    torch.testing.assert_close(model(tokens), other(tokens))


@every
def test_functional_transforms(text: str, tmp_path: Path):
    program, module = build(text, tmp_path)
    models = [make(program, module).double().eval() for _ in range(2)]
    for model in models:
        weights_of(model)
    inputs = tuple(inputs_of(program, models[0].config))
    stacked, buffers = torch.func.stack_module_state(models)

    def run(parameters: dict[str, Tensor], held: dict[str, Tensor]) -> Any:
        return torch.func.functional_call(models[0], (parameters, held), inputs)

    if "mixture" in text:  # how many tokens an expert gets is not known beforehand
        return
    with torch.no_grad():  # PyTorch's attention on CPU has no gradient for a mask under vmap
        found = outputs_of(torch.vmap(run, randomness="same")(stacked, buffers))
    for index, model in enumerate(models):
        for one, wanted in zip(found, outputs_of(model(*inputs)), strict=True):
            torch.testing.assert_close(one[index], wanted)


def test_safetensors(tmp_path: Path):
    safetensors = pytest.importorskip("safetensors.torch")
    program, module = build(GPT, tmp_path)
    model = make(program, module)
    safetensors.save_model(model, tmp_path / "gpt.safetensors")
    safetensors.load_model(model, tmp_path / "gpt.safetensors")


def test_fully_shard(tmp_path: Path):
    """FSDP2 on one process: groups are made after sharding, by name."""
    script = SUPPORT / "shard.py"
    (tmp_path / "gpt.py").write_text(emit(program_of(GPT), {}), encoding="utf-8")
    command = [sys.executable, str(script), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_a_group_norm_with_a_bias_alone_can_be_trained(tmp_path: Path):
    text = """model M
dim width -> inf, base = 8
parametrization mup
tensor stem : input [width, 2, 3, 3]
tensor shift : input [width]
tensor V : output [3, width]
forward(x : [2, 5, 5]) {
    return V @ mean(groupnorm(conv2d(stem, x), groups = 2, bias = shift), axis = (-2, -1))
}
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""
    _, module = build(text, tmp_path)
    model, x = module.M(module.Config()), torch.randn(4, 2, 5, 5)
    model(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    (shift,) = (p for name, p in model.named_parameters() if "shift" in name)
    nn.init.ones_(shift)
    y = F.group_norm(model.stem(x), 2) + 1
    torch.testing.assert_close(model(x), model.V(y.mean((-2, -1))))


def test_batch_norm_is_pytorch_s(tmp_path: Path):
    """In training and in evaluation, with what it remembers; each copy and call has its own."""
    text = """model M
dim width -> inf, base = 8
dim side = 5
dim classes = 3
parametrization mup
tensor stem : input [width, 2, 3, 3]
tensor V : output [classes, width]
forward(x : [2, side, side]) {
    x = conv2d(stem, x)
    repeat 2 as stages { x = batchnorm(x) }
    return V @ mean(batchnorm(2 * x), axis = (-2, -1))
}
optimizer sgd { lr = 0.1 }
loss cross_entropy
"""
    _, module = build(text, tmp_path)
    with torch.device("meta"):
        model = module.M(module.Config())
    model.to_empty(device="cpu").reset_parameters()
    assert [name for name, _ in model.named_buffers()] == [
        f"{place}running_{kind}"
        for place in ("", "stages.0.", "stages.1.")
        for kind in ("mean", "var")
    ]
    norms = [nn.BatchNorm2d(8, affine=False) for _ in range(3)]

    def plain(x: Tensor) -> Tensor:
        y = norms[1](norms[0](model.stem(x)))
        return model.V(norms[2](2 * y).mean((-2, -1)))

    for training in (True, True, False):
        for part in (model, *norms):
            part.train(training)
        x = torch.randn(4, 2, 5, 5)
        torch.testing.assert_close(model(x), plain(x))
    for place, norm in zip(("stages.0.", "stages.1.", ""), norms, strict=True):
        torch.testing.assert_close(model.get_buffer(f"{place}running_mean"), norm.running_mean)
        torch.testing.assert_close(model.get_buffer(f"{place}running_var"), norm.running_var)


def test_a_repeat_of_nothing_but_tensors(tmp_path: Path):
    """Its layer takes and gives nothing; the tensor is kept, and said not to be used."""
    text = """model M
dim width -> inf, base = 8
parametrization mup
tensor first : input  [width, 3]
tensor last  : output [5, width]
forward(x : [3]) {
    x = first @ x
    repeat 2 as layers {
        tensor own : hidden [width, width]
    }
    return last @ x
}
optimizer adam { lr = 1e-2 }
loss cross_entropy
"""
    program, module = build(text, tmp_path)
    model = make(program, module)
    assert [name for name, _ in model.named_parameters() if "own" in name] == [
        "layers.0.own",
        "layers.1.own",
    ]
    assert model(torch.randn(2, 3)).shape == (2, 5)
