"""Shipped parametrizations: for which optimizers, the exponents by role, the verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from abcparam.language.syntax import Parametrization
from abcparam.reference.parametrizations import about
from abcparam.reference.parametrizations import exponents as exponents_of
from abcparam.resolve.parametrizations import fits, shipped, shipped_name
from docs.diagrams.specs import laws, mlp
from docs.tables.markdown import Table, code
from docs.tables.optimizers import Form, forms

ROLES = ("input", "hidden", "output")
OPTIMIZER = re.compile(r"^optimizer .*$", re.MULTILINE)


def table() -> Table:
    head = ("name", "for", "input a, b, c", *ROLES[1:], "verdict on an MLP")
    return Table(head, tuple(row for path, offered in shipped() for row in _rows(path, offered)))


def _rows(path: str, blocks: Iterable[Parametrization]) -> Iterator[tuple[str, ...]]:
    """A row for each block; the first one has the name and what the file says of it."""
    name = shipped_name(path)
    first = f"{code(name)} ({_about(path)})"
    for offered in blocks:
        roles = {role.role.id: role for role in offered.roles}
        served = [form for form in forms() if fits(offered, form.rule.form)]
        exponents = (exponents_of(roles[role]) for role in ROLES)
        yield first, _whom(offered, served), *exponents, _verdicts(name, served)
        first = ""


def _about(path: str) -> str:
    """What the file's second comment says: `The standard parametrization: PyTorch's …`."""
    text = about(path)
    found = re.fullmatch(r"The (.*) parametrization(.*)\.", text)
    assert found is not None, text
    return found[1] + found[2]


def _whom(offered: Parametrization, served: list[Form]) -> str:
    if not offered.optimizers:
        return "any"
    by_name = {form.rule.form: form for form in served}
    return ", ".join(by_name[name.id].text for name in offered.optimizers)


def _verdicts(name: str, served: list[Form]) -> str:
    found = dict.fromkeys(str(laws(_spec(name, form)).verdict) for form in served)
    return " or ".join(found)


def _spec(name: str, form: Form) -> str:
    settings = ", ".join(("lr = lr", *form.words))
    return OPTIMIZER.sub(f"optimizer {form.rule.name} {{ {settings} }}", mlp(name))
