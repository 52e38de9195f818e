"""`abcparam explain`: every word has an answer, and every example is one."""

from __future__ import annotations

import re

import pytest

import abcparam
from abcparam.diagnostics.explain import codes
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.program.vocabulary import VERDICTS
from abcparam.reference import operations as of_operations
from abcparam.reference.explain import LISTS, entries
from abcparam.resolve.keywords import ROLES, TENSOR_KEYS
from abcparam.verdict.tensor_table import LEGEND
from tests.support.running import Run

NAMED = [name for name, operation in operations().items() if not operation.hidden]
STATEMENTS = ("repeat", "return")


@pytest.mark.parametrize(
    "word",
    [*NAMED, *optimizers(), *ROLES, *TENSOR_KEYS, *VERDICTS, *LEGEND, "slack", "complete", "mup"],
)
def test_words_of_specs_and_reports_are_explained(word: str):
    text = abcparam.explain(word)
    assert text.startswith(f"{word} (")
    assert "{" not in text.splitlines()[0]


@pytest.mark.parametrize("name", NAMED)
def test_an_operation_says_how_it_is_written_and_its_law(name: str):
    text = abcparam.explain(name)
    assert f"`{name}(" in text or f"{name}(" in text
    assert operations()[name].law in text
    assert operations()[name].source in text


def test_settings_are_explained_by_those_that_have_them():
    for operation in operations().values():
        for name in operation.settings:
            if not operation.hidden:
                assert f"of `{operation.name}`" in abcparam.explain(name)
    for name, rule in optimizers().items():
        for setting in (*rule.settings, *rule.words):
            if setting not in entries() or setting in ("eps", "weight_decay"):
                assert f"the optimizer `{name}`" in abcparam.explain(setting)


@pytest.mark.parametrize("name", sorted(of_operations.entries()))
def test_examples_of_operations_are_written_as_the_language_wants(name: str):
    example = of_operations.entries()[name].example
    parse(Source(f"block A(x) {{\n    {example}\n    return y\n}}\n"))


@pytest.mark.parametrize("name", [n for n, entry in entries().items() if entry.kind != "operation"])
def test_other_examples_are_statements(name: str):
    entry = entries()[name]
    within = "block A(x) {{\n{}\nreturn x\n}}\n" if name in STATEMENTS else "{}\n"
    if entry.example:
        parse(Source(within.format(entry.example)))


def test_no_story_is_a_template():
    for code in codes():
        assert not re.search(r"\{\w*\}", abcparam.explain(code).splitlines()[0])


@pytest.mark.parametrize("code", [f"P05{n:02}" for n in (1, 2, 3, 4, 5, 6, 8, 9)])
def test_findings_have_an_example(code: str):
    assert re.search(r"^    \S", abcparam.explain(code), re.MULTILINE)


def test_lists():
    for name in LISTS:
        assert len(abcparam.explain(name).splitlines()) > 10
    assert "attention  " in abcparam.explain("operations")


def test_command_line(run: Run):
    assert run("explain", "attention").out == abcparam.explain("attention") + "\n"
    unknown = run("explain", "attenton")
    assert (unknown.status, unknown.out) == (2, "")
    assert "Did you mean `attention`?" in unknown.err
