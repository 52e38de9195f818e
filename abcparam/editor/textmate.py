"""A TextMate grammar of specs, for editors without a server: made from the compiler's own words.

`python -m abcparam.editor.textmate FILE` writes it. Words are keywords by position, as the lexer
has it; what a line alone does not tell, a grammar of this kind cannot know.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any

from abcparam.language.lexer import DECLARED_BY
from abcparam.language.scanner import DECLARATIONS, OPERATORS, STATEMENTS
from abcparam.language.tables import tables

SCOPE = "source.abcparam"
KEYWORD, OPERATOR = "keyword.control.abcparam", "keyword.operator.abcparam"
FUNCTION, NAME = "entity.name.function.abcparam", "variable.other.abcparam"
DECLARED = "entity.name.type.abcparam"
FOLLOWED = {"STRING": r'\s*"', "LPAR": r"\s*\(", "NAME": r"\s+[A-Za-z]"}
OPERAND = r"(?<=[\w)\]?])"
START = r"(?:^|[;{])\s*"


def grammar() -> dict[str, Any]:
    """The grammar as the JSON of its format."""
    patterns = tables().scanner.patterns
    name, number, string = (patterns[kind] for kind in ("NAME", "NUMBER", "STRING"))
    return {
        "name": "abcparam",
        "scopeName": SCOPE,
        "fileTypes": ["param"],
        "patterns": [
            {"match": r"#.*$", "name": "comment.line.number-sign.abcparam"},
            {"match": string, "name": "string.quoted.double.abcparam"},
            *(_rule(match, *scopes) for match, *scopes in _keywords(name)),
            {"match": number, "name": "constant.numeric.abcparam"},
            {"match": rf"{name}(?=\s*\()", "name": FUNCTION},
            {"match": name, "name": NAME},
            {"match": _operators(), "name": OPERATOR},
        ],
    }


def _keywords(name: str) -> list[tuple[str, ...]]:
    """Patterns, each with the scopes of its groups."""
    with_others = [
        (rf"{START}({word}){FOLLOWED[DECLARED_BY[word]].join(('(?=', ')'))}", KEYWORD)
        for word in DECLARED_BY
    ]
    usual = "|".join(word for word in DECLARATIONS if word not in DECLARED_BY)
    with_names = "|".join(word for word in STATEMENTS if word != "return")
    return [
        *with_others,
        (rf"{START}(optimizer|parametrization)\s+({name})\s+(for)\b", KEYWORD, FUNCTION, KEYWORD),
        (rf"{START}(parametrization)(?=\s*\{{)", KEYWORD),
        (rf"{START}(block)\s+({name})(?=\s*\()", KEYWORD, DECLARED),
        (rf"{START}({usual})(?=\s+[A-Za-z])", KEYWORD),
        (rf"{START}({with_names})(?=\s+[\w(])", KEYWORD),
        (rf"{START}(return)\b(?!\s*=)", KEYWORD),
        (r"(->)\s*(inf)\b(?:\s+(after)\b)?", OPERATOR, KEYWORD, KEYWORD),
        (rf"{OPERAND}\s+(in)(?:\s+(log))?(?=\s*[\[{{])", KEYWORD, KEYWORD),
        (rf"{OPERAND}\s*\b(as)(?=\s+[A-Za-z])", KEYWORD),
        (r":\s*(index)(?=\s*\()", KEYWORD),
    ]


def _rule(match: str, *scopes: str) -> dict[str, Any]:
    captures = {str(number): {"name": scope} for number, scope in enumerate(scopes, 1)}
    return {"match": match, "captures": captures}


def _operators() -> str:
    symbols = tables().scanner.symbols
    marks = [s for s, kind in symbols.items() if kind in OPERATORS or kind in ("ARROW", "EQUAL")]
    return "|".join(re.escape(mark) for mark in sorted([*marks, "?"], key=len, reverse=True))


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: python -m abcparam.editor.textmate FILE", file=sys.stderr)
        return 2
    with open(arguments[0], "w", encoding="utf-8", newline="\n") as file:
        file.write(dumped())
    return 0


def dumped() -> str:
    """The grammar as a text."""
    return json.dumps(grammar(), indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
