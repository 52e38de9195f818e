"""Configurations of other projects: what they come to is what the projects' code computes."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from abcparam.algebra.polynomials import Polynomial
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, parts_of
from abcparam.program.model import Program
from abcparam.program.tensors import Tensor
from abcparam.recipes.exporting import exported
from abcparam.recipes.judging import judged_config, spec_of
from abcparam.recipes.registry import recipe_names, recipes
from abcparam.recipes.settings import settings_of
from abcparam.verdict.check import load
from abcparam.verdict.magnitudes import evaluate
from tests.support.running import Run

PUBLISHED = json.loads((Path(__file__).parent / "published.json").read_text(encoding="utf-8"))
CASES = [
    pytest.param(recipe, found["flags"], found["widths"], id=f"{recipe} {number}")
    for recipe, published in PUBLISHED.items()
    for number, found in enumerate(published["configurations"])
]


def config(recipe: str, flags: dict[str, Any]) -> str:
    """A configuration as the project's users write it."""
    if recipe == "megatron":
        said = (f"--{k}" if v is True else f"--{k} {v}" for k, v in flags.items())
        return "torchrun pretrain_gpt.py \\\n    " + " \\\n    ".join(said) + "\n"
    if recipe == "transformers":
        return json.dumps(flags, indent=2)
    if recipe == "cerebras":
        return yaml(flags)
    return "".join(f"{k} = {v}\n" for k, v in flags.items())


def yaml(flags: dict[str, Any], indent: str = "") -> str:
    """Blocks in blocks."""
    lines = (
        f"{indent}{k}:\n{yaml(v, indent + '  ')}"
        if isinstance(v, dict)
        else f"{indent}{k}: {json.dumps(v)}\n"
        for k, v in flags.items()
    )
    return "".join(lines)


def test_recipes_are_named_as_their_files_are() -> None:
    assert tuple(recipes()) == recipe_names()


def program_of(recipe: str, text: str) -> Program:
    return load(spec_of(recipes()[recipe], Source(text, "config")).source)


class At:
    """The numbers of a program at a width."""

    def __init__(self, program: Program, width: int) -> None:
        self.program = program
        (dim,) = program.growing
        self.base = Fraction(width, int(dim.base or 1))
        self.at_base = program.base_values()
        self.values = {**self.at_base, dim.name: Fraction(width)}

    def tensor(self, path: str) -> Tensor:
        return next(t for t in self.program.tensors.values() if t.path.endswith(path))

    def power(self, path: str, letter: str) -> float:
        exponent = self.tensor(path).exponents[letter].get("")
        return float(self.base) ** -float(exponent.constant if exponent else 0)

    def std(self, path: str) -> float:
        argument = self.tensor(path).init.argument
        assert argument is not None
        return evaluate(argument.value, self.at_base) * self.power(path, "b")

    def lr(self, path: str) -> float:
        return evaluate(self.tensor(path).lr.value, self.at_base) * self.power(path, "c")

    def eps(self, path: str) -> float:
        epsilon = self.tensor(path).epsilon
        assert epsilon is not None
        return evaluate(epsilon.value, self.at_base) * self.power(path, "d")

    def factor(self, kind: str) -> float:
        """What is multiplied: embeddings, branches or logits; 1 where nothing is."""
        for module in self.program.root.walk():
            for call in module.expressions():
                by = call.settings.get("by") if isinstance(call, Apply) else None
                if isinstance(call, Apply) and isinstance(by, Amount):
                    parts = [p for x in call.operands if x is not None for p in parts_of(x)]
                    inner = {p.operation.name for p in parts if isinstance(p, Apply)}
                    place = "residual" if module.is_repeat else "output"
                    if ("embedding" if "embed" in inner else place) == kind:
                        return evaluate(by.value, self.values)
        return 1.0

    def scale(self) -> float:
        calls = (e for e in self.program.expressions() if isinstance(e, Apply))
        found = next(c for c in calls if c.operation.name == "attention").settings["scale"]
        assert isinstance(found, Amount) and isinstance(found.value, Polynomial)
        return evaluate(found.value, self.values)

    def number(self, name: str) -> float:
        kind, _, what = name.rpartition("_")
        if what == "mult":
            return self.factor(kind)
        if name == "scale":
            return self.scale()
        path = {"hidden": "query", "project": "down", "embedding": "embedding", "vector": "gain"}
        return getattr(self, what)(path[kind])


