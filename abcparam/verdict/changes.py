"""Changes of a spec that could be proposed: of exponents, factors of its code, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from abcparam.algebra.exponents import Affine
from abcparam.algebra.polynomials import ONE, Polynomial, atom
from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.source import Span
from abcparam.language import syntax
from abcparam.operations.arithmetic import Factor
from abcparam.program.amounts import Amount
from abcparam.program.expressions import Apply, Expression, Invoke, with_operands, with_values
from abcparam.program.model import Module, Program
from abcparam.program.tensors import Init, Tensor, exponents_by_key, with_exponent

FACTOR = Factor()
ZERO = Affine(Fraction(0))

MOST_NAMED = 8  # changes that a line of text names one by one

Powers = tuple[tuple[str, Fraction], ...]  # of growing dims


class Change(Record):
    """One change of a spec, as a text says it."""

    def to_dict(self) -> dict[str, Any]:
        """The change as in the JSON of `abcparam check --all-fixes`."""
        return {"text": str(self)}


class ExponentChange(Change):
    """One exponent that changes: of a role, or of tensors by their names or path."""

    owner: str
    key: str  # `b` or `c[depth]`
    before: Fraction
    after: Fraction
    paths: tuple[str, ...] = ()  # the tensors that it applies to

    def __str__(self) -> str:
        return f"`{self.owner}` {self.values()}"

    def values(self) -> str:
        """What it was and becomes."""
        if self.after == self.before:  # apart from a change of its role
            return f"{self.key} = {self.before} still"
        return f"{self.key} = {self.before} -> {self.after}"

    def to_dict(self) -> dict[str, Any]:
        exponent = {"owner": self.owner, "key": self.key, "tensors": list(self.paths)}
        return {
            **super().to_dict(),
            **exponent,
            "before": str(self.before),
            "after": str(self.after),
        }


class FactorChange(Change):
    """A constant factor of the code that changes: a setting, or what a value is multiplied by.

    At `span` stands what `after` takes the place of; `before` is empty where there is nothing yet.
    """

    name: str  # of the setting, empty for a factor of a value
    before: str
    after: str
    span: Span
    place: Span  # of the operation that has the factor, or is to have one
    setting: str  # of the operation; empty where it is to be multiplied
    powers: Powers  # what the factor is multiplied by

    def __str__(self) -> str:
        if self.name:
            return f"`{self.name} = {self.after}` (now `{self.before}`)"
        if self.setting:
            return f"`{self.after}` for the factor `{self.before}`"
        return f"`{self.after}`"

    def to_dict(self) -> dict[str, Any]:
        written = {"before": self.before, "after": self.after, "span": self.span.to_dict()}
        return {**super().to_dict(), **written}


class SettingChange(Change):
    """A setting of tensors that changes: where they start, how fast they learn or decay."""

    owner: str
    key: str
    before: str
    after: str
    paths: tuple[str, ...]
    spans: tuple[tuple[Span, str], ...]  # what takes the place of which stretch of the text
    powers: Powers = ()  # what the setting is multiplied by, where it is a number
    init: Init | None = None  # where the tensors start instead

    @property
    def wakes(self) -> bool:
        """Whether tensors no longer start at zero."""
        return self.init is not None and not self.init.is_zero

    def __str__(self) -> str:
        now = f" (now `{self.before}`)" if self.before else ""
        others = len(self.paths) - 1 if self.owner == self.paths[0] else 0
        more = f" and {others} more" if others else ""
        return f"`{self.owner}`{more} {self.key} = {self.after}{now}"

    def to_dict(self) -> dict[str, Any]:
        setting = {"owner": self.owner, "key": self.key, "tensors": list(self.paths)}
        return {**super().to_dict(), **setting, "before": self.before, "after": self.after}


class Fix(Record):
    """Changes that make a spec maximal-update, and what sets them apart from others."""

    changes: tuple[Change, ...]
    why: str

    def __str__(self) -> str:
        return f"{in_words(self.changes)} ({self.why})"

    def to_dict(self) -> dict[str, Any]:
        """The fix as in the JSON of `abcparam check --all-fixes`."""
        return {"why": self.why, "changes": [change.to_dict() for change in self.changes]}


class Proposal(Record):
    """Changes, none where none were found. `unfinished` says why the search ended early, if so."""

    changes: tuple[Change, ...] = ()
    unfinished: str = ""


class Alternatives(Record):
    """Other fixes; `unfinished` as of a `Proposal`."""

    fixes: tuple[Fix, ...] = ()
    unfinished: str = ""


def in_words(changes: Iterable[Change]) -> str:
    """The changes in one line; of many exponents that change alike the first and their number."""
    texts = {str(change): change for change in changes}
    if len(texts) <= MOST_NAMED:
        return ", ".join(texts)
    alike: dict[object, list[Change]] = {}
    for change in texts.values():
        kind = change.values() if isinstance(change, ExponentChange) else change
        alike.setdefault(kind, []).append(change)
    return ", ".join(map(_alike_in_words, alike.values()))


def _alike_in_words(alike: list[Change]) -> str:
    first = alike[0]
    if isinstance(first, ExponentChange) and len(alike) > 1:
        return f"`{first.owner}` and {len(alike) - 1} more {first.values()}"
    return str(first)


def values_of(changes: Iterable[Change]) -> dict[tuple[str, str], Affine]:
    """The changes of exponents by tensor path and key, for `edited`.

    A narrower place comes after the wider one that it is part of.
    """
    found = [change for change in changes if isinstance(change, ExponentChange)]
    widest = sorted(found, key=lambda change: -len(change.paths))
    return {(path, c.key): Affine(c.after) for c in widest for path in c.paths}


def texts_of(changes: Iterable[Change]) -> tuple[tuple[Span, str], ...]:
    """The changes of factors as new texts of places, for `edited`."""
    changes = tuple(changes)
    factors = ((c.span, c.after) for c in changes if isinstance(c, FactorChange))
    settings = (edit for c in changes if isinstance(c, SettingChange) for edit in c.spans)
    return (*factors, *settings)


def applied(program: Program, changes: Iterable[Change]) -> Program:
    """The program with the changes."""
    changes = tuple(changes)
    tensors = dict(program.tensors)
    for (path, key), value in values_of(changes).items():
        tensors[path] = with_exponent(tensors[path], key, value)
    for setting in (c for c in changes if isinstance(c, SettingChange)):
        for path in setting.paths:
            tensors[path] = _with_setting(tensors[path], setting)
    factors = {c.place: c for c in changes if isinstance(c, FactorChange)}
    root = _with_factors(program.root, factors) if factors else program.root
    return replace(program, tensors=tensors, root=root)


def _with_setting(tensor: Tensor, change: SettingChange) -> Tensor:
    if change.init is not None:
        return replace(tensor, init=change.init)
    amount: Amount = getattr(tensor, change.key)
    moved = Amount(amount.written, amount.value * _product(change.powers))
    return replace(tensor, **{change.key: moved})


def shared_declaration(program: Program, changes: Iterable[Change]) -> str:
    """Why the changes cannot be written: one declaration serves places that are to differ.

    Empty where each can.
    """
    values = values_of(changes)
    declared: dict[Span, list[Tensor]] = {}
    for tensor in program.tensors.values():
        declared.setdefault(tensor.span, []).append(tensor)
    for path, key in values:
        tensor = program.tensors[path]
        for other in declared[tensor.span]:
            found = values.get((other.path, key), exponents_by_key(other).get(key, ZERO))
            if found != values[path, key]:
                return (
                    f"`{tensor.name}` is declared once, line {tensor.span.line}, for `{path}` and "
                    f"`{other.path}`, where `{key}` has to be {values[path, key]} and {found}: "
                    f"declare them apart"
                )
    return ""


def _with_factors(module: Module, factors: Mapping[Span, FactorChange]) -> Module:
    def value(found: Expression) -> Expression:
        made = with_operands(found, value)
        change = factors.get(found.span)
        return _with_factor(made, change) if change and isinstance(made, (Apply, Invoke)) else made

    return replace(
        module,
        body=tuple(with_values(statement, value) for statement in module.body),
        children=tuple(_with_factors(child, factors) for child in module.children),
    )


def _with_factor(call: Apply | Invoke, change: FactorChange) -> Expression:
    by = _product(change.powers)
    if not change.setting:
        settings = {"by": Amount(syntax.Name(change.after), by)}
        shapes = call.shapes
        return Apply(FACTOR, (call,), settings, shapes, span=call.span)
    setting = call.settings.get(change.setting) if isinstance(call, Apply) else None
    if not isinstance(call, Apply) or not isinstance(setting, Amount):
        return call
    found = Amount(setting.written, setting.value * by)
    return replace(call, settings={**call.settings, change.setting: found})


def _product(powers: Powers) -> Polynomial:
    product = ONE
    for name, exponent in powers:
        product = product * atom(name).power(exponent)
    return product
