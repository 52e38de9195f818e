"""Optimizers: their settings with defaults, their laws and where these are from."""

from __future__ import annotations

from abcparam.algebra.record import Record
from abcparam.optimizers import optimizers
from abcparam.optimizers.base import OptimizerRule
from abcparam.reference.optimizers import forms as forms_of
from abcparam.reference.optimizers import in_words, settings
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
    rows = ((code(r.name), settings(r), str(r.gauge), _in_words(r)) for r in _rules())
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
    return [Form(*found) for found in forms_of(rule)]


def _law(form: Form) -> tuple[str, ...]:
    rule = form.rule
    size = "spectral norm" if rule.spectral else "entry"
    return code(rule.name, *form.words), size, code(rule.law), str(rule.gauge), rule.source


def _in_words(rule: OptimizerRule) -> str:
    return ("as a spectral norm " if rule.spectral else "") + in_words(rule)
