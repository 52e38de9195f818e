"""Specs as CI, pre-commit, pytest and shells see them: formats, hooks, the action, assertions."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import abcparam
from abcparam.diagnostics.diagnostic import Diagnostic
from abcparam.diagnostics.explain import codes
from abcparam.diagnostics.source import Source
from abcparam.resolve.parametrizations import imported_files
from abcparam.testing import assert_coordinates, assert_maximal_update
from abcparam.verdict.report_github import report_github
from abcparam.verdict.report_sarif import report_sarif
from tests.support.paths import EXAMPLES, ROOT
from tests.support.running import MLP, UNSTABLE, Run, write_specs

WRONG = EXAMPLES / "wrong"
TEXT = MLP.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a sound spec, an unstable one and an invalid one."""
    monkeypatch.chdir(tmp_path)
    return write_specs(tmp_path, "un stable")


# SARIF

# What SARIF 2.1.0 requires of the objects that are written, and what a log may say there.
REQUIRED: dict[str, dict[str, Any]] = {
    "log": {"version": str, "runs": list},
    "run": {"tool": dict, "results": list},
    "driver": {"name": str, "version": str, "rules": list},
    "rule": {"id": str, "shortDescription": dict, "fullDescription": dict, "help": dict},
    "result": {"ruleId": str, "ruleIndex": int, "level": str, "message": dict, "locations": list},
    "region": {"startLine": int, "startColumn": int, "endLine": int, "endColumn": int},
    "fix": {"description": dict, "artifactChanges": list},
    "change": {"artifactLocation": dict, "replacements": list},
}


def has(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """The object, which has all that is required of it."""
    for key, wanted in REQUIRED[kind].items():
        assert type(found[key]) is wanted, (kind, key, found.get(key))
    return found


def sarif(log: dict[str, Any]) -> list[dict[str, Any]]:
    """The results of a log whose parts are all there and fit each other."""
    (run,) = has("log", log)["runs"]
    driver = has("driver", has("run", run)["tool"]["driver"])
    assert log["version"] == "2.1.0" and run["columnKind"] == "unicodeCodePoints"
    for rule in driver["rules"]:
        assert has("rule", rule)["name"] == codes()[rule["id"]].__name__
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}
        assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
    for result in run["results"]:
        has("result", result)
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"} and result["message"]["text"]
        for region in regions(result):
            start, end = has("region", region)["startLine"], region["endLine"]
            assert (1, 1) <= (start, region["startColumn"]) <= (end, region["endColumn"])
        for fix in result.get("fixes", []):
            for change in has("fix", fix)["artifactChanges"]:
                assert has("change", change)["replacements"]
    return run["results"]


