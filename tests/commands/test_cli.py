"""The command line: what it prints and where, exit statuses, and files."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from abcparam.commands.registry import commands
from abcparam.diagnostics.explain import codes, story
from abcparam.program.vocabulary import VERDICTS
from tests.support.paths import EXAMPLES, SPECS
from tests.support.running import GPT, INVALID, MLP, UNSTABLE, Run, changed, write_specs

THETA = SPECS / "mlp_theta.param"
TEXT = MLP.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sound spec, an unstable one and an invalid one."""
    monkeypatch.chdir(tmp_path)
    return write_specs(tmp_path)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# check


def test_check_exits_0_1_and_2(run: Run, folder: Path):
    good = run("check", "good.param")
    assert good.status == 0
    assert re.findall(r"^\w+\[P\d+\]", good.err, re.M) == ["note[P0606]"]
    assert good.out.startswith("MLP (good.param)\n\ntensor  role ")
    assert good.out.endswith("\nverdict: maximal-update, complete\n\n")
    unstable = run("check", "unstable.param")
    assert unstable.status == 1
    assert "\nverdict: unstable (expected maximal-update)\n" in unstable.out
    assert "error[P0502]: the output grows like width" in unstable.err
    assert "= help: this makes it maximal-update: `W3` a = 0 -> 1/2" in (unstable.err)
    invalid = run("check", "invalid.param")
    assert (invalid.status, invalid.out) == (2, "")
    assert invalid.err.count("error[P0201]") == 2
    assert "14 |     h2 = W9 @ relu(h1)\n   |          ^^ not declared" in invalid.err


def test_check_of_several_files_exits_with_the_worst(run: Run, folder: Path):
    both = run("check", "unstable.param", "good.param")
    assert both.status == 1
    assert both.out.index("(unstable.param)") < both.out.index("(good.param)")
    assert run("check", "good.param", "invalid.param", "unstable.param").status == 2
    assert run("check", "good.param", "good.param").status == 0
    assert run("check", "good.param", "missing.param").status == 2


def test_check_prints_json(run: Run, folder: Path):
    one = run("check", "--format", "json", "good.param")
    assert (one.status, one.err, json.loads(one.out)["verdict"]) == (0, "", "maximal-update")
    several = run("check", "good.param", "invalid.param", "none.param", "--format", "json")
    assert (several.status, several.err) == (2, "")
    good, invalid, none = json.loads(several.out)
    assert good == json.loads(one.out)
    assert (invalid["schema"], invalid["file"], invalid["verdict"]) == (1, "invalid.param", None)
    assert [d["code"] for d in invalid["diagnostics"]] == ["P0201", "P0201"]
    assert list(invalid) == list(good) == list(none)
    assert (none["file"], none["diagnostics"][0]["code"]) == ("none.param", "P0141")


def test_check_reads_standard_input(run: Run):
    assert run("check", "-", stdin=TEXT).out.startswith("MLP (-)\n")
    assert json.loads(run("check", "-", "--format", "json", stdin=TEXT).out)["file"] == "-"
    invalid = run("check", "-", stdin=INVALID)
    assert invalid.status == 2
    assert " --> -:10:21\n" in invalid.err


def test_check_of_unknown_and_symbolic_exponents_is_invalid(run: Run):
    unknown = run("check", SPECS / "mlp_unknown.param")
    assert unknown.status == 2
    assert unknown.err.count("error[P0404]") == 5
    assert run("check", THETA, "--set", "theta=1/2").status == 0


def test_check_with_an_expectation(run: Run):
    assert run("check", "-", stdin=f"{UNSTABLE}expect unstable\n").status == 0
    wrong = run("check", "-", stdin=f"{TEXT}expect kernel\n")
    assert wrong.status == 1
    assert "error[P0510]: the verdict is maximal-update, not kernel as expected" in wrong.err


# --set


def test_set_gives_dims_hypers_and_symbols_values(run: Run):
    options = ("--set", "width=512", "lr=1e-2", "--set", "theta=1/2")
    done = run("compile", THETA, "-o", "-", *options)
    assert done.status == 0
    assert "width: int = 512" in done.out and "lr: float = 0.01" in done.out


