"""What is said of bad syntax, to the letter.

`bad_syntax.txt` holds texts and what is said of them; `python -m tests.language.test_syntax_errors`
writes the answers anew.
"""

from __future__ import annotations

import inspect
import string
from pathlib import Path

import pytest

from abcparam.diagnostics.diagnostic import DiagnosticRule, SpecError
from abcparam.diagnostics.rules import syntax as rules
from abcparam.diagnostics.source import Source
from abcparam.language.parser import parse

DATA = Path(__file__).with_name("bad_syntax.txt")
OF_FILES = {"P0141", "P0142", "P0143", "P0144"}  # in test_parse


def cases() -> list[tuple[str, str]]:
    parts = DATA.read_text(encoding="utf-8").split("=" * 40 + "\n")
    return [(text, answer) for text, _, answer in (p.partition("-" * 40 + "\n") for p in parts)]


def said(text: str) -> str:
    try:
        parse(Source(text, "bad.param"))
    except SpecError as error:
        return f"{error}\n"
    return "nothing\n"


@pytest.mark.parametrize(("text", "answer"), cases(), ids=lambda part: part.split("\n")[0][:40])
def test_said(text: str, answer: str):
    assert said(text) == answer


def syntax_rules() -> list[type[DiagnosticRule]]:
    return [
        c
        for _, c in inspect.getmembers(rules, inspect.isclass)
        if issubclass(c, DiagnosticRule) and c is not DiagnosticRule
    ]


def test_every_rule_has_a_case():
    answers = "".join(answer for _, answer in cases())
    assert {r.code for r in syntax_rules() if f"[{r.code}]" not in answers} == OF_FILES


def test_every_rule_is_documented_under_a_code_of_its_own():
    codes = [rule.code for rule in syntax_rules()]
    assert len(set(codes)) == len(codes)
    assert all("P0101" <= code <= "P0199" for code in codes)
    assert all(rule.__doc__ and rule.__doc__ != DiagnosticRule.__doc__ for rule in syntax_rules())


@pytest.mark.parametrize("rule", syntax_rules(), ids=lambda rule: rule.__name__)
def test_templates_are_well_formed(rule: type[DiagnosticRule]):
    for template in (rule.message, rule.label, rule.help):
        assert all(
            name is None or name.isidentifier()
            for _, name, _, _ in string.Formatter().parse(template)
        )


def main() -> None:
    answered = [text + "-" * 40 + "\n" + said(text) for text, _ in cases()]
    DATA.write_text(("=" * 40 + "\n").join(answered), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
