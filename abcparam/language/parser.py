"""The parser: it runs on the tables of the grammar, and recovers at the next statement."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from abcparam.algebra.collector import without_collector
from abcparam.algebra.record import NamedTuple
from abcparam.diagnostics.diagnostic import Diagnostic, SpecError
from abcparam.diagnostics.source import Source, Span
from abcparam.language.lexer import Layout
from abcparam.language.reader import refuse_characters
from abcparam.language.scanner import Raw, Token
from abcparam.language.syntax import Name, Number, Spec
from abcparam.language.tables import Reduction, tables


def parse(source: Source) -> Spec:
    """The syntax tree of a spec; raises `SpecError` with one error for each bad statement."""
    refuse_characters(source)
    read = recovered(pieces(source.text))
    if read.errors:
        raise SpecError(source, read.errors)
    return read.spec


class Recovered(NamedTuple):
    """What of a spec can be read, and one error for each statement that is not in it."""

    spec: Spec
    errors: tuple[Diagnostic, ...]
    tokens: tuple[Token, ...]


def recovered(pieces: list[Raw]) -> Recovered:
    """What can be read of the pieces of a text, whatever they are."""
    with without_collector():
        layout = Layout(pieces)
        tokens = tuple(layout.tokens)
        parser = Parser(layout.tokens, layout.errors)
        spec = parser.run()
    # A brace that opens in the wrong place and never closes is one mistake, the latter.
    return Recovered(spec, tuple({d.span: d for d in parser.diagnostics}.values()), tokens)


def pieces(text: str) -> list[Raw]:
    """The text cut into pieces, comments and newlines included."""
    return tables().scanner.scan(text)


def comments(source: Source) -> list[Raw]:
    """The comments of a spec, `#` included, in order."""
    return [piece for piece in pieces(source.text) if piece.kind == "COMMENT"]


class Parser:
    """One run over the tokens of a file.

    Beside the states and values of the symbols read so far it keeps the token with which each
    began, for the spans of nodes and for finding the start of a bad statement.
    """

    def __init__(self, tokens: list[Token], errors: dict[int, Diagnostic]) -> None:
        self.tokens = tokens
        self.errors = errors
        self.diagnostics: list[Diagnostic] = []
        self.recovered = 0
        self.actions = tables().actions
        self.reductions = tables().reductions
        self.states = [0]
        self.starts: list[int] = []
        self.values: list[Any] = []
        self.numbers: dict[str, Fraction] = {}

    def run(self) -> Spec:
        tokens, actions, states, end = self.tokens, self.actions, self.states, tables().end
        index = 0
        while states[-1] != end:
            action = actions[states[-1]].get(tokens[index].type)
            if action is None:
                index = self.recover(index)
            elif action >= 0:
                self.shift(action, index)
                index += 1
            elif (rule := self.reductions[~action]).stands_for_child:
                states[-1] = actions[states[-2]][rule.origin]
            else:
                self.reduce(rule, index)
        spec: Spec = self.values[0]
        return spec

    def shift(self, state: int, index: int) -> None:
        token = self.tokens[index]
        value: object = token
        if token.type == "NAME":
            value = Name(token.text, span=token.span)
        elif token.type == "NUMBER":
            value = Number(self.number(token.text), span=token.span)
        self.states.append(state)
        self.starts.append(index)
        self.values.append(value)

    def number(self, text: str) -> Fraction:
        if text not in self.numbers:
            self.numbers[text] = Fraction(text)
        return self.numbers[text]

    def reduce(self, rule: Reduction, index: int) -> None:
        """Replaces the last symbols by what they make; `index` is the token that follows."""
        values, states, starts, size = self.values, self.states, self.starts, rule.size
        base = len(values) - size
        start = starts[base] if size else index
        value = rule.children(values, base)
        if rule.build:
            value = rule.build(value, self.span(start, index))
        if size:
            del values[base:], starts[base:], states[base + 1 :]
        values.append(value)
        starts.append(start)
        states.append(self.actions[states[-1]][rule.origin])

    def span(self, start: int, index: int) -> Span:
        first, last = self.tokens[start], self.tokens[max(index - 1, 0)]
        return Span(first.line, first.column, last.line, last.column + len(last.text))

    def recover(self, index: int) -> int:
        """Reports the error at a token and puts a `_BAD` in the place of its statement."""
        from abcparam.language.syntax_errors import explain

        accepted = self.accepted()
        start = self.unwind(index)
        stop = self.statement_end(index, self.tokens[start].depth)
        known = self.errors.get(index) or self._unclosed(index, stop)
        diagnostic = known or explain(accepted, self.tokens, index, start)
        self.diagnostics.append(diagnostic)
        assert stop > self.recovered, "the parser must move on"
        self.recovered = stop
        self.tokens[stop - 1] = self.tokens[start]._replace(type="_BAD")
        return stop - 1

    def unwind(self, index: int) -> int:
        """Forgets the statement that was being read; the token it began with."""
        start = index
        depth = self.tokens[index].depth
        while self.starts and not self._begins_statement(depth):
            self.states.pop()
            self.values.pop()
            start = self.starts.pop()
            depth = min(depth, self.tokens[start].depth)
        return start

    def _begins_statement(self, depth: int) -> bool:
        """Whether the parser is where a statement begins that is not inside of something less deep.

        What follows the `}` of a body belongs to the statement around the body.
        """
        if "_BAD" not in self.actions[self.states[-1]]:
            return False
        last = self.tokens[self.starts[-1]]
        return last.depth + (last.type == "LBRACE") <= depth

    def statement_end(self, index: int, depth: int) -> int:
        while True:
            token = self.tokens[index]
            if token.depth < depth or (token.depth == depth and token.type in ("_END", "$END")):
                return index
            index += 1

    def _unclosed(self, index: int, stop: int) -> Diagnostic | None:
        """A bracket that is not closed explains what else is wrong with a statement."""
        found = (self.errors[n] for n in range(index, stop) if n in self.errors)
        return next((error for error in found if error.code == "P0102"), None)

    def accepted(self) -> frozenset[str]:
        """The terminals that could have come next."""
        symbols = self.actions[self.states[-1]]
        return frozenset(s for s in symbols if s.isupper() and self._shifts(s))

    def _shifts(self, terminal: str) -> bool:
        states = list(self.states)
        while True:
            action = self.actions[states[-1]].get(terminal)
            if action is None:
                return False
            if action >= 0:
                return True
            rule = self.reductions[~action]
            if rule.size:
                del states[-rule.size :]
            states.append(self.actions[states[-1]][rule.origin])