@pytest.mark.parametrize("command", ["check", "compile"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("widht=512", "`widht` is not a dim, hyper or symbol that can be set"),
        ("heads=4", "`heads` is not a dim, hyper or symbol that can be set"),
        ("width=0", "the dim `width` is 0, not a positive whole number"),
        ("width=1/2", "the dim `width` is 1/2, not a positive whole number"),
        ("width=-64", "the dim `width` is -64, not a positive whole number"),
        ("width=100", "the dim `heads` is 25/16 with width = 100, not a positive whole number"),
        ("width", "--set takes NAME=VALUE, not 'width'"),
        ("width=", "'' is not a number; write 4096, 1e-3 or 1/2"),
        ("width=wide", "'wide' is not a number; write 4096, 1e-3 or 1/2"),
        ("lr=1/0", "'1/0' is not a number; write 4096, 1e-3 or 1/2"),
        ("lr=nan", "'nan' is not a number; write 4096, 1e-3 or 1/2"),
        ("lr=1e999999999", "'1e999999999' is not a number; write 4096, 1e-3 or 1/2"),
    ],
)
def test_set_refuses(run: Run, folder: Path, command: str, value: str, said: str):
    done = run(command, GPT, "--set", value, *(["-o", "out.py"] if command == "compile" else []))
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert "out.py" not in files(folder)


# compile


def test_compile_writes_beside_the_spec_and_says_so(run: Run, folder: Path):
    done = run("compile", "good.param")
    assert (done.status, done.out) == (0, "")
    assert done.err == "MLP: maximal-update -> good.py\n"
    ast.parse((folder / "good.py").read_text(encoding="utf-8"))
    assert run("compile", "good.param", "-o", "other.py").err.endswith("-> other.py\n")
    assert (folder / "other.py").read_text() == (folder / "good.py").read_text()


def test_compile_writes_to_standard_output(run: Run, folder: Path):
    before = files(folder)
    for done in (run("compile", "good.param", "-o", "-"), run("compile", "-", stdin=TEXT)):
        assert (done.status, done.err) == (0, "MLP: maximal-update -> standard output\n")
        ast.parse(done.out)
    assert files(folder) == before


def test_compile_says_when_a_verdict_is_not_the_expected_one(run: Run, folder: Path):
    done = run("compile", "unstable.param")
    assert done.status == 0
    assert "unstable (expected maximal-update; see `abcparam check`) -> unstable.py" in done.err


@pytest.mark.parametrize("verdict", VERDICTS)
def test_compile_require_refuses_anything_less(run: Run, folder: Path, verdict: str):
    done = run("compile", "unstable.param", "--require", verdict)
    assert done.status == (0 if verdict in {"unstable-at-init", "unstable"} else 1)
    assert ("unstable.py" in files(folder)) == (done.status == 0)
    if done.status:
        assert f"unstable, less than {verdict}: nothing written" in done.err
        assert "error[P0502]" in done.err


def test_compile_adapter(run: Run, folder: Path):
    run("compile", "good.param")
    module = (folder / "good.py").read_text()
    done = run("compile", "good.param", "--adapter")
    assert (done.status, done.err) == (0, "MLP: maximal-update -> good_adapter.py\n")
    assert (folder / "good.py").read_text() == module
    text = (folder / "good_adapter.py").read_text()
    assert "def init_(" in text and "class MLP" not in text
    printed = run("compile", "good.param", "--adapter", "--gauge", "plain", "-o", "-").out
    assert text.startswith(f"{printed}# digest of the lines above: ")
    refused = run("compile", "good.param", "--adapter", "--gauge", "unit")
    assert refused.status == 2 and "an adapter is in the gauge plain" in refused.err


def test_compile_adapter_says_what_the_forward_has_to_have(run: Run, folder: Path):
    done = run("compile", GPT, "--adapter", "-o", "gpt.py")
    scale = next(
        number
        for number, line in enumerate(GPT.read_text(encoding="utf-8").splitlines(), 1)
        if "scale =" in line
    )
    assert done.err.splitlines()[1:] == [
        "the model's forward has to have these factors of the spec:",
        f"  {GPT}:{scale}: attention, scale = head^-1",
    ]


def test_compile_adapter_folds_factors(run: Run, folder: Path):
    gpt2 = EXAMPLES / "gpt2.param"
    done = run("compile", str(gpt2), "--adapter", "--fold", "-o", "gpt2.py")
    assert done.err.splitlines()[0] == "GPT2: maximal-update -> gpt2.py"
    assert [line.partition(": ")[2] for line in done.err.splitlines()[2:]] == [
        "attention, scale = head^(-1 / 2)",
        "times out_mult",
    ]
    text = gpt2.read_text(encoding="utf-8")
    (folder / "bare.param").write_text(text.replace("gain = gain", "gain = 1 + gain"))
    done = run("compile", "bare.param", "--adapter", "--fold")
    (said,) = [line for line in done.err.splitlines() if "times out_mult" in line]
    assert "; without it would change: " in said and "what `x + k` gives (line " in said
    assert run("compile", "good.param", "--fold").status == 2


def test_compile_leaves_nothing_behind_where_it_fails(run: Run, folder: Path):
    before = files(folder)
    assert run("compile", "invalid.param").status == 2
    assert run("compile", "missing.param").status == 2
    assert run("compile", "good.param", "-o", "nowhere/out.py").status == 2
    assert run("compile", THETA, "-o", "out.py").status == 2
    assert run("compile", "good.param", "--require", "perfection").status == 2
    assert files(folder) == before


