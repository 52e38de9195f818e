"""What words of the language mean, as editors show it: `abcparam explain WORD`, in Markdown."""

from __future__ import annotations

from abcparam.reference.entry import GlossaryEntry
from abcparam.reference.explain import entry_of, owners_of


def meaning(word: str) -> str:
    """The meaning in a line, empty where there is none."""
    entry = entry_of(word)
    return entry.meaning if entry else ""


def explained(word: str) -> str:
    """All that is known of a word in Markdown, empty where that is nothing."""
    entry, owners = entry_of(word), owners_of(word)
    if entry is None and not owners:
        return ""
    parts = _entry(entry) if entry else [f"**{word}** (setting)"]
    return "\n\n".join([*parts, "\n".join(f"- {owner.strip()}" for owner in owners)]).strip()


def _entry(entry: GlossaryEntry) -> list[str]:
    told = (
        ("written", entry.written),
        ("law", entry.law),
        *entry.more,
        ("source", entry.source),
    )
    lines = [f"- {head}: {'; '.join(text.splitlines())}" for head, text in told if text]
    example = [f"```param\n{entry.example}\n```"] if entry.example else []
    return [f"**{entry.name}** ({entry.kind}): {entry.meaning}", "\n".join(lines), *example]
