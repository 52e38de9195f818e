"""Colours without a server are as the compiler reads words: the TextMate grammar, and Pygments."""

from __future__ import annotations

import json
import re
import tomllib
from itertools import chain
from typing import Any

from pygments.token import Comment, Keyword, Number

from abcparam.editor.pygments_lexer import ParamLexer
from abcparam.editor.textmate import dumped
from abcparam.editor.words import kinds, words_of
from abcparam.language.parser import pieces, recovered
from tests.support.paths import EMIT_SPECS, EXAMPLES, ROOT, SPECS

GRAMMAR = ROOT / "editors" / "vscode" / "syntaxes" / "abcparam.tmLanguage.json"
TEXTS = [
    path.read_text(encoding="utf-8")
    for path in chain(*(sorted(folder.glob("*.param")) for folder in (SPECS, EMIT_SPECS, EXAMPLES)))
]
CLASSES = {"comment": "comment", "string": "string", "constant": "number", "keyword": "keyword"}


def as_read(text: str) -> dict[tuple[int, int], str]:
    """The words of a text by place, as the compiler has them."""
    cut = pieces(text)
    found = kinds(words_of(cut, recovered(cut).tokens))
    return {(piece.line, piece.column): kind for piece, kind in found}


def as_coloured(text: str) -> dict[tuple[int, int], str]:
    """The same by the grammar: in each line, from left to right, the first rule that matches."""
    rules = [(re.compile(rule["match"]), rule) for rule in json.loads(dumped())["patterns"]]
    found: dict[tuple[int, int], str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        at = 0
        while at < len(line):
            matches = [(m, rule) for p, rule in rules if (m := p.search(line, at))]
            if not matches:
                break
            match, rule = min(matches, key=lambda found: found[0].start())
            for group, scope in _scopes(rule):
                if match[group] is not None:
                    place = number, match.start(group) + 1
                    found[place] = _class(scope)
            at = max(match.end(), at + 1)
    return found


def _scopes(rule: dict[str, Any]) -> list[tuple[int, str]]:
    captures = rule.get("captures", {})
    whole = [(0, rule["name"])] if "name" in rule else []
    return whole + [(int(group), scope["name"]) for group, scope in captures.items()]


def _class(scope: str) -> str:
    if scope.startswith("keyword.operator"):
        return "operator"
    return CLASSES.get(scope.partition(".")[0], "name")


def test_the_grammar_takes_each_word_as_the_compiler_does():
    wrong, count = [], 0
    for text in TEXTS:
        coloured = as_coloured(text)
        for place, kind in as_read(text).items():
            count += 1
            if coloured.get(place) != kind:
                wrong.append((text.split("\n")[place[0] - 1], place[1], kind, coloured.get(place)))
    assert count > 5000
    assert not wrong, wrong[:5]


def test_the_grammar_of_the_extension_is_the_one_that_is_made():
    assert GRAMMAR.read_text(encoding="utf-8") == dumped()


def test_pygments():
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert entry["entry-points"]["pygments.lexers"]["abcparam"] == (
        f"{ParamLexer.__module__}:{ParamLexer.__name__}"
    )
    lexer = ParamLexer()
    for text in TEXTS[:5]:
        tokens = list(lexer.get_tokens(text))
        assert "".join(value for _, value in tokens) == text
    text = "dim width -> inf  # grows\nhead = 0.5 % ("
    found = {value: kind for kind, value in lexer.get_tokens(text)}
    assert found["dim"] is found["inf"] is Keyword
    assert found["# grows"] is Comment.Single and found["0.5"] is Number