def test_compile_keeps_what_was_there_where_it_fails(run: Run, folder: Path):
    run("compile", "good.param")
    before = (folder / "good.py").read_text()
    (folder / "good.param").write_text(INVALID)
    assert run("compile", "good.param").status == 2
    assert (folder / "good.py").read_text() == before


def test_compile_overwrites_its_own_files_only(run: Run, folder: Path):
    (folder / "good.py").write_text("print('mine')\n")
    refused = run("compile", "good.param")
    assert refused.status == 2
    assert "error[P0902]: `good.py` exists and was not written by abcparam" in refused.err
    assert (folder / "good.py").read_text() == "print('mine')\n"
    assert run("compile", "good.param", "--force").status == 0
    assert run("compile", "good.param", "--set", "width=512").status == 0
    assert "width: int = 512" in (folder / "good.py").read_text()
    assert run("compile", "good.param", "-o", "invalid.param").status == 2
    assert (folder / "invalid.param").read_text() == INVALID


def test_compile_does_not_depend_on_the_hash_seed():
    outputs = set()
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-m", "abcparam", "compile", str(GPT), "-o", "-"]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outputs.add(subprocess.run(command, capture_output=True, env=environment).stdout)
    assert len(outputs) == 1


# fmt, explain, help

UGLY = TEXT.replace("dim pixels = 784", "dim   pixels=784   # an image")


def test_fmt_rewrites_in_place(run: Run, folder: Path):
    (folder / "ugly.param").write_text(UGLY)
    (folder / "ugly.param").chmod(0o640)
    assert run("fmt", "--check", "ugly.param") == (1, "would reformat ugly.param\n", "")
    assert (folder / "ugly.param").read_text() == UGLY
    assert run("fmt", "ugly.param", "good.param") == (0, "", "")
    assert "dim pixels = 784   # an image\n" in (folder / "ugly.param").read_text()
    assert (folder / "ugly.param").stat().st_mode & 0o777 == 0o640
    assert run("fmt", "--check", "ugly.param") == (0, "", "")


def test_fmt_prints_standard_input(run: Run):
    done = run("fmt", "-", stdin=UGLY)
    assert (done.status, done.err) == (0, "")
    assert run("fmt", "-", stdin=done.out).out == done.out
    assert run("fmt", "--check", "-", stdin=UGLY) == (1, "would reformat -\n", "")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sweep", "--lr", "1e-3", "1e-2"), "is named so: `--over lr=1e-3,1e-2`"),
        (("sweep", "--lr=1e-3"), "is named so: `--over lr=1e-3`"),
        (("sweep", "--step", "5"), "Did you mean `--steps`?"),
        (("check", "--formt", "json"), "Did you mean `--format`?"),
        (("derive", "--lr", "1"), "--lr 1\n"),
    ],
)
def test_an_option_is_written_out(run: Run, folder: Path, arguments: tuple[str, ...], told: str):
    """The beginning of another one is none: `--lr` was taken for `--lr-key`."""
    (folder / "a.param").write_text(UGLY)
    done = run(arguments[0], "a.param", *arguments[1:])
    assert done.status == 2
    assert "unrecognized arguments: " in done.err and told in done.err


def test_fmt_goes_on_after_a_bad_file(run: Run, folder: Path):
    (folder / "ugly.param").write_text(UGLY)
    (folder / "bad.param").write_text("model M\ndim width 256\n")
    done = run("fmt", "bad.param", "missing.param", "ugly.param")
    assert done.status == 2
    assert "error[P0101]" in done.err and "error[P0141]" in done.err
    assert (folder / "bad.param").read_text() == "model M\ndim width 256\n"
    assert (folder / "ugly.param").read_text() != UGLY


def test_explain(run: Run):
    done = run("explain", "p0307")
    assert (done.status, done.out) == (0, f"{story('P0307')}\n")
    listed = run("explain", "all")
    assert [line[:5] for line in listed.out.splitlines()] == list(codes())
    unknown = run("explain", "P9999")
    assert (unknown.status, unknown.out) == (2, "")
    assert "`abcparam explain all` lists them" in unknown.err