@pytest.mark.parametrize(("recipe", "flags", "widths"), CASES)
def test_numbers_are_those_that_are_published(recipe: str, flags: Any, widths: Any):
    text = config(recipe, flags)
    report = judged_config(recipes()[recipe], Source(text, "config"), {})
    assert report.verdict == "maximal-update"
    for width, wanted in widths.items():
        at = At(report.program, int(width))
        found = {name: at.number(name) for name in wanted}
        assert found == pytest.approx(wanted, rel=1e-9), width
    assert At(report.program, 512).lr("embedding") == At(report.program, 512).lr("gain")


@pytest.mark.parametrize(("recipe", "flags", "widths"), CASES)
def test_what_is_exported_reads_as_it_was(recipe: str, flags: Any, widths: Any):
    """From a configuration to a spec to a configuration, at the base and at another width."""
    program = program_of(recipe, config(recipe, flags))
    for width in map(int, widths):
        if "mup-base-head-dim" in flags and width == 256:
            continue  # at the base nothing says whether heads grow
        wide = load(program.source, {"width": Fraction(width)})
        found = exported(recipes()[recipe], wide)
        own = recipe != "transformers" or width == 4096  # a config.json is of its own width
        assert bool(found.notes) != own
        assert not own or program_of(recipe, found.text).tensors == program.tensors


MUP = {"use-mup": True, "num-layers": 2, "hidden-size": 512, "num-attention-heads": 8, "lr": "1e-3"}


@pytest.mark.parametrize(
    ("changes", "verdict", "setting"),
    [
        ({"use-mup": "false"}, "unstable-at-init", "--use-mup false"),
        ({"mup-output-mult": "0.5"}, "unstable-at-init", "--mup-output-mult 0.5"),
        (
            {"mup-base-hidden-size": 256, "mup-base-head-dim": 32, "mup-attn-scale-power": "0.5"},
            "unstable",
            "--mup-attn-scale-power 0.5",
        ),
    ],
    ids=["without", "a constant multiplier of logits", "attention's scale"],
)
def test_findings_lie_at_the_settings(changes: Any, verdict: str, setting: str):
    text = config("megatron", MUP | changes)
    report = judged_config(recipes()["megatron"], Source(text, "args.sh"), {})
    assert report.verdict == verdict
    lines = text.split("\n")
    errors = [d.span for d in report.diagnostics if d.severity == "error"]
    said = {lines[s.line - 1][s.column - 1 : s.end_column - 1] for s in errors}
    assert setting in said and {s.file for s in errors} == {"args.sh"}


