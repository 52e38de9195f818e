"""The tables of the documentation are those that the rules make."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from abcparam.diagnostics.rules.findings import NothingMoves
from abcparam.operations import operations
from abcparam.optimizers import optimizers
from abcparam.optimizers.muon import Muon
from docs.tables.__main__ import PLACE, TABLES, made, main, pages

TEXTS = {page: page.read_text(encoding="utf-8") for page in pages()}


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_tables_are_current(page: Path):
    assert made(TEXTS[page]) == TEXTS[page], f"docs/{page.name}: run make tables"


def test_every_table_has_a_place():
    named = [name for text in TEXTS.values() for name, _ in PLACE.findall(text)]
    assert sorted(named) == sorted(TABLES)


def test_every_place_has_an_end():
    """A mark that lacks its other half would leave its table as it is, or eat a section."""
    for text in TEXTS.values():
        marks = re.findall(r"<!-- (table|end)\b", text)
        assert marks == ["table", "end"] * (len(marks) // 2)


def test_a_changed_rule_changes_the_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Muon, "settings", {"momentum": "0.9", "weight_decay": "1e-3"})
    monkeypatch.setattr(NothingMoves, "summary", "nothing moves")
    monkeypatch.setattr(operations()["softmax"], "law", "another", raising=False)
    found = {name: table().text for name, table in TABLES.items()}
    assert "`momentum` (0.9), `weight_decay` (1e-3), decoupled; `adjust`" in found["optimizers"]
    assert "| P0504 | nothing moves |" in found["findings"]
    assert re.search(r"\| `softmax\(x\)` \| .* \| another \|", found["operations"])


def test_the_tables_name_every_rule():
    said = TABLES["optimizers"]().text
    assert all(f"| `{name}` |" in said for name in optimizers())
    said = TABLES["operations"]().text
    assert all(re.search(rf"\b{o.name}\b", said) for o in operations().values() if not o.hidden)
    assert all(f"`{text}`" in said for o in operations().values() for text in o.written)


def test_the_script_writes_what_is_not_current(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page, other = tmp_path / "page.md", tmp_path / "other.md"
    page.write_text("before\n<!-- table: findings -->\nold\n<!-- end -->\nafter\n")
    other.write_text("no table\n")
    monkeypatch.setattr("docs.tables.__main__.FOLDER", tmp_path)
    main()
    text = page.read_text(encoding="utf-8")
    assert text == made(text) and text.startswith("before\n") and text.endswith("\nafter\n")
    assert TABLES["findings"]().text in text
    assert other.read_text(encoding="utf-8") == "no table\n"