def test_new(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    examples = {path.stem: path for path in EXAMPLES.glob("*.param")}
    listed = run("new", "all")
    assert [line.split()[0] for line in listed.out.splitlines()] == sorted(examples)
    for name, path in examples.items():
        assert run("new", name).status == 0
        assert Path(f"{name}.param").read_bytes() == path.read_bytes()
    there = run("new")
    assert (there.status, there.out) == (2, "") and "'gpt.param' exists" in there.err
    assert run("new", "-o", "-").out == examples["gpt"].read_text(encoding="utf-8")
    unknown = run("new", "../README")
    assert (unknown.status, unknown.out) == (2, "") and "they are: bert, gpt" in unknown.err


def test_help(run: Run):
    top = run("--help")
    assert (top.status, top.err) == (0, "")
    for name, command in commands().items():
        assert name in top.out and command.summary in top.out
        one = run(name, "--help")
        assert (one.status, one.err) == (0, "")
        assert one.out.startswith(f"usage: abcparam {name}")
    assert run("--version").out.startswith("abcparam 0.")


@pytest.mark.parametrize(
    "arguments", [[], ["chekc"], ["check"], ["check", "-", "--fromat", "json"]]
)
def test_usage_errors_exit_2(run: Run, arguments: list[str]):
    done = run(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "usage: abcparam" in done.err


def test_what_was_meant_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.param").write_text(MLP.read_text(encoding="utf-8"), encoding="utf-8")
    assert "Did you mean `abcparam check mine.param --fix`?" in run("mine.param", "--fix").err
    assert "Did you mean `check`?" in run("chekc", "mine.param").err
    for name in ("mine", "main.param"):
        done = run("check", name)
        assert done.status == 2
        assert "Did you mean `mine.param`?" in done.err
    assert "Did you mean" not in run("check", "none.txt").err


@pytest.mark.parametrize("value", ["1e400", "1e-150", "-1e100"])
def test_values_are_as_large_as_in_a_file(run: Run, value: str):
    done = run("check", MLP, "--set", f"lr={value}")
    assert done.status == 2
    assert "error[P0107]: the value of `lr` is too long" in done.err
    assert run("check", MLP, "--set", "lr=1e-99").status != 2


# Our own bugs, pipes, colour, imports


def test_our_own_bugs_exit_101_without_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("abcparam.commands.check.report", broken)
    done = run("check", MLP)
    assert (done.status, done.out) == (101, "")
    assert done.err.startswith("abcparam: internal error: RuntimeError: oh\n")
    assert len(done.err.splitlines()) == 3
    with pytest.raises(RuntimeError):
        run("--debug", "check", MLP)


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m abcparam explain all | head -1"
    ran = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")


def on_a_terminal(*arguments: str, **environment: str) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "abcparam", *arguments]
    base = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR"}}
    subprocess.run(command, stdout=theirs, stderr=theirs, env=base | environment)
    os.close(theirs)
    written = os.read(ours, 100_000)
    os.close(ours)
    return written.decode()


def test_colour_is_for_terminals_that_want_it(run: Run, folder: Path):
    assert "\x1b[" in on_a_terminal("check", "invalid.param")
    assert "\x1b[" in on_a_terminal("check", "good.param")
    assert "\x1b[" not in on_a_terminal("check", "invalid.param", NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal("check", "good.param", NO_COLOR="1")
    assert "\x1b[" not in "".join(map(str, run("check", "invalid.param", "good.param")))


def imported(*arguments: str) -> set[str]:
    """The third-party libraries that a command imports."""
    code = (
        "import sys\nfrom abcparam.commands.cli import main\n"
        f"try: main({list(arguments)!r})\nexcept SystemExit: pass\n"
        "sys.stderr.write('\\n' + ' '.join(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    return {"torch", "sympy", "numpy", "jinja2", "lark"} & set(ran.stderr.split("\n")[-1].split())


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        (["check", str(GPT)], set()),
        (["check", str(GPT), "--format", "json"], set()),
        (["check", str(SPECS / "mlp_unknown.param")], set()),
        (["compile", str(GPT), "-o", "-"], {"jinja2"}),
        (["fmt", "--check", str(GPT)], set()),
        (["explain", "all"], set()),
        (["--help"], set()),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_a_command_imports(arguments: list[str], libraries: set[str]):
    assert imported(*arguments) == libraries


def test_the_console_script_loads_what_it_needs_and_ends_at_once():
    code = (
        "import os, sys; from abcparam.commands.cli import program\n"
        "def leave(status, end=os._exit):\n"
        "    print(*sys.modules, file=sys.stderr, flush=True), end(status)\n"
        f"os._exit, sys.argv = leave, ['abcparam', 'check', {str(GPT)!r}]; program()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "verdict: maximal-update, complete" in done.stdout
    loaded = {name for name in done.stderr.split() if name.startswith("abcparam.")}
    assert {name for name in loaded if ".rules." in name} == {"abcparam.diagnostics.rules.findings"}
    assert not loaded & {f"abcparam.{n}" for n in ("pipeline", "commands.compile", "verdict.fix")}


def test_a_changed_spec_is_read_anew(run: Run, folder: Path):
    (folder / "good.param").write_text(changed(MLP, ("model MLP", "model Other")))
    assert run("check", "good.param").out.startswith("Other (good.param)\n")
