"""The page of a check, and what a notebook shows: causes lead to lines, nothing outside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import abcparam
from abcparam.presentation.pages import style
from abcparam.verdict.page.flow import flow
from abcparam.verdict.page.page import report_page
from abcparam.verdict.page.subject import findings
from tests.support.markup import stands_alone
from tests.support.paths import EXAMPLES, SPECS
from tests.support.running import INVALID, MLP, UNSTABLE, Run

STANDARD = EXAMPLES / "wrong" / "standard_parametrization.param"
HOSTILE = "<img src=x onerror=alert(1)> </td> & \" ' ${title} $spec"


@pytest.fixture(scope="module")
def standard() -> abcparam.Report:
    """A GPT in PyTorch's parametrization: six causes, and much that follows from them."""
    return abcparam.check(STANDARD)


def test_the_graph_joins_copies_and_tells_causes_from_consequences(standard: abcparam.Report):
    found = flow(standard.judgement, findings(standard))
    by_name = {box.name: box for box in found.boxes}
    assert len(by_name["query @ x"].nodes) == 12
    assert [repeat.title for repeat in found.repeats] == ["layers × depth (12)"]
    causes = {box.name: box.numbers for box in found.boxes if box.numbers}
    assert causes == {
        "query @ x": (1,),
        "key @ x": (2,),
        "value @ x": (3,),
        "up @ x": (4,),
        "layers.x": (5,),
        "readout @ layernorm(x)": (6,),
    }
    follows = [box.name for box in found.boxes if box.follows]
    assert "attention logits" in follows and "softmax" not in follows
    assert (by_name["project @ y"].at_init, by_name["project @ y"].change) == ("1", "width^2")
    assert (
        by_name["project @ y"].trace[0].startswith("project @ y (width^2): the update of layers.")
    )
    assert all(a < b for a, b in found.arrows)
    assert found.outputs == (len(found.boxes) - 1,)


def test_a_page_leads_from_each_cause_to_its_line_and_back(standard: abcparam.Report, run: Run):
    ran = run("check", STANDARD, "--format", "html")
    assert ran.status == 1 and ran.err == ""
    page = stands_alone(ran.out)
    for number, cause in enumerate(findings(standard), 1):
        assert f"L{cause.span.line}" in page.links and f"why{number}" in page.links
        assert f'<li id="why{number}"><a href="#L{cause.span.line}">' in ran.out
        assert f">{number}</text>" in ran.out
    assert re.search(r'<a class="mark" href="#why4" aria-label="[^"]*">up @ x</a>', ran.out)
    assert page.ids.index("why1") < page.ids.index("L1") < page.ids.index("n0")
    assert page.text.count("Way out:") == 1
    assert (
        "<del>parametrization sp</del>" in ran.out and "<ins>    hidden { c = 1 }</ins>" in ran.out
    )
    assert "W·x ~ 1, ΔW·x ~ width^2" in page.text and "class GPT(nn.Module)" in page.text
    assert {"cause", "follows", "over", "suffers"} <= set(page.classes)


def test_texts_of_strangers_are_shown_and_never_read(run: Run, tmp_path: Path):
    folder = tmp_path / "<b>"
    folder.mkdir()
    text = f"# {HOSTILE}\n{UNSTABLE}"
    for name, content in ("bad.param", text), ("worse.param", f"{text}\ntensor {HOSTILE}\n"):
        (folder / name).write_text(content, encoding="utf-8")
        ran = run("check", folder / name, "--format", "html")
        page = stands_alone(ran.out)
        assert f"# {HOSTILE}" in page.text
        assert "<img" not in ran.out and "<b>" not in ran.out
    assert ran.status == 2 and "invalid" in page.text


def test_a_page_of_what_is_invalid_or_depends_or_is_as_it_should_be(run: Run, tmp_path: Path):
    ran = run("check", "-", "--format", "html", "-o", tmp_path / "page.html", stdin=INVALID)
    assert (ran.status, ran.out) == (2, "")
    page = stands_alone((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert {"L14", "why1", "why2"} <= set(page.links)
    theta = (
        (SPECS / "mlp_theta.param").read_text(encoding="utf-8").replace("c = 1 - theta", "c = 1")
    )
    page = stands_alone(report_page(abcparam.check(theta), ""))
    assert "Where each verdict holds" in page.text and "depends on the symbols" in page.text
    page = stands_alone(report_page(abcparam.check(MLP), "code"))
    assert "As expected." in page.text and "Way out:" not in page.text
    missing = stands_alone(run("check", tmp_path / "no.param", "--format", "html").out)
    assert "L1" not in missing.links


@pytest.mark.parametrize(
    "arguments", [(MLP, MLP, "--format", "html"), (MLP, "-o", "somewhere")], ids=["two", "text"]
)
def test_what_is_refused(run: Run, arguments: tuple[object, ...]):
    assert run("check", *arguments).status == 2


def test_a_notebook_shows_the_same_in_short(standard: abcparam.Report):
    found = standard._repr_html_()
    page = stands_alone(found)
    assert repr(standard) == "Report(GPT: unstable)"
    assert {"cause", "follows"} <= set(page.classes)
    other = stands_alone(abcparam.check(MLP)._repr_html_())
    assert not set(page.ids) & set(other.ids)  # both stand in one notebook
    assert "layers.attention.query" in page.text and "class GPT(nn.Module)" not in page.text
    with pytest.raises(abcparam.SpecError) as raised:
        abcparam.check(INVALID)
    lines = raised.value._render_traceback_()
    assert "P0201" in lines[0] and "^^" in "\n".join(lines)


def test_what_is_printed_is_as_its_rules_say():
    """Later rules overrule earlier ones: those of print are the last."""
    screen, _, printed = style().rpartition("@media print {")
    assert "@media print" not in screen and "overflow-x: auto" in screen
    assert "overflow: visible" in printed and "overflow-x" not in printed


def test_colours_stand_out_by_day_and_by_night():
    """By WCAG 2.2, 1.4.3: 4.5 to 1 for every text, on every ground that it may stand on."""
    day, night = (
        {**dict(re.findall(r"--([\w-]+): (#\w+)", part))}
        for part in re.findall(r"\.abcparam \{[^}]*?--ground[^}]*\}", style())[:2]
    )
    for colours in day, {**day, **night}:
        grounds = [value for name, value in colours.items() if name.endswith("ground")]
        for text in "text", "soft", "link":
            for ground in (*grounds, colours["panel"]):
                assert contrast(colours[text], ground) >= 4.5, (text, ground)
        for name in "good", "bad", "open":
            for ground in colours["ground"], colours[f"{name}-ground"]:
                assert contrast(colours[name], ground) >= 4.5, (name, ground)


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
