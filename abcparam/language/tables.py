"""The one door to lark: the tables of the grammar.

Lark reads the grammar and makes the LALR tables. They are kept beside it, so that a run needs
neither lark nor the time to make them; `python -m abcparam.language.tables --tables` writes them.
"""

from __future__ import annotations

import json
import sys
import zlib
from functools import lru_cache
from typing import Any

from abcparam.algebra.record import NamedTuple
from abcparam.language.scanner import Scanner
from abcparam.language.tree_builder import BUILD, NodeFactory
from abcparam.storage.resources import read_resource, resource

GRAMMAR = ("grammar", "param.lark")
TABLES = ("grammar", "param.tables.json")
FORMAT = 1


class Reduction(NamedTuple):
    """A rule of the grammar as the parser applies it.

    `keep` are the places of the children that matter, `spliced` those of lists to be joined.
    `build` is None where the children are handed on as a list to the rule above.
    """

    origin: str
    size: int
    stands_for_child: bool
    build: NodeFactory | None
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


def main(arguments: list[str]) -> int:
    if arguments != ["--tables"]:
        print("usage: python -m abcparam.language.tables --tables", file=sys.stderr)
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
