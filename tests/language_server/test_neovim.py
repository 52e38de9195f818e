"""Neovim with the lines of `editors/nvim` in its configuration, beside the server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import abcparam
from tests.support.paths import EXAMPLES, ROOT

NEOVIM = shutil.which("nvim")
TEXT = (EXAMPLES / "wrong" / "standard_parametrization.param").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.skipif(NEOVIM is None, reason="no Neovim on the path")
def test_neovim_shows_a_spec_as_the_server_has_it(tmp_path: Path):
    found = looked(tmp_path, TEXT)
    assert found.get("problem") is None
    assert found["filetype"] == "abcparam" and found["commentstring"] == "# %s"
    assert [24, "P0502"] in found["diagnostics"]
    assert "`layers.attention.project`" in found["hover"] and "ΔW·x ~ width^2" in found["hover"]
    assert found["hints"] is None or "W·x ~ 1, ΔW·x ~ width, over" in found["hints"]
    assert {"sp", "mup"} <= set(found["completion"])
    fixed = abcparam.fix(TEXT).text
    assert fixed and found["action"].startswith("this makes it maximal-update")
    assert found["fixed"] == fixed
    assert "tensor q, key, value :" in found["renamed"] and "attention(q @ x," in found["renamed"]
    renamed = found["renamed"].replace("dim depth   =", "dim depth=")
    assert found["formatted"] == abcparam.format(renamed)


def looked(folder: Path, text: str) -> dict[str, Any]:
    """What `neovim.lua` sees of a text."""
    plugins, spec, seen = folder / "nvim" / "plugin", folder / "gpt.param", folder / "seen.json"
    plugins.mkdir(parents=True)
    shutil.copy(ROOT / "editors" / "nvim" / "abcparam.lua", plugins)
    spec.write_text(text, encoding="utf-8")
    own = {name: str(folder) for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    look = Path(__file__).with_name("neovim.lua")
    subprocess.run(
        [str(NEOVIM), "--headless", "-n", spec, f"+luafile {look}"],
        env={**os.environ, **own, "PATH": path, "SEEN": str(seen)},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=True,
    )
    return json.loads(seen.read_text(encoding="utf-8"))