def test_cerebras_goes_by_what_its_code_does():
    def said(**changes: Any) -> str:
        sizes = {"hidden_size": 1024, "filter_size": 4096, "num_hidden_layers": 8, "num_heads": 16}
        start = {"initializer": {"name": "truncated_normal", "std": 0.08}}
        base = {"mup_base_hidden_size": 256, "mup_base_filter_size": 1024}
        model = {"name": "gpt3", **sizes, **start, **base, "scale_qk_dot_by_d": True, **changes}
        return yaml({"model": {k: v for k, v in model.items() if v}, "learning_rate": 0.006})

    # without its own initializer the map out of the feed-forward network has initializer_range's
    at = At(program_of("cerebras", said()), 1024)
    kept = 0.87962566103424
    assert at.std("query") == pytest.approx(0.04 * kept)
    assert at.std("down") == at.std("project") == pytest.approx(0.02 * kept / 8)
    drawn = {"name": "normal", "std": 0.16}
    at = At(program_of("cerebras", said(ffn_output_layer_initializer=drawn)), 1024)
    assert at.std("down") == pytest.approx(0.02) != at.std("project")
    # no base has heads as large: they are as many
    wide = {"hidden_size": 2560, "filter_size": 10240, "num_heads": 32}
    assert At(program_of("cerebras", said(**wide)), 2560).scale() == pytest.approx(1 / 80)
    recipe = recipes()["cerebras"]
    text = said(scale_output_logits_by_d="false")
    report = judged_config(recipe, Source(text, "model.yaml"), {})
    places = {text.split("\n")[d.span.line - 1].strip() for d in report.diagnostics}
    assert report.verdict == "unstable-at-init" and any(
        "scale_output_logits_by_d" in p for p in places
    )
    plain = said(mup_base_hidden_size=None, mup_base_filter_size=None)
    assert judged_config(recipe, Source(plain, "model.yaml"), {}).verdict == "unstable-at-init"
    for changes, code, place in (
        ({"mup_base_filter_size": 512}, "P1102", "mup_base_filter_size: 512"),
        ({"mup_base_filter_size": None}, "P1101", "model:"),
        ({"mup_base_hidden_size": 250}, "P1102", "mup_base_hidden_size: 250"),
        ({"initializer": {"name": "uniform"}}, "P1103", 'name: "uniform"'),
        ({"initializer": {"name": "normal", "mean": 1}}, "P1102", "mean: 1"),
        ({"position_embedding_type": "alibi"}, "P1102", 'position_embedding_type: "alibi"'),
        ({"moe": {"num_experts": 8}}, "P1103", "num_experts: 8"),
        ({"adjust_learning_rate": {"embedding": 2}}, "P1103", "embedding: 2"),
        ({"optimizer": {"SGD": {"momentum": 0.9}}}, "P1103", "SGD"),
        ({"name": "btlm"}, "P1103", 'name: "btlm"'),
    ):
        error = refused("cerebras", said(**changes))
        assert error == (code, "" if code == "P1101" else place)


