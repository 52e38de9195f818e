"""What `abcparam explain` answers: a diagnostic's story, or what a word means."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache

from abcparam.diagnostics.diagnostic import did_you_mean
from abcparam.diagnostics.explain import codes, story
from abcparam.operations import operations as all_operations
from abcparam.optimizers import optimizers as all_optimizers
from abcparam.reference import operations, optimizers, parametrizations, words
from abcparam.reference.entry import GlossaryEntry

CODE = re.compile(r"[Pp]?\d+")


def unanswered(word: str) -> str:
    """What to say of a word that has no answer."""
    if CODE.fullmatch(word):
        return f"no diagnostic has the code {word!r}; `abcparam explain all` lists them"
    meant = did_you_mean(word, [*entries(), *LISTS])
    return (
        f"{word!r} is not explained.{meant} `abcparam explain words`, `operations`, `optimizers` "
        f"and `all` (codes) list what is"
    )


def answer(word: str) -> str | None:
    """The text for a code, a word or a list of words; None where there is none."""
    if word.lower() in LISTS:
        return LISTS[word.lower()]()
    entry, owners = entry_of(word), owners_of(word)
    if entry is not None:
        return "\n".join([entry.text, *(["", *owners] if owners else [])])
    setting = "\n".join([f"{word} (setting)", "", *owners]) if owners else None
    return story(word) or setting


def entry_of(word: str) -> GlossaryEntry | None:
    """What a word means, in any case and in the plural too."""
    found = entries()
    return found.get(word) or found.get(word.lower()) or found.get(word.lower().rstrip("s"))


@cache
def entries() -> dict[str, GlossaryEntry]:
    """Every word that has an entry."""
    return {
        **parametrizations.entries(),
        **words.entries(),
        **optimizers.entries(),
        **operations.entries(),
    }


@cache
def owners_of(word: str) -> tuple[str, ...]:
    """The operations and optimizers that have a setting of this name, with its default."""
    found = [
        f"  `{argument}` of `{operation.name}`"
        for operation in all_operations().values()
        for argument in operations.arguments(operation)
        if argument.partition(" ")[0] == word and not operation.hidden
    ]
    found += [
        f"  {setting} of the optimizer `{name}`"
        for name, rule in all_optimizers().items()
        if (setting := optimizers.setting(rule, word))
    ]
    return tuple(found)


def _listed(found: Mapping[str, GlossaryEntry]) -> str:
    distinct = {entry.name: entry for entry in found.values()}
    width = max(map(len, distinct))
    return "\n".join(f"{name:{width}}  {entry.meaning}" for name, entry in distinct.items())


def _codes() -> str:
    return "\n".join(
        f"{code}  {(rule.__doc__ or '').strip().splitlines()[0]}" for code, rule in codes().items()
    )


LISTS: dict[str, Callable[[], str]] = {
    "all": _codes,
    "operations": lambda: _listed(operations.entries()),
    "optimizers": lambda: _listed(optimizers.entries()),
    "words": lambda: _listed({**words.entries(), **parametrizations.entries()}),
}
