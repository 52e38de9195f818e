"""What to say of a token that cannot stand where it does.

A recognizer knows one mistake by the terminals that could have come, the token that came, and its
neighbors. The first that answers is heard; `_unexpected` always does.
"""

from __future__ import annotations

from collections.abc import Callable

from abcparam.diagnostics.diagnostic import Diagnostic, Suggestion, did_you_mean
from abcparam.diagnostics.rules import syntax as rules
from abcparam.language import torch_forms
from abcparam.language.scanner import BODIES, DECLARATIONS, OPERANDS, OPERATORS, STATEMENTS, Token
from abcparam.language.text_place import TextPlace

VALUES = frozenset(["NAME", "NUMBER", "LPAR", "MINUS", "QMARK", "STRING"])
POSTFIX = frozenset(["DOT", "LPAR", "LSQB"])
FOREIGN = {
    "**": ("a power is `^`", "write `^`"),
    "//": (
        "division is `/`",
        "write `/`, and `round_up(x, n)` to round; a comment starts with `#`",
    ),
    "==": ("one `=`", "write `=`; there are no comparisons in a spec"),
    **dict.fromkeys(("+=", "-=", "*=", "/=", "@="), ("assignment is `=`", "write `x = x + …`")),
}
FORMS = {
    "_MODEL": "write `model Name`",
    "_IMPORT": 'write `import "file.param"`',
    "_DIM": "write `dim name -> inf, base = 256` or `dim name = expression`",
    "_HYPER": "write `hyper name = value`, and `in [low, high]`, `in log [a, b]` or `in {x, y}`",
    "_EXPONENT": "write `exponent theta`",
    "_PARAMETRIZATION": "write `parametrization name` or `parametrization { hidden { a = 0, … } }`",
    "_TENSOR": "write `tensor name : role [out, in] { settings }`",
    "_BLOCK": "write `block Name(x) { … }`",
    "_FORWARD": "write `forward(x : [pixels]) { … }` or `forward(x : index(vocab) [length]) { … }`",
    "_OPTIMIZER": "write `optimizer name { lr = lr }` or `optimizer name for hidden { … }`",
    "_LOSS": "write `loss cross_entropy`",
    "_ASSUME": "write `assume alignment = full`",
    "_EXPECT": "write `expect maximal-update`",
    "_REPEAT": "write `repeat count as name { … }`",
    "_RETURN": "write `return value`",
}
NAMES = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "$END": "the end of the file",
    "_ANY": "`*`",
    "_LABEL": "`as`",
    "LPAR": "`(`",
    "RPAR": "`)`",
    "LSQB": "`[`",
    "RSQB": "`]`",
    "LBRACE": "`{`",
    "RBRACE": "`}`",
    "COMMA": "`,`",
    "COLON": "`:`",
    "EQUAL": "`=`",
    "ARROW": "`->`",
    "DOT": "`.`",
    "QMARK": "`?`",
    "PLUS": "`+`",
    "MINUS": "`-`",
    "STAR": "`*`",
    "SLASH": "`/`",
    "AT": "`@`",
    "CARET": "`^`",
}


def explain(accepted: frozenset[str], tokens: list[Token], index: int, start: int) -> Diagnostic:
    """The diagnostic for the token at `index`, in the statement that begins at `start`."""
    place = TextPlace(accepted, tokens, index, start)
    found = (recognize(place) for recognize in RECOGNIZERS)
    return next(diagnostic for diagnostic in found if diagnostic is not None)


def _foreign_operator(place: TextPlace) -> Diagnostic | None:
    for first, second in ((place.before, place.token), (place.token, place.next)):
        text = first.text + second.text
        if text in FOREIGN and _adjacent(first, second):
            label, help = FOREIGN[text]
            span = first.span.to(second.span)
            return rules.ForeignOperator.at(span, text=text, label=label, help=help)
    return None


def _bare_point(place: TextPlace) -> Diagnostic | None:
    point, digits = place.token, place.next
    if point.type == "DOT" and digits.type == "NUMBER" and _adjacent(point, digits):
        text = point.text + digits.text
        return rules.BadNumber.at(point.span.to(digits.span), text=text, help=f"write `0{text}`")
    return None


