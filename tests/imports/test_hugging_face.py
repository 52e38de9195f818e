"""Hugging Face's models are named by their configs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.imports.audit_text import render_audit
from abcparam.imports.factory import find_factory
from abcparam.imports.hugging_face import config_of, made, resized, sizes_of

transformers = pytest.importorskip("transformers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the config of a small Llama, eight queries to two keys."""
    config = transformers.LlamaConfig(
        hidden_size=256,
        intermediate_size=688,
        num_attention_heads=8,
        num_key_value_heads=2,
        num_hidden_layers=12,
        vocab_size=1000,
        architectures=["LlamaForCausalLM"],
    )
    config.save_pretrained(tmp_path)
    return tmp_path


def test_a_llama_is_made_maximal_update_from_its_config(folder: Path) -> None:
    found = abcparam.audit(str(folder / "config.json"), {"width": (128, 256, 512)})
    assert found.verdict == "unstable-at-init"
    assert found.settings[0] == {"width": 128, "head": 16, "depth": 2, "vocab": 64}
    assert found.remedy.verdict == "maximal-update"
    assert not found.remedy.missing
    changes = {change.path: change for change in found.remedy.changes}
    query = changes["model.layers.*.self_attn.q_proj.weight"]
    assert (query.init, query.lr) == ({"width": Fraction(-1, 2)}, {"width": Fraction(-1)})
    readout = changes["lm_head.weight"]
    assert (readout.init, readout.lr) == ({"width": Fraction(-1)}, {"width": Fraction(-1)})
    (made,) = found.remedy.initial
    assert (made.field, made.scale) == ("config.initializer_range", "0.02")
    assert made.place[0].endswith("transformers/modeling_utils.py")
    assert set(made.paths) == {c.path for c in found.remedy.changes if c.init}
    told = render_audit(found)
    assert "  0.02 now, by `config.initializer_range`, " in told
    assert "init.normal_(module.weight" in told and "\n    lm_head.weight\n" in told


def test_its_adapter_fits_the_real_one(folder: Path) -> None:
    found = abcparam.audit(str(folder), {"width": (128, 256)})
    adapter: dict[str, object] = {}
    exec(abcparam.adapt(found), adapter)
    config = transformers.AutoConfig.from_pretrained(folder)
    model = transformers.LlamaForCausalLM(config)
    adapter["init_"](model)  # type: ignore[operator]
    std = float(model.model.layers[3].mlp.up_proj.weight.detach().std())
    assert std == pytest.approx(0.02 * 2**-0.5, rel=0.02)
    groups = adapter["make_optimizer"](model).param_groups  # type: ignore[operator]
    assert sorted({group["lr"] for group in groups}) == pytest.approx([5e-4, 1e-3])


def test_what_follows_from_the_width_follows_it(folder: Path) -> None:
    config = transformers.AutoConfig.from_pretrained(folder)
    small = resized(config, {"width": 512, "head": 32, "depth": 3, "vocab": 64})
    assert small.hidden_size == 512
    assert small.num_attention_heads == 16
    assert small.num_key_value_heads == 4
    assert small.intermediate_size == 1376
    assert small.num_hidden_layers == 3


def test_what_is_no_config_is_told(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="transformers has no class of this name"):
        find_factory("NoSuchConfig")
    with pytest.raises(SpecError, match="P1024"):
        find_factory(str(tmp_path / "config.json"))


def test_latent_attention_and_groups_of_experts_are_made_small():
    config = config_of("DeepseekV3Config").config
    small, large = (resized(config, {**sizes_of(config), "width": n}) for n in (64, 128))
    assert (small.q_lora_rank, small.kv_lora_rank, small.moe_intermediate_size) == (16, 8, 16)
    assert (large.q_lora_rank, large.kv_lora_rank, large.moe_intermediate_size) == (32, 16, 32)
    assert small.first_k_dense_replace == 1 < small.num_hidden_layers
    assert (small.n_routed_experts, small.n_group, small.topk_group) == (8, 4, 2)
    model, args, kwargs = made(config, sizes_of(config))
    assert model(*args, **kwargs).logits.shape[-1] == small.vocab_size


def test_experts_in_a_loop_are_told_how_they_run_together() -> None:
    def build(width: int = 32) -> tuple[object, ...]:
        config = resized(transformers.MixtralConfig(), {"width": width, "head": 16, "depth": 1})
        config.vocab_size = 50
        model = transformers.MixtralForCausalLM(config)
        model.set_experts_implementation("eager")
        return model, (torch.randint(50, (2, 5)),)

    with pytest.raises(SpecError) as caught:
        abcparam.audit(build, ["width"])
    (found,) = caught.value.diagnostics
    assert found.code == "P1003" and found.span.file.endswith("modeling_mixtral.py")
    assert 'model.set_experts_implementation("grouped_mm")' in found.help
