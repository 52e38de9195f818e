"""What the playground's page is told: the same as `check` says, and never an exception."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

import abcparam
from abcparam.diagnostics.source import Source
from abcparam.pipeline import emit_program
from abcparam.playground.links import links
from abcparam.playground.session import Session, warmed
from tests.support.paths import EXAMPLES

STANDARD = (EXAMPLES / "wrong" / "standard_parametrization.param").read_text(encoding="utf-8")
MLP = """model MLP
dim width -> inf, base = 128
dim classes = 10
hyper lr = 1e-3

parametrization mup

tensor first   : input  [width, classes]
tensor second  : hidden [width, width]
tensor readout : output [classes, width]

forward(x : [classes]) {
    h = relu(second @ relu(first @ x))
    return readout @ h
}

optimizer adam { lr = lr, eps = 1e-12 }
loss cross_entropy
"""


class Page:
    """A page that asks a session of its own."""

    def __init__(self, text: str = "", panel: str = "") -> None:
        self.session = Session()
        self.analysis = self("analyse", text=text, panel=panel) if text else {}

    def __call__(self, what: str, **request: Any) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self.session.answer(json.dumps({"do": what, **request})))
        return reply


@pytest.fixture(scope="module")
def standard() -> Page:
    return Page(STANDARD, "laws")


def test_a_page_is_told_what_check_says(standard: Page):
    told, report = standard.analysis, abcparam.check(STANDARD)
    assert (told["verdict"], told["model"], told["tone"]) == ("unstable", "GPT", "bad")
    assert told["expected"] == "maximal-update" and told["open"]
    assert told["diagnostics"] == [d.to_dict() for d in report.unsearched]
    hints = {(hint["line"], hint["text"], hint["wrong"]) for hint in told["hints"]}
    assert (19, "W·x ~ 1, ΔW·x ~ width, over", True) in hints
    assert (35, "~ 1, Δ ~ 1", False) in hints
    assert [2, 7, 2, 10, "model"] in told["colours"]
    assert 'href="#spec-L24"' in told["panel"] and "6 causes:" in told["panel"]


def test_each_panel_is_a_part_of_the_page_to_send_around(standard: Page):
    graph, code = (standard("panel", panel=name)["panel"] for name in ("graph", "code"))
    assert graph.count('class="box cause"') == 6 and "class GPT(nn.Module)" in code
    assert standard("panel", panel="")["panel"] == standard("panel", panel="none")["panel"] == ""


def test_a_search_adds_the_way_out_and_what_writes_it(standard: Page):
    found = standard("search", text=STANDARD, panel="laws")
    (fix,) = {fix["title"] for fix in found["fixes"]}
    assert fix.startswith("this makes it maximal-update")
    assert "Way out:" in found["panel"] and "The fix as a diff" in found["panel"]
    fixed = standard("fix", text=STANDARD)
    assert Page(fixed["text"]).analysis["verdict"].startswith("maximal-update")
    again = standard("fix", text=fixed["text"])
    assert again["problem"] == "maximal-update already, nothing to fix"


def test_words_of_a_place(standard: Page):
    labels = {item["label"] for item in standard("complete", line=16, column=1)["items"]}
    assert {"tensor", "optimizer"} <= labels
    assert standard("hover", line=18, column=10)["text"].startswith("```param\ntensor position")
    assert standard("hover", line=1, column=1)["text"] == ""


def test_names_of_a_place(standard: Page):
    found = standard("definition", line=24, column=20)
    assert found["name"] == "query" and found["declared"]["line"] == 22
    edit = standard("rename", line=24, column=20, name="q")["edit"]
    assert [made["span"]["line"] for made in edit] == [22, 24] and edit[0]["text"] == "q"
    assert "is taken" in standard("rename", line=24, column=20, name="key")["problem"]
    assert "no name" in standard("definition", line=1, column=1)["problem"]


def test_exponents_are_moved_in_the_text(standard: Page):
    groups = {group["name"]: group for group in standard("exponents")["groups"]}
    hidden = groups["hidden"]
    assert hidden["exponents"] == {"a": "0", "b": "1/2", "c": "0"} and len(hidden["paths"]) == 6
    moved = standard("move", paths=hidden["paths"], key="c", value="1")["text"]
    assert "hidden { c = 1 }" in moved
    alone = standard("move", paths=["readout"], key="b", value="3/4")["text"]
    assert Page(alone)("exponents")["groups"][1]["exponents"]["b"] == "3/4"


def test_hints_are_wrong_if_one_of_their_tensors_is():
    text = MLP.replace("second  :", "second, third :").replace(
        "second @ relu(first @ x)", "third @ first @ x + width^(-1/2) * (second @ first @ x)"
    )
    first, both, readout, _ = Page(text).analysis["hints"]
    assert both["text"] == "second: W·x ~ 1, ΔW·x ~ 1, under; third: W·x ~ 1, ΔW·x ~ 1"
    assert both["wrong"] and not first["wrong"] and not readout["wrong"]


def test_half_typed_texts_are_told_their_errors():
    page = Page(MLP)
    told = page("analyse", text=MLP.replace("hidden [width", "hidden [widht"), panel="laws")
    assert (told["verdict"], told["tone"]) == (None, "invalid") and len(told["hints"]) == 4
    assert told["fixes"][0]["title"] == "write `width`"
    assert told["panel"].startswith('<section class="why bad">')
    assert page("exponents")["groups"] == []
    assert "judged" in page("move", paths=["second"], key="b", value="0")["problem"]
    assert page("format", text=MLP + "dim")["problem"].startswith("error[P")
    assert "mistake in abcparam" in page("nonsense")["problem"]
    assert Page()("hover", line=1, column=1)["problem"] == "no text has been analysed"


def test_symbols_are_judged_by_a_search():
    text = MLP.replace("mup", "mup { hidden { c = theta } }").replace(
        "hyper", "exponent theta\nhyper"
    )
    told = Page(text, "laws").analysis
    assert (told["verdict"], told["tone"], told["open"]) == (None, "symbols", True)
    assert "takes a search" in told["panel"]
    found = Page()("search", text=text, panel="laws")
    assert found["verdict"] == "depends on the symbols"
    assert "Where each verdict holds" in found["panel"]
    derived = Page()("derive", text=text)["panel"]
    assert "width^(1 - theta)" in derived and "<strong>maximal-update</strong>" in derived


def test_unknowns_are_solved_and_laws_derived():
    text = MLP.replace("mup", "mup { hidden { c = ? } }")
    assert "c = 1" in Page()("solve", text=text)["text"]
    assert "width^(1 - a_hidden - c_hidden)" in Page()("derive", text=MLP)["panel"]


def test_the_plane_between_two_parametrizations():
    ends = {"text": MLP, "a": "sp", "b": "mup"}
    panel = Page()("plane", **ends)["panel"]
    assert 'data-low="-1/2"' in panel and panel.count("<polygon") >= 2
    assert ">sp</text>" in panel and "maximal-update</li>" in panel
    middle = Page()("point", **ends, init="1", lr="1/2")["text"]
    assert Page(middle).analysis["verdict"] == "unstable"
    bare = MLP.replace("parametrization mup\n", "")
    assert "parametrization" in Page()("plane", text=bare, a="sp", b="mup")["problem"]


def test_a_session_that_has_worked_knows_no_text():
    page = Page()
    page.session = warmed()
    assert page("hover", line=1, column=1)["problem"] == "no text has been analysed"


def test_every_example_can_be_chosen():
    found = Page()("examples")
    assert {"sp", "mup"} <= set(found["parametrizations"])
    chosen = {f"{example['folder']}/{example['name']}" for example in found["examples"]}
    files = {str(path.relative_to(EXAMPLES.parent))[:-6] for path in EXAMPLES.rglob("*.param")}
    assert chosen == {file for file in files if "reproduce" not in file}


def test_lines_of_the_emitted_module_lead_to_those_that_they_are_made_from():
    source = Source((EXAMPLES / "t5.param").read_text(encoding="utf-8"))
    report = abcparam.check(source)
    module = emit_program(report)
    theirs, own = module.splitlines(), source.text.splitlines()
    pairs = {
        theirs[line - 1].strip(): own[origin - 1].strip()
        for line, origin in links(source, module).items()
    }
    assert pairs["width: int = 256  # goes to infinity, base 256"].startswith("dim width")
    assert pairs["self.self = SelfAttend(config)"].endswith("causal = true) as self")
    assert pairs["for encoder_copy in self.encoder:"] == "repeat depth as encoder {"
    assert pairs["k = self.key(memory)"] == "k = key @ memory"
    assert pairs["return self.down(F.relu(self.up(x)))"] == "return down @ relu(up @ x)"
    assert all(
        name in own_line
        for line, own_line in pairs.items()
        for name in re.findall(r"^self\.(\w+) = nn\.", line)
    )