def _power(place: TextPlace) -> Diagnostic | None:
    before, token = place.before, place.token
    if token.type == "CARET" and before.type in OPERANDS and place.accepted & OPERATORS:
        return rules.ChainedPower.at(token.span)
    if before.type == "CARET" or (before.type == "MINUS" and _at(place, -2) == "CARET"):
        return rules.BadPower.at(place.span)
    return None


def _negative_operand(place: TextPlace) -> Diagnostic | None:
    if place.token.type == "MINUS" and place.before.type == "AT":
        return rules.NegativeOperand.at(place.token.span)
    return None


def _misplaced_as(place: TextPlace) -> Diagnostic | None:
    return rules.MisplacedAs.at(place.token.span) if place.token.type == "_AS" else None


def _misplaced_text(place: TextPlace) -> Diagnostic | None:
    return rules.MisplacedText.at(place.token.span) if place.token.type == "STRING" else None


def _not_a_declaration(place: TextPlace) -> Diagnostic | None:
    token = place.token
    if place.number != place.start or token.depth or token.type == "$END":
        return None
    if token.text in STATEMENTS:
        return rules.MisplacedStatement.at(token.span, word=token.text)
    return rules.UnknownDeclaration.at(token.span, found=token.text, help=_declaration_help(place))


def _declaration_help(place: TextPlace) -> str:
    name = place.token.text
    if place.next.type in ("EQUAL", "COMMA") and place.token.type == "NAME":
        return (
            f"write `dim {name} = …` or `hyper {name} = …` for a constant; "
            "what is computed stands in `forward` or in a block"
        )
    guess = did_you_mean(name, DECLARATIONS, place.token.span)
    if guess:
        return Suggestion(guess.strip(), guess.edit)
    return "a declaration starts with " + _either([f"`{word}`" for word in DECLARATIONS])


def _misplaced_declaration(place: TextPlace) -> Diagnostic | None:
    head = place.head
    inside = head.depth > 0 and place.number == place.start + 1
    if inside and head.text in DECLARATIONS and place.token.type in ("NAME", "STRING", "LBRACE"):
        return rules.MisplacedDeclaration.at(head.span, word=head.text)
    return None


def _not_a_statement(place: TextPlace) -> Diagnostic | None:
    inside = place.head.type == "NAME" and place.head.depth > 0 and place.number == place.start + 1
    if inside and place.token.type not in VALUES - {"LPAR", "MINUS"} | {"COLON"}:
        help = rules.NotAStatement.forms
        if _is_last(place):
            value = torch_forms.text_of(torch_forms.statement(place))
            help = rules.NotAStatement.result.format(value=value)
        return rules.NotAStatement.at(place.span, help=help)
    return None


def _is_last(place: TextPlace) -> bool:
    """Whether a `}` follows a statement."""
    following = place.tokens[place.start + len(torch_forms.statement(place)) :]
    return [token.type for token in following[:2]] == ["_END", "RBRACE"]


def _missing_equals(place: TextPlace) -> Diagnostic | None:
    if "EQUAL" not in place.accepted or place.accepted & (OPERATORS | {"RPAR", "ARROW"}):
        return None
    if place.token.type in VALUES | {"COLON", "_END"} and place.before.type in ("NAME", "RSQB"):
        return rules.MissingEquals.at(place.span, name=_text_before(place))
    return None


def _missing_colon(place: TextPlace) -> Diagnostic | None:
    if "COLON" not in place.accepted or place.token.type == "COMMA":
        return None
    help = FORMS["_TENSOR" if place.head.type == "_TENSOR" else "_FORWARD"]
    return rules.MissingColon.at(place.span, name=place.before.text, help=help)


def _missing_shape(place: TextPlace) -> Diagnostic | None:
    shaped = place.head.type in ("_TENSOR", "_FORWARD") and not place.accepted & OPERATORS
    if (
        shaped
        and "LSQB" in place.accepted
        and place.token.type in ("LPAR", "_END", "LBRACE", "RPAR", "COMMA")
    ):
        return rules.MissingShape.at(place.span, help=_shape_help(place))
    return None


def _shape_help(place: TextPlace) -> str:
    """What axes are, of an input of indices after `index(classes)` too."""
    given = place.tokens[place.start : place.number]
    colon = max((n for n, token in enumerate(given) if token.type == "COLON"), default=0)
    if [token.type for token in given[colon + 1 : colon + 2]] != ["_INDEX"]:
        return rules.MissingShape.axes
    classes = torch_forms.text_of(given[colon + 1 :])
    return rules.MissingShape.of_indices.format(name=given[colon - 1].text, classes=classes)


