"""Optimizers: their settings with defaults, their laws and where these are from."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.optimizers import optimizers
from abcparam.optimizers.base import OptimizerRule
from docs.tables.markdown import Table, code


class Form(Record):
    """A law of an optimizer, and the settings that say that it is meant: `adjust = spectral`."""

    rule: OptimizerRule
    words: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """As parametrizations say it, with the settings where there are some."""
        name, form = self.rule.name, self.rule.form
        return f"{name} with {code(*self.words)} ({code(form)})" if self.words else name


def table() -> Table:
    """A row for each name: what a spec may say, and the law in words."""
    head = ("name", "settings (defaults)", "gauge", "size of an update's entry")
    rows = ((code(r.name), _settings(r), str(r.gauge), _in_words(r)) for r in _rules())
    return Table(head, tuple(rows))


def laws() -> Table:
    """A row for each law."""
    head = ("optimizer", "size of an update of `w`", "law", "gauge", "source")
    return Table(head, tuple(_law(form) for form in forms()))


def forms() -> list[Form]:
    """Every optimizer as it is, then with each other word of its settings."""
    return [form for rule in _rules() for form in _forms(rule)]


def _rules() -> list[OptimizerRule]:
    """Those by entries first, and of these the ones that see the gradient's scale."""
    return sorted(optimizers().values(), key=lambda rule: (rule.spectral, -rule.gauge))


def _forms(rule: OptimizerRule) -> list[Form]:
    found = [Form(rule)]
    for key, (_, *others) in rule.words.items():
        found += [Form(rule.chosen({key: word}), (f"{key} = {word}",)) for word in others]
    return found


def _law(form: Form) -> tuple[str, ...]:
    rule = form.rule
    size = "spectral norm" if rule.spectral else "entry"
    return code(rule.name, *form.words), size, code(rule.law), str(rule.gauge), rule.source


def _settings(rule: OptimizerRule) -> str:
    parts = [code("lr")]
    for name, default in rule.settings.items():
        parts.append(f"{code(name)} {_default(default)} {rule.remarks.get(name, '')}".strip())
        if name == "weight_decay" and rule.decoupled:
            parts.append("decoupled")
    words = (f"{code(key)} ({code(*words)})" for key, words in rule.words.items())
    return "; ".join([", ".join(parts), *words])


def _default(default: object) -> str:
    return f"({', '.join(default) if isinstance(default, tuple) else str(default).lower()})"


def _in_words(rule: OptimizerRule) -> str:
    """The law; where words choose one, each with its word."""
    found = [form.rule.in_words or code(form.rule.law) for form in _forms(rule)]
    for words in rule.words.values():
        found = [f"{law} ({code(word)})" for law, word in zip(found, words, strict=True)]
    return ("as a spectral norm " if rule.spectral else "") + "; ".join(found)
