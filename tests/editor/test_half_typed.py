"""Whatever is typed, an editor gets an answer: no text of a spec, whole or half, raises.

1,000 texts, 10,000 more in the slow test: specs cut off at a random place, without the rest of a
line, without some characters, or with words damaged. Each is analysed after the whole one, and
asked everything at the place of the cut.
"""

from __future__ import annotations

import random

import pytest

from abcparam.diagnostics.source import Source
from abcparam.editing.replacements import replaced
from abcparam.editor.actions import quick_fixes
from abcparam.editor.analysis import Analysis, analyse
from abcparam.editor.colours import coloured
from abcparam.editor.completion import complete
from abcparam.editor.hints import hints
from abcparam.editor.hover import hover
from abcparam.editor.outline import outline
from abcparam.editor.rename import rename
from abcparam.editor.words import Position
from tests.commands.test_fuzz import TEXTS, WORDS, damage

SMALL = sorted(range(len(TEXTS)), key=lambda n: len(TEXTS[n]))[:5]


def place(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def half_typed(number: int, draw: random.Random) -> tuple[str, Position]:
    """A text that is not finished, and where it is being written."""
    text = TEXTS[number]
    cut = draw.randrange(len(text))
    kind = draw.randrange(8)
    if kind < 3:
        return text[:cut], place(text, cut)
    if kind < 5:
        return text[:cut] + text[text.find("\n", cut) :], place(text, cut)
    if kind < 7:
        return text[:cut] + text[cut + draw.randrange(60) :], place(text, cut)
    made = damage(WORDS[number], draw)
    return made, place(made, min(cut, len(made)))


def ask_everything(text: str, position: Position, before: Analysis, draw: random.Random) -> None:
    analysis = analyse(Source(text), before)
    complete(analysis, position)
    hover(analysis, position)
    hints(analysis)
    outline(analysis)
    coloured(analysis)
    for action in quick_fixes(analysis.diagnostics):
        replaced(text, action.edit)
    if draw.random() < 0.05:
        rename(analysis, position, "renamed")


def ask_of_many(numbers: list[int], count: int, seed: int) -> None:
    draw = random.Random(seed)
    whole = {number: analyse(Source(TEXTS[number])) for number in numbers}
    for case in range(count):
        number = numbers[case % len(numbers)]
        text, position = half_typed(number, draw)
        try:
            ask_everything(text, position, whole[number], draw)
        except Exception as error:
            error.add_note(f"at {position} of\n{text}")
            raise


def test_half_typed_specs_are_answered():
    ask_of_many(SMALL, 1000, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_more_half_typed_specs_are_answered(seed: int):
    ask_of_many(list(range(len(TEXTS))), 2000, seed)
