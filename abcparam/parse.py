"""The one door to lark: the grammar's tables, and the parser that runs on them.

Lark reads the grammar and makes the LALR tables; they are kept beside it, so that a run needs
neither lark nor the time to make them. `python -m abcparam.parse --tables` writes them anew.
"""

from __future__ import annotations

import gc
import json
import sys
import zlib
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from abcparam import mistakes
from abcparam.diagnostics import Diagnostic, SpecError
from abcparam.layout import Layout
from abcparam.reading import read as read
from abcparam.reading import refuse_characters
from abcparam.resources import read_resource, resource
from abcparam.source import Source, Span
from abcparam.syntax import Name, Number, Spec
from abcparam.tokens import Raw, Scanner, Token
from abcparam.tree import BUILD, Build

GRAMMAR = ("grammar", "param.lark")
TABLES = ("grammar", "param.tables.json")
FORMAT = 1


def parse(source: Source) -> Spec:
    """The syntax tree of a spec; raises `SpecError` with one error for each bad statement."""
    refuse_characters(source)
    collecting = gc.isenabled()
    gc.disable()
    try:
        layout = Layout(tables().scanner.scan(source.text))
        parser = Parser(layout.tokens, layout.errors)
        spec = parser.run()
    finally:
        if collecting:
            gc.enable()
    if parser.diagnostics:
        # A brace that opens in the wrong place and never closes is one mistake, the latter.
        raise SpecError(source, {d.span: d for d in parser.diagnostics}.values())
    return spec


def pieces(text: str) -> list[Raw]:
    """The text cut into pieces, comments and newlines included."""
    return tables().scanner.scan(text)


def comments(source: Source) -> list[Raw]:
    """The comments of a spec, `#` included, in order."""
    return [piece for piece in pieces(source.text) if piece.kind == "COMMENT"]


class Reduction(NamedTuple):
    """A rule of the grammar as the parser applies it.

    `keep` are the places of the children that matter, `spliced` those of lists to be joined.
    `build` is None where the children are handed on as a list to the rule above.
    """

    origin: str
    size: int
    stands_for_child: bool
    build: Build | None
    keep: tuple[int, ...]
    spliced: frozenset[int]

    def children(self, values: list[Any], base: int) -> Any:
        """The children among the values from `base` on; a list that comes first is reused."""
        if not self.spliced:
            return [values[base + place] for place in self.keep]
        children: list[Any] = []
        for place in self.keep:
            value = values[base + place]
            if place not in self.spliced:
                children.append(value)
            elif children:
                children.extend(value)
            else:
                children = value
        return children


class Tables(NamedTuple):
    """What the grammar says, ready for use.

    `actions` has a row for each state: an action >= 0 shifts to a state, one below reduces by its
    complement. The first state is 0; a file that is read leaves the parser in state `end`.
    """

    actions: list[dict[str, int]]
    reductions: list[Reduction]
    end: int
    scanner: Scanner


@lru_cache(maxsize=1)
def tables() -> Tables:
    grammar = read_resource(*GRAMMAR)
    try:
        data = json.loads(read_resource(*TABLES))
    except (OSError, ValueError):
        data = {}
    if data.get("made_from") != fingerprint(grammar):
        data = make_tables(grammar)
    return Tables(
        data["actions"],
        [_reduction(*rule) for rule in data["rules"]],
        data["end"],
        Scanner(data["patterns"], data["symbols"]),
    )


def fingerprint(grammar: str) -> str:
    return f"{FORMAT}-{len(grammar)}-{zlib.crc32(grammar.encode()):08x}"


def _reduction(
    origin: str, size: int, name: str | None, keep: list[int], spliced: list[int]
) -> Reduction:
    build = BUILD[name] if name else None
    return Reduction(origin, size, name == "", build, tuple(keep), frozenset(spliced))


def make_tables(grammar: str) -> dict[str, Any]:
    """The tables of the grammar, as data, made by lark; the same each time."""
    import lark

    made = lark.Lark(grammar, start="spec", parser="lalr", maybe_placeholders=False)
    table = made.parser.parser._parse_table
    rules = sorted(made.rules, key=_spelled)
    numbers = {rule: number for number, rule in enumerate(rules)}
    states = _in_order(table.states, table.start_states["spec"])
    terminals = sorted((t.name, t.pattern.type, t.pattern.value) for t in made.terminals)
    return {
        "made_from": fingerprint(grammar),
        "made_by": f"lark {lark.__version__}",
        "end": states[table.end_states["spec"]],
        "patterns": {name: value for name, kind, value in terminals if kind == "re"},
        "symbols": {value: name for name, kind, value in terminals if kind == "str"},
        "rules": [_rule(rule) for rule in rules],
        "actions": [
            {
                symbol: states[argument] if action.name == "Shift" else ~numbers[argument]
                for symbol, (action, argument) in sorted(table.states[state].items())
            }
            for state in states
        ],
    }


def _spelled(rule: Any) -> tuple[str, list[str]]:
    return str(rule.origin.name), [symbol.name for symbol in rule.expansion]


def _in_order(rows: dict[int, Any], start: int) -> dict[int, int]:
    """Numbers for the states, in the order in which they are reached from the first."""
    numbers = {start: 0}
    reached = [start]
    for state in reached:
        for _, (action, argument) in sorted(rows[state].items(), key=lambda item: item[0]):
            if action.name == "Shift" and argument not in numbers:
                numbers[argument] = len(numbers)
                reached.append(argument)
    return numbers


def _rule(rule: Any) -> list[Any]:
    """A rule of lark's as data.

    Its name is None where it makes a list for the rule above, and empty where it is its only child.
    """
    origin = str(rule.origin.name)
    expansion = rule.expansion
    keep = [n for n, symbol in enumerate(expansion) if not (symbol.is_term and symbol.filter_out)]
    spliced = [n for n in keep if expansion[n].name.startswith("_") and not expansion[n].is_term]
    name = None if origin.startswith("_") else str(rule.alias or origin)
    if rule.options.expand1 and not rule.alias and len(expansion) == len(keep) == 1:
        name = ""
    return [origin, len(expansion), name, keep, spliced]


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
        accepted = self.accepted()
        start = self.unwind(index)
        stop = self.statement_end(index, self.tokens[start].depth)
        known = self.errors.get(index) or self._unclosed(index, stop)
        diagnostic = known or mistakes.explain(accepted, self.tokens, index, start)
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


def main(arguments: list[str]) -> int:
    if arguments != ["--tables"]:
        print("usage: python -m abcparam.parse --tables", file=sys.stderr)
        return 2
    with open(resource(*TABLES), "w", encoding="utf-8", newline="\n") as file:
        file.write(dump(make_tables(read_resource(*GRAMMAR))))
    return 0


def dump(data: dict[str, Any]) -> str:
    """The tables as text, one rule or state to a line."""
    parts = []
    for key, value in data.items():
        if key in ("rules", "actions"):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            parts.append(f'"{key}": [\n{rows}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
