"""A token that cannot stand where it does, and the statement around it."""

from __future__ import annotations

from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.source import Span
from abcparam.language.scanner import Token


class TextPlace(NamedTuple):
    """A token that cannot be: what could, and where in its statement it stands."""

    accepted: frozenset[str]
    tokens: list[Token]
    number: int
    start: int

    @property
    def token(self) -> Token:
        return self.tokens[self.number]

    @property
    def before(self) -> Token:
        return self.tokens[max(self.number - 1, 0)]

    @property
    def next(self) -> Token:
        return self.tokens[min(self.number + 1, len(self.tokens) - 1)]

    @property
    def head(self) -> Token:
        return self.tokens[self.start]

    @property
    def shown(self) -> Token:
        """The token to point at: the bracket where its statement ends before one."""
        closing = self.token.type == "_END" and self.next.type == "RBRACE" and self.next.text
        return self.next if closing else self.token

    @property
    def span(self) -> Span:
        return self.shown.span

    @property
    def in_braces(self) -> bool:
        """Whether the token is in a list in braces."""
        return self.token.depth > self.head.depth and "_END" in self.accepted
