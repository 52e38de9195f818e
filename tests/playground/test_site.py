"""The site as it is built, in a browser: verdicts, keys, narrow windows, contrast, no request away.

It takes node, the packages of `site/` (`npm ci` there) and a Chromium.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import abcparam
from tests.support.browser import CHROMIUM
from tests.support.paths import EXAMPLES, ROOT

SITE = ROOT / "site"
NODE = shutil.which("node")
HAS_PACKAGES = (SITE / "node_modules" / "playwright-core").exists()
needs_node = pytest.mark.skipif(NODE is None, reason="there is no node")
MOST_TO_EDIT = 1.0  # seconds, on a machine that does other things too: 0.1 where it does not


class _Handler(SimpleHTTPRequestHandler):
    extensions_map = {
        **SimpleHTTPRequestHandler.extensions_map,
        ".mjs": "text/javascript",
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if NODE is None or not HAS_PACKAGES:
        pytest.skip("the site is built by node, with the packages of site/")
    out = tmp_path_factory.mktemp("site")
    command = [NODE, SITE / "build.mjs", ROOT, sys.executable, out]
    subprocess.run(command, check=True, cwd=ROOT, timeout=600)
    return out


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(built)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()


@pytest.mark.slow
def test_the_site_in_a_browser(address: str):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium")
    command = [str(NODE), str(SITE / "look.mjs"), CHROMIUM, address]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert ran.returncode == 0, ran.stderr
    seen = json.loads(ran.stdout)
    assert seen["away"] == [] and seen["errors"] == []
    native = {path.stem: path for path in EXAMPLES.rglob("*.param") if "reproduce" not in str(path)}
    assert seen["examples"] == {name: abcparam.check(path).words for name, path in native.items()}
    assert seen["times"]["remembered"] == "true"  # a start from the snapshot
    assert min(seen["times"]["edits"]) < 1000 * MOST_TO_EDIT
    keys = seen["keys"]
    assert keys.pop("completion") == "tensor" and keys.pop("graph") == "true"
    assert keys.pop("name") == "q" and keys.pop("definition") == "query"
    assert set(keys.values()) == {True}
    assert seen["stopped"] == {"said": "stopped", "then": "maximal-update, complete"}
    assert seen["moved"] == {"plane": ["0", "17/12"], "exponent": "unstable"}
    assert seen["shared"]["same"] and seen["shared"]["document"] == "unstable"
    assert seen["shared"]["example"] == "#example=standard_parametrization"
    assert seen["shared"]["length"] < 1000  # of a GPT
    linked = seen["linked"]
    assert "self.W2 = nn.Linear" in linked["code"] and linked["rows"] == 2
    assert linked["pointed"] == linked["line"] and linked["line"].startswith("tensor W2")
    assert "self.W3 = nn.Linear" in linked["next"]
    assert set(seen["kept"].values()) == {True}
    assert seen["embedded"]["hidden"] and seen["embedded"]["beyond"] == 0
    assert seen["embedded"]["opened"] == [True, "", "#example=mlp"]
    assert "Three alignments" in seen["search"]["found"] and seen["search"]["formulas"] > 100
    assert set(seen["narrow"].values()) == {0}
    assert seen["control"] and not any(seen["contrast"].values()), seen["contrast"]


@pytest.mark.slow
def test_no_page_names_another_site(built: Path):
    """What is fetched is beside the page; links may lead away."""
    for page in built.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert "default-src 'none'" in text
        assert 'src="http' not in text and "url(http" not in text
        assert '<link rel="stylesheet" href="http' not in text
    for style in built.rglob("*.css"):
        assert "url(http" not in style.read_text(encoding="utf-8")


@needs_node
def test_long_lines_take_no_longer_than_they_are_long():
    """Looking for each word from the start of the line took minutes for a line of this length."""
    code = (
        "import { words } from './shared/spec.js'; import { offset } from './playground/places.js';"
        "const text = 'h + 𝜇 + '.repeat(12500);"
        "const doc = { lines: 1, line: () => ({ from: 0, text }) };"
        "let last; for (let n = 1; n <= 100000; n++) last = offset(doc, 1, n);"
        "console.log(JSON.stringify([words(text).length, last]))"
    )
    command = [str(NODE), "--input-type=module", "-e", code]
    ran = subprocess.run(command, cwd=SITE, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(ran.stdout) == [25_000, 8 * 12_500 + 12_500 - 1]


@needs_node
def test_laws_and_formulas_are_typeset():
    laws = {
        "width^(1/2)": r"\mathrm{width}^{1/2}",
        "width^-1": r"\mathrm{width}^{-1}",
        "width^Max(1 - a, 1/2 - b_hidden)": (
            r"\mathrm{width}^{\max(1-a,\, 1/2-b_{\mathrm{hidden}})}"
        ),
        "width^(1/2) * depth^-1": r"\mathrm{width}^{1/2}\,\mathrm{depth}^{-1}",
        "d(h) ≥ σ + max(ρi/2, ρi - ρo/2) + d(x)": (
            r"d(h)\ge \sigma +\max(\rho _{i}/2,\, \rho _{i}-\rho _{o}/2)+d(x)"
        ),
        "W = n^-a · w": r"W=n^{-a}\cdot w",
        "n^-2b": "n^{-2b}",
        "W1 x": r"W_{1}\,x",
        "da(x → h)": r"d_a(x\to h)",
        "grows like width @ x": None,
        "width^(1/2": None,
        "": None,
    }
    assert NODE is not None
    code = (
        "import { typeset } from './shared/typeset.js'; const laws = JSON.parse(process.argv[1]);"
        "console.log(JSON.stringify(Object.fromEntries(laws.map((law) => [law, typeset(law)]))))"
    )
    command = [NODE, "--input-type=module", "-e", code, json.dumps(list(laws))]
    ran = subprocess.run(command, cwd=SITE, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == laws
