"""Texts for the front end: derived from the grammar at random, or specs with damage done."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

from abcparam.language.parser import pieces
from abcparam.language.tables import GRAMMAR, tables
from abcparam.storage.resources import read_resource
from tests.support import paths

SPECS = sorted(paths.SPECS.glob("*.param"))
NAMES = [
    "x",
    "W1",
    "head",
    "input",
    "inf",
    "log",
    "index",
    "model",
    "dim",
    "after",
    "base",
    "loss_2",
]
NUMBERS = ["0", "1", "12", "0.5", "3e-3", "1e-12", "50304"]
LONGEST = 200
WORDS = {"STRING": '"a.param"', "_ANY": "*", "_END": "\n", "_LABEL": "as"}


def derived(count: int, seed: int) -> Iterator[str]:
    """Specs derived from the grammar; every word in the place of a name may stand there."""
    draw = random.Random(seed)
    for _ in range(count):
        words: list[str] = []
        _derive("spec", draw, draw.randrange(8, 26), words)
        yield " ".join(words)


def _derive(symbol: str, draw: random.Random, budget: int, words: list[str]) -> None:
    if symbol not in expansions():
        words.append(_word(symbol, draw))
        return
    choices = expansions()[symbol]
    if symbol == "expression":
        budget = min(budget, 8)
    budget = budget if len(words) < LONGEST else 0
    cheapest = min(_cost(choice) for choice in choices)
    allowed = [choice for choice in choices if _cost(choice) <= max(budget, cheapest)]
    for part in draw.choice(allowed):
        _derive(part, draw, budget - 1, words)


def _word(terminal: str, draw: random.Random) -> str:
    if terminal == "NAME":
        return draw.choice(NAMES)
    if terminal == "NUMBER":
        return draw.choice(NUMBERS)
    symbols = {name: text for text, name in tables().scanner.symbols.items()}
    return WORDS.get(terminal) or symbols.get(terminal) or terminal[1:].lower()


@cache
def expansions() -> dict[str, list[tuple[str, ...]]]:
    """The rules of the grammar but those for bad statements, without lists that only repeat."""
    import lark

    found: dict[str, list[tuple[str, ...]]] = {}
    made = lark.Lark(read_resource(*GRAMMAR), start="spec", parser="lalr", maybe_placeholders=False)
    for rule in made.rules:
        symbols = tuple(str(symbol.name) for symbol in rule.expansion)
        if not {"bad", "_BAD"} & set(symbols):
            found.setdefault(str(rule.origin.name), []).append(symbols)
    found.pop("bad", None)
    return {origin: sorted(choices) for origin, choices in found.items()}


@cache
def _costs() -> dict[str, int]:
    """The depth of the shallowest derivation of each symbol."""
    costs: dict[str, int] = {}
    rules = expansions()
    while len(costs) < len(rules):
        for origin, choices in rules.items():
            known = [
                1 + max([costs.get(part, 0) for part in choice], default=0)
                for choice in choices
                if all(part in costs or part not in rules for part in choice)
            ]
            if known and origin not in costs:
                costs[origin] = min(known)
    return costs


def _cost(choice: tuple[str, ...]) -> int:
    return max([_costs().get(part, 0) for part in choice], default=0)


def damaged(count: int, seed: int) -> Iterator[str]:
    """Windows of lines of the specs, one in ten a whole spec, with up to three mistakes in each."""
    draw = random.Random(seed)
    texts = [path.read_text(encoding="utf-8") for path in SPECS]
    for number in range(count):
        text = draw.choice(texts)
        if number % 10:
            text = _window(text, draw)
        for _ in range(draw.randrange(1, 4)):
            text = draw.choice((_damage_characters, _damage_words))(text, draw)
        yield text


def _window(text: str, draw: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    start = draw.randrange(len(lines))
    return "".join(lines[start : start + draw.randrange(1, 14)])


def _damage_characters(text: str, draw: random.Random) -> str:
    return "".join(_damage(list(text), draw))


def _damage_words(text: str, draw: random.Random) -> str:
    return " ".join(_damage([piece.text for piece in pieces(text)], draw))


def _damage(parts: list[str], draw: random.Random) -> list[str]:
    """Deletes, doubles or swaps parts of a text."""
    if len(parts) < 2:
        return parts
    place, other = draw.randrange(len(parts)), draw.randrange(len(parts))
    kind = draw.randrange(3)
    if kind == 0:
        del parts[place]
    elif kind == 1:
        parts.insert(place, parts[place])
    else:
        parts[place], parts[other] = parts[other], parts[place]
    return parts