def regions(result: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for location in result["locations"]:
        place = location["physicalLocation"]
        assert place["artifactLocation"]["uri"]
        yield from [place["region"]] if "region" in place else []
    for fix in result.get("fixes", []):
        for change in fix["artifactChanges"]:
            yield from (replaced["deletedRegion"] for replaced in change["replacements"])


def replaced(text: str, result: dict[str, Any]) -> str:
    """A text with the replacements of the one fix that a result has."""
    (fix,) = result["fixes"]
    lines = text.split("\n")
    for one in reversed(fix["artifactChanges"][0]["replacements"]):
        region = one["deletedRegion"]
        start, end = region["startLine"] - 1, region["endLine"] - 1
        before = lines[start][: region["startColumn"] - 1]
        after = lines[end][region["endColumn"] - 1 :] if end < len(lines) else ""
        lines[start : end + 1] = (before + one["insertedContent"]["text"] + after).split("\n")
    return "\n".join(lines)


def test_sarif_has_places_rules_and_fixes(run: Run, folder: Path):
    files = ["good.param", "un stable.param", "invalid.param", "none.param"]
    ran = run("check", "--format", "sarif", *files)
    assert (ran.status, ran.err) == (2, "")
    results = sarif(json.loads(ran.out))
    places = [result["locations"][0]["physicalLocation"] for result in results]
    found = [
        (
            result["ruleId"],
            place["artifactLocation"]["uri"],
            place.get("region", {}).get("startLine"),
        )
        for result, place in zip(results, places, strict=True)
    ]
    assert found == [
        ("P0606", "good.param", 7),
        ("P0503", "un%20stable.param", 7),
        ("P0502", "un%20stable.param", 13),
        ("P0502", "un%20stable.param", 14),
        ("P0502", "un%20stable.param", 15),
        ("P0201", "invalid.param", 10),
        ("P0201", "invalid.param", 14),
        ("P0141", "none.param", None),
    ]
    assert places[0]["artifactLocation"]["uriBaseId"] == "%SRCROOT%"
    assert [bool(r.get("fixes")) for r in results] == [False, *[True] * 5, *[False] * 2]
    assert replaced(UNSTABLE, results[1]) == abcparam.fix(UNSTABLE).text


@pytest.mark.parametrize("end", ["\n", ""], ids=["with a last line end", "without"])
def test_a_fix_in_sarif_is_the_fix(end: str):
    """Of exponents, of a constant in a body, of several lines; whatever ends the text."""
    for name in ("attention_scale", "readout_scaled_thrice", "standard_parametrization"):
        text = (WRONG / f"{name}.param").read_text(encoding="utf-8").rstrip("\n") + end
        results = sarif(report_sarif([abcparam.check(text)], "0"))
        assert results[0]["level"] == "error"
        assert abcparam.check(replaced(text, results[0]), set={}).verdict == "maximal-update", name


# GitHub


def test_github_is_told_of_each_line(run: Run, folder: Path):
    ran = run("check", "--format", "github", "un stable.param", "invalid.param", "none.param")
    assert (ran.status, ran.err) == (2, "")
    *_, unstable, first, second, none = ran.out.splitlines()
    assert unstable.startswith(
        "::error file=un stable.param,line=15,endLine=15,col=12,endColumn=25,"
        "title=abcparam P0502::the output grows like width"
    )
    assert "%0Ahelp: this makes it maximal-update: `W3` a = 0 -> 1/2" in unstable
    assert [line.partition(",col")[0] for line in (first, second)] == [
        f"::error file=invalid.param,line={n},endLine={n}" for n in (10, 14)
    ]
    assert none.startswith("::error file=none.param,title=abcparam P0141::cannot read the file:")
    note = run("check", "--format", "github", "good.param")
    assert (note.status, note.out.partition(" ")[0]) == (0, "::notice")


def test_what_github_would_read_otherwise_is_escaped():
    span = abcparam.check(TEXT).program.output_span
    odd = Diagnostic("P0502", "error", "100% of a: b,\r\nc", "", span)
    error = abcparam.SpecError(Source("", "a,b:c%.param"), [odd])
    (line,) = report_github([error]).splitlines()
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert message == "100%25 of a: b,%0D%0Ac"
    assert properties.startswith("file=a%2Cb%3Ac%25.param,line=")


# Hooks, and the action


def test_the_hooks_run(folder: Path):
    """pre-commit takes the manifest; each entry is a command that files can be given to."""
    from pre_commit.clientlib import load_manifest

    for hook in load_manifest(str(ROOT / ".pre-commit-hooks.yaml")):
        assert re.search(hook["files"], "models/gpt.param") and hook["language"] == "python"
        program, *arguments = shlex.split(hook["entry"])
        assert program == "abcparam"
        command = [sys.executable, "-m", "abcparam", *arguments, "good.param"]
        assert subprocess.run(command, env=environment(), capture_output=True).returncode == 0


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


@pytest.fixture
def act(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    """Runs the action's script with inputs, as its manifest hands them over, in a repository."""
    programs = tmp_path_factory.mktemp("bin")
    program = programs / "abcparam"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m abcparam "$@"\n')
    program.chmod(0o755)
    (step,) = [s for s in manifest()["runs"]["steps"] if s.get("id") == "check"]
    assert step["shell"] == "bash" and step["run"] == '"$GITHUB_ACTION_PATH/.ci/check"'

    def run_action(**inputs: str) -> tuple[int, str, str]:
        given = {key: str(value["default"]) for key, value in manifest()["inputs"].items()} | inputs
        named = {name: text.split("inputs.")[1].split()[0] for name, text in step["env"].items()}
        output = programs / "output"
        output.write_text("")
        variables = {variable: given[key] for variable, key in named.items()}
        variables |= {"GITHUB_OUTPUT": str(output), "PATH": f"{programs}:{os.environ['PATH']}"}
        script = ROOT / ".ci" / "check"
        ran = subprocess.run([script], env=environment(**variables), capture_output=True, text=True)
        return ran.returncode, ran.stdout + ran.stderr, output.read_text()

    return run_action


def manifest() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def test_the_action(act, folder: Path):
    subprocess.run(["git", "init", "-q"], check=True)
    assert act() == (0, "::notice title=abcparam::no specs to check\n", "status=0\n")
    (folder / "mine.param").write_text("parametrization mine { input { a = 0, b = 0, c = 0 } }\n")
    subprocess.run(["git", "add", "."], check=True)
    status, said, output = act(sarif="found.sarif")
    assert (status, output) == (2, "status=2\n")
    assert {line.split(",")[0] for line in said.splitlines()} == {
        "::notice file=good.param",
        "::error file=invalid.param",
        "::error file=un stable.param",
    }
    assert len(sarif(json.loads((folder / "found.sarif").read_text()))) == len(said.splitlines())
    status, said, output = act(files="good.param", arguments="--set width=256 $(exit 7)")
    assert status == 2 and "--set takes NAME=VALUE, not '$(exit'" in said
    assert act(files="good.param\n", arguments="--set width=256")[0] == 0


# pytest


def test_assertions_fail_with_the_text_of_the_report(folder: Path):
    assert assert_maximal_update(folder / "good.param", complete=True).complete
    with pytest.raises(AssertionError) as failed:
        assert_maximal_update(folder / "un stable.param")
    said = str(failed.value)
    assert said.startswith("not maximal-update\n\nMLP (") and "\nverdict: unstable" in said
    assert "error[P0502]: the output grows like width" in said and "help: this makes it" in said
    with pytest.raises(abcparam.SpecError, match="P0201"):
        assert_maximal_update(folder / "invalid.param")


def test_an_assertion_of_coordinates_fails_with_the_table():
    small = TEXT.replace("784", "8").replace("base = 128", "base = 16")
    options: dict[str, Any] = {"widths": (16, 32, 64), "seeds": 1, "steps": 1}
    with pytest.raises(AssertionError, match=r"W2  .*\n(.*\n)*measured and derived do not agree"):
        assert_coordinates(small, module=str(ROOT / "tests/commands/by_hand.py:MLP"), **options)


# Shells


def test_completion_in_bash(run: Run, folder: Path):
    """What bash offers behind words, with the script that is printed."""
    pytest.importorskip("shtab")
    script = folder / "completion.bash"
    script.write_text(run("completion", "bash").out)

    def offered(*words: str) -> set[str]:
        listed = " ".join(map(shlex.quote, ("abcparam", *words)))
        code = f"source {script}; COMP_WORDS=({listed}); COMP_CWORD={len(words)}; COMP_LINE=x\n"
        code += '_shtab_abcparam 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"'
        ran = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)
        return set(ran.stdout.split("\n")) - {""}

    assert offered("ch") == {"check"}
    assert {"--watch", "--format", "--fix"} <= offered("check", "--")
    assert offered("check", "--format", "") >= {"text", "json", "sarif", "github"}
    assert "good.param" in offered("check", "go")
    assert "llama" in offered("new", "lla")
    for shell in ("zsh", "fish", "tcsh"):
        assert "coord-check" in run("completion", shell).out


# Watching


def test_watch_judges_again_and_ends_cleanly(folder: Path):
    text = TEXT.replace("{ a = 1/2,  b = 1/2, c = 0 }", "")
    text = text.replace("hyper lr", 'import "mine.param"\nparametrization mine\n\nhyper lr', 1)
    mine = "parametrization mine { output { a = %s, b = 1/2, c = 0 } }\n"
    (folder / "mine.param").write_text(mine % "1/2")
    (folder / "good.param").write_text(text)
    assert imported_files(Source(text, "good.param", ".")) == ["./mine.param"]
    command = [sys.executable, "-m", "abcparam", "check", "--watch", "good.param"]
    watching = subprocess.Popen(
        command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    shown = watching.stdout
    assert shown is not None

    def verdict() -> str:
        lines = []
        for line in shown:
            lines.append(line)
            if line.startswith("watching good.param"):
                return next(li for li in lines if li.startswith(("verdict", "error")))
        raise AssertionError("".join(lines))

    assert verdict() == "verdict: maximal-update, complete\n"
    (folder / "mine.param").write_text(mine % "0")
    assert verdict().startswith("verdict: unstable")
    (folder / "good.param").write_text(text.replace("W2 @", "W9 @"))
    assert verdict().startswith("error[P0201]")
    (folder / "good.param").write_text(text)
    assert verdict().startswith("verdict: unstable")
    time.sleep(0.05)
    watching.send_signal(signal.SIGINT)
    rest, _ = watching.communicate(timeout=20)
    assert (watching.returncode, rest) == (1, "")


def test_watch_wants_files_that_it_only_reads(run: Run, folder: Path):
    for more in (["-"], ["good.param", "--fix"]):
        ran = run("check", "--watch", *more)
        assert (ran.status, "it takes no - and no --fix" in ran.err) == (2, True)
