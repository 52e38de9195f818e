"""A plain installation is enough to check, compile, solve and derive: torch is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from abcparam.diagnostics.installed import OF_TRAINING
from tests.support.paths import EXAMPLES, ROOT

WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "tqdm", "z3", "numpy"}:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Missing())
from abcparam.commands import cli

status = [cli.main(line.split()) for line in sys.stdin.read().splitlines()]
print(*status)
"""


def statuses(lines: list[str]) -> list[int]:
    """The exit status of each command, run in one process without those libraries."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input="\n".join(lines),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(word) for word in done.stdout.splitlines()[-1].split()]


def test_every_example_is_checked_and_compiled(tmp_path: Path):
    files = sorted(EXAMPLES.glob("*.param"))
    lines = [f"check {file}" for file in files]
    lines += [f"compile {file} -o {tmp_path / file.stem}.py" for file in files]
    assert statuses(lines) == [0] * len(lines)


def test_the_other_commands(tmp_path: Path):
    mlp, unknown = EXAMPLES / "mlp.param", ROOT / "tests" / "specs" / "mlp_unknown.param"
    lines = [
        f"fmt --check {mlp}",
        f"solve {unknown}",
        f"derive --all {mlp}",
        f"derive --format latex {mlp}",
        f"diff {mlp} {mlp}",
        f"map {mlp} {mlp} --format json",
        "explain P0502",
        f"new mlp -o {tmp_path / 'new.param'}",
    ]
    assert statuses(lines) == [0] * len(lines)
    wrong = [f"check {flag} examples/wrong/attention_scale.param" for flag in ("", "--prove")]
    assert statuses(wrong) == [1, 1]


@pytest.mark.parametrize(
    "line",
    [
        "coord-check examples/mlp.param",
        "sweep examples/mlp.param --over lr=log:1e-4:1e-1",
        "transfer examples/mlp.param --set width=512",
        "audit model.py:build --grow width",
        "adapt model.py:build --grow width",
    ],
)
def test_what_trains_says_what_it_needs(line: str):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        input=line,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == "2"
    assert f"{line.split()[0]} needs torch" in done.stderr
    assert "pip install 'abcparam[torch]'" in done.stderr


def test_functions_say_what_they_need_too():
    calls = {
        "coord_check": "abcparam.coord_check(spec)",
        "sweep": "abcparam.sweep(spec, ['lr=log:1e-4:1e-1'])",
        "plan_transfer": "abcparam.plan_transfer(spec, set={'width': 512})",
        "audit": "abcparam.audit('model.py:build', grow='width')",
    }
    tries = "".join(
        f"""
try:
    {call}
except abcparam.SpecError as error:
    print(error)
"""
        for call in calls.values()
    )
    setup = WITHOUT.partition("from abcparam.commands")[0]
    setup += f"import abcparam, pathlib\nspec = pathlib.Path({str(EXAMPLES / 'mlp.param')!r})\n"
    done = subprocess.run(
        [sys.executable, "-c", setup + tries], cwd=ROOT, capture_output=True, text=True, check=True
    )
    said = [line for line in done.stdout.splitlines() if "P0813" in line]
    assert [line.split("needs torch")[0].split()[-1] for line in said] == list(calls)


def test_the_extra_installs_them():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extra = next(line for line in text.splitlines() if line.startswith("torch = "))
    core = next(line for line in text.splitlines() if line.startswith("dependencies = "))
    assert all(f'"{name}>=' in extra and name not in core for name in OF_TRAINING)
