"""`transfer`: what it costs, what it finds, what it refuses, what it writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import abcparam
from abcparam.data.synthetic import Synthetic
from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.program.fingerprint import fingerprint
from abcparam.tuning.train.cost import Cost, cost_of
from abcparam.tuning.train.training import job_of
from abcparam.verdict.check import judged, load
from tests.support.emitted import load as imported
from tests.support.running import Run
from tests.tuning.test_sweep import TRANSFORMER, mlp

QUICK = ("--trials", "4", "--steps", "5", "--fresh")


def cost(text: str, steps: int = 1, batch: int = 8) -> Cost:
    program = load(Source(text))
    code = emit_program(judged(program))
    return cost_of(job_of(program, code, Synthetic(), steps=steps, batch=batch), {})


def test_the_cost_of_an_mlp_is_that_by_hand():
    """Two operations a weight forwards, four backwards, but no gradient of the data; Adam keeps two
    numbers and a step for each tensor.
    """
    found = cost(mlp(), steps=10)
    weights = (64 * 16, 16 * 16, 16 * 10)
    assert found.exact
    assert found.parameters == sum(weights) + 16
    assert found.flops == 10 * 8 * (4 * weights[0] + 6 * (weights[1] + weights[2]))
    assert found.memory >= 16 * found.parameters
    sgd = cost(mlp("sgd"))
    assert found.memory - sgd.memory == 8 * found.parameters + 4 * 4


def test_the_cost_of_a_transformer_grows_as_it_must():
    text = TRANSFORMER.replace("OPTIMIZER", "adam")
    narrow = cost(text)
    wide = cost(text.replace("base = 16", "base = 256"))
    assert wide.exact
    assert 30 < wide.flops / narrow.flops < 256
    assert cost(text, batch=16).flops == 2 * narrow.flops


def test_a_target_is_written_with_what_the_proxy_found(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    out, hparams = tmp_path / "big.py", tmp_path / "hparams.json"
    written = ("-o", out, "--hparams", hparams)
    ran = run("transfer", spec, "--set", "width=64", *QUICK, *written, "--target-steps", "1000")
    assert ran.status == 0
    assert "tuning takes" in ran.err
    assert "weight decay regularises" in ran.err
    found = json.loads(hparams.read_text(encoding="utf-8"))
    assert found["proxy"]["width"] == 16
    assert found["cost"]["trials"] == 4
    tuning = 4 * found["cost"]["trial"]["flops"]
    assert found["cost"]["share"] == pytest.approx(
        tuning / (tuning + found["cost"]["target"]["flops"])
    )
    assert (
        found["fingerprint"] == abcparam.sweep(mlp(), ["lr=0.1"], steps=1).to_dict()["fingerprint"]
    )
    module = imported(out.read_text(encoding="utf-8"), tmp_path)
    config = module.Config()
    assert config.width == 64
    assert {name: getattr(config, name) for name in found["hypers"]} == found["hypers"]
    rates = {g["name"]: g["lr"] for g in module.make_optimizer(module.MLP(config)).param_groups}
    assert rates["hidden"] == pytest.approx(found["hypers"]["lr"] / 4)


def test_what_is_written_reads_as_it_was_and_names_the_spec(run: Run, tmp_path: Path):
    """One hash in a sweep's JSON, hparams.json and the groups, of symbols too; a value that is no
    float is kept as it is.
    """
    spec, results, out = (tmp_path / name for name in ("mlp.param", "sweep.json", "big.py"))
    text = mlp().replace("mup", "mup { hidden { c = theta } }\nexponent theta")
    spec.write_text(text, encoding="utf-8")
    over = ("--over", "lr=1/3", "--steps", "2", "--fresh", "--format", "json")
    results.write_text(run("sweep", spec, "--set", "theta=1", *over).out, encoding="utf-8")
    swept = json.loads(results.read_text(encoding="utf-8"))
    taken = ("transfer", spec, "--from", results, "-o", out, "--hparams", tmp_path / "h.json")
    assert run(*taken, "--set", "theta=1", "width=32", "std=1/7").status == 0
    found = json.loads((tmp_path / "h.json").read_text(encoding="utf-8"))
    assert found["hypers"] == swept["best"][0]["hypers"] == {"lr": "1/3"}
    assert found["target"] == {"theta": 1, "width": 32, "std": "1/7"}
    module = imported(out.read_text(encoding="utf-8"), tmp_path)
    groups = module.param_groups(module.MLP(module.Config()))
    marks = {group["spec"] for group in groups}
    assert marks == {found["fingerprint"]} == {swept["fingerprint"]} != {fingerprint(text)}
    other = run(*taken, "--set", "theta=1/2", "--anyway")
    assert (other.status, "error[P0806]" in other.err) == (2, True)


def test_the_results_of_a_sweep_are_taken(run: Run, tmp_path: Path):
    spec, results = tmp_path / "mlp.param", tmp_path / "sweep.json"
    spec.write_text(mlp(), encoding="utf-8")
    over = ("--over", "lr=1e-3,1e-2", "--steps", "5", "--fresh", "--format", "json")
    swept = run("sweep", spec, *over).out
    results.write_text(swept, encoding="utf-8")
    written = ("-o", tmp_path / "big.py", "--hparams", tmp_path / "h.json", "--format", "json")
    taken = ("transfer", spec, "--from", results, "--set", "width=64", *written)
    ran = run(*taken)
    assert json.loads(ran.out)["hypers"] == json.loads(swept)["best"][0]["hypers"]
    assert json.loads(ran.out)["cost"]["share"] == 0
    spec.write_text(mlp("adamw"), encoding="utf-8")
    again = run(*taken)
    assert again.status == 2
    assert "error[P0806]" in again.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"fingerprint": 1}', None])
def test_results_that_are_none(run: Run, tmp_path: Path, content: str | None):
    spec, results = tmp_path / "mlp.param", tmp_path / "sweep.json"
    spec.write_text(mlp(), encoding="utf-8")
    if content is not None:
        results.write_text(content, encoding="utf-8")
    ran = run("transfer", spec, "--from", results)
    assert ran.status == 2
    assert "error[P0806]" in ran.err


def test_what_is_not_maximal_is_refused(run: Run, tmp_path: Path):
    spec = tmp_path / "sp.param"
    spec.write_text(mlp().replace("parametrization mup", "parametrization sp"), encoding="utf-8")
    written = ("-o", tmp_path / "big.py", "--hparams", tmp_path / "h.json")
    ran = run("transfer", spec, *QUICK, *written)
    assert ran.status == 2
    assert "error[P0805]" in ran.err
    assert not (tmp_path / "big.py").exists()
    again = run("transfer", spec, *QUICK, *written, "--anyway")
    assert again.status == 0
    assert "the spec is unstable" in again.err


def test_an_estimate_trains_nothing(run: Run, tmp_path: Path):
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    hparams = tmp_path / "h.json"
    ran = run("transfer", spec, "--set", "width=8192", "--estimate", "--hparams", hparams)
    assert (ran.status, ran.out) == (0, "")
    assert "32 trials" in ran.err
    assert not hparams.exists()


def test_a_target_that_is_the_proxy_is_told(run: Run, tmp_path: Path):
    """Where no size is given, as both have those of the base; a wider one is none."""
    spec = tmp_path / "mlp.param"
    spec.write_text(mlp(), encoding="utf-8")
    same = "the target is no larger than the proxy: give its sizes, --set width=…"
    assert same in run("transfer", spec, "--estimate").err
    assert same not in run("transfer", spec, "--set", "width=32", "--estimate").err


def test_what_regularises_is_told(run: Run, tmp_path: Path):
    text = mlp("adamw").replace("h = relu(second @ h)", "h = dropout(relu(second @ h), std / 4)")
    spec = tmp_path / "mlp.param"
    spec.write_text(text, encoding="utf-8")
    over = ("--over", "std=0.5,1", "decay=0.01,0.1", "lr=0.1")
    ran = run("transfer", spec, *over, "--estimate", "--proxy", "pixels=32", "--target-steps", "9")
    for said in ("std regularises", "decay regularises", "dropout regularises", "P0603", "pixels"):
        assert said in ran.err
    assert "steps or batch differ" in ran.err


def test_a_schedule_is_found_too(run: Run, tmp_path: Path):
    """At a rate that is too high the one that goes down is better."""
    spec, hparams = tmp_path / "mlp.param", tmp_path / "h.json"
    spec.write_text(mlp(), encoding="utf-8")
    over = ("--over", "lr=0.5", "schedule=constant,linear", "--steps", "60", "--fresh")
    written = ("-o", tmp_path / "big.py", "--hparams", hparams)
    ran = run("transfer", spec, *over, "--trials", "4", *written)
    assert "schedule = linear" in ran.out
    found = json.loads(hparams.read_text(encoding="utf-8"))
    assert (found["hypers"], found["training"]["schedule"]) == ({"lr": 0.5}, "linear")


def test_that_nothing_converged_is_told():
    with pytest.raises(SpecError, match="P0807"):
        abcparam.transfer(mlp("sgd"), {"width": 32}, over=["lr=1e30"], trials=2, steps=8)


def test_a_dim_without_a_size_is_told():
    text = mlp().replace("dim width -> inf, base = 16", "dim width -> inf")
    for call in (lambda: abcparam.sweep(text), lambda: abcparam.transfer(text, {})):
        with pytest.raises(SpecError, match="P0809"):
            call()
    found = abcparam.sweep(text, ["width=8", "lr=0.1"], steps=2)
    assert len(found.results) == 1


def test_in_python():
    found = abcparam.transfer(mlp(), {"width": 32}, trials=3, steps=4)
    assert set(found.hypers) == {"lr", "out_mult"}
    assert "width: int = 32" in found.code
    assert found.to_dict()["proxy"]["width"] == 16

    def batches(config, size, seed):
        yield torch.ones(size, config.pixels), torch.zeros(size, dtype=torch.long)

    swept = abcparam.sweep(mlp(), ["lr=0.1"], data=batches, steps=3, set={"width": 8})
    assert swept.results[0].losses[-1] < swept.results[0].losses[0]
