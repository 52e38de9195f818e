"""The Python functions: they give what the command line says, and take values by any name."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import abcparam
from abcparam.algebra.record import Record
from tests.support.paths import ROOT
from tests.support.running import GPT, MLP, SPECS, Run, changed

WRONG = ROOT / "examples" / "wrong"
SMALL = changed(MLP, ("784", "8"), ("base = 128", "base = 16"))
STANDARD = SMALL.replace("a = -1/2,", "a = 0,").replace("a = 1/2,", "a = 0,")


def spec(*dims: str, hyper: str = "rate") -> str:
    """A spec with dims of these names, each 4 inputs of its own tensor."""
    tensors = "\n".join(f"tensor t_{name} : input [width, {name}]" for name in dims)
    terms = " + ".join(f"t_{name} @ x_{name}" for name in dims)
    inputs = ", ".join(f"x_{name} : [{name}]" for name in dims)
    sizes = "\n".join(f"dim {name} = 4" for name in dims)
    return f"""\
model M
dim width -> inf, base = 8
{sizes}
hyper {hyper} = 0.1
parametrization mup
{tensors}
tensor out : output [3, width]
forward({inputs}) {{
    return out @ ({terms})
}}
optimizer adam {{ lr = {hyper}, eps = 1e-12 }}
loss mse
"""


# As on the command line


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.param"
    path.write_text(SMALL)
    return path


def printed(run: Run, *arguments: object, stdin: str = "") -> Any:
    return json.loads(run(*arguments, "--format", "json", stdin=stdin).out)


def test_coord_check_is_that_of_the_command_line(run: Run, small: Path):
    options = ("--widths", "64,16,32", "--seeds", "2", "--steps", "2", "--set", "lr=0.05")
    wanted = printed(run, "coord-check", small, "--fresh", *options)
    found = abcparam.coord_check(small, widths=[64, 16, 32], seeds=2, steps=2, set={"lr": "0.05"})
    assert isinstance(found, abcparam.CoordCheckResult)
    assert found.to_dict() == wanted
    assert found.widths == [16, 32, 64] and list(found.notes) == wanted["notes"]


def test_coord_check_draws_and_keeps_its_runs(small: Path, tmp_path: Path):
    folder, html = tmp_path / "figures", tmp_path / "page.html"
    text = (ROOT / "examples" / "mlp.param").read_text()
    options = {"widths": (16, 32, 64), "seeds": 1, "steps": 1, "folder": tmp_path / "runs"}
    with pytest.raises(ValueError, match="`against` is drawn"):
        abcparam.coord_check(text, against="sp", **options)
    abcparam.coord_check(small, plot=folder, html=str(html), **options)
    assert {path.suffix for path in folder.iterdir()} == {".png", ".svg"}
    assert html.read_text().startswith("<!") and list((tmp_path / "runs").rglob("*.json"))


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        ({"widths": [16, 32]}, ValueError, "at least three"),
        ({"seeds": 0}, ValueError, "`seeds` takes a positive whole number, not 0"),
        ({"vary": "depth"}, ValueError, "depth is no dim that goes to infinity"),
        ({"width": 64}, TypeError, "`coord_check` has no option `width`: it has widths, budget"),
        ({"set": {"depth": 4}}, abcparam.SpecError, "P0213"),
    ],
)
def test_what_coord_check_refuses(wanted: dict[str, Any], error: type[Exception], said: str):
    with pytest.raises(error, match=said):
        abcparam.coord_check(SMALL, **wanted)


@pytest.mark.parametrize("path", sorted(WRONG.glob("*.param")), ids=lambda path: path.stem)
def test_fix_is_that_of_the_command_line(run: Run, tmp_path: Path, path: Path):
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    found = abcparam.fix(path)
    done = run("check", "--fix", copy)
    assert found.text == copy.read_text()
    said = found.reason or ", ".join(map(str, found.changes))
    assert f"{copy}: {said}\n" in done.err
    assert (found.reason is None) == bool(found.changes) == (found.text != path.read_text())
    if found.changes:
        assert found.report.verdict == abcparam.check(found.text).verdict == "maximal-update"
        assert all(isinstance(change, abcparam.Change) for change in found.changes)


def test_fix_where_there_is_nothing_to_fix():
    found = abcparam.fix(GPT)
    assert (found.text, found.changes) == (GPT.read_text(), ())
    assert found.reason == "maximal-update already, nothing to fix"
    assert found.report.verdict == "maximal-update"
    hopeless = "assume alignment = none\n" + STANDARD
    assert abcparam.fix(hopeless).reason == (
        "no change of exponents or factors was found that makes it maximal-update"
    )
    with pytest.raises(abcparam.SpecError):
        abcparam.fix("model M")


def test_fix_takes_values_for_symbols(run: Run, tmp_path: Path):
    """They are not written into the text, which is judged with them."""
    text = (SPECS / "mlp_theta.param").read_text().replace("b = 1/2 - theta", "b = theta", 1)
    path = tmp_path / "theta.param"
    path.write_text(text)
    found = abcparam.fix(text, set={"theta": "1/3"})
    assert found.report.verdict == "maximal-update"
    assert "theta" in found.text
    run("check", "--fix", path, "--set", "theta=1/3")
    assert path.read_text() == found.text


def test_format_explain_and_new_are_those_of_the_command_line(run: Run):
    untidy = "model   M # }\ndim n->inf,base=8\n"
    assert abcparam.format(untidy) == run("fmt", "-", stdin=untidy).out
    assert abcparam.format(GPT) == abcparam.format(abcparam.format(GPT))
    for code in ("P0502", "p0301"):
        assert abcparam.explain(code) + "\n" == run("explain", code).out
    assert abcparam.new("llama") == run("new", "llama", "-o", "-").out
    assert abcparam.new() == abcparam.new("gpt")
    with pytest.raises(ValueError, match="no diagnostic has the code 'P9999'"):
        abcparam.explain("P9999")
    with pytest.raises(ValueError, match="no example is called 'gtp'; they are: bert"):
        abcparam.new("gtp")
    with pytest.raises(abcparam.SpecError):
        abcparam.format("model")


def test_data_are_those_of_the_command_line(run: Run, small: Path, tmp_path: Path):
    other, open_ = tmp_path / "standard.param", tmp_path / "open.param"
    other.write_text(STANDARD)
    open_.write_text((SPECS / "mlp_unknown.param").read_text())
    values = ("--set", "width=32", "lr=1/3")
    given = {"width": 32, "lr": Fraction(1, 3)}
    assert abcparam.check(small, **given).to_dict() == printed(run, "check", small, *values)
    assert abcparam.compile(small, **given) == run("compile", small, "-o", "-", *values).out
    assert abcparam.derive(small, all=True).to_dict() == printed(run, "derive", small, "--all")
    assert abcparam.diff(small, other).to_dict() == printed(run, "diff", small, other)
    assert abcparam.solutions(open_).to_dict() == printed(run, "solve", open_)
    assert abcparam.solve(open_) == run("solve", open_).out
    window = ("--window", "0", "2")
    found = abcparam.map(other, small, window=(0, 2))
    assert found.to_dict() == printed(run, "map", other, small, *window)


def test_map_draws(tmp_path: Path):
    found = abcparam.map(STANDARD, SMALL, "u", "v", output=tmp_path / "plane.svg")
    assert found.names == ("A", "B") and (tmp_path / "plane.svg").read_text().startswith("<?xml")
    for wrong in ({"window": (1, 0)}, {"init": "t"}):
        with pytest.raises(ValueError, match="a map takes a window"):
            abcparam.map(STANDARD, SMALL, **wrong)  # type: ignore[arg-type]


SWEPT = {"steps": 2, "batch": 4}


def test_sweep_is_that_of_the_command_line(run: Run, small: Path, tmp_path: Path):
    over = ["width=16,32", "lr=0.01,0.1"]
    sizes = ("--steps", "2", "--batch", "4", "--fresh")
    found = abcparam.sweep(small, over, html=tmp_path / "page.html", **SWEPT)
    assert isinstance(found, abcparam.SweepResult)
    assert found.to_dict() == printed(run, "sweep", small, "--over", *over, *sizes)
    assert (tmp_path / "page.html").exists() and found.notes
    with pytest.raises(TypeError, match="`sweep` has no option `lr`: it has over, forms"):
        abcparam.sweep(small, lr=0.1)
    with pytest.raises(ValueError, match="`batch` takes a positive whole number, not 0"):
        abcparam.sweep(small, batch=0)


def test_a_transfer_and_its_plan(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    text = changed(ROOT / "examples" / "mlp.param", ("784", "8"))
    Path("m.param").write_text(text)
    over, target = ["lr=0.001,0.01"], {"width": 256}
    options = {"over": over, "trials": 0, "target_steps": 50, **SWEPT}
    plan = abcparam.plan_transfer(Path("m.param"), target, {"width": 16}, **options)
    assert isinstance(plan, abcparam.TransferPlan)
    assert plan.request.target == {"width": 256} and plan.request.steps == 50
    said = run(
        *("transfer", "m.param", "--set", "width=256", "--proxy", "width=16", "--over", *over),
        *("--steps", "2", "--batch", "4", "--target-steps", "50", "--estimate"),
    )
    assert all(warning in said.err for warning in plan.warnings)
    found = abcparam.transfer(Path("m.param"), set=target, proxy={"width": 16}, **options)
    assert found.plan.costs == plan.costs and found.code.count("width: int = 256") == 1
    swept = abcparam.sweep(Path("m.param"), over, set={"width": 16}, **SWEPT)
    Path("swept.json").write_text(json.dumps(swept.to_dict()))
    known = abcparam.transfer(Path("m.param"), target, results="swept.json", **SWEPT)
    assert (known.hypers, known.loss) == (found.hypers, found.loss)


# Values


def sizes(found: abcparam.Report) -> dict[str, int | None]:
    return {name: dim.default for name, dim in found.program.dims.items()}


@pytest.mark.parametrize("name", ["source", "set", "values", "gauge", "all", "goal", "a", "init"])
def test_a_dim_of_any_name_can_be_given_a_value(name: str):
    text, given = spec(name), {name: 8}
    assert sizes(abcparam.check(text, set=given))[name] == 8
    assert f"{name}: int = 8" in abcparam.compile(text, set=given)
    assert abcparam.compile(text, "plain", set=given) == abcparam.compile(
        text, gauge="plain", set=given
    )
    assert sizes_of(abcparam.derive(text, all=True, set=given))[name] == 8
    assert sizes(abcparam.fix(text, set=given).report)[name] == 8
    assert abcparam.diff(text, text, set=given).same == "exactly"
    assert abcparam.solve(text, set=given) == text
    between = abcparam.interpolate(text, text, 0, 1, set=given)
    assert sizes(between.report)[name] == 8
    assert abcparam.map(text, text, set=given).family.program.dims[name].default == 8


def sizes_of(found: abcparam.Derived) -> dict[str, int | None]:
    return {name: dim.default for name, dim in found.program.dims.items()}


def test_by_keyword_too():
    text = spec("source", "gauge", "values", "name")
    wanted = {"source": 5, "gauge": 6, "values": 7, "name": 9}
    found = sizes(abcparam.check(text, **wanted))
    assert {name: found[name] for name in wanted} == wanted
    mixed = sizes(abcparam.check(text, source=5, values=7, set={"gauge": 6, "name": 9}))
    assert mixed == found
    assert sizes(abcparam.fix(text, **wanted).report) == found
    assert abcparam.compile(text, source=5, set={"gauge": 6}).count("gauge: int = 6") == 1
    rate = abcparam.check(spec("x", hyper="lr"), lr="1/3").program.hypers["lr"]
    assert rate.value == Fraction(1, 3)


def test_interpolate_and_a_hyper_called_lr():
    family = abcparam.interpolate(STANDARD, SMALL, lr=1, init=1, set={"lr": "1/7"})
    assert family.program.hypers["lr"].value == Fraction(1, 7)
    assert abcparam.diff(family.text, SMALL).same == "exactly"


def test_two_specs_take_the_values_that_they_have_names_for():
    """A symbol of the one gets a value, and the other does not have it."""
    symbolic = SMALL.replace("hyper", "exponent t\nhyper").replace(
        "a = 0,    b = 1/2", "a = t, b = t"
    )
    with pytest.raises(abcparam.SpecError):
        abcparam.interpolate(SMALL, symbolic)
    assert abcparam.diff(symbolic, SMALL, t=0).same == "no"
    assert abcparam.diff(symbolic.replace("b = t", "b = 1/2 - t"), SMALL, t=0).same == "exactly"
    verdict = abcparam.diff(SMALL, symbolic, set={"t": 0}).verdicts[1]
    assert verdict is not None and verdict.verdict == abcparam.check(symbolic, t=0).verdict
    for a, b in ((SMALL, symbolic), (symbolic, SMALL)):
        family = abcparam.interpolate(a, b, "u", "v", t="1/4")
        assert family.program.symbols == ("u", "v")


FUNCTIONS = [
    abcparam.check,
    abcparam.compile,
    abcparam.derive,
    abcparam.fix,
    abcparam.solve,
    abcparam.solutions,
    lambda text, **given: abcparam.diff(text, text, **given),
    lambda text, **given: abcparam.interpolate(text, text, **given),
    lambda text, **given: abcparam.map(text, text, **given),
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_values_that_are_refused(function: Any):
    text = spec("k")
    with pytest.raises(TypeError, match="`k` is given twice, in `set` and outside of it"):
        function(text, k=3, set={"k": 4})
    with pytest.raises(TypeError, match="`set` takes names with values"):
        function(text, set=3)
    for value in ("many", "1e999999999", None, float("nan")):
        with pytest.raises(ValueError, match=r"`k`: .* is not a number; write 4096, 1e-3 or 1/2"):
            function(text, set={"k": value})
    for unknown in ({"kk": 3}, {"set": {"kk": 3}}):
        with pytest.raises(abcparam.SpecError) as refused:
            function(text, **unknown)
        assert [d.code for d in refused.value.diagnostics] == ["P0213"]
        assert "`kk` is not a dim, hyper or symbol that can be set" in str(refused.value)
        assert "Did you mean `k`?" in str(refused.value)


def test_values_that_training_refuses():
    for function in (abcparam.sweep, abcparam.coord_check, abcparam.plan_transfer):
        with pytest.raises(TypeError, match="`set` takes names with values"):
            function(SMALL, set=3)
    with pytest.raises(TypeError, match="`width` is given twice"):
        abcparam.plan_transfer(SMALL, {"width": 64}, set={"width": 64})


# What is exported


def test_every_name_is_there_and_documented():
    reference = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    python = reference.partition("\n## Python\n")[2].partition("\n## ")[0]
    assert abcparam.__all__ == sorted(abcparam.__all__)
    for name in abcparam.__all__:
        found = getattr(abcparam, name)
        assert found.__doc__ and name in dir(abcparam)
        assert f"abcparam.{name}(" in python or f"`{name}`" in python, name
        if inspect.isclass(found) and not issubclass(found, Exception):
            assert issubclass(found, Record), "results are frozen"
    with pytest.raises(AttributeError, match="module 'abcparam' has no attribute 'nothing'"):
        abcparam.nothing  # noqa: B018


def test_functions_stay_functions_once_modules_are_imported():
    for name in abcparam.__all__:
        if name.islower():
            assert inspect.isfunction(getattr(abcparam, name)), name


def test_the_package_imports_no_library():
    code = (
        "import sys, abcparam\n"
        "heavy = {'torch', 'sympy', 'z3', 'lark', 'jinja2', 'dataclasses', 'inspect'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
        "for name in abcparam.__all__: getattr(abcparam, name)\n"
        "assert not {'torch', 'sympy', 'lark'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_path_that_is_given_as_a_text(tmp_path: Path):
    """A text is the spec itself: `model.param` alone is none, and says what was meant."""
    path = str(tmp_path / "model.param")
    for function in (abcparam.check, abcparam.compile, abcparam.fix):
        with pytest.raises(
            abcparam.SpecError, match="is the path of a spec, not its text"
        ) as raised:
            function(path)
        assert f'Path("{path}")' in str(raised.value)
