"""Colours for Pygments, and so for Sphinx and MkDocs: words as the compiler reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pygments.lexer import Lexer
from pygments.token import (
    Comment,
    Error,
    Keyword,
    Name,
    Number,
    Operator,
    String,
    Text,
    _TokenType,
)

from abcparam.editor.colours import word_kind
from abcparam.editor.words import kinds, words_of
from abcparam.language.parser import pieces, recovered

TOKENS = {
    "comment": Comment.Single,
    "keyword": Keyword,
    "number": Number,
    "string": String,
    "operator": Operator,
    "error": Error,
    "function": Name.Function,
    "constant": Name.Constant,
    "key": Name,
}


class ParamLexer(Lexer):  # type: ignore[misc]
    """Specs, half-typed ones too."""

    name = "abcparam"
    aliases: ClassVar[list[str]] = ["param", "abcparam"]
    filenames: ClassVar[list[str]] = ["*.param"]

    def get_tokens_unprocessed(self, text: str) -> Iterator[tuple[int, _TokenType, str]]:
        """Each word, and what stands between them."""
        cut = pieces(text)
        lines = [0]
        for line in text.split("\n"):
            lines.append(lines[-1] + len(line) + 1)
        at = 0
        for piece, kind in kinds(words_of(cut, recovered(cut).tokens)):
            start = lines[piece.line - 1] + piece.column - 1
            if at < start:
                yield at, Text, text[at:start]
            found = word_kind(piece.text) if kind == "name" else kind
            yield start, TOKENS[found], piece.text
            at = start + len(piece.text)
        if at < len(text):
            yield at, Text, text[at:]
