"""Functions of the user's, by the one way to name them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from abcparam.diagnostics.diagnostic import SpecError
from abcparam.diagnostics.rules.imports import NoFunction
from abcparam.user_code.named import itself, looked_up


@pytest.mark.parametrize("name", ["its_code.py:double", "its_code:double", "./its_code.py:double"])
def test_a_function_is_named_by_file_or_module(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "its_code.py").write_text("def double(x):\n    return 2 * x\n", encoding="utf-8")
    found = looked_up(name, NoFunction)
    assert (found.name, found.value(3), Path(found.file).name) == ("double", 6, "its_code.py")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("no_file.py:f", "No such file or directory"),
        ("no_such_module:f", "Python finds no module `no_such_module`"),
        ("math:squrt", "`squrt` is not in it. Did you mean `sqrt`?"),
        ("math:pi", "`pi` is no function"),
        ("math", "it is not FILE.py:NAME"),
    ],
)
def test_what_names_no_function(name: str, problem: str):
    with pytest.raises(SpecError) as caught:
        looked_up(name, NoFunction)
    assert problem in str(caught.value)


def test_what_was_loaded_by_hand_is_found(tmp_path: Path):
    """As `exec` and loaders make it: in no module that Python knows by name."""
    path = tmp_path / "unlisted.py"
    path.write_text("LENGTH = 3\n\n\ndef make(width=8):\n    return width * LENGTH\n")
    spec = importlib.util.spec_from_file_location("unlisted", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = itself(module.make)
    assert "unlisted" not in sys.modules
    assert (found.name, found.file, found.module.LENGTH) == ("make", str(path), 3)
