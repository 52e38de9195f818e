"""The shipped parametrizations: what their files say, and the exponents by role."""

from __future__ import annotations

from collections.abc import Iterable

from abcparam.language.parser import comments
from abcparam.language.printer import written
from abcparam.language.reader import read
from abcparam.language.syntax import Parametrization, Role
from abcparam.reference.entry import GlossaryEntry
from abcparam.resolve.parametrizations import shipped, shipped_name

LETTERS = ("a", "b", "c")


def entries() -> dict[str, GlossaryEntry]:
    """Every shipped parametrization by name."""
    return {shipped_name(path): _entry(path, offered) for path, offered in shipped()}


def _entry(path: str, offered: Iterable[Parametrization]) -> GlossaryEntry:
    name, blocks = shipped_name(path), "\n".join(map(_block, offered))
    return GlossaryEntry(
        name,
        "parametrization",
        about(path),
        written=f"`parametrization {name}`, and changes in braces",
        more=(("a, b, c", blocks),),
        example=f"parametrization {name} {{ hidden {{ init = normal(0.02) }} }}",
    )


def about(path: str) -> str:
    """What the second comment of its file says."""
    return comments(read(path))[1].text.removeprefix("# ")


def exponents(role: Role) -> str:
    """`0, 1/2, 1`: a, b and c of a role."""
    values = {setting.key: setting.value for setting in role.settings if setting.value}
    return ", ".join(written(values[letter]).replace(" ", "") for letter in LETTERS)


def _block(offered: Parametrization) -> str:
    whom = ", ".join(name.id for name in offered.optimizers) or "any optimizer"
    return f"{whom}: {'; '.join(f'{r.role.id} {exponents(r)}' for r in offered.roles)}"
