"""Words, numbers and characters on their own: their limits, and what lies beyond."""

from __future__ import annotations

import keyword
from fractions import Fraction

from abcparam.diagnostics.diagnostic import Diagnostic, Replacement, Suggestion
from abcparam.diagnostics.rules import syntax as rules
from abcparam.diagnostics.source import Span
from abcparam.language.scanner import STATEMENTS, Raw

MAXIMUM_NAME = 64
MAXIMUM_DIGITS = 18
MAXIMUM_EXPONENT = 99
MAXIMUM_PART = 10**6

PYTHON = {
    **dict.fromkeys(("def", "class"), "what is used again is a block: `block Name(x) { … }`"),
    **dict.fromkeys(("for", "while"), "what is repeated stands in `repeat count as name { … }`"),
    **dict.fromkeys(("if", "elif", "else"), "a spec has no branches: all of it is computed"),
    **dict.fromkeys(("from", "import"), 'only the top of a file imports: `import "file.param"`'),
}
FOREIGN_CHARACTERS = {
    **dict.fromkeys("<>!&|~%", "a spec has arithmetic only: `+ - * / @ ^`"),
    **dict.fromkeys("'`“”‘’", 'words need no quotes; a path is written with `"`'),
    **dict.fromkeys("−–—", "the minus sign is `-`"),
    **dict.fromkeys("×·⋅∗", "the product of numbers is `*`, that with a matrix `@`"),
    **dict.fromkeys("→⟶⇒", "the arrow is `->`"),
    **dict.fromkeys(("²", "³"), "a power is `^2`"),
    "÷": "a quotient is `/`",
    "∞": "infinity is `inf`",
    "\\": "a line goes on after an operator or inside of brackets",
}
SPELLED = {  # what of them has one reading
    **dict.fromkeys("−–—", "-"),
    **dict.fromkeys("→⟶⇒", "->"),
    "²": "^2",
    "³": "^3",
    "÷": "/",
    "∞": "inf",
}


def is_allowed(name: str) -> bool:
    return len(name) <= MAXIMUM_NAME and not keyword.iskeyword(name)


def refuse_name(raw: Raw, starts_statement: bool, following: Raw) -> Diagnostic:
    text = raw.text
    if len(text) > MAXIMUM_NAME:
        return rules.LongName.at(raw.span, length=len(text), limit=MAXIMUM_NAME)
    if not starts_statement:
        return rules.KeywordName.at(raw.span, name=text, help=_keyword_help(raw))
    if text in STATEMENTS:
        return rules.MisplacedStatement.at(raw.span, word=text)
    help = PYTHON.get(text, "a line is a declaration, an assignment, `repeat` or `return`")
    if (text, following.text) == ("def", "forward"):
        help = rules.PythonStatement.forward
    return rules.PythonStatement.at(raw.span, word=text, help=help)


def _keyword_help(raw: Raw) -> str:
    word = raw.text
    if word in ("True", "False"):
        return _instead(raw, word.lower())
    return "use another name" if word != "None" else "leave out what has no value"


def is_exact(number: str) -> bool:
    """Whether a number has few enough digits to be kept exactly."""
    if len(number) < 3:
        return True
    mantissa, _, exponent = number.lower().partition("e")
    digits = len(mantissa) - ("." in mantissa)
    return digits <= MAXIMUM_DIGITS and _is_small(exponent or "0")


def _is_small(exponent: str) -> bool:
    digits = exponent.lstrip("+-").lstrip("0") or "0"
    return len(digits) <= len(str(MAXIMUM_EXPONENT))


def refuse_number(raw: Raw) -> Diagnostic:
    return too_long(raw.span, "this number")


def too_long(span: Span, number: str) -> Diagnostic:
    fields = {"digits": MAXIMUM_DIGITS, "exponent": MAXIMUM_EXPONENT}
    return rules.LongNumber.at(span, number=number, **fields)


def is_out_of_range(value: Fraction) -> bool:
    """Whether a value is beyond the powers of ten that are written."""
    limit = Fraction(10) ** (MAXIMUM_EXPONENT + 1)
    return abs(value) >= limit or 0 < abs(value) * limit < 10


def is_large(number: str) -> bool:
    """Whether a number is too large to be a part of a fraction."""
    return number.isdigit() and int(number) > MAXIMUM_PART


def refuse_fraction(raw: Raw) -> Diagnostic:
    return rules.LargeFraction.at(raw.span, limit=MAXIMUM_PART)


def refuse_odd(raw: Raw) -> Diagnostic:
    """What is wrong with a piece that is no terminal of the grammar."""
    first = raw.text[0]
    if first == '"':
        return rules.UnclosedText.at(raw.span)
    if first.isdecimal() and first.isascii():
        return rules.BadNumber.at(raw.span, text=raw.text, help=_number_help(raw))
    if raw.text in FOREIGN_CHARACTERS:
        return _bad_character(raw, FOREIGN_CHARACTERS[raw.text])
    if first == "_" or first.isalnum():
        return rules.BadName.at(raw.span, text=raw.text, label=_name_label(raw.text))
    return _bad_character(raw, "remove it; a comment starts with `#`")


def _instead(raw: Raw, text: str) -> Suggestion:
    return Suggestion(f"write `{text}`", [Replacement(raw.span, text)])


def _bad_character(raw: Raw, help: str) -> Diagnostic:
    if raw.text in SPELLED:
        help = Suggestion(help, [Replacement(raw.span, SPELLED[raw.text])])
    return rules.BadCharacter.at(raw.span, text=raw.text, help=help)


def _number_help(raw: Raw) -> str:
    text = raw.text
    plain = text.replace("_", "")
    if plain.isdecimal() and plain.isascii():
        return _instead(raw, plain)
    if text.endswith("."):
        return f"write `{text[:-1]}` or `{text}0`"
    return "a number is digits, as in `12`, `0.5` or `3e-3`; a name starts with a letter"


def _name_label(text: str) -> str:
    odd = next((character for character in text if not character.isascii()), None)
    return f"`{odd}` is not an ASCII letter" if odd else "starts with `_`"