def test_nanotron_gives_adam_the_rates_of_the_spectral_condition_for_sgd():
    """Its README says that models of 1B and 8B blew up: a map's rate must fall as its fan-in."""

    def said(mup: bool = True, sgd: bool = False, **changes: Any) -> str:
        sizes = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 8}
        heads = {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 49152}
        model = {"is_llama_config": True, **sizes, **heads, **changes}
        start = {"use_mup": True} if mup else {"std": 0.025}
        training: dict[str, Any] = {"learning_rate_scheduler": {"learning_rate": 0.001}}
        training |= {"weight_decay": 0.1, "clip_grad": None if sgd else 1.0}
        training["optimizer_factory"] = {"name": "sgd" if sgd else "adamW"}
        init = {"init_method": start, "model_config": {k: v for k, v in model.items() if v}}
        return yaml({"model": init, "optimizer": training})

    def numbers(text: str, width: int) -> dict[str, tuple[float, float]]:
        at = At(program_of("nanotron", text), width)
        names = ("query", "value", "project", "gate", "down", "readout", "embedding", "norm.gain")
        return {
            name: (at.std(name) if at.tensor(name).init.argument else 1, at.lr(name))
            for name in names
        }

    recipe, text = recipes()["nanotron"], said()
    # scaling/parametrization.py: the rate times fan-out / fan-in, which of queries is that of all
    wanted = {
        "query": (1 / 32, 0.002),  # 1024 to 1024 and twice 512, in one map
        "value": (1 / 32, 0.002),
        "project": (1 / 32, 0.001),
        "gate": (1 / 32, 0.008),
        "down": (1 / 128, 0.00025),
        "readout": (1 / 32, 0.048),
        "embedding": (1, 0.001),
        "norm.gain": (1, 0.001),
    }
    for name, found in numbers(text, 1024).items():
        assert found == pytest.approx(wanted[name]), name
    small = numbers(said(vocab_size=256), 1024)
    assert small["readout"] == pytest.approx((1 / 64, 0.00025))
    report = judged_config(recipe, Source(text, "run.yaml"), {})
    assert report.verdict == "unstable"
    errors = [d for d in report.diagnostics if d.severity == "error"]
    assert {text.split("\n")[d.span.line - 1].strip() for d in errors} == {"use_mup: true"}
    moved = {t.path.split(".")[-1] for t in report.judgement.tensors if t.status == "over"}
    # embeddings and gains are over because of the others
    assert moved - {"embedding", "gain"} == {
        "query",
        "key",
        "value",
        "project",
        "gate",
        "up",
        "down",
    }

    # Qwen2's attention keeps the root of the head's size; the head is finite here
    assert At(program_of("nanotron", said(is_llama_config=False)), 1024).scale() == 128**-0.5
    assert At(program_of("nanotron", text), 1024).scale() == 1 / 128
    # SGD's rates are right for maps, but those of tables and gains have to grow
    report = judged_config(recipe, Source(said(sgd=True), "run.yaml"), {})
    assert report.verdict == "feature-learning"
    under = {t.path.split(".")[-1] for t in report.judgement.tensors if t.status == "under"}
    assert under == {"embedding", "gain"}
    plain = said(mup=False)
    assert judged_config(recipe, Source(plain, "run.yaml"), {}).verdict == "unstable-at-init"
    at = At(program_of("nanotron", plain), 1024)
    assert [at.std("down"), at.lr("down")] == pytest.approx([0.025 / 4, 0.001])

    for changes, code, place in (
        ({"num_attention_heads": 7}, "P1102", "num_attention_heads: 7"),
        ({"num_key_value_heads": 3}, "P1102", "num_key_value_heads: 3"),
        ({"attention_bias": True}, "P1103", "attention_bias: true"),
        ({"sliding_window_size": 64}, "P1103", "sliding_window_size: 64"),
        ({"moe_config": {"num_experts": 8}}, "P1103", "num_experts: 8"),
    ):
        assert refused("nanotron", said(**changes)) == (code, place)
    never = "weight_decay_exclude_named_params:\n  - .*norm.*\n"
    assert refused("nanotron", plain + never)[0] == "P1103"
    assert refused("nanotron", plain.replace("0.025", "0.025\n    scaling_method: x"))[0] == "P1102"

    for text in (said(), plain, said(sgd=True), said(attention_bias=True, mup=False)):
        program = program_of("nanotron", text)
        found = exported(recipe, program)
        assert found.notes == () and program_of("nanotron", found.text).tensors == program.tensors


def refused(recipe: str, text: str) -> tuple[str, str]:
    with pytest.raises(SpecError) as failed:
        judged_config(recipes()[recipe], Source(text, "config"), {})
    (error,) = failed.value.diagnostics
    span = error.span
    line = text.split("\n")[span.line - 1] if text else ""
    return error.code, line[span.column - 1 : span.end_column - 1]


@pytest.mark.parametrize(
    ("recipe", "text", "code", "place"),
    [
        ("megatron", "--num-layers 2", "P1101", ""),
        ("megatron", config("megatron", MUP | {"lr": "$LR"}), "P1102", "--lr $LR"),
        (
            "megatron",
            config("megatron", MUP | {"hidden-size": 500}),
            "P1102",
            "--num-attention-heads 8",
        ),
        ("megatron", config("megatron", MUP | {"num-experts": 8}), "P1103", "--num-experts 8"),
        ("megatron", config("megatron", MUP | {"optimizer": "muon"}), "P1103", "--optimizer muon"),
        ("nanogpt", "n_embd = 100\nn_head = 16\n", "P1102", "n_head = 16"),
        (
            "nanogpt",
            "mup_enabled = True\nmup_width_multiplier = 7",
            "P1102",
            "mup_width_multiplier = 7",
        ),
        ("nanogpt", "bias = maybe", "P1102", "bias = maybe"),
        ("nanogpt", "n_layer = 0", "P1102", "n_layer = 0"),
        ("transformers", '{"model_type": "llama"}', "P1103", '"model_type": "llama"'),
    ],
)
def test_what_cannot_be_read_is_told_at_its_place(recipe: str, text: str, code: str, place: str):
    assert refused(recipe, text) == (code, place)


