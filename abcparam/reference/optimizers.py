"""Optimizers as they state themselves: settings with defaults, the law, the gauge."""

from __future__ import annotations

from inspect import getdoc

from abcparam.optimizers import optimizers
from abcparam.optimizers.base import OptimizerRule
from abcparam.optimizers.refused import REFUSED
from abcparam.reference.entry import GlossaryEntry


def entries() -> dict[str, GlossaryEntry]:
    """Every optimizer by name, those that are refused too."""
    found = {name: _entry(rule) for name, rule in optimizers().items()}
    for name, refused in REFUSED.items():
        meaning = f"refused, for {refused.reason}; `{refused.instead}` has a law"
        found[name] = GlossaryEntry(name, "optimizer", meaning)
    return found


def _entry(rule: OptimizerRule) -> GlossaryEntry:
    size = "a spectral norm" if rule.spectral else "an entry"
    shift = ", ".join(f"{letter} {by:+d}" for letter, by in rule.shift.items())
    return GlossaryEntry(
        rule.name,
        "optimizer",
        " ".join((getdoc(type(rule)) or "").split()),
        written=f"`optimizer {rule.name} {{ lr = lr }}`",
        law=f"an update has {size} of size {in_words(rule)}, `γ` that of the gradient",
        example=f"optimizer {rule.name} {{ lr = lr, weight_decay = 0 }}",
        source=rule.source,
        more=(("settings", settings(rule)), ("gauge", f"`{shift}` is the same training")),
    )


def settings(rule: OptimizerRule) -> str:
    """`lr`, `betas` (0.9, 0.999), …; words that choose a law come last."""
    parts = ["`lr`"]
    for name in rule.settings:
        parts.append(setting(rule, name))
        if name == "weight_decay" and rule.decoupled:
            parts.append("decoupled")
    return "; ".join([", ".join(parts), *(setting(rule, word) for word in rule.words)])


def setting(rule: OptimizerRule, name: str) -> str:
    """A setting with its default, nothing where the optimizer does not have it."""
    if name in rule.words:
        return f"`{name}` ({_codes(*rule.words[name])})"
    if name not in rule.settings:
        return ""
    return f"`{name}` {_default(rule.settings[name])} {rule.remarks.get(name, '')}".strip()


def forms(rule: OptimizerRule) -> list[tuple[OptimizerRule, tuple[str, ...]]]:
    """The rule as it is, then with each other word of its settings."""
    found: list[tuple[OptimizerRule, tuple[str, ...]]] = [(rule, ())]
    for key, (_, *others) in rule.words.items():
        found += [(rule.chosen({key: word}), (f"{key} = {word}",)) for word in others]
    return found


def in_words(rule: OptimizerRule) -> str:
    """The law; where words choose one, each with its word."""
    found = [form.in_words or f"`{form.law}`" for form, _ in forms(rule)]
    for words in rule.words.values():
        found = [f"{law} (`{word}`)" for law, word in zip(found, words, strict=True)]
    return "; ".join(found)


def _codes(*texts: str) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def _default(default: object) -> str:
    return f"({', '.join(default) if isinstance(default, tuple) else str(default).lower()})"
