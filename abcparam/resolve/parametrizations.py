"""Exponents and settings by role: spelled out, shipped or imported."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from itertools import chain

from abcparam.algebra.record import Record, replace
from abcparam.diagnostics.diagnostic import Collector, SpecError, did_you_mean
from abcparam.diagnostics.rules import exponents as rules
from abcparam.diagnostics.rules import names as name_rules
from abcparam.diagnostics.source import Source, Span
from abcparam.language import syntax
from abcparam.language.parser import parse
from abcparam.language.reader import read
from abcparam.optimizers import optimizers as known_optimizers
from abcparam.resolve.keywords import ROLES, check_words
from abcparam.resolve.selectors import Selectors, dotted, trainers

RoleSettings = Mapping[str, Mapping[str, syntax.Setting]]

SHIPPED = os.path.join(os.path.dirname(os.path.dirname(__file__)), "parametrizations")


def setting_key(setting: syntax.Setting) -> str:
    """`c` or `c[depth]`."""
    return f"{setting.key}[{setting.dim.id}]" if setting.dim else setting.key


def by_key(settings: tuple[syntax.Setting, ...]) -> dict[str, syntax.Setting]:
    return {setting_key(setting): setting for setting in settings}


class Parametrization(Record):
    """Settings by role, in the form that suits each optimizer of the spec."""

    selectors: Selectors
    forms: tuple[RoleSettings, ...]

    def settings(self, role: str, path: str) -> Mapping[str, syntax.Setting]:
        """What a tensor of this role takes, from the form for the optimizer that trains it."""
        trained = trainers(self.selectors, role, path)
        return self.forms[trained[0] if trained else 0].get(role, {})


def resolve_parametrization(spec: syntax.Spec, collector: Collector) -> Parametrization:
    """Settings of each role, key by key: the spec's own changes win over what they change."""
    declared = next((d for d in spec.declarations if isinstance(d, syntax.Parametrization)), None)
    optimizers = [d for d in spec.declarations if isinstance(d, syntax.Optimizer)]
    selectors = [tuple(dotted(selector) for selector in o.selectors) for o in optimizers]
    imported = _imported(spec, collector)
    own = {r.role.id: by_key(r.settings) for r in declared.roles} if declared else {}
    forms: dict[str, RoleSettings] = {}
    for form in dict.fromkeys(map(_form, optimizers)):
        shipped: RoleSettings = {}
        if declared and declared.name:
            shipped = _named(form, declared.name, imported, collector)
        forms[form] = {r: {**shipped.get(r, {}), **own.get(r, {})} for r in ROLES}
    return Parametrization(selectors, tuple(forms[_form(o)] for o in optimizers))


def _form(optimizer: syntax.Optimizer) -> str:
    """What shipped parametrizations call an optimizer with its words."""
    rule = known_optimizers()[optimizer.name.id]
    words = {key: allowed[0] for key, allowed in rule.words.items()}
    for setting in optimizer.settings:
        if setting.key in words and isinstance(setting.value, syntax.Name):
            words[setting.key] = setting.value.id
    return rule.chosen(words).form


def _named(
    optimizer: str,
    wanted: syntax.Name,
    imported: list[syntax.Parametrization],
    collector: Collector,
) -> RoleSettings:
    """A shipped or imported parametrization; its settings are placed at its name in the spec."""
    name, place = wanted.id, wanted.span
    library = chain.from_iterable(found for _, found in shipped(name))
    known = set[str]()
    for offered in chain(imported, library):
        if offered.name and fits(offered, optimizer):
            if offered.name.id == name:
                return {r.role.id: by_key(_placed(r.settings, place)) for r in offered.roles}
            known.add(offered.name.id)
    fields = {"name": name, "optimizer": optimizer, "known": ", ".join(sorted(known))}
    suggestion = did_you_mean(name, sorted(known), place)
    collector.add(rules.NoSuchParametrization.at(place, suggestion=suggestion, **fields))
    zero = syntax.Number(Fraction(0))
    return {role: {key: syntax.Setting(key, zero) for key in "abc"} for role in ROLES}


def fits(offered: syntax.Parametrization, optimizer: str) -> bool:
    """Whether it is for an optimizer; without `for`, for all."""
    return not offered.optimizers or optimizer in [o.id for o in offered.optimizers]


def _placed(settings: tuple[syntax.Setting, ...], place: Span) -> tuple[syntax.Setting, ...]:
    return tuple(
        replace(s, span=place, dim=replace(s.dim, span=place) if s.dim else None) for s in settings
    )


def shipped(first: str = "") -> Iterator[tuple[str, list[syntax.Parametrization]]]:
    """Those that are shipped, by the path of their file, read when they are reached; `first` first.

    A file is named as its parametrization is.
    """
    paths = (os.path.join(SHIPPED, file) for file in sorted(os.listdir(SHIPPED)))
    found = (path for path in paths if path.endswith(".param"))
    for path in sorted(found, key=lambda path: shipped_name(path) != first):
        yield path, _read_once(path)


def shipped_name(path: str) -> str:
    return os.path.basename(path).removesuffix(".param")


@cache
def _read_once(path: str) -> list[syntax.Parametrization]:
    return read_parametrizations(path)


def read_parametrizations(path: str) -> list[syntax.Parametrization]:
    """The `parametrization … { … }` blocks of a file."""
    source = read(path)
    spec, collector = parse(source), Collector(source)
    check_words(spec, collector)
    collector.check()
    return [d for d in spec.declarations if isinstance(d, syntax.Parametrization)]


def imported_files(source: Source) -> list[str]:
    """The paths of what a spec imports; none where it cannot be parsed."""
    try:
        declarations = parse(source).declarations
    except SpecError:
        return []
    folder = source.folder or ""
    paths = (d.path for d in declarations if isinstance(d, syntax.Import))
    return [os.path.join(folder, path) for path in paths]


def _imported(spec: syntax.Spec, collector: Collector) -> list[syntax.Parametrization]:
    found: list[syntax.Parametrization] = []
    for declaration in spec.declarations:
        if isinstance(declaration, syntax.Import):
            found += _import(declaration, collector)
    return found


def _import(declaration: syntax.Import, collector: Collector) -> list[syntax.Parametrization]:
    folder, path = collector.source.folder, declaration.path
    problem = "a spec without a folder has no imports"
    if folder is not None:
        inside = os.path.realpath(os.path.join(folder, path))
        if not inside.startswith(os.path.realpath(folder) + os.sep):
            problem = "it lies outside the spec's folder"
        elif os.path.exists(inside) and not os.path.isfile(inside):
            problem = "it is no regular file"
        else:
            try:
                return read_parametrizations(inside)
            except SpecError as error:
                first = error.diagnostics[0]
                problem = f"line {first.span.line}: {first.message}"
    collector.add(name_rules.ImportFailed.at(declaration.span, path=path, problem=problem))
    return []