@pytest.mark.parametrize(
    "text",
    [
        "pretrain_gpt.py --hidden-size 64 --use-mup --lr 1e-3 \\\n  --num-layers=2 # --lr 5\n",
        "MODEL_ARGS:\n  --hidden-size: 64\n  --use-mup: true\n  --lr: 1e-3\n  --num-layers: 2\n",
        "model:\n  hidden_size: 64\n  use_mup: true  # at last\n  num_layers: 2\nlr: '1e-3'\n",
        '{"hidden_size": 64, "use_mup": true, "num_layers": 2, "lr": 1e-3}',
        "hidden_size = 8\nhidden_size = 64\nuse_mup = True; num_layers = 2; lr = 1e-3\n",
    ],
    ids=["flags", "flags in YAML", "YAML", "JSON", "Python"],
)
def test_a_configuration_may_be_written_in_many_ways(text: str):
    found = settings_of(Source(text, "config"))
    assert found.whole("hidden_size") == 64 and found.flag("use_mup")
    assert (found.whole("num_layers"), found.text("lr")) == (2, "0.001")


@pytest.mark.parametrize(("recipe", "flags", "widths"), CASES)
def test_every_line_with_a_number_says_what_decides_it(recipe: str, flags: Any, widths: Any):
    found = settings_of(Source(config(recipe, flags), "config"))
    lines = list(recipes()[recipe].decoder(found).lines())
    numbered = {subject for text, subject in lines if re.search(r"\d{2}", text)}
    assert numbered <= recipes()[recipe].subjects.keys()


def test_nanochat_has_none_and_is_told_why(run: Run, tmp_path: Path):
    """At the rate of what has no law, or at the depth, whichever its script says."""
    script, spec = tmp_path / "run.sh", tmp_path / "model.param"
    script.write_text("torchrun -m scripts.base_train -- \\\n  --depth=24 --matrix-lr=0.02\n")
    said = run("check", "--recipe", "nanochat", str(script), "--format", "github")
    assert (
        said.status == 2 and "line=2,endLine=2,col=14,endColumn=30,title=abcparam P1105" in said.out
    )
    script.write_text("torchrun -m scripts.base_train -- --depth=24\n")
    found = run("check", "--recipe", "nanochat", str(script))
    assert found.status == 2 and f"{script}:1:35" in found.err and "`abcparam audit`" in found.err
    spec.write_text(spec_of(recipes()["megatron"], Source(config("megatron", MUP))).text)
    writing = run("export", "--recipe", "nanochat", str(spec))
    assert (writing.status, writing.out, "error[P1105]" in writing.err) == (2, "", True)


def test_the_command_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "args.yaml").write_text(config("megatron", MUP | {"use-mup": "false"}))
    wrong = run("check", "--recipe", "megatron", "args.yaml", "--format", "github")
    assert (wrong.status, wrong.err) == (1, "")
    assert wrong.out.startswith("::error file=args.yaml,line=2,")
    sarif = json.loads(run("check", "--recipe", "megatron", "args.yaml", "--format", "sarif").out)
    assert not any("fixes" in result for result in sarif["runs"][0]["results"])
    fixing = run("check", "--recipe", "megatron", "args.yaml", "--fix")
    assert (fixing.status, "does not go with --recipe" in fixing.err) == (2, True)
    (tmp_path / "args.yaml").write_text(config("megatron", MUP))
    spec = spec_of(recipes()["megatron"], Source(config("megatron", MUP))).text
    (tmp_path / "model.param").write_text(spec)
    assert run("export", "--recipe", "megatron", "model.param", "-o", "found.sh").status == 0
    assert run("check", "--recipe", "megatron", "found.sh").status == 0
    (tmp_path / "model.param").write_text(spec.replace("gelu(", "tanh("))
    other = run("export", "--recipe", "megatron", "model.param")
    assert (other.status, other.out, "error[P1104]" in other.err) == (2, "", True)
