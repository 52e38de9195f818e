"""Roles, keys of tensors and exponents."""

from __future__ import annotations

from abcparam.reference.words import EXPONENTS, KEYS, ROLES
from docs.tables.markdown import Table, code


def roles() -> Table:
    rows = ((code(name), fan_in, fan_out, used) for name, fan_in, fan_out, used, _ in ROLES)
    return Table(("role", "fan-in", "fan-out", "examples"), tuple(rows))


def keys() -> Table:
    rows = ((_key(names), meaning, default) for names, meaning, default, _ in KEYS)
    return Table(("key", "meaning", "default"), tuple(rows))


def _key(names: tuple[str, ...]) -> str:
    return " ".join(map(code, names)) if len(names) > 2 else code(*names)


def exponents() -> Table:
    rows = ((code(letter), of, _form(form)) for letter, of, form in EXPONENTS)
    return Table(("", "is", "at width n"), tuple(rows))


def _form(form: str) -> str:
    if not form.startswith("S "):
        return code(form)
    return (
        f"{code(form)}, `S` as `init` has it; constants are scaled too; `orthogonal` takes "
        "`S * r^(1/2 - b)`, `r` of its longer side, so that its entries fall as `r^-b`"
    )