def _missing_braces(place: TextPlace) -> Diagnostic | None:
    token, head = place.token, place.head
    body = head.type in BODIES
    opens = token.type in ("LPAR", "COLON") or (token.type == "NAME" and place.next.type == "EQUAL")
    if "LBRACE" not in place.accepted or head.type == "_HYPER":
        return None
    if not opens and not (body and token.type == "_END"):
        return None
    what = "a body stands" if body else "settings stand"
    help = (
        "put `{` at the end of this line and `}` after the body"
        if body
        else FORMS.get(head.type, "")
    )
    return rules.MissingBraces.at(place.span, what=what, help=help)


def _missing_separator(place: TextPlace) -> Diagnostic | None:
    if place.token.type not in OPERANDS or place.before.type not in OPERANDS | {"RBRACE"}:
        return None
    fields = {"before": place.before.text, "after": place.token.text}
    applied = place.before.text in torch_forms.tensors_declared(place.tokens)
    if applied and place.accepted & OPERATORS:
        help = rules.MissingSeparator.applied.format(**fields)
        return rules.MissingSeparator.at(place.span, separator="`@`", help=help, **fields)
    if "COMMA" in place.accepted and (place.token.depth > place.head.depth):
        help = "separate them with a comma, or with an operator if they belong together"
        return rules.MissingSeparator.at(place.span, separator="`,`", help=help, **fields)
    if "_END" in place.accepted and "PLUS" in place.accepted:
        help = "a statement ends at the end of its line, or at `;`"
        return rules.MissingSeparator.at(place.span, separator="an operator", help=help, **fields)
    return None


def _unexpected(place: TextPlace) -> Diagnostic:
    expected = _either(_expected(place))
    return rules.UnexpectedToken.at(
        place.span,
        expected=expected,
        found=_found(place),
        label=f"expected {expected}" if len(expected) < 40 else "not expected here",
        help=FORMS.get(place.head.type, ""),
    )


RECOGNIZERS: tuple[Callable[[TextPlace], Diagnostic | None], ...] = (
    _foreign_operator,
    *torch_forms.RECOGNIZERS,
    _bare_point,
    _misplaced_text,
    _power,
    _negative_operand,
    _misplaced_as,
    _not_a_declaration,
    _misplaced_declaration,
    _not_a_statement,
    _missing_equals,
    _missing_colon,
    _missing_shape,
    _missing_braces,
    _missing_separator,
    _unexpected,
)


def _adjacent(first: Token, second: Token) -> bool:
    return first.line == second.line and first.column + len(first.text) == second.column


def _at(place: TextPlace, offset: int) -> str:
    index = place.number + offset
    return place.tokens[index].type if index >= place.start else ""


def _text_before(place: TextPlace) -> str:
    """The key that ends before the token: `lr`, `c[depth]`."""
    if place.before.type != "RSQB":
        return place.before.text
    return "".join(token.text for token in place.tokens[max(place.number - 4, 0) : place.number])


def _expected(place: TextPlace) -> list[str]:
    accepted = set(place.accepted) - {"_BAD"}
    if {"NAME", "NUMBER", "LPAR"} <= accepted:
        accepted -= VALUES
        return ["an expression", *_names(accepted, place)]
    if place.before.type in OPERANDS and accepted - OPERATORS - POSTFIX - {"_AS"}:
        accepted -= OPERATORS | POSTFIX | {"_AS"}
    return _names(accepted, place)


def _names(accepted: set[str], place: TextPlace) -> list[str]:
    if place.in_braces or place.token.depth > place.head.depth:
        closing = {"`}`" if terminal == "_END" else "" for terminal in accepted} - {""}
        accepted -= {"_END"} | ({"RBRACE"} if closing else set())
    else:
        closing = set()
    return sorted(_name(terminal) for terminal in accepted) + sorted(closing)


def _name(terminal: str) -> str:
    if terminal == "_END":
        return "the end of the line"
    return NAMES.get(terminal) or f"`{terminal[1:].lower()}`"


def _either(names: list[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " or " + names[-1]


def _found(place: TextPlace) -> str:
    if place.shown.text:
        return f"`{place.shown.text}`"
    return "the end of the file" if place.token.type == "$END" else "the end of the line"
