"""A spec's text in pieces, and the terminals of the grammar that they become."""

from __future__ import annotations

import re

from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.source import Span

DECLARATIONS = {
    "model": "_MODEL",
    "import": "_IMPORT",
    "dim": "_DIM",
    "hyper": "_HYPER",
    "exponent": "_EXPONENT",
    "parametrization": "_PARAMETRIZATION",
    "tensor": "_TENSOR",
    "block": "_BLOCK",
    "forward": "_FORWARD",
    "optimizer": "_OPTIMIZER",
    "loss": "_LOSS",
    "assume": "_ASSUME",
    "expect": "_EXPECT",
}
STATEMENTS = {"tensor": "_TENSOR", "repeat": "_REPEAT", "return": "_RETURN"}
BODIES = frozenset(("_BLOCK", "_FORWARD", "_REPEAT"))

OPERATORS = frozenset(("PLUS", "MINUS", "STAR", "SLASH", "AT", "CARET", "DOT"))
OPERANDS = frozenset(("NAME", "NUMBER", "RPAR", "RSQB", "QMARK"))
PAIRS = {"(": ")", "[": "]", "{": "}", ")": "(", "]": "[", "}": "{"}


class Raw(NamedTuple):
    """A piece of the text as the scanner cuts it."""

    kind: str
    text: str
    line: int
    column: int

    @property
    def span(self) -> Span:
        return Span(self.line, self.column, self.line, self.column + len(self.text))


class Token(NamedTuple):
    """A terminal of the grammar. `depth` is the number of brackets around it."""

    type: str
    text: str
    line: int
    column: int
    depth: int

    @property
    def span(self) -> Span:
        return Span(self.line, self.column, self.line, self.column + len(self.text))


class Scanner:
    """Cuts text into pieces; the terminals are those of the grammar."""

    def __init__(self, patterns: dict[str, str], symbols: dict[str, str]) -> None:
        self.patterns = patterns
        self.symbols = symbols
        groups = [f"(?P<{name}>{pattern})" for name, pattern in patterns.items()]
        marks = "|".join(re.escape(s) for s in sorted(symbols, key=len, reverse=True))
        self.pattern = re.compile(
            r"(?P<NEWLINE>\r?\n)|[ \t]+|\A\ufeff|(?P<COMMENT>\#[^\n\r]*)|"
            + "|".join(groups)
            + rf"|(?P<MARK>{marks})|(?P<SEMICOLON>;)|(?P<ODD>\w[\w.]*|\"[^\"\r\n]*|.)"
        )

    def scan(self, text: str) -> list[Raw]:
        """Every piece of the text but blanks."""
        pieces: list[Raw] = []
        line, start = 1, 0
        for match in self.pattern.finditer(text):
            kind = match.lastgroup
            if kind is None:
                continue
            piece = match.group()
            if kind == "MARK":
                kind = self.symbols[piece]
            pieces.append(Raw(kind, piece, line, match.start() - start + 1))
            if kind == "NEWLINE":
                line += 1
                start = match.end()
        pieces.append(Raw("$END", "", line, len(text) - start + 1))
        return pieces
